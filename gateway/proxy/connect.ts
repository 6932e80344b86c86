// A route and a port come in; a byte stream to the program, or a coded error, comes out. The one seam to workspaces.
import { connect as dialTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { ApiError, type EdgeRoute } from '../../control/wire/index.ts'
import type { LocalConnect } from '../seams.ts'

const DIAL_TIMEOUT_MS = 5000

/** Called once. The stream is its receiver's to destroy. */
export type Dialled = (err: Error | null, stream: Duplex | null) => void

function codeOf(err: unknown): string {
  const code = typeof err === 'object' && err !== null ? (err as { code?: unknown }).code : undefined
  return typeof code === 'string' ? code : ''
}

function dialError(err: unknown): ApiError {
  if (err instanceof ApiError) return err
  const code = codeOf(err)
  const isSlow = code === 'ETIMEDOUT' || code === 'ERR_TIMEOUT'
  return new ApiError(isSlow ? 'upstream_timeout' : 'upstream_unreachable', undefined, { cause: err })
}

function direct(host: string, port: number, done: Dialled): void {
  const socket = dialTcp({
    host,
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    allowHalfOpen: true,
  })
  const settle = (err: Error | null): void => {
    socket.setTimeout(0)
    socket.removeListener('connect', onConnect)
    socket.removeListener('error', onError)
    socket.removeListener('timeout', onTimeout)
    // undici lets go of an idle connection and takes hold of it again, for each request; listeners hold the process.
    if (err === null) return done(null, Object.assign(socket, { ref: undefined, unref: undefined }) as Duplex)
    // A late error of a connection that was given up must not end the process.
    socket.on('error', () => undefined)
    socket.destroy()
    done(dialError(err), null)
  }
  const onConnect = (): void => settle(null)
  const onError = (err: Error): void => settle(err)
  const onTimeout = (): void => settle(new ApiError('upstream_timeout'))
  socket.setTimeout(DIAL_TIMEOUT_MS)
  socket.once('connect', onConnect)
  socket.once('error', onError)
  socket.once('timeout', onTimeout)
}

function throughRuntime(route: EdgeRoute, port: number, connect: LocalConnect, done: Dialled): void {
  const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS)
  connect({ workspaceId: route.workspaceId, incarnation: route.incarnation }, port, { signal }).then(
    (stream) => done(null, stream),
    (err: unknown) =>
      done(
        signal.aborted ? new ApiError('upstream_timeout', undefined, { cause: err }) : dialError(err),
        null,
      ),
  )
}

/** Dials a port of a workspace. Errors are ApiErrors: `upstream_unreachable`, `upstream_timeout`, `not_reachable_directly`. */
export function dial(route: EdgeRoute, port: number, local: LocalConnect | undefined, done: Dialled): void {
  const { reach } = route
  switch (reach.kind) {
    case 'address':
      return direct(reach.host, port, done)
    case 'ports': {
      if (local !== undefined) return throughRuntime(route, port, local, done)
      const mapped = reach.ports[String(port)]
      if (mapped !== undefined) return direct(reach.host, mapped, done)
      return done(new ApiError('upstream_unreachable'), null)
    }
    default:
      return done(new ApiError('not_reachable_directly'), null)
  }
}
