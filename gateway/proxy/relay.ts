// An allowed visit comes in; what every engine owes it is done here: caps, counters, revocation, heads, failures, one retry.
import { ApiError, type EdgeRoute, type Identity, userOf } from '../../control/wire/index.ts'
import { answerFailure, drain } from '../pages/answer.ts'
import { addCors, withoutCors } from '../decide/cors.ts'
import { cutOff, hasBody, hstsOf, takesMore, type Visit } from '../edge.ts'
import { Field, fieldKind } from '../headers/fields.ts'
import {
  type AnswerHead,
  answerHeaders,
  answerTrailers,
  asksForTrailers,
  upstreamHeaders,
} from '../headers/headers.ts'
import type { WorkspacePlace } from '../host/host.ts'
import type { Credential } from '../identity/identity.ts'
import { makeLocal } from '../headers/local.ts'
import { ownOriginOf, publicLocation } from '../headers/location.ts'
import { corsOf, declaredPort } from '../decide/ports.ts'
import { chosenForUs } from '../headers/protocols.ts'
import { fieldsUnder } from '../headers/under-prefix.ts'
import { hostOfPlace, originOfPlace } from '../host/site.ts'
import { count } from '../seen/counters.ts'
import type { LiveStream } from '../sockets.ts'
import { RequestBody } from './body.ts'
import { codeOfFailure, detailOf, isBrokenLine } from './failure.ts'
import { IN_FLIGHT_MAX, type Upstream } from './pools.ts'

/** What the decision gave. */
export interface Allowed {
  readonly place: WorkspacePlace
  readonly route: EdgeRoute
  readonly port: number
  readonly identity: Identity
  readonly credential: Credential
}

const PROTOCOL = 'Sec-WebSocket-Protocol'
const isProtocolName = (text: string, i: number): boolean =>
  i % 2 === 0 && fieldKind(text) === Field.protocols

/** Informational answers to one request, and those that may be hints for the visitor, who need not read them: they must be few. */
const INFORMED_MAX = 1000
const HINTS_MAX = 10

const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** One request to an app and its answer; the engine that carries it is what extends this. */
export abstract class Relay implements LiveStream {
  readonly credential: Credential
  readonly place: WorkspacePlace
  readonly workspaceId: string
  readonly incarnation: string
  readonly port: number
  readonly userId: string
  readonly byOrigin: string | null
  protected readonly visit: Visit
  protected readonly upstream: Upstream
  /** Flat; framing and connection fields are the engine's. */
  protected readonly headers: string[]
  protected readonly body: RequestBody | null
  protected headed = false
  protected finished = false
  #retried = false
  #informed = 0
  readonly #route: EdgeRoute

  constructor(visit: Visit, allowed: Allowed) {
    const { edge, req, scan } = visit
    this.credential = allowed.credential
    this.place = allowed.place
    this.workspaceId = allowed.route.workspaceId
    this.incarnation = allowed.route.incarnation
    this.port = allowed.port
    this.userId = userOf(allowed.identity)?.id ?? ''
    this.byOrigin = visit.allowOrigin
    this.visit = visit
    this.#route = allowed.route
    visit.seen.port = allowed.port
    this.upstream = edge.pools.upstream(allowed.route, allowed.port)
    const onFirstRead = visit.expectsContinue ? () => visit.res.writeContinue() : null
    this.body = hasBody(scan) ? new RequestBody(req, onFirstRead, visit.seen) : null
    const proto = scan.forwardedProto
    this.headers = upstreamHeaders(req.rawHeaders, scan, {
      forwardedFor: visit.chain.forwardedFor,
      proto: visit.peer.trusted && (proto === 'http' || proto === 'https') ? proto : edge.site.scheme,
      isSaidTwice: edge.saysForwarded,
      prefix: allowed.place.prefix,
      identity: allowed.identity,
      assertion: edge.assertions.of(allowed.identity, allowed.place.label, this.workspaceId, edge.now()),
      httpVersion: req.httpVersion,
      requestId: visit.requestId,
      trace:
        edge.tracing === null
          ? null
          : edge.tracing.begin(visit.seen, { traceparent: scan.traceparent, peer: visit.peer }),
    })
    const declared = declaredPort(allowed.route, allowed.port)
    if (declared?.hostHeader === 'local')
      makeLocal(this.headers, declared, originOfPlace(edge.site, allowed.place))
  }

