// Pure. A header field's name as it was sent comes in; what the edge does with such a field comes out.

import { VISITOR_HEADER } from '../../control/wire/index.ts'

/** What a field name means to the edge; a number, as it is looked up for each field of each request. */
export const Field = {
  pass: 0,
  /** Connection-level (RFC 9110 §7.6.1): never goes further. */
  hop: 1,
  /** Identity, forwarding families and aliases of names that matter: inbound ones are never believed nor passed on. */
  refuse: 2,
  host: 3,
  cookie: 4,
  authorization: 5,
  token: 6,
  connection: 7,
  te: 8,
  transferEncoding: 9,
  contentLength: 10,
  origin: 11,
  fetchSite: 12,
  fetchMode: 13,
  fetchDest: 14,
  accept: 15,
  via: 16,
  forwardedFor: 17,
  forwardedProto: 18,
  upgrade: 19,
  expect: 20,
  userAgent: 21,
  setCookie: 22,
  contentType: 23,
  trailer: 24,
  visitor: 25,
  location: 26,
  /** In an answer an order to the front before us (`X-Accel-Redirect`): no app gives those. In a request it is nothing. */
  frontOrder: 27,
  requestMethod: 28,
  requestHeaders: 29,
  requestId: 30,
  traceparent: 31,
  tracestate: 32,
  /** The subprotocols that a WebSocket handshake offers. */
  protocols: 33,
} as const
export type FieldKind = (typeof Field)[keyof typeof Field]

const special: ReadonlyMap<string, FieldKind> = new Map<string, FieldKind>([
  ['host', Field.host],
  ['cookie', Field.cookie],
  ['authorization', Field.authorization],
  ['x-postern-token', Field.token],
  [VISITOR_HEADER, Field.visitor],
  ['connection', Field.connection],
  ['te', Field.te],
  ['transfer-encoding', Field.transferEncoding],
  ['content-length', Field.contentLength],
  ['content-type', Field.contentType],
  ['origin', Field.origin],
  ['sec-fetch-site', Field.fetchSite],
  ['sec-fetch-mode', Field.fetchMode],
  ['sec-fetch-dest', Field.fetchDest],
  ['accept', Field.accept],
  ['via', Field.via],
  ['x-forwarded-for', Field.forwardedFor],
  ['x-forwarded-proto', Field.forwardedProto],
  ['upgrade', Field.upgrade],
  ['expect', Field.expect],
  ['user-agent', Field.userAgent],
  ['set-cookie', Field.setCookie],
  ['trailer', Field.trailer],
  ['x-request-id', Field.requestId],
  ['traceparent', Field.traceparent],
  ['tracestate', Field.tracestate],
  ['sec-websocket-protocol', Field.protocols],
  ['location', Field.location],
  ['x-accel-redirect', Field.frontOrder],
  ['x-accel-expires', Field.frontOrder],
  ['x-accel-limit-rate', Field.frontOrder],
  ['x-accel-charset', Field.frontOrder],
  ['x-sendfile', Field.frontOrder],
  ['x-lighttpd-send-file', Field.frontOrder],
  ['x-reproxy-url', Field.frontOrder],
  ['access-control-request-method', Field.requestMethod],
  ['access-control-request-headers', Field.requestHeaders],
  ['keep-alive', Field.hop],
  ['proxy-connection', Field.hop],
  ['proxy-authenticate', Field.hop],
  ['proxy-authorization', Field.hop],
  ['http2-settings', Field.hop],
  ['forwarded', Field.refuse],
  ['x-real-ip', Field.refuse],
  ['x-client-ip', Field.refuse],
  ['x-cluster-client-ip', Field.refuse],
  ['cf-connecting-ip', Field.refuse],
  ['true-client-ip', Field.refuse],
  ['remote-user', Field.refuse],
  ['remote-name', Field.refuse],
  ['remote-email', Field.refuse],
  ['remote-groups', Field.refuse],
])
const refusedPrefixes = ['x-postern-', 'x-forwarded-', 'x-original-', 'x-auth-request-']

function classify(name: string): FieldKind {
  const lower = name.toLowerCase()
  const canonical = lower.replace(/[_.]/g, '-')
  const kind = special.get(canonical)
  // `X_Forwarded_For`, `Content_Length`: gateways to other languages fold these into the real name.
  if (kind !== undefined) return canonical === lower ? kind : Field.refuse
  return refusedPrefixes.some((prefix) => canonical.startsWith(prefix)) ? Field.refuse : Field.pass
}

const known = new Map<string, FieldKind>()
const KNOWN_MAX = 2000

function remembered(name: string): FieldKind {
  const kind = known.get(name)
  if (kind !== undefined) return kind
  const fresh = classify(name)
  if (known.size < KNOWN_MAX && name.length <= 64) known.set(name, fresh)
  return fresh
}

/** The name that was last asked for in each slot: to compare bytes costs a third of hashing a name that Node has just made. */
const SLOTS = 1024
const slotNames: string[] = Array.from({ length: SLOTS }, () => '')
const slotKinds: FieldKind[] = Array.from({ length: SLOTS }, () => Field.pass)

/** What the edge does with a field of that name, whatever its case and however its words are joined. */
export function fieldKind(name: string): FieldKind {
  const { length } = name
  const ends = name.charCodeAt(0) * 41 + name.charCodeAt(length - 1) * 13
  const inside = name.charCodeAt(length >> 1) * 3 + name.charCodeAt(length - 3) * 3
  const slot = (length * 97 + ends + inside) & (SLOTS - 1)
  if (slotNames[slot] === name) return slotKinds[slot] as FieldKind
  const kind = remembered(name)
  if (length <= 64) {
    slotNames[slot] = name
    slotKinds[slot] = kind
  }
  return kind
}

/** True for `X-Postern-…`, whatever its case and however its words are joined. */
export function isOurField(name: string): boolean {
  return /^x[-_.]postern[-_.]/i.test(name)
}

/** Fields that a `Connection` header may not take away: they are end-to-end, or ours. */
export function isProtectedFromConnection(lowerName: string): boolean {
  return (
    fieldKind(lowerName) !== Field.pass || lowerName.startsWith('content-') || lowerName.startsWith('sec-')
  )
}
