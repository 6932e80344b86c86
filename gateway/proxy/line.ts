// A way to dial comes in; one connection to an app comes out, with one request on it at a time, for undici's kind of handler.
import { Client, type Dispatcher } from 'undici'
import type { Duplex } from 'node:stream'

/** The head of an app's answer. */
export const HEAD_MAX_BYTES = 32 * 1024
/** From the end of the request to the head of its answer. */
export const HEAD_TIMEOUT_MS = 300_000

const ORIGIN = 'http://workspace.invalid'
const SETTINGS = {
  pipelining: 1,
  allowH2: false,
  maxHeaderSize: HEAD_MAX_BYTES,
  headersTimeout: HEAD_TIMEOUT_MS,
  // Streams may be silent for as long as they like.
  bodyTimeout: 0,
} as const

/** Dials; what is given is the caller's. */
export type Connect = (options: unknown, done: (...args: [null, never] | [Error, null]) => void) => void

/** One connection to an app, made when it is first used; one request at a time. */
export interface Line {
  /** A request has been answered on it: that it breaks now may be the keep-alive race, which a fresh one mends. */
  hasServed: boolean
  isIdle: boolean
  /** It serves plain requests by `dispatch` with their text. */
  readonly isPlain: boolean
  /** It serves no other request. */
  readonly isSpent: boolean
  /** The connection was reset: what ends with it has not come whole, though undici takes it for that. */
  readonly isBroken: boolean
  /** Errors go to the handler, also those of making the connection. `text`: the same as bytes, where it is plain. */
  dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
    text: string | null,
    nowMs: number,
  ): void
  /** Its wait for the next request begins. */
  waitsFrom(nowMs: number): void
  /** True when it waited for so long that the app may be about to end it. */
  isStale(nowMs: number): boolean
  /** Looks at the clock: an answer that doesn't begin, a wait that is over. */
  tick(nowMs: number): void
  /** Ends the connection at once, whatever is on it. */
  destroy(): void
}

/** A connection by undici's client, for every kind of request. */
export class FullLine implements Line {
  hasServed = false
  isIdle = false
  readonly isPlain = false
  readonly isSpent = false
  readonly #client: Client
  #stream: Duplex | null = null

  /** `onEnd` is called when the connection has ended, whatever was on it. */
  constructor(connect: Connect, onEnd: (line: Line) => void) {
    const kept: Connect = (options, done) =>
      connect(options, (...made) => {
        this.#stream = made[1]
        done(...made)
      })
    this.#client = new Client(ORIGIN, { ...SETTINGS, connect: kept })
    this.#client.on('disconnect', () => onEnd(this))
  }

  get isBroken(): boolean {
    return this.#stream !== null && this.#stream.errored !== null
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#client.dispatch(options, handler)
  }

  // undici's client has clocks of its own.
  waitsFrom(): void {}
  isStale(): boolean {
    return false
  }
  tick(): void {}

  destroy(): void {
    this.#client.destroy().catch(() => undefined)
  }
}
