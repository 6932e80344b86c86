// A person who was just signed in on one port of a workspace comes in; before they land, its other ports sign them in too.
import { type EdgeRoute, type Identity, paths, userOf } from '../../control/wire/index.ts'
import { sendRedirect } from '../pages/answer.ts'
import { secretHash } from '../headers/cookies.ts'
import type { Visit } from '../edge.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { identityOf } from '../identity/identity.ts'
import { portsOfHost } from '../decide/ports.ts'
import { workspaceOrigin } from '../host/site.ts'
import { seal, unseal } from './flow.ts'
import { queryOf } from './form.ts'
import { mayUsePort } from './usable.ts'

/** Hosts beside the first: each costs three redirects, and browsers follow twenty at most. */
const HOSTS_MAX = 4
const CHAIN_MS = 300_000
/** No host label has a blank: what is sealed so is never taken for a flow. */
const SEALED_AS = 'chain of'

/**
 * The hosts of one workspace that a person is still to be signed in on, begun by a sign-in that was proved, so that
 * consent to somebody else's workspace is not asked for again. Each host has a nonce, a code and a cookie of its own.
 */
export interface Chain {
  /** '' for a guest, who is known on the host that they are to land on. */
  readonly userId: string
  readonly workspaceId: string
  /** The label of the host that they are to land on. */
  readonly back: string
  /** Labels still to be signed in on, the next one first. */
  readonly rest: readonly string[]
  readonly atMs: number
}

/** The chain that a visit is part of; null for none, one that isn't ours, or is too old to open anything. */
export function chainOf(visit: Visit): Chain | null {
  const body = unseal(visit.edge.flowKey, SEALED_AS, queryOf(visit.target).get('chain'))
  if (body === null) return null
  // The seal proves that we wrote it.
  const [userId, workspaceId, back, rest, atMs] = JSON.parse(body) as [
    string,
    string,
    string,
    string[],
    number,
  ]
  const age = visit.edge.now() - atMs
  return age >= 0 && age <= CHAIN_MS ? { userId, workspaceId, back, rest, atMs } : null
}

/** A chain as the value of a query's parameter. */
export function chainValue(visit: Visit, { userId, workspaceId, back, rest, atMs }: Chain): string {
  return seal(visit.edge.flowKey, SEALED_AS, JSON.stringify([userId, workspaceId, back, rest, atMs]))
}

/** Goes on to the next host, or lands; whatever became of this one. */
export function goOn(visit: Visit, chain: Chain, headers: readonly string[] = []): void {
  const { site } = visit.edge
  const [, ...rest] = chain.rest
  const next = rest[0]
  if (next === undefined)
    return sendRedirect(visit, `${workspaceOrigin(site, chain.back)}${paths.landed}`, headers)
  const value = chainValue(visit, { ...chain, rest })
  sendRedirect(visit, `${workspaceOrigin(site, next)}${paths.enter}?chain=${value}`, headers)
}

/**
 * The other declared ports that pages of this one may call, as this visitor, in the order of their declaration. For a
 * guest all of them: there is no account whose sign-in would open them later.
 */
function othersOf(route: EdgeRoute, identity: Identity, place: WorkspacePlace, nowMs: number): string[] {
  const here = portsOfHost(route, place)
  const isGuest = userOf(identity) === null
  return route.ports
    .filter(({ cors }) => isGuest || cors === 'siblings')
    .filter(({ port }) => !here.includes(port) && mayUsePort(route, identity, port, nowMs))
    .slice(0, HOSTS_MAX)
    .map(({ port }) => `${place.name}-${port}`)
}

/** The chain that begins with the session that was just made on a host; null where there is nothing to go on to. */
export function beginChain(visit: Visit, place: WorkspacePlace, sessionToken: string): Chain | null {
  // By path all ports of a workspace have one session.
  if (place.prefix !== '') return null
  const { table } = visit.edge
  const route = table.routeByName(place.name)
  const nowMs = visit.edge.now()
  const credential = { kind: 'session', hash: secretHash(sessionToken) } as const
  const identity = identityOf(table, credential, place, route, nowMs)
  if (route === undefined || identity.kind === 'anonymous') return null
  const others = othersOf(route, identity, place, nowMs)
  if (others.length === 0) return null
  return {
    userId: userOf(identity)?.id ?? '',
    workspaceId: route.workspaceId,
    back: place.label,
    // Going on begins behind the first.
    rest: [place.label, ...others],
    atMs: visit.edge.now(),
  }
}
