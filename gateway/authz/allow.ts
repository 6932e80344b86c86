/** An allowed request comes in; the header fields that a front sets on it before it moves the bytes itself go out. Pure. */
import type { EdgeRoute, Identity } from '../../control/wire/index.ts'
import { isOurAuthorization, readCookies } from '../headers/cookies.ts'
import { identityHeaders } from '../headers/headers.ts'
import { declaredPort } from '../decide/ports.ts'
import type { Scan } from '../headers/scan.ts'
import type { ListenAddress } from '../seams.ts'

/**
 * `address:port` that a front can dial for a port of an instance; null where only Postern itself can serve it: ports that
 * a runtime maps, as it knows whose socket it is, and those that are lenient, speak HTTPS or want a Host of their own.
 */
export function dialAddress(route: EdgeRoute, port: number): string | null {
  const { reach } = route
  if (reach.kind !== 'address') return null
  const declared = declaredPort(route, port)
  if (declared?.lenient === true || declared?.scheme === 'https' || declared?.hostHeader === 'local')
    return null
  return `${reach.host.includes(':') ? `[${reach.host}]` : reach.host}:${port}`
}

/** The visitor's Authorization values, ours left out unless `again`. */
function authorizationOf(scan: Scan, again: boolean): string {
  const { authorization } = scan
  if (authorization === null) return ''
  const values = typeof authorization === 'string' ? [authorization] : authorization
  return values.filter((value) => again || !isOurAuthorization(value)).join(', ')
}

/** What an allowing answer says, before it is put into words. */
export interface Allowed {
  readonly identity: Identity
  /** Of who they are, for the program; '' where nobody is known. */
  readonly assertion: string
  /** `address:port` for the front to send the request to. */
  readonly upstream: string
  /** That is Postern itself: it gets all that it needs to decide there again. */
  readonly again: boolean
  /**
   * The page of a sibling port: the front puts it on the app's answer as Access-Control-Allow-Origin, with
   * Access-Control-Allow-Credentials and `Vary: Origin`, in place of the app's own.
   */
  readonly allowOrigin: string | null
}

/** In every answer: nobody keeps it, and who does all the same knows that the question's fields alone don't make it. */
export const unkept: readonly string[] = ['Cache-Control', 'no-store', 'Vary', '*']

/** In every allowing answer, in this order, before what it says of the user. */
export const always: readonly string[] = [...unkept, 'Content-Length', '0']

/**
 * The same fields for an nginx that dials: our names without what all of them begin with, as nginx finds a field by
 * looking at each, letter by letter; and none that is empty, as nginx takes an absent one for that.
 */
export function shortFields(fields: readonly string[]): string[] {
  const short: string[] = []
  for (let i = 0; i < fields.length; i += 2)
    if (fields[i + 1] !== '')
      short.push((fields[i] as string).replace(/^X-Postern-/, ''), fields[i + 1] as string)
  return short
}

/** The fields of an allowing answer that follow: the signed statement, where the request goes, and what of the visitor's goes with it. */
export function ownFields(scan: Scan, { assertion, upstream, again, allowOrigin }: Allowed): string[] {
  return [
    'X-Postern-Assertion',
    assertion,
    'X-Postern-Upstream',
    upstream,
    'X-Postern-Allow-Origin',
    allowOrigin ?? '',
    'X-Postern-Token',
    again ? (scan.token ?? '') : '',
    'Cookie',
    again ? (scan.cookie ?? '') : readCookies(scan.cookie).rest,
    'Authorization',
    authorizationOf(scan, again),
  ]
}

/**
 * All fields of an allowing answer, flat. Always every one, empty where there is nothing to say: some fronts leave the
 * visitor's own in place of an absent one.
 */
export function allowHeaders(scan: Scan, allowed: Allowed): string[] {
  return [...always, ...identityHeaders(allowed.identity), ...ownFields(scan, allowed)]
}

/** `address:port` of the first TCP listener, as a front on this machine dials it; '' where there is none. */
export function dialledOnThisMachine(addresses: readonly ListenAddress[]): string {
  for (const address of addresses) {
    if ('path' in address) continue
    const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host
    return `${host.includes(':') ? `[${host}]` : host}:${address.port}`
  }
  return ''
}
