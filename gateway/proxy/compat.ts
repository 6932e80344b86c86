// An allowed visit comes in, for a port that its owner marked lenient; the app's answer goes back by http-proxy, disarmed.
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { Duplex } from 'node:stream'
import { ApiError } from '../../control/wire/index.ts'
import { acceptUpgrade } from '../upgrade.ts'
import { bodiless, lenientHead } from './answer.ts'
import { carry, type Carried, Passenger } from './http-proxy.ts'
import { HEAD_MAX_BYTES, HEAD_TIMEOUT_MS } from './pools.ts'
import { Relay } from './relay.ts'

/** Methods whose requests have no body unless they announce one; Node would announce an empty one for all others. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'DELETE'])

const latin1 = (raw: readonly string[]): Buffer[] => raw.map((text) => Buffer.from(text, 'latin1'))

/** One request to an app and its answer, by the compatibility engine. */
export class CompatExchange extends Relay implements Carried {
  #passenger: Passenger | null = null
  #request: ClientRequest | null = null
  #answer: IncomingMessage | null = null
  /** What the connection had brought before this request; undefined for a runtime's own stream. */
  #bytesBefore: number | undefined
  #timer: NodeJS.Timeout | null = null

  protected send(isFresh: boolean): void {
    this.visit.seen.engine = 'http-proxy'
    const agent = this.upstream.agent()
    const outgoing: RequestOptions & { insecureHTTPParser: true } = {
      method: this.visit.method,
      path: this.visit.target,
      headers: this.#framed(),
      // This is what makes the engine lenient.
      insecureHTTPParser: true,
      maxHeaderSize: HEAD_MAX_BYTES,
      ...(isFresh ? { createConnection: agent.createConnection } : { agent }),
    }
    this.#passenger = new Passenger(outgoing, this)
    try {
      carry(this.#passenger)
    } catch (cause) {
      this.fail(new ApiError('bad_request', undefined, { cause }))
    }
  }

  /** The fields with what says how the body ends, or that there is none. Never more than one of them. */
  #framed(): string[] {
    const { scan, method, socket } = this.visit
    if (socket !== null) return [...this.headers, 'Connection', 'Upgrade', 'Upgrade', 'websocket']
    if (scan.transferEncoding !== null) return [...this.headers, 'Transfer-Encoding', 'chunked']
    if (scan.contentLength !== null || BODILESS.has(method)) return this.headers
    return [...this.headers, 'Content-Length', '0']
  }

  sent(request: ClientRequest): void {
    this.#request = request
    // Nought is no limit: Node would drop the fields beyond it unseen.
    request.maxHeadersCount = 0
    request.on('information', ({ statusCode, rawHeaders }) => this.inform(statusCode, latin1(rawHeaders)))
    request.on('upgrade', (answer, stream, head) => this.#guard(() => this.#upgraded(answer, stream, head)))
    request.on('socket', ({ bytesRead }) => (this.#bytesBefore = bytesRead))
    request.on('finish', () => this.#await())
    if (this.body === null) return void request.end()
    this.body.on('error', (err) => this.fail(err))
    this.body.pipe(request)
  }

  #await(): void {
    if (this.finished || this.headed) return
    this.#timer = setTimeout(() => this.fail(new ApiError('upstream_timeout')), HEAD_TIMEOUT_MS)
    this.#timer.unref()
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  answered(answer: IncomingMessage): void {
    this.#guard(() => this.#begun(answer))
  }

  /** We are called by Node's parser: what is thrown here would be the end of the process. */
  #guard(act: () => void): void {
    try {
      act()
    } catch (cause) {
      this.fail(new ApiError('upstream_bad_answer', undefined, { cause }))
    }
  }

  #begun(answer: IncomingMessage): void {
    const { method, socket, res, seen } = this.visit
    const request = this.#request
    if (this.finished || request === null) return void answer.destroy()
    this.#answer = answer
    const status = answer.statusCode ?? 0
    const head = lenientHead(answer.rawHeaders)
    // Where it could be in doubt what comes next on it, a connection serves no more.
    if (head?.isPlain !== true || socket !== null || (this.body !== null && BODILESS.has(method)))
      request.shouldKeepAlive = false
    if (head === null || status < 200) return this.fail(new ApiError('upstream_bad_answer'))
    if (bodiless(status) && head.hasBody) request.shouldKeepAlive = false
    this.writeHead(status, answer.statusMessage ?? '', this.answerHead(latin1(head.raw), status))
    this.#stopTimer()
    const resume = (): void => void answer.resume()
    answer.on('data', (chunk: Buffer) => {
      seen.sent += chunk.length
      if (this.finished || res.write(chunk)) return
      answer.pause()
      res.once('drain', resume)
    })
    answer.on('end', () => this.#guard(() => this.#ended(answer)))
    answer.on('close', () => this.#guard(() => this.#ended(answer)))
    process.nextTick(flushHead, this)
  }

  /** Sends the head when no body came with it, as events and slow answers want. */
  flush(): void {
    if (!this.finished) this.flushHead()
  }

  #ended(answer: IncomingMessage): void {
    if (this.finished) return
    // What ends with its connection, and that by a reset, has not come whole.
    const isBroken = this.#request?.socket?.errored instanceof Error
    if (!answer.complete || isBroken) return this.fail(new ApiError('upstream_bad_answer'))
    // A body that is still being sent has no reader any more.
    if (this.body !== null && !this.body.done) this.endLine()
    const trailers = lenientHead(answer.rawTrailers)
    this.complete(trailers === null ? null : latin1(trailers.raw))
  }

  #upgraded(answer: IncomingMessage, stream: Duplex, early: Buffer): void {
    const mended = lenientHead(answer.rawHeaders)
    const headers = mended === null ? null : this.takenHead(latin1(mended.raw))
    if (headers === null) {
      stream.destroy()
      return this.fail(new ApiError('upstream_bad_answer'))
    }
    if (early.length > 0) stream.unshift(early)
    this.visit.edge.counters.upgrades++
    this.finish()
    acceptUpgrade(this.visit, headers, stream, this)
  }

  failed(err: Error): void {
    // What is wrong after its end is not wrong with the answer, but with the connection, which Node has ended.
    if (this.#answer?.complete !== true) this.fail(err)
  }

  protected brokeIdle(): boolean {
    const request = this.#request
    return (
      this.#answer === null &&
      request?.reusedSocket === true &&
      request.socket?.bytesRead === this.#bytesBefore
    )
  }

  protected endLine(): void {
    this.#stopTimer()
    this.body?.unpipe()
    this.#passenger?.end()
    this.#passenger = null
  }

  protected override finish(): void {
    this.#stopTimer()
    super.finish()
  }
}

function flushHead(exchange: CompatExchange): void {
  exchange.flush()
}
