/**
 * Requests of a front proxy's forward auth come in on a listener of their own; the proxy's own decision on the visitor's
 * request that they describe goes out, in the words that the front understands. Keeps nothing, asks nobody.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type EdgeRoute, paths, userOf } from '../../control/wire/index.ts'
import { readingOrigin } from '../decide/cors.ts'
import { type Decision, decide } from '../decide/decide.ts'
import { type Edge, nextRequestId, type Visit } from '../edge.ts'
import { factsOf, type GatheredFacts } from '../facts/facts.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { placeFor } from '../place.ts'
import { tokenEntries } from '../headers/protocols.ts'
import { noteGuest } from '../usage/guest-uses.ts'
import { noteUse } from '../usage/session-uses.ts'
import { type Scan, scanHeaders } from '../headers/scan.ts'
import { RouteClass } from '../seen/classes.ts'
import { Seen } from '../seen/seen.ts'
import { tellOver } from '../seen/tell.ts'
import { chainOf } from '../listeners/trust.ts'
import { type Allowed, allowHeaders, dialAddress, shortFields } from './allow.ts'
import { type Asked, type Family, familyOf, isDial, isGuard, readQuestion } from './families.ts'
import { headText, sendText, takesText } from './head.ts'
import { traefikProvider } from './provider.ts'
import { isPlain, RepeatedAnswers } from './repeated.ts'
import { refuse, refuseQuestion } from './refuse.ts'
import { guardPath } from './traefik.ts'

/** What the forward-auth listener needs beside the edge. */
export interface AuthzDoor {
  /** `address:port` of the main listener, for fronts that can't dial a workspace themselves. */
  posternAddress(): string
  /** Whether this peer is a front of ours: on an address that others reach too, only trusted proxies are. */
  mayAsk(req: IncomingMessage): boolean
  /** True once the gateway drains: answers end their connections then. */
  isEnding(): boolean
}

/**
 * Answers every request on the forward-auth listener; health and metrics are taken out before. The listener needs no
 * handler of upgrades: without one, Node hands Caddy's sub-requests of WebSockets over as plain requests.
 */
export function authzHandler(
  edge: Edge,
  door: AuthzDoor,
): (req: IncomingMessage, res: ServerResponse) => void {
  const provide = traefikProvider(edge, () => door.posternAddress())
  const full = new RepeatedAnswers()
  const short = new RepeatedAnswers()
  return (req, res) => {
    try {
      const target = req.url ?? ''
      if (!door.mayAsk(req)) return refuseQuestion(res, familyOf(target), 'forbidden', STRANGER)
      if (target === paths.traefikConfig) return provide(req, res)
      const question = readQuestion(req.method ?? '', target, req.rawHeaders)
      if (question.ok) {
        const sub = { req, res, family: question.family, dial: isDial(target), asked: question.asked }
        answer(edge, door, sub.dial ? short : full, sub)
      } else
        refuseQuestion(
          res,
          question.family,
          question.family === null ? 'not_found' : 'bad_request',
          question.why,
        )
    } catch (err) {
      edge.log.error('forward auth failed', { err })
      // Whatever it was: not a yes.
      refuseQuestion(res, null, 'unavailable')
    }
  }
}

const STRANGER = 'This address is not one of trusted_proxies.'
const NOT_DIALLED = 'Only Postern itself can serve this: hand the request to its main listener.'
const MOVED = 'The workspace has another address by now; the front will know it in a moment.'

interface Sub {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly family: Family
  /** The front dials by itself, and hands to Postern what it is refused. */
  readonly dial: boolean
  readonly asked: Asked
}

function answer(edge: Edge, door: AuthzDoor, repeated: RepeatedAnswers, sub: Sub): void {
  const startMs = performance.now()
  const { asked, req, res } = sub
  const { authority } = asked
  const scan = scanHeaders(req.rawHeaders)
  const nowMs = edge.now()
  if (door.isEnding()) res.shouldKeepAlive = false
  const bare = takesText(req, res) ? res : null
  const plain = bare !== null && !isGuard(req.url ?? '') && isPlain(asked, scan)
  const again = plain ? repeated.headFor(authority, scan.cookie, edge.table.changes, nowMs) : null
  if (again !== null && bare !== null) sendText(bare, again)
  else {
    const decided = decideAnew(edge, door, sub, scan, nowMs)
    if (decided === null) return
    const head = bare === null ? null : headText(scan, decided.allowed, sub.dial)
    if (bare === null || head === null) {
      const fields = allowHeaders(scan, decided.allowed)
      res.writeHead(200, sub.dial ? shortFields(fields) : fields).end()
    } else sendText(bare, head)
    if (plain && head !== null) repeated.keep(authority, scan.cookie, edge.table, { ...decided, head })
  }
  // Counted, but no line of the access log: the request is the front's, and so is its line.
  edge.counters.over(RouteClass.forwardAuth, '', 200, performance.now() - startMs, 0, 0)
}

