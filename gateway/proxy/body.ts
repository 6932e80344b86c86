// A visitor's body comes in; a stream that the engine may destroy without ending the visitor's connection comes out.
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/** A body that stands still for so long is given up. */
const IDLE_MS = 300_000

/**
 * The body of a request. The engine destroys its body when the app answers early or fails; the visitor's own
 * connection must outlive that, so that the answer reaches it.
 */
export class RequestBody extends Readable {
  /** All of it has come. */
  done = false
  readonly #req: IncomingMessage
  readonly #seen: { received: number }
  #onFirstRead: (() => void) | null
  #attached = false

  /** `onFirstRead` is called when the engine is ready for the first byte; bytes are counted in `seen`. */
  constructor(req: IncomingMessage, onFirstRead: (() => void) | null, seen: { received: number }) {
    super({ highWaterMark: 64 * 1024 })
    this.#req = req
    this.#seen = seen
    this.#onFirstRead = onFirstRead
    // The engine listens only while it reads; an error after that must not end the process.
    this.on('error', () => undefined)
  }

  override _read(): void {
    if (!this.#attached) this.#attach()
    this.#req.resume()
  }

  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    const req = this.#req
    req.removeListener('data', this.#onData)
    req.removeListener('end', this.#onEnd)
    req.setTimeout(0)
    done(err)
  }

  #attach(): void {
    this.#attached = true
    this.#onFirstRead?.()
    this.#onFirstRead = null
    const req = this.#req
    req.on('data', this.#onData)
    req.on('end', this.#onEnd)
    req.on('error', this.#onGone)
    // Half a body over HTTP/2 may end like a whole one; this is said before.
    req.on('aborted', this.#onGone)
    req.on('close', this.#onGone)
    req.setTimeout(IDLE_MS, this.#onGone)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#seen.received += chunk.length
    if (!this.push(chunk)) this.#req.pause()
  }
  readonly #onEnd = (): void => {
    this.done = true
    this.#req.setTimeout(0)
    this.push(null)
  }
  readonly #onGone = (): void => {
    if (!this.done) this.destroy(new Error('the visitor went away while sending'))
  }
}
