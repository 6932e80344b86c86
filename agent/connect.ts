/** The seam of standalone: a workspace's incarnation and port in, a byte stream to its program out. */
import { connect as dial } from 'node:net'
import type { Duplex } from 'node:stream'
import { RuntimeError, type Instance, type Runtime } from '@postern/plugin'
import { ApiError } from '../control/wire/index.ts'

/** Where to connect, as the gateway's route says. */
export interface Target {
  readonly workspaceId: string
  readonly incarnation: string
}

/**
 * Dials a port through the runtime, or directly by the instance's reach.
 * @throws RuntimeError ERR_NOT_FOUND when that incarnation is no more or nothing listens; ApiError
 * not_reachable_directly when the runtime offers no way in
 */
export async function connectTo(
  runtime: Runtime,
  instances: readonly Instance[],
  target: Target,
  port: number,
  call: { readonly signal: AbortSignal },
): Promise<Duplex> {
  call.signal.throwIfAborted()
  const instance = instances.find((each) => each.incarnation === target.incarnation)
  if (instance === undefined) {
    throw new RuntimeError('ERR_NOT_FOUND', `workspace ${target.workspaceId} no longer runs as it did`)
  }
  if (runtime.connect !== undefined) return await runtime.connect(target.workspaceId, port, call)
  const { reach } = instance
  if (reach.kind === 'address') return await dialled(reach.host, port, call.signal)
  if (reach.kind === 'none') throw new ApiError('not_reachable_directly')
  const mapped = reach.ports[String(port)]
  if (mapped === undefined) throw new RuntimeError('ERR_NOT_FOUND', `port ${port} is not open to the host`)
  return await dialled(reach.host, mapped, call.signal)
}

function dialled(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = dial({ host, port, noDelay: true })
    const onAbort = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', (cause) => {
      signal.removeEventListener('abort', onAbort)
      reject(new RuntimeError('ERR_NOT_FOUND', 'nothing answers on that port', { cause }))
    })
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
