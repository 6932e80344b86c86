// A workspace's route and a user come in; whether they may use a port, or anything on a host, comes out. By the one decision.
import { ApiError, type EdgeRoute, type EdgeUser, type Identity } from '../../control/wire/index.ts'
import { decide, doorOf, type WorkspaceDoor } from '../decide/decide.ts'
import type { Visit } from '../edge.ts'
import { routeAt } from '../facts/table.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { portsOfHost } from '../decide/ports.ts'

/** True where that visitor may use that port by that door, were it running and reachable. */
export function mayUsePort(
  route: EdgeRoute,
  identity: Identity,
  port: number | null,
  nowMs: number,
  door: WorkspaceDoor = 'host',
): boolean {
  const { kind } = decide({
    ready: true,
    door,
    port,
    route,
    identity,
    method: 'GET',
    upgrade: false,
    origin: null,
    fetchSite: null,
    fetchMode: null,
    fetchDest: null,
    ownOrigin: '',
    kin: 'none',
    preflight: false,
    nowMs,
  })
  return kind !== 'not-found' && kind !== 'sign-in' && kind !== 'refused'
}

/** The workspace behind a host of which this user may use anything; null when not, or when it isn't there. @throws ApiError unavailable */
export function usable(visit: Visit, place: WorkspacePlace, user: EdgeUser): EdgeRoute | null {
  const { table } = visit.edge
  if (!table.isReady) throw new ApiError('unavailable')
  const route = routeAt(table, place)
  if (route === undefined) return null
  const identity = { kind: 'session', user, sessionHash: '' } as const
  const nowMs = visit.edge.now()
  const door = doorOf(place)
  return portsOfHost(route, place).some((port) => mayUsePort(route, identity, port, nowMs, door))
    ? route
    : null
}
