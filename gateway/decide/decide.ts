// Pure. Facts of one request come in; one of a closed set of decisions comes out. HTTP, Upgrade and forward auth all ask here.
import {
  type EdgeRoute,
  type Identity,
  opensByPath,
  opensPort,
  reaches,
  roleOn,
  userOf,
  type Visibility,
} from '../../control/wire/index.ts'
import { isSibling, type Kin } from './cors.ts'
import { corsOf, passwordOf, visibilityOf } from './ports.ts'

/** What says where a request was made, as the browser put it; null: absent. */
export interface Provenance {
  readonly origin: string | null
  readonly fetchSite: string | null
  readonly fetchMode: string | null
  readonly fetchDest: string | null
}

/** Where a workspace is asked for: on a host of its own, or by path on the origin that all have in common. */
export type WorkspaceDoor = 'host' | 'path'

/** The door that a place is. */
export const doorOf = (place: { readonly prefix: string }): WorkspaceDoor =>
  place.prefix === '' ? 'host' : 'path'

/** All that a decision on a workspace's port depends on. */
export interface Facts extends Provenance {
  readonly door: WorkspaceDoor
  /** False until control's facts have come: nothing is decided then. */
  readonly ready: boolean
  /** The port that the host names, or that the paths of the default host give; null: the default app. */
  readonly port: number | null
  readonly route: EdgeRoute | undefined
  readonly identity: Identity
  readonly method: string
  /** The request asks for a WebSocket. */
  readonly upgrade: boolean
  /** The origin of the host that is asked for. */
  readonly ownOrigin: string
  /** Whose page made the request. */
  readonly kin: Kin
  /** A browser asks whether a page may make a request, without any proof of whose browser it is. */
  readonly preflight: boolean
  /** Grants end by it, ms. */
  readonly nowMs: number
}

export type Refusal = 'origin' | 'scope'

/**
 * `identity` is who the app is told of: anonymous where a public port is used by somebody who proved nothing. `maySteer`:
 * they may start the workspace, and are told what is the matter with it.
 */
export type Decision =
  | { readonly kind: 'allow'; readonly route: EdgeRoute; readonly port: number; readonly identity: Identity }
  | { readonly kind: 'unavailable' }
  /** The edge itself says that the page may ask: the request that follows is decided on by itself. */
  | { readonly kind: 'preflight' }
  | { readonly kind: 'sign-in' }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'refused'; readonly why: Refusal }
  /** They may otherwise; first they give the password that stands before it. */
  | { readonly kind: 'password'; readonly route: EdgeRoute; readonly port: number | null }
  | { readonly kind: 'no-default-port'; readonly route: EdgeRoute; readonly maySteer: boolean }
  | { readonly kind: 'stopped'; readonly route: EdgeRoute; readonly maySteer: boolean }
  | { readonly kind: 'starting'; readonly route: EdgeRoute; readonly maySteer: boolean }
  | {
      readonly kind: 'not-reachable'
      readonly route: EdgeRoute
      readonly port: number
      readonly maySteer: boolean
    }

const UNAVAILABLE: Decision = { kind: 'unavailable' }
const PREFLIGHT: Decision = { kind: 'preflight' }
const SIGN_IN: Decision = { kind: 'sign-in' }
const NOT_FOUND: Decision = { kind: 'not-found' }
const WRONG_ORIGIN: Decision = { kind: 'refused', why: 'origin' }
const NO_SCOPE: Decision = { kind: 'refused', why: 'scope' }
const NOBODY: Identity = { kind: 'anonymous' }

const isSafe = (method: string): boolean => method === 'GET' || method === 'HEAD' || method === 'OPTIONS'

/**
 * True when the browser proves that the request was made by `ownOrigin` itself: its Origin, or, where the Origin is
 * absent or `null` (a form under `Referrer-Policy: no-referrer`), `Sec-Fetch-Site: same-origin`.
 */
export function provesOwnOrigin(from: Provenance, ownOrigin: string): boolean {
  if (from.origin !== null && from.origin !== 'null') return from.origin === ownOrigin
  return from.fetchSite === 'same-origin'
}