interface Decided {
  readonly facts: GatheredFacts
  readonly route: EdgeRoute
  readonly allowed: Allowed
}

function refused(...answer: Parameters<typeof refuseQuestion>): null {
  refuseQuestion(...answer)
  return null
}

/** Decides on what is asked; null: it was refused, and that has been answered. */
function decideAnew(edge: Edge, door: AuthzDoor, sub: Sub, scan: Scan, nowMs: number): Decided | null {
  const { site, table } = edge
  const { family, asked, req, res } = sub
  const place = placeFor(edge, asked.authority)
  // The dashboard decides for itself, and the edge's own paths have nothing behind them to open.
  if (place.kind !== 'workspace') return refused(res, family, 'misdirected')
  if (asked.target.startsWith(paths.edgePrefix)) return refused(res, family, 'not_found')
  const { method, target, upgrade } = asked
  const facts = factsOf({ table, site, place, scan, method, target, upgrade, nowMs })
  if (facts.identity.kind === 'link') noteGuest(edge, facts.identity.sessionHash)
  else noteUse(edge, facts.identity, nowMs)
  const decision = decide(facts)
  const allowOrigin = readingOrigin(facts, decision)
  if (decision.kind !== 'allow')
    return refuseVisitor(edge, sub, { scan, place, facts, decision, allowOrigin })
  const { route, identity } = decision
  const postern = door.posternAddress()
  const through = postern !== '' && passesPostern(asked, scan)
  const dialled = through ? null : dialAddress(route, decision.port)
  if (sub.dial && dialled === null) return refused(res, family, 'unavailable', NOT_DIALLED)
  if (isGuard(req.url ?? '') && (dialled === null || req.url !== guardPath(route, dialled)))
    return refused(res, family, 'unavailable', MOVED, ['Retry-After', '1'])
  if (edge.activity.isNews(identity, route, nowMs)) {
    const ip = chainOf(edge.peerOf(req), scan.forwardedFor, edge.trusted).client
    const origin = { ip, userAgent: scan.userAgent.slice(0, 256), requestId: nextRequestId() }
    edge.activity.visited(identity, route, decision.port, origin)
  }
  return {
    facts,
    route,
    allowed: {
      identity,
      assertion: edge.assertions.of(identity, place.label, route.workspaceId, nowMs),
      upstream: dialled ?? postern,
      again: dialled === null,
      allowOrigin,
    },
  }
}

/**
 * WebSockets go through Postern itself: a front would keep one for as long as both ends like, whoever lost which right,
 * and only Postern takes a token out of what a handshake offers.
 */
const passesPostern = (asked: Asked, scan: Scan): boolean =>
  asked.upgrade || tokenEntries(scan.protocols).length > 0

interface Refused {
  readonly scan: Scan
  readonly place: WorkspacePlace
  readonly facts: GatheredFacts
  readonly decision: Exclude<Decision, { kind: 'allow' }>
  readonly allowOrigin: string | null
}

function refuseVisitor(edge: Edge, sub: Sub, refused: Refused): null {
  const { scan, place, facts, decision, allowOrigin } = refused
  const { family, asked, req, res } = sub
  const peer = edge.peerOf(req)
  const chain = chainOf(peer, scan.forwardedFor, edge.trusted)
  const requestId = nextRequestId()
  const { method, target } = asked
  const seen = new Seen(RouteClass.forwardAuth, requestId, chain.client, place.label, method, target)
  if (facts.route !== undefined) seen.workspaceId = facts.route.workspaceId
  seen.userId = userOf(facts.identity)?.id ?? ''
  const visit = visitOf(edge, sub, { scan, place, peer, chain, requestId, seen, allowOrigin })
  refuse(visit, family, place, decision)
  seen.status = res.statusCode
  tellOver(edge, seen)
  return null
}

/** The visitor's request as if it had come to the proxy's door. */
function visitOf(
  edge: Edge,
  sub: Sub,
  known: Pick<Visit, 'scan' | 'place' | 'peer' | 'chain' | 'requestId' | 'seen' | 'allowOrigin'>,
): Visit & { asked: Asked } {
  const { req, res, asked } = sub
  return {
    edge,
    req,
    res,
    asked,
    ...known,
    target: asked.target,
    method: asked.method,
    socket: null,
    head: null,
    expectsContinue: false,
    seat: null,
    relay: null,
  }
}
