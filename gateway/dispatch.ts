// A parsed request or upgrade comes in from a server; it leaves towards a workspace, control or our own pages, or is refused.
import { type IncomingMessage, METHODS, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ApiCode, paths, userOf } from '../control/wire/index.ts'
import { answerCapped, answerCode, answerDecision, noteDenial, send, wantsPage } from './pages/answer.ts'
import { readingOrigin } from './decide/cors.ts'
import { toDashboard, toDashboardSocket } from './dashboard.ts'
import { decide } from './decide/decide.ts'
import { type Edge, hasBody, nextRequestId, originOf, type Visit } from './edge.ts'
import { factsAt } from './facts/facts.ts'
import { beginHandOff } from './flows/hand-off.ts'
import { noteGuest } from './usage/guest-uses.ts'
import { noteUse } from './usage/session-uses.ts'
import { VIA_MAX } from './headers/headers.ts'
import { pathOf, type Place, targetOf, type WorkspacePlace } from './host/host.ts'
import type { EdgeAnswer } from './http2/answer.ts'
import { type EdgeRequest, overHttp2 } from './http2/request.ts'
import { streamSocket } from './http2/websocket.ts'
import type { Credential } from './identity/identity.ts'
import { takeSeat } from './limits/seats.ts'
import type { TurnedAway } from './listeners/arrivals.ts'
import { holdBack, owedAnswer, turnOf } from './listeners/pipeline.ts'
import { relayOf } from './proxy/engine.ts'
import { asksForWebSocket, type Scan, scanHeaders } from './headers/scan.ts'
import { shownHost } from './seen/access-line.ts'
import { count } from './seen/counters.ts'
import { RouteClass } from './seen/classes.ts'
import { Seen } from './seen/seen.ts'
import { tellWhenClosed } from './seen/tell.ts'
import { askedAt } from './place.ts'
import { canonicalAddress, chainOf, type Peer } from './listeners/trust.ts'
import { answerOn, destroyThis, reinject } from './upgrade.ts'

/** More header fields than any program sends; Node would drop some unseen where it is let to count. */
const FIELDS_MAX = 512

const API_PREFIX = '/api/'

/** Those of HTTP/1.1, as Node reads it; HTTP/2 would let any word pass, of any length. */
const methods: ReadonlySet<string> = new Set(METHODS)

/** What is wrong with a request before anybody asks who made it; null: nothing. */
function protocolFault(req: IncomingMessage, scan: Scan): { code: ApiCode; detail?: string } | null {
  const isHttp2 = overHttp2(req) !== null
  // `HTTP/2.0` on a line of HTTP/1.1 is a lie.
  if (req.httpVersionMajor !== 1 && !isHttp2) return { code: 'http_version' }
  if (req.rawHeaders.length > FIELDS_MAX * 2) return { code: 'headers_too_large' }
  if (scan.hostCount > 1) return { code: 'bad_request', detail: 'There is more than one Host header.' }
  if (!methods.has(req.method ?? '')) return { code: 'not_implemented' }
  if (isHttp2 && scan.hostCount === 0) return { code: 'bad_request', detail: 'There is no :authority.' }
  if (scan.transferEncoding !== null) {
    if (req.httpVersionMinor === 0 && !isHttp2)
      return { code: 'bad_request', detail: 'HTTP/1.0 has no Transfer-Encoding.' }
    if (scan.transferEncoding.trim().toLowerCase() !== 'chunked') return { code: 'not_implemented' }
  }
  return null
}

/** Who a request comes from that another gateway passed on; whose credential is nobody's is a visitor like any other. */
function visitorOf(edge: Edge, said: string, req: IncomingMessage): Peer {
  const [credential = '', address = ''] = said.split(' ')
  const ip = canonicalAddress(address)
  const peer = edge.peerOf(req)
  if (ip === null || !edge.isGateway(credential)) return peer
  peer.guest?.release()
  return { ip, trusted: false }
}

/** The id that a believed front gave a request, so that its log and ours agree; nobody else may name a request. */
function believedId(peer: Peer, given: string | null): string | null {
  return given !== null && peer.trusted && /^[\w.-]{1,64}$/.test(given) ? given : null
}

/** A host that isn't ours is shown as it came, and so is that of path mode; ours by its label. */
function hostShown(place: Place, host: string): string {
  if (place.kind === 'dashboard') return ''
  return place.kind === 'workspace' && place.prefix === '' ? place.label : shownHost(host)
}

