// Pure. Raw header fields come in, flat arrays of names and values; what goes to the app, or back to the visitor, comes out.
import { type EdgeUser, type Identity, userOf } from '../../control/wire/index.ts'
import { nominated } from './connection.ts'
import { isOurAuthorization, readCookies } from './cookies.ts'
import { Field, type FieldKind, fieldKind, isOurField } from './fields.ts'
import { forwardedOf } from './forwarded.ts'
import { withoutTokens } from './protocols.ts'
import { type Scan, VIA_NAME } from './scan.ts'
import { narrowedCookie } from './set-cookie.ts'

/** What the edge adds to a request. */
export interface Forwarding {
  readonly forwardedFor: string
  readonly proto: 'http' | 'https'
  /** The same again as `Forwarded` (RFC 7239). */
  readonly isSaidTwice: boolean
  /** What the visitor's path began with and the app's doesn't; '' for nothing. */
  readonly prefix: string
  readonly identity: Identity
  /** The same, signed, for programs that check it; '' where nobody is known. */
  readonly assertion: string
  /** HTTP version of the visitor's request, for `Via`. */
  readonly httpVersion: string
  /** Given to the app where the visitor sent no id of their own. */
  readonly requestId: string
  /** What is said of the trace in place of what came; null: that goes on untouched. */
  readonly trace: { readonly traceparent: string; readonly keepsState: boolean } | null
}

/** How often the pseudonym may be in `Via` already: more is a loop (508). */
export const VIA_MAX = 3

/** The fields of a request as the app gets them. Host stays the public one; framing is the engine's. */
export function upstreamHeaders(raw: readonly string[], scan: Scan, forwarding: Forwarding): string[] {
  const gone = nominated(scan.connection)
  const out: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const kind = fieldKind(name)
    if (kind === Field.pass) {
      if (gone.size === 0 || !gone.has(name.toLowerCase())) out.push(name, raw[i + 1] as string)
    } else if (kind === Field.traceparent || kind === Field.tracestate) {
      if (passesTrace(kind, forwarding)) out.push(name, raw[i + 1] as string)
    } else pass(out, kind, name, raw[i + 1] as string)
  }
  const cookie = readCookies(scan.cookie).rest
  if (cookie !== '') out.push('Cookie', cookie)
  if (scan.te !== null && asksForTrailers(scan.te)) out.push('TE', 'trailers')
  addForwarding(out, scan, forwarding)
  return out
}

/** Whether a field of a trace goes on as it came. */
function passesTrace(kind: FieldKind, { trace }: Forwarding): boolean {
  return trace === null || (kind === Field.tracestate && trace.keepsState)
}

function pass(out: string[], kind: FieldKind, name: string, value: string): void {
  switch (kind) {
    case Field.host:
    case Field.origin:
    case Field.fetchSite:
    case Field.fetchMode:
    case Field.fetchDest:
    case Field.accept:
    case Field.via:
    case Field.userAgent:
    case Field.requestMethod:
    case Field.requestHeaders:
    case Field.contentLength:
    case Field.contentType:
    case Field.setCookie:
    case Field.location:
    case Field.frontOrder:
    case Field.requestId:
      out.push(name, value)
      return
    case Field.authorization:
      if (!isOurAuthorization(value)) out.push(name, value)
      return
    case Field.protocols: {
      const left = withoutTokens(value)
      if (left !== '') out.push(name, left)
      return
    }
    default:
  }
}

/** True when a TE field's value takes trailers (RFC 9110 §10.1.4). */
export const asksForTrailers = (te: string): boolean =>
  te.split(',').some((coding) => coding.trim().toLowerCase() === 'trailers')

/** Only ASCII goes into a header: all else of Unicode, and `%` itself, is percent-encoded; a lone surrogate is dropped. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]|%/gu, (char) =>
    /^[\ud800-\udfff]$/u.test(char) ? '' : encodeURIComponent(char),
  )
}

const TO_NOBODY: readonly string[] = ['X-Postern-User', '', 'X-Postern-Email', '', 'X-Postern-Groups', '']
/** Made once for each row of a user; a changed user is another row. */
const made = new WeakMap<EdgeUser, readonly string[]>()

function headersOf(user: EdgeUser): readonly string[] {
  return [
    'X-Postern-User',
    headerText(user.username),
    'X-Postern-Email',
    headerText(user.email),
    'X-Postern-Groups',
    user.groups
      .map(({ name }) => headerText(name).replaceAll(',', '%2C'))
      .sort()
      .join(','),
  ]
}

/** Who the app is told of; each header always, empty where unknown, so that none of another's making stays. */
export function identityHeaders(identity: Identity): readonly string[] {
  const user = userOf(identity)
  if (user === null) return TO_NOBODY
  let headers = made.get(user)
  if (headers === undefined) made.set(user, (headers = headersOf(user)))
  return headers
}

/** The port that a visitor asked: that of a well-formed Host, or the scheme's own. */
function portOf(host: string, proto: 'http' | 'https'): string {
  const colon = host.lastIndexOf(':')
  if (colon > host.lastIndexOf(']')) return host.slice(colon + 1)
  return proto === 'https' ? '443' : '80'
}

