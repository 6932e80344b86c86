/**
 * A front's question comes in as it was sent, the visitor's request that it asks about goes out. Each family of headers
 * is read by its own endpoint only, strictly, each header exactly once; what the query says is policy for nobody. Pure.
 */
import { paths } from '../../control/wire/index.ts'
import { targetOf } from '../host.ts'

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

/** Which endpoint a request target names; the query, which Caddy fills with the visitor's own, is not looked at. */
export function familyOf(target: string): Family | null {
  const end = target.indexOf('?')
  const path = end === -1 ? target : target.slice(0, end)
  if (path === paths.forwardAuth) return 'forward-auth'
  if (path === paths.authRequest) return 'auth-request'
  if (path.startsWith(`${paths.extAuthz}/`)) return 'ext-authz'
  return null
}

/** Whether the field at `i` has that exact name, in any case: aliases with `_` or `.` are other headers, and never read. */
const isNamed = (rawHeaders: readonly string[], i: number, name: string): boolean => {
  const raw = rawHeaders[i]!
  return raw === name || (raw.length === name.length && raw.toLowerCase() === name)
}

class Unusable extends Error {}

function exactlyOne(rawHeaders: readonly string[], name: string): string {
  let found = ''
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!isNamed(rawHeaders, i, name)) continue
    found = rawHeaders[i + 1]!
    count++
  }
  if (count !== 1 || found === '') throw new Unusable(`exactly one ${name} is needed`)
  return found
}

function checkMethod(method: string, name: string): string {
  if (!/^[A-Z]{1,32}$/.test(method)) throw new Unusable(`${name} is no method`)
  return method
}

function checkScheme(scheme: string, name: string): void {
  if (!/^(?:https?|wss?)$/.test(scheme)) throw new Unusable(`${name} is neither http nor https`)
}

/** The same targets as at the proxy's door, in origin form. */
function checkTarget(target: string, name: string): string {
  if (!target.startsWith('/') || targetOf('GET', target, '').kind !== 'path')
    throw new Unusable(`${name} is no path`)
  return target
}

/** Traefik, Caddy: `X-Forwarded-*`. */
function forwardAuth(rawHeaders: readonly string[]): Asked {
  checkScheme(exactlyOne(rawHeaders, 'x-forwarded-proto'), 'x-forwarded-proto')
  return {
    method: checkMethod(exactlyOne(rawHeaders, 'x-forwarded-method'), 'x-forwarded-method'),
    authority: exactlyOne(rawHeaders, 'x-forwarded-host'),
    target: checkTarget(exactlyOne(rawHeaders, 'x-forwarded-uri'), 'x-forwarded-uri'),
    upgrade: isUpgrade(rawHeaders),
  }
}

/** nginx: `X-Original-URL`, `X-Original-Method`. */
function authRequest(rawHeaders: readonly string[]): Asked {
  const name = 'x-original-url'
  const parts = /^([a-z]+):\/\/([^/]*)(\/.*)$/s.exec(exactlyOne(rawHeaders, name))
  if (!parts) throw new Unusable(`${name} is no URL`)
  checkScheme(parts[1]!, name)
  return {
    method: checkMethod(exactlyOne(rawHeaders, 'x-original-method'), 'x-original-method'),
    authority: parts[2]!,
    target: checkTarget(parts[3]!, name),
    upgrade: isUpgrade(rawHeaders),
  }
}

/** Envoy: the request's own method and Host, and its path after ours. */
function extAuthz(method: string, target: string, rawHeaders: readonly string[]): Asked {
  return {
    method: checkMethod(method, 'the method'),
    authority: exactlyOne(rawHeaders, 'host'),
    target: checkTarget(target.slice(paths.extAuthz.length), 'the path'),
    upgrade: isUpgrade(rawHeaders),
  }
}

/** A browser's handshake always has `Sec-WebSocket-Key`, which no script can set or leave out. Source: Fetch Standard. */
function isUpgrade(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (
      isNamed(rawHeaders, i, 'upgrade') ||
      isNamed(rawHeaders, i, 'sec-websocket-key') ||
      isNamed(rawHeaders, i, 'sec-websocket-version')
    )
      return true
  return false
}

/** Reads what a front asks. Whatever isn't exactly as its family says is refused. */
export function readQuestion(method: string, target: string, rawHeaders: readonly string[]): Question {
  const family = familyOf(target)
  if (family === null) return { ok: false, family, why: 'there is no such endpoint' }
  try {
    const asked: Asked =
      family === 'forward-auth'
        ? forwardAuth(rawHeaders)
        : family === 'auth-request'
          ? authRequest(rawHeaders)
          : extAuthz(method, target, rawHeaders)
    return { ok: true, family, asked }
  } catch (err) {
    if (!(err instanceof Unusable)) throw err
    return { ok: false, family, why: err.message }
  }
}
