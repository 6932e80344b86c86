/** A workspace and a port come in; a byte stream to what listens there leaves. */
import { connect as dial } from 'node:net'
import type { Socket } from 'node:net'
import { RuntimeError } from '@postern/plugin'
import type { Call, Instance, RuntimeCode, WorkspaceId } from '@postern/plugin'
import type { Engine } from './engine.ts'
import { findContainer, foundInstance } from './find.ts'

const byErrno: Readonly<Record<string, RuntimeCode>> = {
  ECONNREFUSED: 'ERR_NOT_FOUND',
  EHOSTUNREACH: 'ERR_NOT_FOUND',
  ENETUNREACH: 'ERR_NOT_FOUND',
  ETIMEDOUT: 'ERR_TIMEOUT',
}

/** Dials a port of a running instance. See `Runtime.connect`. */
export async function connect(engine: Engine, id: WorkspaceId, port: number, call: Call): Promise<Socket> {
  const found = await findContainer(engine, id, call)
  const target =
    found === undefined || found === 'foreign' ? undefined : targetOf(foundInstance(engine, found), port)
  if (target === undefined)
    throw new RuntimeError('ERR_NOT_FOUND', `Nothing of ${id} listens on port ${port}.`)
  return new Promise<Socket>((resolve, reject) => {
    const socket = dial({ ...target, noDelay: true })
    const abort = () => {
      socket.destroy()
      reject(call.signal.reason as Error)
    }
    const fail = (err: NodeJS.ErrnoException) => {
      call.signal.removeEventListener('abort', abort)
      const code = byErrno[err.code ?? ''] ?? 'ERR_UNAVAILABLE'
      reject(
        new RuntimeError(code, `connect to port ${port} of ${id}: ${err.code ?? err.message}`, {
          cause: err,
        }),
      )
    }
    call.signal.addEventListener('abort', abort, { once: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      call.signal.removeEventListener('abort', abort)
      socket.off('error', fail)
      resolve(socket)
    })
  })
}

function targetOf({ reach }: Instance, port: number): { host: string; port: number } | undefined {
  if (reach.kind === 'address') return { host: reach.host, port }
  if (reach.kind === 'none') return undefined
  const published = reach.ports[String(port)]
  return published === undefined ? undefined : { host: reach.host, port: published }
}
