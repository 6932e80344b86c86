// An allowed visit comes in; the app's answer goes back by undici's dispatch. One object per request, undici's own handler.
import type { Dispatcher } from 'undici'
import type { Duplex } from 'node:stream'
import { ApiError } from '../../control/wire/index.ts'
import type { Visit } from '../edge.ts'
import { acceptUpgrade } from '../upgrade.ts'
import type { Line, Upstream } from './pools.ts'
import { LENIENT } from './failure.ts'
import { type Allowed, Relay } from './relay.ts'

const JOINED_MAX = 16 * 1024
/** An app that sends fast is read on when others had their turn: libuv takes up to 2 MB of one socket at a stretch. */
const TURN_BYTES = 256 * 1024

/** One request to an app and its answer, by the strict engine. */
export class Exchange extends Relay implements Dispatcher.DispatchHandler {
  readonly #options: Dispatcher.DispatchOptions
  #line: Line | null = null
  #resume: (() => void) | null = null
  /** A first byte of the answer has come. */
  #started = false
  #contentLength = -1
  /** The whole body where it came at once, so that head and body leave in one write. */
  #whole: Buffer | null = null
  #wrote = false
  #turnBytes = 0

  constructor(visit: Visit, allowed: Allowed) {
    super(visit, allowed)
    this.#options = {
      path: visit.target,
      method: visit.method,
      headers: this.headers,
      body: this.body,
      upgrade: visit.socket === null ? null : 'websocket',
    }
  }

  protected send(isFresh: boolean): void {
    const line = this.upstream.take(isFresh)
    this.#line = line
    line.dispatch(this.#options, this)
  }

  protected brokeIdle(): boolean {
    return !this.#started && this.#line?.hasServed === true
  }

  onConnect(abort: (err?: Error) => void): void {
    if (this.finished) abort()
  }

  onResponseStarted(): void {
    this.#started = true
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, statusText: string): boolean {
    if (this.finished) return true
    if (status < 200) {
      this.inform(status, raw)
      return true
    }
    this.#resume = resume
    const head = this.answerHead(raw, status)
    this.#contentLength = head.contentLength
    if (status === 204 && head.contentLength > 0) throw new ApiError('upstream_bad_answer', LENIENT)
    this.writeHead(status, statusText, head)
    // A 304 may say how long its 200 would be (RFC 9110 §15.4.5); undici would wait for that, and find it missing.
    if (status === 304 && head.contentLength > 0) {
      this.endLine()
      this.complete(null)
      return true
    }
    process.nextTick(flushHead, this)
    return true
  }

  /** Sends the head when no body came with it, as events and slow answers want. */
  flush(): void {
    if (!this.#wrote && this.#whole === null && !this.finished) this.flushHead()
  }

  onData(chunk: Buffer): boolean {
    // Read on after a pause, undici's parser gives an empty piece: writing that takes a system call.
    if (this.finished || chunk.length === 0) return true
    const { res, seen } = this.visit
    seen.sent += chunk.length
    if (!this.#wrote && chunk.length === this.#contentLength) {
      this.#whole = chunk
      return true
    }
    this.#wrote = true
    if (!res.write(chunk)) {
      res.once('drain', () => this.#resume?.())
      return false
    }
    if ((this.#turnBytes += chunk.length) < TURN_BYTES) return true
    this.#turnBytes = 0
    setImmediate(readOn, this)
    return false
  }

  /** Others have had their turn. */
  readOn(): void {
    this.#resume?.()
  }

  onComplete(trailers: string[] | null): void {
    if (this.finished) return
    if (this.#line?.isBroken === true) return this.fail(new ApiError('upstream_bad_answer'))
    this.#giveBack()
    this.complete(trailers as unknown as Buffer[] | null)
  }

  onUpgrade(status: number, raw: Buffer[] | string[] | null, upstream: Duplex): void {
    // The bytes have left it; what is left of it is of no use.
    setImmediate(endLine, this.upstream, this.#line)
    this.#line = null
    const headers = status === 101 ? this.takenHead((raw ?? []) as Buffer[]) : null
    if (headers === null) {
      upstream.on('error', () => undefined)
      upstream.destroy()
      return this.fail(new ApiError('upstream_bad_answer'))
    }
    this.visit.edge.counters.upgrades++
    this.finish()
    acceptUpgrade(this.visit, headers, upstream, this)
  }

  onError(err: Error): void {
    this.fail(err)
  }

  protected override end(): void {
    const { res } = this.visit
    const whole = this.#whole
    if (whole === null || whole.length > JOINED_MAX || this.visit.req.httpVersionMajor !== 1)
      return void (whole === null ? res.end() : res.end(whole))
    // Node joins a string with its head; uncorked before the end, they leave in one plain write and not in a gathered one.
    res.write(whole.toString('latin1'), 'latin1')
    res.socket?.uncork()
    res.end()
  }

  protected override writeRest(): void {
    if (this.#whole === null) return super.writeRest()
    this.visit.res.write(this.#whole)
    this.#whole = null
  }

  #giveBack(): void {
    const line = this.#line
    this.#line = null
    if (line !== null) this.upstream.give(line)
  }

  protected endLine(): void {
    const line = this.#line
    this.#line = null
    if (line !== null) this.upstream.end(line)
  }
}

function endLine(upstream: Upstream, line: Line | null): void {
  if (line !== null) upstream.end(line)
}

function readOn(exchange: Exchange): void {
  exchange.readOn()
}

function flushHead(exchange: Exchange): void {
  exchange.flush()
}
