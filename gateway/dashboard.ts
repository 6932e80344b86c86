// Visits that are for no workspace's host come in; health is answered, the edge's own pages and control's app take the rest, or it is refused.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Identity, paths, userOf } from '../control/wire/index.ts'
import { answerCapped, answerCode, answerMisdirected, noteDenial, send, sendMoved } from './pages/answer.ts'
import { decideDashboard } from './decide/decide.ts'
import { cutOff, hstsOf, originOf, type Visit } from './edge.ts'
import type { Guest } from './limits/guest.ts'
import { pathOf, type Place } from './host/host.ts'
import { pathTarget } from './host/path.ts'
import { overHttp2 } from './http2/request.ts'
import { ANONYMOUS, type Credential, credentialOf, identityOf } from './identity/identity.ts'
import { takeSeat } from './limits/seats.ts'
import { RouteClass } from './seen/classes.ts'
import { tellOver } from './seen/tell.ts'
import type { LiveStream } from './sockets.ts'
import { releaseFrom } from './upgrade.ts'

const AGENT_PREFIX = '/api/agent/'
const GATEWAY_PREFIX = '/api/gateway/'
const AUTHZ_PREFIX = '/api/authz/'
const API_PREFIX = '/api/'

/** Agents and gateways prove themselves to control, on any host. */
const isMachine = (path: string): boolean => path.startsWith(AGENT_PREFIX) || path.startsWith(GATEWAY_PREFIX)

/** A request for the dashboard's host, or for a host that is nobody's. */
export function toDashboard(visit: Visit): void {
  const { edge, target } = visit
  const path = pathOf(target)
  if (path === paths.healthz) return send(visit, 200, ['Content-Type', 'text/plain'], 'ok\n')
  if (path === paths.readyz) return ready(visit)
  if (visit.place.kind === 'paths') return answerAtPaths(visit)
  if (isMachine(path)) return toApp(visit, ANONYMOUS)
  if (visit.place.kind === 'elsewhere') return answerMisdirected(visit)
  // These have a listener of their own, which no visitor reaches.
  if (path === paths.metrics || path.startsWith(AUTHZ_PREFIX)) return answerCode(visit, 'not_found')
  if (
    path === paths.signIn ||
    path === paths.signOut ||
    path === paths.setupPage ||
    path.startsWith(paths.pathPrefix) ||
    path === paths.resetPage ||
    path === paths.invitationPage ||
    path.startsWith(paths.providerPrefix) ||
    path.startsWith(paths.edgePrefix)
  )
    return edge.own(visit)
  const { credential, identity } = dashboardIdentity(visit)
  if (!dashboardAllows(visit, path, identity)) return
  if (identity.kind !== 'anonymous') watch(visit, credential, identity, () => cut(visit))
  toApp(visit, identity)
}

/** What on the origin of path mode is no workspace's app: no other pages of ours are there, and no API. */
function answerAtPaths(visit: Visit): void {
  const named = pathTarget(visit.target)
  if (named.kind === 'slash') return sendMoved(visit, named.location)
  if (named.kind === 'leaves')
    return answerCode(visit, 'bad_request', { detail: 'The path leads out of its workspace.' })
  answerCode(visit, 'not_found')
}

/** A change that has been read whole is under way already: who ends their own session by it is told so. */
function cut(visit: Visit): void {
  const isChange = visit.method !== 'GET' && visit.method !== 'HEAD'
  if (!isChange || !visit.req.complete) cutOff(visit)
}

function ready(visit: Visit): void {
  if (!visit.edge.isReady()) return answerCode(visit, 'unavailable')
  send(visit, 200, ['Content-Type', 'text/plain'], 'ready\n')
}

