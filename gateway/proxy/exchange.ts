// An allowed visit comes in; the app's answer, or a coded failure, goes back. One object per request, undici's own handler.
import type { Dispatcher } from 'undici'
import type { Duplex } from 'node:stream'
import { type ApiCode, ApiError, type EdgeRoute, type Identity } from '../../control/wire/index.ts'
import { answerFailure, drain } from '../answer.ts'
import { hasBody, type Visit } from '../edge.ts'
import { answerHeaders, answerTrailers, upstreamHeaders } from '../headers.ts'
import type { WorkspacePlace } from '../host.ts'
import type { Credential } from '../identity.ts'
import type { LiveStream } from '../sockets.ts'
import { chainOf } from '../trust.ts'
import { acceptUpgrade } from '../upgrade.ts'
import { RequestBody } from './body.ts'
import { IN_FLIGHT_MAX, type Line, type Upstream } from './pools.ts'

/** What the decision gave. */
export interface Allowed {
  readonly place: WorkspacePlace
  readonly route: EdgeRoute
  readonly port: number
  readonly identity: Identity
  readonly credential: Credential
}

const JOINED_MAX = 16 * 1024

const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
const NETWORK: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

/** What an engine's error means to a visitor. */
export function codeOfFailure(err: unknown): ApiCode {
  if (err instanceof ApiError) return err.code
  const raw = typeof err === 'object' && err !== null ? (err as { code?: unknown }).code : undefined
  const code = typeof raw === 'string' ? raw : ''
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_CONNECT_TIMEOUT') return 'upstream_timeout'
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return 'upstream_unreachable'
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') return 'bad_request'
  return 'upstream_bad_answer'
}

/** One request to an app and its answer. */
export class Exchange implements Dispatcher.DispatchHandler, LiveStream {
  readonly credential: Credential
  readonly place: WorkspacePlace
  readonly workspaceId: string
  readonly incarnation: string
  readonly port: number
  readonly userId: string
  readonly #visit: Visit
  readonly #upstream: Upstream
  readonly #options: Dispatcher.DispatchOptions
  readonly #body: RequestBody | null
  #line: Line | null = null
  #resume: (() => void) | null = null
  /** A first byte of the answer has come. */
  #started = false
  #headed = false
  #finished = false
  #retried = false
  #contentLength = -1
  /** The whole body where it came at once, so that head and body leave in one write. */
  #whole: Buffer | null = null
  #wrote = false

