// A scanned request and the table come in; the facts of a decision come out. The same for every door.
import type { Identity } from '../../control/wire/index.ts'
import { kinOf } from '../decide/cors.ts'
import { doorOf, type Facts } from '../decide/decide.ts'
import type { Visit } from '../edge.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { type Credential, credentialOf, identityOf } from '../identity/identity.ts'
import { composedPort, namedPort } from '../decide/ports.ts'
import type { Scan } from '../headers/scan.ts'
import { originOfPlace, type Site } from '../host/site.ts'
import { routeAt, type TableView } from './table.ts'

/** The facts of a request for a workspace host, and by what credential the identity was found. */
export interface GatheredFacts extends Facts {
  readonly credential: Credential
  readonly identity: Identity
}

/** What a door gives: `method`, `target` and `upgrade` are those of the visitor's own request, not of a sub-request. */
export interface FactsInput {
  readonly table: TableView
  readonly site: Site
  readonly place: WorkspacePlace
  readonly scan: Scan
  readonly method: string
  /** Origin form, as it came: it picks the port of a composed host. */
  readonly target: string
  readonly upgrade: boolean
  readonly nowMs: number
}

/** Gathers the facts of one request for a workspace host. */
export function factsOf(input: FactsInput): GatheredFacts {
  const { table, site, place, scan } = input
  const credential = credentialOf(scan, place, site)
  const route = routeAt(table, place)
  const ownOrigin = originOfPlace(site, place)
  const door = doorOf(place)
  return {
    ready: table.isReady,
    door,
    port:
      route === undefined ? place.port : (namedPort(route, place) ?? composedPort(route.paths, input.target)),
    route,
    credential,
    identity: identityOf(table, credential, place, route, input.nowMs),
    method: input.method,
    upgrade: input.upgrade,
    origin: scan.origin,
    fetchSite: scan.fetchSite,
    fetchMode: scan.fetchMode,
    fetchDest: scan.fetchDest,
    ownOrigin,
    // By path there are no other hosts of a workspace.
    kin: door === 'path' ? 'none' : kinOf(scan.origin, { place, ownOrigin, route }, site, table),
    preflight: input.method === 'OPTIONS' && scan.requestMethod !== null,
    nowMs: input.nowMs,
  }
}

/** The facts of a visit as if it asked the host of `place` for `target` by `method`; a WebSocket only where `upgrade` says so. */
export function factsAt(
  { edge, scan }: Visit,
  place: WorkspacePlace,
  method: string,
  target: string,
  upgrade = false,
): GatheredFacts {
  const { table, site } = edge
  return factsOf({ table, site, place, scan, method, target, upgrade, nowMs: edge.now() })
}