function toApp(visit: Visit, identity: Identity): void {
  const { edge, req, res, seen, peer } = visit
  seen.kind = visit.target.startsWith(API_PREFIX) ? RouteClass.api : RouteClass.dashboard
  if (identity.kind !== 'anonymous') {
    seen.userId = userOf(identity)?.id ?? ''
    peer.guest?.release()
  }
  const isOfMachine = isMachine(visit.target)
  if (!isOfMachine) {
    if (identity.kind === 'anonymous' && peer.guest?.isOver === true)
      return answerCapped(visit, 'address_capped')
    if (!takeSeat(visit, '')) return
  } else if (peer.guest !== undefined) releaseOnYes(res, peer.guest)
  // Over HTTP/2 the connection is others' too.
  if (overHttp2(req) === null) seen.countFrom(req.socket)
  req.url = visit.target
  if (visit.expectsContinue) res.writeContinue()
  const hsts = hstsOf(visit)
  if (hsts !== null) res.setHeader('Strict-Transport-Security', hsts)
  edge.app.request(req, res, identity, originOf(visit))
}

/** Machines prove who they are to control, so that its answer tells. */
function releaseOnYes(res: ServerResponse, guest: Guest): void {
  res.on('close', () => {
    if (res.headersSent && res.statusCode < 400) guest.release()
  })
}

/** Who is at the dashboard's host: only a dashboard session or a token counts there. */
export function dashboardIdentity(visit: Visit): { credential: Credential; identity: Identity } {
  const { edge, scan } = visit
  const place: Place = { kind: 'dashboard' }
  const credential = credentialOf(scan, place, edge.site)
  return { credential, identity: identityOf(edge.table, credential, place, undefined, edge.now()) }
}

/** Asks the decision on the dashboard's host and answers a refusal. */
function dashboardAllows(visit: Visit, path: string, identity: Identity): boolean {
  const { edge, scan, method } = visit
  const decision = decideDashboard({
    ready: edge.table.isReady,
    identity,
    method,
    upgrade: visit.socket !== null,
    origin: scan.origin,
    fetchSite: scan.fetchSite,
    fetchMode: scan.fetchMode,
    fetchDest: scan.fetchDest,
    ownOrigin: edge.site.publicOrigin,
    isApi: path.startsWith(API_PREFIX),
    provesItself: method === 'POST' && (path === paths.sessions || path === paths.setup),
  })
  if (decision.kind === 'allow') return true
  if (decision.kind === 'refused') {
    noteDenial(visit, { kind: 'refused', why: 'origin' })
    answerCode(visit, 'wrong_origin')
  } else answerCode(visit, edge.table.isSuspended ? 'control_away' : 'unavailable')
  return false
}

/** Keeps an open stream of the dashboard's host for as long as its session or token lives. */
function watch(visit: Visit, credential: Credential, identity: Identity, revoke: () => void): void {
  const { edge } = visit
  const stream: LiveStream = {
    credential,
    place: { kind: 'dashboard' },
    workspaceId: '',
    incarnation: '',
    port: 0,
    userId: userOf(identity)?.id ?? '',
    byOrigin: null,
    revoke,
  }
  edge.live.addSocket(stream)
  ;(visit.socket ?? visit.res).on('close', () => edge.live.delete(stream))
}

/** A WebSocket to the dashboard's host; control's app takes those that are allowed. */
export function toDashboardSocket(visit: Visit, socket: Duplex, head: Buffer): void {
  const { edge, req, res, seen } = visit
  seen.kind = RouteClass.api
  const path = pathOf(visit.target)
  if (visit.place.kind === 'paths') return answerAtPaths(visit)
  const isOfMachine = isMachine(path)
  if (!isOfMachine && visit.place.kind === 'elsewhere') return answerMisdirected(visit)
  if (path.startsWith(AUTHZ_PREFIX)) return answerCode(visit, 'not_found')
  const { credential, identity } = isOfMachine
    ? { credential: { kind: 'none' } as const, identity: ANONYMOUS }
    : dashboardIdentity(visit)
  if (!isOfMachine && !dashboardAllows(visit, path, identity)) return
  if (identity.kind !== 'anonymous') {
    seen.userId = userOf(identity)?.id ?? ''
    visit.peer.guest?.release()
  }
  if (!isOfMachine && !takeSeat(visit, '')) return
  req.url = visit.target
  releaseFrom(res, socket)
  seen.status = 101
  seen.countFrom(socket as Socket)
  const { seat } = visit
  socket.on('close', () => {
    seat?.leave()
    tellOver(edge, seen)
  })
  if (identity.kind !== 'anonymous') watch(visit, credential, identity, () => socket.destroy())
  edge.app.upgrade(req, socket, head, identity, originOf(visit))
}
