// Scanned fields and the table come in; who stands behind the request comes out. Every doubt is `anonymous`.
import type { EdgeRoute, EdgeSession, EdgeToken, Identity } from '../../control/wire/index.ts'
import { bearerToken, isOurAuthorization, plainToken, readCookies, secretHash } from '../headers/cookies.ts'
import type { Place } from '../host/host.ts'
import { tokenEntries, tokenOfEntry } from '../headers/protocols.ts'
import type { Scan } from '../headers/scan.ts'
import { cookiesOfPlace, type Site } from '../host/site.ts'
import type { TableView } from '../facts/table.ts'

export const ANONYMOUS: Identity = { kind: 'anonymous' }

/** How a request proves who it is from, before the table is asked. Hashes only. */
export type Credential =
  | { readonly kind: 'none' }
  | { readonly kind: 'session'; readonly hash: string }
  | { readonly kind: 'token'; readonly hash: string }
  /** Something of ours is there and not well-formed, or there twice: nobody. `clear`: a cookie to be cleared. */
  | { readonly kind: 'broken'; readonly clear: boolean }

const NO_ENTRIES: readonly string[] = []
const NONE: Credential = { kind: 'none' }
const BROKEN_TOKEN: Credential = { kind: 'broken', clear: false }
const BROKEN_COOKIE: Credential = { kind: 'broken', clear: true }

function tokenCredential(scan: Scan): Credential | null {
  const offered = scan.protocols === null ? NO_ENTRIES : tokenEntries(scan.protocols)
  if (scan.tokenCount + offered.length > 0) {
    const given = offered.length === 0 ? scan.token : tokenOfEntry(offered[0] as string)
    const isOne = scan.tokenCount + offered.length === 1
    const token = isOne && given !== null ? plainToken(given) : null
    return token === null ? BROKEN_TOKEN : { kind: 'token', hash: secretHash(token) }
  }
  if (scan.authorization === null) return null
  const values = typeof scan.authorization === 'string' ? [scan.authorization] : scan.authorization
  const ours = values.filter(isOurAuthorization)
  if (ours.length === 0) return null
  const token = ours.length === 1 ? bearerToken(ours[0] as string) : null
  return token === null ? BROKEN_TOKEN : { kind: 'token', hash: secretHash(token) }
}

/**
 * What proof a request carries at that kind of place. A token of ours stands before a cookie, and a broken one is not
 * made good by a cookie; an Authorization that isn't ours is the app's own and hides nothing.
 */
export function credentialOf(scan: Scan, place: Place, site: Site): Credential {
  const token = tokenCredential(scan)
  if (token !== null) return token
  if (scan.cookie === null) return NONE
  const name = sessionName(place, site)
  const hash = name === null ? undefined : readCookies(scan.cookie).hashes.get(name)
  if (hash === undefined) return NONE
  return hash === null ? BROKEN_COOKIE : { kind: 'session', hash }
}

/** The cookie that counts at a place; null: none does. */
function sessionName(place: Place, site: Site): string | null {
  switch (place.kind) {
    case 'dashboard':
      return site.cookies.session
    case 'workspace':
      return place.prefix === '' ? site.cookies.workspace : cookiesOfPlace(site, place).session
    default:
      return null
  }
}

function liveSession(table: TableView, hash: string, nowMs: number): EdgeSession | null {
  const session = table.session(hash)
  return session !== undefined && session.expiresAtMs > nowMs ? session : null
}

/**
 * What a session of that very workspace host hangs on, while that lives: its dashboard session, or the first session of
 * its guest; null for any other session.
 */
function parentOn(
  table: TableView,
  session: EdgeSession,
  label: string,
  route: EdgeRoute | undefined,
  nowMs: number,
): EdgeSession | null {
  const bound = session.workspace
  if (bound === null || route === undefined) return null
  if (bound.label !== label || bound.workspaceId !== route.workspaceId) return null
  const parent = liveSession(table, bound.parentHash, nowMs)
  if (parent === null || parent.userId !== session.userId) return null
  const isFirst =
    session.userId === ''
      ? parent.workspace?.parentHash === parent.hash && parent.workspace.workspaceId === bound.workspaceId
      : parent.workspace === null
  return isFirst ? parent : null
}

/** Who a credential stands for at a place, now; `route` is what the place names. */
export function identityOf(
  table: TableView,
  credential: Credential,
  place: Place,
  route: EdgeRoute | undefined,
  nowMs: number,
): Identity {
  if (credential.kind === 'token') {
    const token = table.token(credential.hash)
    return token !== undefined && isLive(token, nowMs) ? identityOfToken(table, token) : ANONYMOUS
  }
  if (credential.kind !== 'session') return ANONYMOUS
  const session = liveSession(table, credential.hash, nowMs)
  if (session === null) return ANONYMOUS
  if (place.kind === 'dashboard') {
    const user = session.workspace === null ? table.user(session.userId) : undefined
    return user === undefined ? ANONYMOUS : { kind: 'session', user, sessionHash: credential.hash }
  }
  const parent = place.kind === 'workspace' ? parentOn(table, session, place.label, route, nowMs) : null
  if (parent === null) return ANONYMOUS
  const { passes } = parent
  if (session.userId === '') return guestOf(session, passes)
  const user = table.user(session.userId)
  return user === undefined ? ANONYMOUS : { kind: 'session', user, sessionHash: credential.hash, passes }
}

/** A guest without a link has nothing but the passwords that were given. */
function guestOf(session: EdgeSession, passes: readonly string[] | undefined): Identity {
  const { link, workspace, hash } = session
  return {
    kind: 'link',
    linkId: link?.id ?? null,
    workspaceId: workspace?.workspaceId ?? '',
    ports: link === null || link === undefined ? [] : link.ports,
    sessionHash: hash,
    passes,
  }
}

const isLive = (token: EdgeToken, nowMs: number): boolean =>
  token.expiresAtMs === null || token.expiresAtMs > nowMs

function identityOfToken(table: TableView, token: EdgeToken): Identity {
  const user = table.user(token.userId)
  if (user === undefined) return ANONYMOUS
  const { id: tokenId, scopes, bounds, passes } = token
  return { kind: 'token', user, tokenId, scopes, bounds, passes }
}

/** When (ms) the credential ends by itself, the parent session's end included; Infinity: never, or unknown. */
export function credentialEndsAtMs(table: TableView, credential: Credential): number {
  if (credential.kind === 'token')
    return table.token(credential.hash)?.expiresAtMs ?? Number.POSITIVE_INFINITY
  if (credential.kind !== 'session') return Number.POSITIVE_INFINITY
  const session = table.session(credential.hash)
  if (session === undefined) return Number.POSITIVE_INFINITY
  const parent = session.workspace === null ? session : table.session(session.workspace.parentHash)
  return Math.min(session.expiresAtMs, parent?.expiresAtMs ?? session.expiresAtMs)
}
