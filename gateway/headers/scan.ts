// Pure. Raw header fields come in; the few that a decision needs come out, read once, duplicates made visible.
import { Field, fieldKind } from './fields.ts'

/** The fields of one request that the edge reads itself; null: absent. */
export interface Scan {
  /** Of the request itself or, at the forward-auth door, of the request that is asked about. */
  hostCount: number
  host: string
  /** All Cookie fields, joined by `; `. */
  cookie: string | null
  /** The values of Authorization, in order. */
  authorization: string | readonly string[] | null
  token: string | null
  /** All Sec-WebSocket-Protocol fields, joined. */
  protocols: string | null
  tokenCount: number
  /** Two different ones read as `,`, which equals no origin. */
  origin: string | null
  fetchSite: string | null
  fetchMode: string | null
  fetchDest: string | null
  accept: string
  userAgent: string
  connection: string | null
  upgrade: string | null
  expect: string | null
  te: string | null
  transferEncoding: string | null
  contentLength: string | null
  /** How often `Via` names this pseudonym already. */
  viaCount: number
  forwardedFor: string | null
  forwardedProto: string | null
  requestId: string | null
  /** Two of them are one that doesn't parse. */
  traceparent: string | null
  /** What another gateway says of its visitor. */
  visitor: string | null
  /** `Access-Control-Request-Method` and `-Headers`: a preflight asks by them. */
  requestMethod: string | null
  requestHeaders: string | null
}

/** The pseudonym of Postern in `Via` (RFC 9110 §7.6.3). */
export const VIA_NAME = 'postern'

const single = (held: string | null, value: string): string => (held === null ? value : ',')
const joined = (held: string | null, value: string): string => (held === null ? value : `${held}, ${value}`)

function countVia(value: string): number {
  let count = 0
  for (const part of value.split(','))
    if (/^[ \t]*(?:HTTP\/)?(?:1\.[01]|2(?:\.0)?)[ \t]+postern(?:[ \t]|$)/i.test(part)) count++
  return count
}

/** Reads a flat array of names and values, such as `IncomingMessage.rawHeaders`. */
export function scanHeaders(raw: readonly string[]): Scan {
  const scan: Scan = {
    hostCount: 0,
    host: '',
    cookie: null,
    authorization: null,
    token: null,
    protocols: null,
    tokenCount: 0,
    origin: null,
    fetchSite: null,
    fetchMode: null,
    fetchDest: null,
    accept: '',
    userAgent: '',
    connection: null,
    upgrade: null,
    expect: null,
    te: null,
    transferEncoding: null,
    contentLength: null,
    viaCount: 0,
    forwardedFor: null,
    forwardedProto: null,
    requestId: null,
    traceparent: null,
    visitor: null,
    requestMethod: null,
    requestHeaders: null,
  }
  for (let i = 0; i < raw.length; i += 2) read(scan, raw[i] as string, raw[i + 1] as string)
  return scan
}

// oxlint-disable-next-line complexity
function read(scan: Scan, name: string, value: string): void {
  switch (fieldKind(name)) {
    case Field.host:
      scan.hostCount++
      scan.host = value
      break
    case Field.cookie:
      scan.cookie = scan.cookie === null ? value : `${scan.cookie}; ${value}`
      break
    case Field.authorization:
      scan.authorization =
        scan.authorization === null
          ? value
          : [...(typeof scan.authorization === 'string' ? [scan.authorization] : scan.authorization), value]
      break
    case Field.token:
      // Some fronts set the field empty where there is nothing to set.
      if (value === '') break
      scan.tokenCount++
      scan.token = value
      break
    case Field.protocols:
      scan.protocols = joined(scan.protocols, value)
      break
    case Field.origin:
      scan.origin = single(scan.origin, value)
      break
    case Field.fetchSite:
      scan.fetchSite = single(scan.fetchSite, value)
      break
    case Field.fetchMode:
      scan.fetchMode = single(scan.fetchMode, value)
      break
    case Field.fetchDest:
      scan.fetchDest = single(scan.fetchDest, value)
      break
    case Field.accept:
      scan.accept = scan.accept === '' ? value : `${scan.accept}, ${value}`
      break
    case Field.userAgent:
      scan.userAgent = value
      break
    case Field.connection:
      scan.connection = joined(scan.connection, value)
      break
    case Field.upgrade:
      scan.upgrade = joined(scan.upgrade, value)
      break
    case Field.expect:
      scan.expect = joined(scan.expect, value)
      break
    case Field.te:
      scan.te = joined(scan.te, value)
      break
    case Field.transferEncoding:
      scan.transferEncoding = joined(scan.transferEncoding, value)
      break
    case Field.contentLength:
      scan.contentLength = joined(scan.contentLength, value)
      break
    case Field.via:
      scan.viaCount += countVia(value)
      break
    case Field.forwardedFor:
      scan.forwardedFor = joined(scan.forwardedFor, value)
      break
    case Field.visitor:
      scan.visitor = single(scan.visitor, value)
      break
    case Field.requestId:
      scan.requestId = single(scan.requestId, value)
      break
    case Field.traceparent:
      scan.traceparent = single(scan.traceparent, value)
      break
    case Field.forwardedProto:
      scan.forwardedProto = single(scan.forwardedProto, value)
      break
    case Field.requestMethod:
      scan.requestMethod = single(scan.requestMethod, value)
      break
    case Field.requestHeaders:
      scan.requestHeaders = joined(scan.requestHeaders, value)
      break
    default:
  }
}

/** True for a browser that goes to a page, which is answered with a page; everything else is a program. */
export function isNavigation(scan: Scan): boolean {
  if (scan.fetchMode !== null) return scan.fetchMode === 'navigate'
  return scan.accept.toLowerCase().includes('text/html')
}

/** True when the fields ask for a WebSocket and nothing else (RFC 6455 §4.1). */
export function asksForWebSocket(scan: Scan): boolean {
  return scan.upgrade !== null && scan.upgrade.toLowerCase() === 'websocket'
}