function addForwarding(out: string[], scan: Scan, forwarding: Forwarding): void {
  out.push(
    'X-Forwarded-For',
    forwarding.forwardedFor,
    'X-Forwarded-Proto',
    forwarding.proto,
    'X-Forwarded-Host',
    scan.host,
    'X-Forwarded-Port',
    portOf(scan.host, forwarding.proto),
    'Via',
    `${forwarding.httpVersion} ${VIA_NAME}`,
  )
  if (forwarding.prefix !== '') out.push('X-Forwarded-Prefix', forwarding.prefix)
  if (forwarding.isSaidTwice)
    out.push('Forwarded', forwardedOf(forwarding.forwardedFor, scan.host, forwarding.proto))
  if (scan.requestId === null) out.push('X-Request-Id', forwarding.requestId)
  if (forwarding.trace !== null) out.push('traceparent', forwarding.trace.traceparent)
  out.push(...identityHeaders(forwarding.identity), 'X-Postern-Assertion', forwarding.assertion)
}

/** What an answer's head says beside its fields. */
export interface AnswerHead {
  /** For `writeHead`: flat, duplicates, case and order kept. */
  readonly headers: string[]
  /** The declared length of the body in bytes; -1: not declared. */
  readonly contentLength: number
  readonly isEventStream: boolean
  /** Its body is coded in a way that doesn't end at this connection (RFC 9112 §6.1): without the field it would be garbage. */
  readonly isCoded: boolean
  /** What the connection became, by an answer 101; null: not said. */
  readonly upgrade: string | null
  /** Where in `headers` the value of Location is; -1: nowhere. */
  readonly locationAt: number
}

function connectionOf(raw: readonly Uint8Array[]): string | null {
  let found: string | null = null
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as Buffer
    if (name.length === 10 && name.toString('latin1').toLowerCase() === 'connection')
      found = `${found === null ? '' : `${found}, `}${(raw[i + 1] as Buffer).toString('latin1')}`
  }
  return found
}

/**
 * The fields of an app's answer as the visitor gets them; `host` is the workspace host, without port, and `trailers`
 * says that the visitor takes some and that they can follow.
 */
export function answerHeaders(
  raw: readonly Uint8Array[],
  status: number,
  host: string,
  trailers: boolean,
): AnswerHead {
  const gone = nominated(connectionOf(raw))
  const head: Reading = {
    status,
    isCoded: false,
    upgrade: null,
    hasCoding: false,
    headers: [],
    contentLength: -1,
    isEventStream: false,
    locationAt: -1,
    trailer: null,
  }
  let isUnbuffered = false
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as Buffer).toString('latin1')
    const kind = fieldKind(name)
    const value = (raw[i + 1] as Buffer).toString('latin1')
    if (kind !== Field.pass) {
      readAnswerField(head, kind, name, value, host)
      continue
    }
    if (gone.size > 0 && gone.has(name.toLowerCase())) continue
    if (name.length === 17 && name.toLowerCase() === 'x-accel-buffering') isUnbuffered = true
    head.headers.push(name, value)
  }
  // A front nginx would hold the events back.
  if (head.isEventStream && !isUnbuffered) head.headers.push('X-Accel-Buffering', 'no')
  // Announced only where they can follow: Node refuses to write the field elsewhere.
  if (head.trailer !== null && trailers && head.contentLength < 0) head.headers.push('Trailer', head.trailer)
  return head
}

/** An answer's head while its fields are read. */
type Reading = { -readonly [K in keyof AnswerHead]: AnswerHead[K] } & {
  readonly status: number
  trailer: string | null
  hasCoding: boolean
}

function readAnswerField(head: Reading, kind: FieldKind, name: string, value: string, host: string): void {
  switch (kind) {
    case Field.hop:
    case Field.connection:
    case Field.te:
    case Field.token:
    case Field.frontOrder:
      return
    case Field.upgrade:
      head.upgrade = head.upgrade === null ? value.toLowerCase() : ','
      return
    case Field.transferEncoding:
      head.isCoded = head.hasCoding || value.toLowerCase() !== 'chunked'
      head.hasCoding = true
      return
    case Field.refuse:
      if (isOurField(name)) return
      break
    case Field.trailer:
      head.trailer = head.trailer === null ? value : `${head.trailer}, ${value}`
      return
    case Field.setCookie: {
      const cookie = narrowedCookie(value, host)
      if (cookie !== null) head.headers.push(name, cookie)
      return
    }
    case Field.location:
      head.locationAt = head.headers.length + 1
      break
    case Field.contentLength:
      head.contentLength = Number(value)
      // RFC 9110 §8.6: such an answer says no length.
      if (head.status === 204) return
      break
    case Field.contentType:
      head.isEventStream = /^text\/event-stream\b/i.test(value)
      break
    default:
  }
  head.headers.push(name, value)
}

/** Trailer fields that may be passed on (RFC 9110 §6.5.1): nothing that frames, routes, authenticates or sets state. */
export function answerTrailers(raw: readonly Uint8Array[] | null): [string, string][] {
  const trailers: [string, string][] = []
  for (let i = 0; raw !== null && i + 1 < raw.length; i += 2) {
    const name = (raw[i] as Buffer).toString('latin1')
    if (
      fieldKind(name) === Field.pass &&
      !/^(content-|cache-control$|www-authenticate$|location$)/i.test(name)
    )
      trailers.push([name, (raw[i + 1] as Buffer).toString('latin1')])
  }
  return trailers
}
