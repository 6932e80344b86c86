/** Whatever a room threw while starting comes in; a StartupError with code, cause and next step comes out. Pure. */
import { apiCodes, type ApiCode } from '../wire/codes.ts'
import { StartupError, type StartupCode } from './startup-error.ts'

/** What control's StartError, the plugin's RuntimeError and Node's own errors have in common. */
interface Coded {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly fix?: string | undefined
  readonly cause?: unknown
  readonly syscall?: string
  readonly address?: string
  readonly port?: number
}

/** Walks the chain of causes, so that it doesn't matter how often a room wrapped it. */
export function explain(err: unknown): StartupError {
  if (err instanceof StartupError) return err
  for (const link of causes(err)) {
    const found = fromFix(link) ?? fromServer(link) ?? fromAddress(link)
    if (found) return found
  }
  return new StartupError('unexpected', {
    message: err instanceof Error ? err.message : String(err),
    next: 'Start it again with POSTERN_LOG_LEVEL=debug to see where it failed.',
    cause: err,
  })
}

function* causes(err: unknown): Generator<Coded> {
  let link = err
  for (let depth = 0; depth < 8 && typeof link === 'object' && link !== null; depth++) {
    if ('code' in link && typeof link.code === 'string') yield link as unknown as Coded
    link = (link as { cause?: unknown }).cause
  }
}

const runtimeCodes: Readonly<Record<string, StartupCode>> = {
  ERR_PERMISSION: 'runtime_permission',
  ERR_UNAVAILABLE: 'runtime_unavailable',
  ERR_UNSUPPORTED: 'runtime_unsupported',
}

/** Control's codes go out as they are; those of a runtime get names of ours. */
function fromFix(err: Coded): StartupError | undefined {
  const runtimeCode = runtimeCodes[err.code]
  if (runtimeCode === undefined && typeof err.fix !== 'string') return undefined
  return new StartupError(runtimeCode ?? err.code, {
    message: err.message,
    next: err.fix ?? 'Mend the runtime, or choose another with --runtime.',
    cause: err.cause,
  })
}

/** What the server said to an agent. */
function fromServer(err: Coded): StartupError | undefined {
  if (err.name !== 'ApiError' || !(err.code in apiCodes)) return undefined
  const isRefused = err.code === 'unauthenticated' || err.code === 'forbidden'
  return new StartupError(isRefused ? 'join_refused' : err.code, {
    message: isRefused ? `The server does not take this agent: ${err.message}.` : err.message,
    next: isRefused
      ? 'Ask an administrator for a new join token (dashboard: Hosts), and give it with --join-token-file.'
      : apiCodes[err.code as ApiCode].hint,
    cause: err.cause,
  })
}

function fromAddress(err: Coded): StartupError | undefined {
  if (err.syscall !== 'listen' && err.syscall !== 'bind') return undefined
  const where = err.port === undefined || err.port < 0 ? err.address : `${err.address}:${err.port}`
  if (err.code === 'EADDRINUSE')
    return new StartupError('address_in_use', {
      message: `${where} is taken by another program.`,
      next: 'Stop that program, or choose another address with --listen or --authz-listen.',
      cause: err,
    })
  return new StartupError('address_unusable', {
    message: `${where} cannot be listened on.`,
    next:
      err.code === 'EACCES'
        ? 'Ports below 1024 need root or CAP_NET_BIND_SERVICE, a socket needs a folder that this user may write: choose another with --listen or --authz-listen.'
        : 'Choose an address of this machine with --listen or --authz-listen.',
    cause: err,
  })
}
