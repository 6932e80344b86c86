/**
 * A front's question comes in as it was sent, the visitor's request that it asks about goes out. Each family of headers
 * is read by its own endpoint only, strictly, each header exactly once; what the query says is policy for nobody. Pure.
 */
import { paths } from '../../control/wire/index.ts'
import { pathOf, targetOf } from '../host/host.ts'

export type Family = 'forward-auth' | 'auth-request' | 'ext-authz'

/** The visitor's request as the front describes it; `authority` and `target` are yet to be parsed. */
export interface Asked {
  readonly method: string
  /** Host with an optional port, as the visitor sent it. */
  readonly authority: string
  /** Path and query, from the first `/` on. */
  readonly target: string
  /** A WebSocket handshake: fronts strip `Upgrade`, but not what only a browser's handshake carries. */
  readonly upgrade: boolean
}

/** What a front may send as one answer to a question; `why` is for the operator, in English. */
export type Question =
  | { readonly ok: true; readonly family: Family; readonly asked: Asked }
  | { readonly ok: false; readonly family: Family | null; readonly why: string }

const GUARD = `${paths.traefikGuard}/`
const EXT_AUTHZ = `${paths.extAuthz}/`

/** Which endpoint a request target names; the query, which Caddy fills with the visitor's own, is not looked at. */
export function familyOf(target: string): Family | null {
  const path = pathOf(target)
  if (path === paths.authRequest || path === paths.authRequestDial) return 'auth-request'
  if (path === paths.forwardAuth || path.startsWith(GUARD)) return 'forward-auth'
  if (path.startsWith(EXT_AUTHZ)) return 'ext-authz'
  return null
}

/**
 * True where nginx asks only what it can dial by itself: all else is refused, and it hands what is refused to Postern.
 * Such an answer is short, as nginx reads a kept one's head anew for each request.
 */
export const isDial = (target: string): boolean => pathOf(target) === paths.authRequestDial

/** True where the question is about one address, as Traefik's router for it asks. */
export const isGuard = (target: string): boolean => target.startsWith(GUARD)

/** The fields in which fronts describe a request; null: absent, '': there more than once, which is worth nothing. */
interface Described {
  host: string | null
  method: string | null
  scheme: string | null
  uri: string | null
  url: string | null
  /** Upgrade, or what only a browser's handshake has and no script can set or leave out. Source: Fetch Standard. */
  handshake: boolean
}

const once = (held: string | null, value: string): string => (held === null ? value : '')

/** Lengths of the names below: all other fields cost one look. */
const lengths = new Uint8Array(32)
for (const name of [
  'host',
  'upgrade',
  'x-original-url',
  'x-forwarded-uri',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-method',
  'sec-websocket-version',
])
  lengths[name.length] = 1

/** Aliases with `_` or `.` are other names, and never read; nor are the fields of another family. */
function describedBy(family: Family, rawHeaders: readonly string[]): Described {
  const seen: Described = { host: null, method: null, scheme: null, uri: null, url: null, handshake: false }
  const forwards = family === 'forward-auth'
  const original = family === 'auth-request'
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (lengths[name.length] !== 1) continue
    const value = rawHeaders[i + 1]!
    switch (name.toLowerCase()) {
      case 'host':
        if (!forwards && !original) seen.host = once(seen.host, value)
        break
      case 'x-forwarded-host':
        if (forwards) seen.host = once(seen.host, value)
        break
      case 'x-forwarded-proto':
        if (forwards) seen.scheme = once(seen.scheme, value)
        break
      case 'x-forwarded-uri':
        if (forwards) seen.uri = once(seen.uri, value)
        break
      case 'x-forwarded-method':
        if (forwards) seen.method = once(seen.method, value)
        break
      case 'x-original-url':
        if (original) seen.url = once(seen.url, value)
        break
      case 'x-original-method':
        if (original) seen.method = once(seen.method, value)
        break
      case 'upgrade':
      case 'sec-websocket-key':
      case 'sec-websocket-version':
        seen.handshake = true
        break
      default:
    }
  }
  return seen
}

class Unusable extends Error {}

function exactlyOne(value: string | null, name: string): string {
  if (value === null || value === '') throw new Unusable(`exactly one ${name} is needed`)
  return value
}

function checkMethod(method: string, name: string): string {
  if (!/^[A-Z]{1,32}$/.test(method)) throw new Unusable(`${name} is no method`)
  return method
}

function checkScheme(scheme: string, name: string): void {
  if (scheme !== 'http' && scheme !== 'https' && scheme !== 'ws' && scheme !== 'wss')
    throw new Unusable(`${name} is neither http nor https`)
}

/** The same targets as at the proxy's door, in origin form. */
function checkTarget(target: string, name: string): string {
  if (!target.startsWith('/') || targetOf('GET', target, '').kind !== 'path')
    throw new Unusable(`${name} is no path`)
  return target
}

/** Traefik, Caddy: `X-Forwarded-*`. */
function forwardAuth(seen: Described): Asked {
  checkScheme(exactlyOne(seen.scheme, 'x-forwarded-proto'), 'x-forwarded-proto')
  return {
    method: checkMethod(exactlyOne(seen.method, 'x-forwarded-method'), 'x-forwarded-method'),
    authority: exactlyOne(seen.host, 'x-forwarded-host'),
    target: checkTarget(exactlyOne(seen.uri, 'x-forwarded-uri'), 'x-forwarded-uri'),
    upgrade: seen.handshake,
  }
}

/** nginx: `X-Original-URL`, `X-Original-Method`. */
function authRequest(seen: Described): Asked {
  const name = 'x-original-url'
  const url = exactlyOne(seen.url, name)
  const colon = url.indexOf('://')
  const slash = colon < 0 ? -1 : url.indexOf('/', colon + 3)
  if (slash < 0) throw new Unusable(`${name} is no URL`)
  checkScheme(url.slice(0, colon), name)
  return {
    method: checkMethod(exactlyOne(seen.method, 'x-original-method'), 'x-original-method'),
    authority: url.slice(colon + 3, slash),
    target: checkTarget(url.slice(slash), name),
    upgrade: seen.handshake,
  }
}

/** Envoy: the request's own method and Host, and its path after ours. */
function extAuthz(method: string, target: string, seen: Described): Asked {
  return {
    method: checkMethod(method, 'the method'),
    authority: exactlyOne(seen.host, 'host'),
    target: checkTarget(target.slice(paths.extAuthz.length), 'the path'),
    upgrade: seen.handshake,
  }
}

/** Reads what a front asks. Whatever isn't exactly as its family says is refused. */
export function readQuestion(method: string, target: string, rawHeaders: readonly string[]): Question {
  const family = familyOf(target)
  if (family === null) return { ok: false, family, why: 'there is no such endpoint' }
  try {
    const seen = describedBy(family, rawHeaders)
    const asked: Asked =
      family === 'forward-auth'
        ? forwardAuth(seen)
        : family === 'auth-request'
          ? authRequest(seen)
          : extAuthz(method, target, seen)
    return { ok: true, family, asked }
  } catch (err) {
    if (!(err instanceof Unusable)) throw err
    return { ok: false, family, why: err.message }
  }
}