/** True when nothing in the request says that another origin made it; programs say nothing at all. */
export function deniesNothing(from: Provenance, ownOrigin: string): boolean {
  if (from.origin !== null && from.origin !== ownOrigin)
    return from.origin === 'null' && from.fetchSite === 'same-origin'
  return from.fetchSite === null || from.fetchSite === 'same-origin' || from.fetchSite === 'none'
}

/**
 * May a request ride on a cookie? Unsafe ones and WebSockets need the proof of their own origin, as siblings are
 * same-site; safe ones may also be a person's top-level navigation from anywhere.
 */
export function mayRideOnCookie(
  from: Provenance,
  request: { readonly method: string; readonly upgrade: boolean },
  ownOrigin: string,
): boolean {
  if (request.upgrade || !isSafe(request.method)) return provesOwnOrigin(from, ownOrigin)
  if (deniesNothing(from, ownOrigin)) return true
  return (
    from.origin === null &&
    from.fetchMode === 'navigate' &&
    from.fetchDest === 'document' &&
    request.method !== 'OPTIONS'
  )
}

/** Is the credential for this workspace and port at all? A token may be for one workspace, and for some of its ports. */
function isFor(identity: Identity, route: EdgeRoute, port: number | null): boolean {
  if (identity.kind !== 'token' || identity.bounds === null) return true
  const { workspaceId, ports } = identity.bounds
  if (workspaceId !== route.workspaceId) return false
  return ports === null || (port !== null && ports.includes(port))
}

/**
 * By the table of `control/wire/access.ts`, which control asks too; a link opens what it covers and is open to links. A
 * token that isn't for the port is as good as none.
 */
function mayUse(facts: Facts, visibility: Visibility, route: EdgeRoute, port: number | null): boolean {
  const { identity } = facts
  // No visibility, link, grant or token opens what shares an origin with all else that its owner has.
  if (facts.door === 'path') return identity.kind === 'session' && opensByPath(route, identity.user)
  if (visibility !== 'public' && !isFor(identity, route, port)) return false
  if (identity.kind === 'link' && visibility === 'link' && covers(identity, port)) return true
  return opensPort(route, userOf(identity), port, visibility, facts.nowMs)
}

const covers = ({ ports }: Extract<Identity, { kind: 'link' }>, port: number | null): boolean =>
  ports === null || (port !== null && ports.includes(port))

/** Whoever may come in by an account has not shown it yet. */
const isUnknown = (identity: Identity): boolean => userOf(identity) === null

/** True where a password stands before the port, and this visitor neither gave it nor, as an editor, is above it. */
function lacksPassword(facts: Facts, route: EdgeRoute, identity: Identity, port: number | null): boolean {
  const version = passwordOf(route, port)
  if (version === null) return false
  const user = userOf(identity)
  if (user !== null && reaches(roleOn(route, user, facts.nowMs), 'editor')) return false
  return identity.kind === 'anonymous' || identity.passes?.includes(version) !== true
}

const opensPorts = (identity: Identity): boolean =>
  identity.kind !== 'token' || identity.scopes.includes('connect') || identity.scopes.includes('admin')

/** A credential that may not act here is worth nothing on a public port, and a refusal elsewhere. */
function actingIdentity(facts: Facts, route: EdgeRoute, port: number | null): Identity | Refusal {
  const { identity } = facts
  if (!opensPorts(identity) || !isFor(identity, route, port)) return 'scope'
  if (identity.kind === 'token' || identity.kind === 'anonymous') return identity
  if (mayRideOnCookie(facts, facts, facts.ownOrigin)) return identity
  return isSibling(facts) && corsOf(route, port) === 'siblings' ? identity : 'origin'
}

/** In the trash, or on its way there. */
export const isRemoved = (route: EdgeRoute): boolean =>
  route.phase === 'removing' || route.phase === 'trashed'

/**
 * Does the edge answer a preflight itself? It carries no proof of anybody, so that the answer may not depend on whether
 * a workspace is there, unless everybody may know that: a page of any workspace is told that it may ask any other, and
 * what it then asks is refused. Only a port that is public, or the bearer of a token, hears the app's own word.
 */
