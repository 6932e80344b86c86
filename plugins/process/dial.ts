/** A way in that is proved the workspace's own, before and after the dial, comes in; the connection comes out. */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { RuntimeError } from '@postern/plugin'
import type { Listener, Target } from './sockets.ts'
import type { ListenerTable } from './table.ts'

/** Listening sockets, all of the workspace's own processes, and the port of the host that they are at. */
export interface WayIn {
  readonly target: Target
  readonly hostPort: number
}

interface Dialling {
  readonly table: ListenerTable
  /** As the workspace calls it, for messages. */
  readonly port: number
  /** How old a table may be by which a dial is begun; it is proved by a new one. For so long a stranger is believed one. */
  readonly maxAgeMs: number
  readonly signal: AbortSignal
}

type Look<T> = () => Promise<T | undefined>

/** The way in by the listening sockets of the machine; undefined where there is none. */
export type Finder = (all: readonly Listener[]) => WayIn | undefined

/** @throws RuntimeError ERR_NOT_FOUND where nothing proved its own takes the connection; the signal's reason */
export async function dial(find: Finder, dialling: Dialling): Promise<Duplex> {
  const quick = await enterQuickly(find, dialling)
  if (quick !== undefined) return quick
  const { table, port } = dialling
  const patiently = <T>(look: Look<T>): Promise<T | undefined> => soon(look, dialling)
  const found = await patiently(async () => find(await table.fresh()))
  if (found === undefined) throw nothingThere(port)
  const stream = await enter(find, found, patiently, dialling)
  if (stream === undefined) throw nothingThere(port)
  return stream
}

/** By what was seen a moment ago. Whatever fails here is only no answer: the patient way follows. */
async function enterQuickly(find: Finder, dialling: Dialling): Promise<Duplex | undefined> {
  const { table, maxAgeMs, signal } = dialling
  const found = find(await table.recent(maxAgeMs))
  if (found === undefined) return undefined
  return enter(find, found, (look) => look(), dialling).catch(() => {
    signal.throwIfAborted()
    return undefined
  })
}

/**
 * Dials, and proves by a table that was read after it that the same sockets took it: somebody else may have taken the
 * port over meanwhile. Undefined where that isn't proved.
 */
async function enter(
  find: Finder,
  { target, hostPort }: WayIn,
  prove: (look: Look<true>) => Promise<true | undefined>,
  { table, port, signal }: Dialling,
): Promise<Duplex | undefined> {
  const stream = await dialLoopback(target.host, hostPort, port, signal)
  // Nobody else listens for its errors yet.
  const failed = (): void => undefined
  stream.on('error', failed)
  let isProved: true | undefined
  try {
    isProved = await prove(async () => {
      const now = find(await table.fresh())
      return now?.target.inodes.join() === target.inodes.join() ? true : undefined
    })
    signal.throwIfAborted()
  } catch (err) {
    stream.destroy()
    throw err
  }
  stream.off('error', failed)
  if (isProved === true && !stream.destroyed) return stream
  stream.destroy()
  return undefined
}

/**
 * Looks up to three times: the kernel's table of listeners is read in pages, and a row is missed when others come or go
 * between two of them; and a socket is believed a stranger's for a while.
 */
async function soon<T>(look: Look<T>, { maxAgeMs, signal }: Dialling): Promise<T | undefined> {
  for (const pauseMs of [20, maxAgeMs + 10]) {
    const found = await look()
    if (found !== undefined) return found
    await pause(pauseMs, undefined, { signal })
  }
  return look()
}

/** Why nobody is let in there. */
export function nothingThere(port: number, cause?: unknown): RuntimeError {
  return new RuntimeError('ERR_NOT_FOUND', `Nothing of the workspace listens on port ${port}.`, { cause })
}

function dialLoopback(host: string, hostPort: number, port: number, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: hostPort })
    const stop = (): void => {
      socket.destroy()
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', stop, { once: true })
    socket.once('error', (err) => {
      signal.removeEventListener('abort', stop)
      reject(nothingThere(port, err))
    })
    socket.once('connect', () => {
      signal.removeEventListener('abort', stop)
      socket.setNoDelay(true).removeAllListeners('error')
      resolve(socket)
    })
  })
}