  constructor(visit: Visit, allowed: Allowed) {
    const { edge, req, scan } = visit
    this.credential = allowed.credential
    this.place = allowed.place
    this.workspaceId = allowed.route.workspaceId
    this.incarnation = allowed.route.incarnation
    this.port = allowed.port
    this.userId = allowed.identity.kind === 'anonymous' ? '' : allowed.identity.user.id
    this.#visit = visit
    this.#upstream = edge.pools.upstream(allowed.route, allowed.port)
    const onFirstRead = visit.expectsContinue ? () => visit.res.writeContinue() : null
    this.#body = hasBody(scan) ? new RequestBody(req, onFirstRead) : null
    const proto = scan.forwardedProto
    this.#options = {
      path: visit.target,
      method: visit.method,
      headers: upstreamHeaders(req.rawHeaders, scan, {
        forwardedFor: chainOf(visit.peer, scan.forwardedFor, edge.trusted).forwardedFor,
        proto: visit.peer.trusted && (proto === 'http' || proto === 'https') ? proto : edge.site.scheme,
        identity: allowed.identity,
        httpVersion: req.httpVersion,
      }),
      body: this.#body,
      upgrade: visit.socket === null ? null : 'websocket',
    }
  }

  start(): void {
    const { edge, res } = this.#visit
    if (this.#upstream.inFlight >= IN_FLIGHT_MAX) return answerFailure(this.#visit, 'overloaded', this)
    edge.counters.proxied++
    this.#upstream.inFlight++
    edge.live.add(this)
    res.on('close', () => this.#onVisitorClose())
    this.#send(false)
  }

  #send(isFresh: boolean): void {
    const line = this.#upstream.take(isFresh)
    this.#line = line
    line.dispatch(this.#options, this)
  }

  revoke(): void {
    const { req, socket } = this.#visit
    this.#giveUp()
    ;(socket ?? req.socket).destroy()
  }

  onConnect(abort: (err?: Error) => void): void {
    if (this.#finished) abort()
  }

  onResponseStarted(): void {
    this.#started = true
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, statusText: string): boolean {
    if (this.#finished) return true
    if (status < 200) return this.#inform(status, raw)
    const { res, edge } = this.#visit
    this.#resume = resume
    const head = answerHeaders(raw, `${this.place.label}.${edge.site.baseDomain}`)
    this.#contentLength = head.contentLength
    // An answer before the end of the body: what is still to come is not worth keeping the connection for.
    if (this.#body !== null && !this.#body.done) head.headers.push('Connection', 'close')
    res.writeHead(status, /^[\x20-\x7e]*$/.test(statusText) ? statusText : '', head.headers)
    this.#headed = true
    process.nextTick(flushHead, this)
    return true
  }

  /** Sends the head when no body came with it, as events and slow answers want. */
  flush(): void {
    if (!this.#wrote && this.#whole === null && !this.#finished) this.#visit.res.flushHeaders()
  }

  onData(chunk: Buffer): boolean {
    if (this.#finished) return true
    const { res } = this.#visit
    if (!this.#wrote && chunk.length === this.#contentLength) {
      this.#whole = chunk
      return true
    }
    this.#wrote = true
    if (res.write(chunk)) return true
    res.once('drain', () => this.#resume?.())
    return false
  }

  onComplete(trailers: string[] | null): void {
    if (this.#finished) return
    const { req, res } = this.#visit
    this.#giveBack()
    if (trailers !== null && trailers.length > 0 && req.httpVersionMinor === 1)
      res.addTrailers(answerTrailers(trailers as unknown as Buffer[]))
    const body = this.#body
    if (body === null || body.done) this.#end()
    else this.#endAfterDrain()
    this.#finish()
  }

  onUpgrade(status: number, raw: Buffer[] | string[] | null, upstream: Duplex): void {
    const { socket, edge } = this.#visit
    // The bytes have left it; what is left of it is of no use.
    setImmediate(endLine, this.#upstream, this.#line)
    this.#line = null
    if (this.#finished || socket === null || status !== 101) {
      upstream.on('error', () => undefined)
      upstream.destroy()
      if (!this.#finished) this.onError(new ApiError('upstream_bad_answer'))
      return
    }
    const head = answerHeaders((raw ?? []) as Buffer[], `${this.place.label}.${edge.site.baseDomain}`)
    edge.counters.upgrades++
    this.#finish()
    acceptUpgrade(this.#visit, head.headers, upstream, this)
  }

  onError(err: Error): void {
    if (this.#finished) return
    const isRetry = this.#mayRetry(err)
    this.#endLine()
    if (isRetry) {
      this.#retried = true
      this.#visit.edge.counters.retries++
      return this.#send(true)
    }
    const { res, edge, requestId } = this.#visit
    edge.counters.upstreamErrors++
    edge.log.debug('a workspace failed a request', {
      requestId,
      workspaceId: this.workspaceId,
      port: this.port,
      err,
    })
    this.#finish()
    // Half an answer must look like half an answer.
    if (this.#headed && (res.headersSent || res.writableEnded)) return void res.destroy()
    answerFailure(this.#visit, codeOfFailure(err), this)
  }

  #mayRetry(err: Error & { code?: string }): boolean {
    return (
      !this.#retried &&
      !this.#started &&
      this.#body === null &&
      this.#options.upgrade === null &&
      REPEATABLE.has(this.#visit.method) &&
      NETWORK.has(err.code ?? '') &&
      this.#line?.hasServed === true
    )
  }

  #inform(status: number, raw: Buffer[]): boolean {
    const { req, res } = this.#visit
    if (status !== 103 || req.httpVersionMinor !== 1 || this.#visit.socket !== null) return true
    const hints: Record<string, string[]> = {}
    for (let i = 0; i + 1 < raw.length; i += 2)
      if ((raw[i] as Buffer).toString('latin1').toLowerCase() === 'link')
        (hints.link ??= []).push((raw[i + 1] as Buffer).toString('latin1'))
    try {
      if (hints.link !== undefined) res.writeEarlyHints(hints)
    } catch {
      // A hint that Node does not take for a Link is only a hint.
    }
    return true
  }

  #end(): void {
    const { res } = this.#visit
    const whole = this.#whole
    if (whole === null) res.end()
    // Node joins a string with its head into one write; a buffer would be a second part of it.
    else if (whole.length <= JOINED_MAX) res.end(whole.toString('latin1'), 'latin1')
    else res.end(whole)
  }

  /** Lets a visitor who still sends read the answer: closing on unread bytes would reset the connection. */
  #endAfterDrain(): void {
    const { res } = this.#visit
    if (this.#whole !== null) res.write(this.#whole)
    else res.flushHeaders()
    this.#whole = null
    drain(this.#visit, () => res.end())
  }

  #onVisitorClose(): void {
    if (!this.#finished) this.#giveUp()
  }

  /** Frees the connection to the app: one that holds a paused answer would be lost to the pool for good. */
  #giveUp(): void {
    this.#finish()
    this.#endLine()
    this.#body?.destroy()
  }

  #giveBack(): void {
    const line = this.#line
    this.#line = null
    if (line !== null) this.#upstream.give(line)
  }

  #endLine(): void {
    const line = this.#line
    this.#line = null
    if (line !== null) this.#upstream.end(line)
  }

  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    this.#upstream.inFlight--
    this.#upstream.lastUsedMs = this.#visit.edge.now()
    this.#visit.edge.live.delete(this)
  }
}

function endLine(upstream: Upstream, line: Line | null): void {
  if (line !== null) upstream.end(line)
}

function flushHead(exchange: Exchange): void {
  exchange.flush()
}