type Arrival = Pick<Visit, 'req' | 'res' | 'scan' | 'socket' | 'head' | 'expectsContinue'>

/** Parses an arrival; null when it has been answered already. */
function admit(edge: Edge, arrival: Arrival): Visit | null {
  const { req, res, scan, socket, head, expectsContinue } = arrival
  edge.counters.requests++
  const method = req.method ?? ''
  const shownMethod = methods.has(method) ? method : ''
  const target = targetOf(method, req.url ?? '', scan.host)
  const asked = askedAt(edge, scan.host, target.kind === 'path' ? target.target : '/')
  const { place } = asked
  const peer = scan.visitor === null ? edge.peerOf(req) : visitorOf(edge, scan.visitor, req)
  const chain = chainOf(peer, scan.forwardedFor, edge.trusted)
  const requestId = believedId(peer, scan.requestId) ?? nextRequestId()
  const kind =
    place.kind !== 'workspace' ? RouteClass.own : socket === null ? RouteClass.proxy : RouteClass.upgrade
  const visit: Visit = {
    edge,
    req,
    res,
    scan,
    place,
    target: asked.target,
    method,
    requestId,
    peer,
    chain,
    seen: new Seen(kind, requestId, chain.client, hostShown(place, scan.host), shownMethod, req.url ?? ''),
    socket,
    head,
    expectsContinue,
    seat: null,
    relay: null,
    allowOrigin: null,
  }
  tellWhenClosed(visit)
  const fault = protocolFault(req, scan)
  if (fault !== null)
    answerCode(visit, fault.code, fault.detail === undefined ? {} : { detail: fault.detail })
  else if (target.kind === 'bad') answerCode(visit, 'bad_request', { detail: target.why })
  else if (target.kind === 'asterisk')
    send(visit, 204, ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'], '')
  else return visit
  return null
}

/** The `request` and `checkContinue` event of a public server. */
export function handleRequest(
  edge: Edge,
  req: IncomingMessage,
  res: ServerResponse,
  expectsContinue: boolean,
): void {
  // Behind another on its connection.
  const turn = res.socket === null ? turnOf(req.socket, res) : 'waits'
  if (turn === 'ignored') return
  const scan = scanHeaders(req.rawHeaders)
  const visit = admit(edge, { req, res, scan, socket: null, head: null, expectsContinue })
  if (visit === null) return
  if (turn === 'over') {
    res.shouldKeepAlive = false
    return holdBack(req.socket, () => answerCapped(visit, 'pipeline_capped'))
  }
  guard(visit, () => {
    if (visit.place.kind === 'workspace') toWorkspace(visit, visit.place)
    else toDashboard(visit)
  })
}

/** The `checkExpectation` event: whatever is expected, it isn't known here. */
export function handleExpectation(edge: Edge, req: IncomingMessage, res: ServerResponse): void {
  const scan = scanHeaders(req.rawHeaders)
  const visit = admit(edge, { req, res, scan, socket: null, head: null, expectsContinue: false })
  if (visit !== null) answerCode(visit, 'expectation_failed')
}

/**
 * Takes a connection that Node's server has let go. One on which an answer is still owed ends: what asks to leave HTTP
 * must wait for its turn (RFC 9112 §9.3.2), and Node hands it over at once.
 */
function isItsTurn(edge: Edge, socket: Duplex): boolean {
  // First of all: an error without a listener would end the process.
  if (!socket.listeners('error').includes(destroyThis)) socket.on('error', destroyThis)
  if (owedAnswer(socket) === null) return true
  count(edge.counters.turnedAway, 'upgrade_out_of_turn' satisfies TurnedAway)
  socket.destroy()
  return false
}

/** The `connect` event: there is no tunnel through the edge. */
export function handleConnect(edge: Edge, req: IncomingMessage, socket: Duplex): void {
  if (!isItsTurn(edge, socket)) return
  const res = answerOn(req, socket)
  const visit = admit(edge, {
    req: Object.assign(req, { url: '/' }),
    res,
    scan: scanHeaders(req.rawHeaders),
    socket,
    head: null,
    expectsContinue: false,
  })
  if (visit !== null) answerCode(visit, 'method_not_allowed')
}

/** CONNECT over HTTP/2: a WebSocket where those are taken (RFC 8441), else as little a tunnel. */
export function handleConnectStream(edge: Edge, req: EdgeRequest, res: EdgeAnswer): void {
  const scan = scanHeaders(req.rawHeaders)
  const socket = asksForWebSocket(scan) ? streamSocket(req) : null
  const plain = Object.assign(req, socket === null ? { url: '/' } : { method: 'GET' })
  const arrival = {
    req: plain as unknown as IncomingMessage,
    res: res as unknown as ServerResponse,
    scan,
    socket,
    head: null,
    expectsContinue: false,
  }
  const visit = admit(edge, arrival)
  if (visit === null) return
  if (socket === null) return answerCode(visit, 'method_not_allowed')
  socket.on('error', destroyThis)
  guard(visit, () => {
    const { place, target } = visit
    if (target.startsWith(paths.edgePrefix)) answerCode(visit, 'not_found')
    else if (place.kind === 'workspace') toWorkspace(visit, place)
    else toDashboardSocket(visit, socket, Buffer.alloc(0))
  })
}

/** The `upgrade` event of a public server: WebSockets go the way of their host, all else goes back in as it would be without. */
export function handleUpgrade(
  edge: Edge,
  reenter: (socket: Duplex) => void,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  if (!isItsTurn(edge, socket)) return
  const scan = scanHeaders(req.rawHeaders)
  const { place, target } = askedAt(edge, scan.host, req.url ?? '/')
  const path = pathOf(target)
  const isOurs =
    path.startsWith(paths.edgePrefix) || (place.kind !== 'workspace' && !path.startsWith(API_PREFIX))
  // HTTP/1.0 has no upgrades (RFC 9110 §7.8).
  const isPlain = !asksForWebSocket(scan) || req.method !== 'GET' || req.httpVersionMinor === 0
  if (isPlain || hasBody(scan) || isOurs) return reinject(reenter, req, socket, head)
  edge.upgraded.add(socket)
  const res = answerOn(req, socket)
  const visit = admit(edge, { req, res, scan, socket, head, expectsContinue: false })
  if (visit === null) return
  guard(visit, () => {
    if (visit.place.kind === 'workspace') toWorkspace(visit, visit.place)
    else toDashboardSocket(visit, socket, head)
  })
}

/** Whatever fails below is logged and answered; an exception is never a yes, and never the end of the process. */
function guard(visit: Visit, act: () => void): void {
  try {
    act()
  } catch (err) {
    visit.edge.log.error('a request failed at the edge', { requestId: visit.requestId, err })
    try {
      answerCode(visit, 'internal')
    } catch {
      visit.res.destroy()
    }
  }
}

function toWorkspace(visit: Visit, place: WorkspacePlace): void {
  const { edge, seen } = visit
  if (visit.target.startsWith(paths.edgePrefix)) {
    seen.kind = RouteClass.own
    return edge.own(visit)
  }
  const facts = factsAt(visit, place, visit.method, visit.target, visit.socket !== null)
  if (facts.route !== undefined) seen.workspaceId = facts.route.workspaceId
  const user = userOf(facts.identity)
  if (user !== null) {
    seen.userId = user.id
    visit.peer.guest?.release()
  } else if (visit.peer.guest?.isOver === true) return answerCapped(visit, 'address_capped')
  if (facts.identity.kind === 'link') noteGuest(edge, facts.identity.sessionHash)
  else noteUse(edge, facts.identity, facts.nowMs)
  const decision = decide(facts)
  visit.allowOrigin = readingOrigin(facts, decision)
  if (decision.kind === 'allow') {
    if (visit.scan.viaCount > VIA_MAX) return answerCode(visit, 'loop_detected')
    const { route, port, identity } = decision
    if (!takeSeat(visit, route.workspaceId)) return
    // Without a right of its own, a credential does not bind the stream to its end either.
    const credential: Credential = identity.kind === 'anonymous' ? { kind: 'none' } : facts.credential
    if (edge.activity.isNews(identity, route, facts.nowMs))
      edge.activity.visited(identity, route, port, originOf(visit))
    return relayOf(visit, { place, route, port, identity, credential }).start()
  }
  noteDenial(visit, decision)
  if (decision.kind === 'sign-in' && wantsPage(visit)) return beginHandOff(visit, place, visit.target)
  answerDecision(visit, decision)
}
