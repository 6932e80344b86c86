// Plain requests come in as text; their answers go to the handler straight from the connection, or to undici where they aren't plain.
import type { Dispatcher } from 'undici'
import type { Duplex } from 'node:stream'
import { ApiError } from '../../control/wire/index.ts'
import { type Connect, FullLine, HEAD_TIMEOUT_MS, type Line } from './line.ts'
import { plainAnswer } from './plain.ts'
import { Replay } from './replay.ts'

/** As undici names it: the keep-alive race is looked for by that. */
const closed = (): Error =>
  Object.assign(new Error('the app closed the connection'), { code: 'UND_ERR_SOCKET' })

/**
 * A connection without an engine, for GETs without a body. An answer that isn't plain, in whatever it be, goes to undici
 * from its first byte, and the connection with it: what is in doubt is judged there, and only there.
 */
export class PlainLine implements Line {
  hasServed = false
  isIdle = false
  isSpent = false
  readonly #connect: Connect
  readonly #onIdleEnd: (line: Line) => void
  readonly #onMiss: () => void
  #stream: Duplex | null = null
  /** undici's, since an answer wasn't plain. */
  #full: FullLine | null = null
  #options: Dispatcher.DispatchOptions | null = null
  #handler: Dispatcher.DispatchHandler | null = null
  #text = ''
  /** Bytes of the body that are still to come; -1: the head is. */
  #missing = -1
  #keepMs = 0
  /** When the request was sent, or the wait for the next one began. */
  #sinceMs = 0
  #isDestroyed = false

  constructor(connect: Connect, onIdleEnd: (line: Line) => void, onMiss: () => void) {
    this.#connect = connect
    this.#onIdleEnd = onIdleEnd
    this.#onMiss = onMiss
  }

  get isPlain(): boolean {
    return this.#full === null
  }
  get isBroken(): boolean {
    return this.#full?.isBroken ?? (this.#stream !== null && this.#stream.errored !== null)
  }

  /** True when it waited for so long that the app may be about to end it. */
  isStale(nowMs: number): boolean {
    return this.#full === null && nowMs - this.#sinceMs >= this.#keepMs
  }

  dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
    text: string | null,
    nowMs: number,
  ): void {
    if (this.#full !== null) return this.#full.dispatch(options, handler)
    if (text === null) return void handler.onError?.(new ApiError('internal'))
    this.#options = options
    this.#handler = handler
    this.#text = text
    this.#missing = -1
    this.#sinceMs = nowMs
    handler.onConnect?.(this.#abort)
    if (this.#handler === null) return
    if (this.#stream === null) this.#dial()
    else this.#stream.write(text, 'latin1')
  }

  readonly #abort = (err?: Error): void => this.#fail(err ?? closed())

  #dial(): void {
    this.#connect(undefined, (err, stream) => {
      if (err !== null) return this.#fail(err)
      if (this.#isDestroyed) return void (stream as Duplex).destroy()
      this.#stream = stream as Duplex
      this.#stream.on('data', this.#onData)
      this.#stream.on('end', this.#onEnd)
      this.#stream.on('error', this.#onError)
      this.#stream.on('close', this.#onEnd)
      this.#stream.write(this.#text, 'latin1')
    })
  }

  readonly #onData = (chunk: Buffer): void => {
    // Nobody asked: whose answer would that be?
    if (this.#handler === null) return this.#endedIdle()
    try {
      if (this.#missing < 0) this.#begin(chunk)
      else this.#take(chunk)
    } catch (err) {
      this.#fail(err as Error)
    }
  }

  #begin(chunk: Buffer): void {
    const answer = plainAnswer(chunk)
    const handler = this.#handler
    if (handler === null) return
    if (answer === null) return this.#handOver(chunk)
    handler.onResponseStarted?.()
    this.#missing = answer.length
    this.#keepMs = answer.keepMs
    if (answer.keepMs === 0) this.isSpent = true
    handler.onHeaders?.(answer.status, answer.raw as never, this.#resume, answer.reason)
    // The handler may have ended all.
    if (this.#handler !== handler) return
    if (chunk.length > answer.headBytes) this.#take(chunk.subarray(answer.headBytes))
    else if (answer.length === 0) this.#complete(handler)
  }

  #take(chunk: Buffer): void {
    const handler = this.#handler
    if (handler === null) return
    let bytes = chunk
    if (bytes.length > this.#missing) {
      // An answer that nobody asked for: this one is what it said, and the connection is of no further use.
      this.isSpent = true
      bytes = bytes.subarray(0, this.#missing)
    }
    this.#missing -= bytes.length
    const goesOn = bytes.length === 0 || handler.onData?.(bytes) !== false
    if (this.#handler !== handler) return
    if (this.#missing === 0) this.#complete(handler)
    else if (!goesOn) this.#stream?.pause()
  }

  #complete(handler: Dispatcher.DispatchHandler): void {
    this.#handler = null
    this.#options = null
    handler.onComplete?.([])
  }

  readonly #resume = (): void => void this.#stream?.resume()

  #handOver(early: Buffer): void {
    const [stream, options, handler] = [this.#stream, this.#options, this.#handler]
    if (stream === null || options === null || handler === null) return
    this.#onMiss()
    stream.removeListener('data', this.#onData)
    stream.removeListener('end', this.#onEnd)
    stream.removeListener('error', this.#onError)
    stream.removeListener('close', this.#onEnd)
    this.#handler = null
    this.#options = null
    const replay = new Replay(stream, early)
    this.#full = new FullLine(
      // Not at once: undici does not hear it while it asks.
      (_options, done) => process.nextTick(done, null, replay as never),
      () => this.#endedIdle(),
    )
    this.#full.dispatch(options, handler)
  }

  readonly #onEnd = (): void => this.#onError(closed())

  readonly #onError = (err: Error): void => {
    if (this.#handler === null) this.#endedIdle()
    else this.#fail(err)
  }

  #fail(err: Error): void {
    const handler = this.#handler
    this.destroy()
    handler?.onError?.(err)
  }

  #endedIdle(): void {
    if (this.isIdle) this.#onIdleEnd(this)
    else if (this.#full === null) this.destroy()
  }

  waitsFrom(nowMs: number): void {
    this.#sinceMs = nowMs
  }

  tick(nowMs: number): void {
    if (this.#full !== null) return
    if (this.isIdle) {
      if (this.isStale(nowMs)) this.#onIdleEnd(this)
    } else if (this.#handler !== null && this.#missing < 0 && nowMs - this.#sinceMs > HEAD_TIMEOUT_MS)
      this.#fail(new ApiError('upstream_timeout'))
  }

  destroy(): void {
    this.#isDestroyed = true
    this.isSpent = true
    this.#handler = null
    this.#options = null
    this.#full?.destroy()
    this.#stream?.destroy()
  }
}