  /** Sends the request on `isFresh` or any connection; failures, also immediate ones, go to `fail`. */
  protected abstract send(isFresh: boolean): void
  /** Ends the connection to the app, whatever is on it. */
  protected abstract endLine(): void
  /** True when the connection had served before and broke before a byte of this answer: the keep-alive race. */
  protected abstract brokeIdle(): boolean

  start(): void {
    const { edge } = this.visit
    if (this.upstream.inFlight >= IN_FLIGHT_MAX) return answerFailure(this.visit, 'overloaded', this)
    edge.counters.proxied++
    this.upstream.inFlight++
    edge.live.add(this)
    this.visit.relay = this
    // An upgrade takes a connection for good, and is never sent twice: a fresh one can't die of being idle.
    this.send(this.visit.socket !== null)
  }

  revoke(): void {
    this.visit.seen.cause = 'revoked'
    this.#giveUp()
    cutOff(this.visit)
  }

  /** @throws ApiError `upstream_bad_answer` for a coding that would be lost here. */
  protected answerHead(raw: readonly Uint8Array[], status: number): AnswerHead {
    const { req, method } = this.visit
    // Node refuses the Trailer field where it writes no chunks.
    const isChunked = takesMore(req) && method !== 'HEAD' && status !== 204 && status !== 304
    const { place } = this
    const { site } = this.visit.edge
    const head = answerHeaders(raw, status, hostOfPlace(site, place), isChunked && this.#takesTrailers())
    if (head.isCoded) throw new ApiError('upstream_bad_answer')
    const at = head.locationAt
    if (at >= 0) {
      const own = ownOriginOf(this.#route.reach, this.port)
      head.headers[at] = publicLocation(head.headers[at] as string, own, originOfPlace(site, place))
    }
    if (place.prefix === '') return head
    const headers = fieldsUnder(head.headers, place.prefix, originOfPlace(site, place))
    return { ...head, headers, locationAt: -1 }
  }

  /** The fields of a 101 as the visitor gets them; null: it isn't the one that was asked for. Throws nothing: engines would not survive it. */
  protected takenHead(raw: readonly Uint8Array[]): readonly string[] | null {
    if (this.finished || this.visit.socket === null) return null
    try {
      const head = this.answerHead(raw, 101)
      if (head.upgrade !== 'websocket') return null
      const chosen = chosenForUs(this.visit.scan.protocols)
      if (chosen !== null && !head.headers.some(isProtocolName)) head.headers.push(PROTOCOL, chosen)
      return head.headers
    } catch {
      return null
    }
  }

  #takesTrailers(): boolean {
    const { te } = this.visit.scan
    return te !== null && asksForTrailers(te)
  }

  /** @throws TypeError of Node for a field that may not be written. */
  protected writeHead(status: number, statusText: string, head: AnswerHead): void {
    const { seen, edge } = this.visit
    seen.head()
    edge.counters.head(seen.headMs)
    // An answer before the end of the body: what is still to come is not worth keeping the connection for.
    if (this.body !== null && !this.body.done) head.headers.push('Connection', 'close')
    const hsts = hstsOf(this.visit)
    if (hsts !== null) head.headers.push('Strict-Transport-Security', hsts)
    const headers = this.#forItsReader(head.headers)
    this.visit.res.writeHead(status, /^[\x20-\x7e]*$/.test(statusText) ? statusText : '', headers)
    this.headed = true
  }

  /** What is said of CORS to a page of a sibling port; a kept answer to another page must not be taken for one. */
  #forItsReader(headers: string[]): string[] {
    const { allowOrigin } = this.visit
    if (allowOrigin === null) {
      if (this.#route.ports.length > 1 && corsOf(this.#route, this.port) === 'siblings')
        headers.push('Vary', 'Origin')
      return headers
    }
    const readable = withoutCors(headers)
    addCors(readable, allowOrigin)
    return readable
  }

  /** An informational answer: hints are passed on, all else is between the app and us. */
  protected inform(status: number, raw: readonly Uint8Array[]): void {
    const { req, res, socket, peer } = this.visit
    if (++this.#informed > INFORMED_MAX) return this.fail(new ApiError('upstream_bad_answer'))
    // To a front none: before 1.29, nginx takes a 103 for the answer itself.
    if (status !== 103 || peer.trusted || !takesMore(req) || socket !== null || this.#informed > HINTS_MAX)
      return
    const hints: Record<string, string[]> = {}
    for (let i = 0; i + 1 < raw.length; i += 2)
      if ((raw[i] as Buffer).toString('latin1').toLowerCase() === 'link')
        (hints.link ??= []).push((raw[i + 1] as Buffer).toString('latin1'))
    try {
      if (hints.link !== undefined) res.writeEarlyHints(hints)
    } catch {
      // A hint that Node does not take for a Link is only a hint.
    }
  }

  /** The answer has come whole, but for its end. */
  protected complete(trailers: readonly Uint8Array[] | null): void {
    const { req, res } = this.visit
    if (trailers !== null && trailers.length > 0 && takesMore(req) && this.#takesTrailers())
      res.addTrailers(answerTrailers(trailers))
    if (this.body === null || this.body.done) this.end()
    else this.#endAfterDrain()
    this.finish()
  }

  /** Sends the head alone. Not by `flushHeaders`: in HTTP/1.1 that writes UTF-8, and a byte above 127 would be two. */
  protected flushHead(): void {
    const { req, res } = this.visit
    if (req.httpVersionMajor === 1) res.write('', 'latin1')
    else res.flushHeaders()
  }

  /** Writes what the engine still holds of the answer's body. */
  protected writeRest(): void {
    this.flushHead()
  }

  protected end(): void {
    this.visit.res.end()
  }

  /** Lets a visitor who still sends read the answer: closing on unread bytes would reset the connection. */
  #endAfterDrain(): void {
    const { res } = this.visit
    this.writeRest()
    drain(this.visit, () => res.end())
  }

  protected fail(err: Error): void {
    if (this.finished) return
    const isRetry = this.#mayRetry(err)
    this.endLine()
    if (isRetry) {
      this.#retried = true
      this.visit.seen.retried = true
      this.visit.edge.counters.retries++
      return this.send(true)
    }
    const { res, edge, requestId, seen } = this.visit
    const code = codeOfFailure(err)
    count(edge.counters.upstreamErrors, code)
    edge.log.debug('a workspace failed a request', {
      requestId,
      workspaceId: this.workspaceId,
      port: this.port,
      err,
    })
    this.finish()
    // Half an answer must look like half an answer.
    if (this.headed && (res.headersSent || res.writableEnded)) {
      seen.cause = 'cut'
      return void res.destroy()
    }
    answerFailure(this.visit, code, this, detailOf(err))
  }

  #mayRetry(err: Error & { code?: string }): boolean {
    return (
      !this.#retried &&
      this.body === null &&
      this.visit.socket === null &&
      REPEATABLE.has(this.visit.method) &&
      isBrokenLine(err) &&
      this.brokeIdle()
    )
  }

  /** The answer is over, or the visitor's connection is gone. */
  visitorClosed(): void {
    if (!this.finished) this.#giveUp()
  }

  /** Frees the connection to the app: one that holds a paused answer would be lost to the pool for good. */
  #giveUp(): void {
    this.finish()
    this.endLine()
    this.body?.destroy()
  }

  protected finish(): void {
    if (this.finished) return
    this.finished = true
    this.upstream.inFlight--
    this.upstream.lastUsedMs = this.visit.edge.now()
    this.visit.edge.live.delete(this)
  }
}