function edgeAnswers(facts: Facts): boolean {
  const { route, identity } = facts
  if (!facts.preflight || facts.kin === 'none' || facts.door === 'path') return false
  if (route === undefined || isRemoved(route)) return true
  const port = facts.port ?? route.defaultPort
  const visibility = visibilityOf(route, port)
  const byEdge = corsOf(route, port) === 'siblings'
  if (visibility === 'public' && passwordOf(route, port) === null) return byEdge && isSibling(facts)
  return (
    byEdge ||
    identity.kind !== 'token' ||
    !isFor(identity, route, port) ||
    !mayUse(facts, visibility, route, port) ||
    lacksPassword(facts, route, identity, port) ||
    !opensPorts(identity)
  )
}

/** The one decision on a request for a workspace's host. */
export function decide(facts: Facts): Decision {
  if (!facts.ready) return UNAVAILABLE
  if (edgeAnswers(facts)) return PREFLIGHT
  const { route, identity } = facts
  if (route === undefined) return isUnknown(identity) ? SIGN_IN : NOT_FOUND
  const port = facts.port ?? route.defaultPort
  const visibility = facts.door === 'path' ? 'owner' : visibilityOf(route, port)
  if (!mayUse(facts, visibility, route, port)) return isUnknown(identity) ? SIGN_IN : NOT_FOUND
  const acting = actingIdentity(facts, route, port)
  if (typeof acting === 'string') {
    if (visibility !== 'public') return acting === 'origin' ? WRONG_ORIGIN : NO_SCOPE
    return reach(facts, route, port, NOBODY)
  }
  return reach(facts, route, port, acting)
}

function reach(facts: Facts, route: EdgeRoute, port: number | null, identity: Identity): Decision {
  const user = userOf(identity)
  const role = user === null ? null : roleOn(route, user, facts.nowMs)
  const maySteer = reaches(role, 'editor')
  if (!isRemoved(route) && lacksPassword(facts, route, identity, port))
    return { kind: 'password', route, port }
  switch (route.phase) {
    case 'running':
      break
    case 'pending':
    case 'pulling':
    case 'building':
    case 'starting':
      return { kind: 'starting', route, maySteer }
    case 'stopping':
    case 'stopped':
    case 'failed':
      return { kind: 'stopped', route, maySteer }
    case 'removing':
    case 'trashed':
      // Only who can bring it back may know that it was there.
      if (reaches(role, 'manager')) return { kind: 'stopped', route, maySteer }
      return isUnknown(facts.identity) ? SIGN_IN : NOT_FOUND
    default:
      return UNAVAILABLE
  }
  if (port === null) return { kind: 'no-default-port', route, maySteer }
  if (route.reach.kind === 'none') return { kind: 'not-reachable', route, port, maySteer }
  return { kind: 'allow', route, port, identity }
}

/** All that a decision on the dashboard's host depends on. */
export interface DashboardFacts extends Provenance {
  readonly ready: boolean
  readonly identity: Identity
  readonly method: string
  readonly upgrade: boolean
  readonly ownOrigin: string
  /** The API; files and pages may be linked to from anywhere. */
  readonly isApi: boolean
  /** A call that takes its own password or link, so that a cookie adds nothing to it. */
  readonly provesItself: boolean
}

export type DashboardDecision =
  { readonly kind: 'allow' } | { readonly kind: 'unavailable' } | { readonly kind: 'refused' }

const DASHBOARD_ALLOWS: DashboardDecision = { kind: 'allow' }
const DASHBOARD_REFUSES: DashboardDecision = { kind: 'refused' }

/** The decision on a request for the dashboard's host: where it was made from; who may what is control's to say. */
export function decideDashboard(facts: DashboardFacts): DashboardDecision {
  if (!facts.ready) return { kind: 'unavailable' }
  const isPlainRead = isSafe(facts.method) && !facts.upgrade
  if (isPlainRead && !facts.isApi) return DASHBOARD_ALLOWS
  const allowed =
    facts.identity.kind === 'token' ||
    (facts.identity.kind === 'session' && !facts.provesItself && !isPlainRead
      ? provesOwnOrigin(facts, facts.ownOrigin)
      : deniesNothing(facts, facts.ownOrigin))
  return allowed ? DASHBOARD_ALLOWS : DASHBOARD_REFUSES
}
