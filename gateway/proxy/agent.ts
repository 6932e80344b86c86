// A dialler comes in; an http.Agent comes out that keeps connections to one port of one incarnation and trusts none of them.
import { Agent, type ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ApiError } from '../../control/wire/index.ts'
import { destroyThis } from '../upgrade.ts'

/** Makes one connection; `done` is called once. */
export type Dial = (done: (err: Error | null, stream: Duplex | null) => void) => void

type Made = (err: Error | null, stream: Duplex) => void
type Kept = Duplex & { [K in 'setKeepAlive' | 'setTimeout' | 'ref' | 'unref']?: unknown }

/** A connection that nobody used for so long is ended, before the app does it: as undici's. */
const IDLE_MS = 4000

const nothing = (): void => undefined

/** A stream with all that Node's agent calls on a socket; a runtime's own stream has not all of it. */
function asSocket(stream: Kept): Duplex {
  for (const name of ['ref', 'unref'] as const) if (stream[name] === undefined) delete stream[name]
  for (const name of ['setKeepAlive', 'setTimeout', 'ref', 'unref'] as const) stream[name] ??= nothing
  return stream
}

/** The kept connections of the compatibility engine. Ending it ends all of them, those that are still dialled too. */
export class LenientAgent extends Agent {
  readonly #dial: Dial
  readonly #open = new Set<Duplex>()
  #isEnded = false

  constructor(dial: Dial) {
    super({ keepAlive: true })
    this.#dial = dial
  }

  /** Called by Node, and by a request that shall not ride on a kept connection. */
  override createConnection = (_options: unknown, made?: Made): null => {
    this.#dial((err, stream) => {
      if (made === undefined || err !== null || stream === null || this.#isEnded) {
        stream?.on('error', nothing).destroy()
        return made?.(err ?? new ApiError('upstream_unreachable'), null as never)
      }
      // A late error of a connection that nobody listens to any more must not end the process.
      stream.on('error', nothing)
      this.#open.add(stream)
      const forget = (): void => void this.#open.delete(stream)
      stream.on('close', forget)
      // An upgraded connection is no longer a request's.
      stream.on('agentRemove', forget)
      made(null, asSocket(stream))
    })
    return null
  }

  /** What comes on a connection that nobody asked anything on would be read as the next request's answer. */
  override keepSocketAlive(stream: Duplex): boolean {
    // An app that has said its last: its half of the connection is closed, ours would wait for ever.
    if (stream.readableEnded || stream.readableLength > 0) return false
    if (super.keepSocketAlive(stream) === (false as never)) return false
    stream.on('data', destroyThis)
    stream.on('end', destroyThis)
    ;(stream as Socket).setTimeout(IDLE_MS, destroyThis)
    return true
  }

  override reuseSocket(stream: Duplex, request: ClientRequest): void {
    stream.removeListener('data', destroyThis)
    stream.removeListener('end', destroyThis)
    ;(stream as Socket).setTimeout(0, destroyThis)
    super.reuseSocket(stream, request)
  }

  override destroy(): void {
    this.#isEnded = true
    super.destroy()
    for (const stream of this.#open) stream.destroy()
    this.#open.clear()
  }
}
