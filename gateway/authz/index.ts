/**
 * Requests of a front proxy's forward auth come in on a listener of their own; the proxy's own decision on the visitor's
 * request that they describe goes out, in the words that the front understands. Keeps nothing, asks nobody.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { paths } from '../../control/wire/index.ts'
import { readingOrigin } from '../cors.ts'
import { decide } from '../decide.ts'
import { placeFor } from '../dispatch.ts'
import { type Edge, nextRequestId, type Visit } from '../edge.ts'
import { factsOf } from '../facts.ts'
import { scanHeaders } from '../scan.ts'
import { RouteClass } from '../seen/classes.ts'
import { Seen } from '../seen/seen.ts'
import { tellOver } from '../seen/tell.ts'
import { chainOf } from '../trust.ts'
import { allowHeaders, dialAddress } from './allow.ts'
import { type Asked, type Family, readQuestion } from './families.ts'
import { refuse, refuseQuestion } from './refuse.ts'

/**
 * Answers every request on the forward-auth listener; health and metrics are taken out before. `posternAddress` is the
 * `address:port` of the main listener, for fronts that can't dial a workspace themselves. The listener needs no handler
 * of upgrades: without one, Node hands Caddy's sub-requests of WebSockets over as plain requests.
 */
export function authzHandler(
  edge: Edge,
  posternAddress: () => string,
): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    try {
      const question = readQuestion(req.method ?? '', req.url ?? '', req.rawHeaders)
      if (question.ok) answer(edge, posternAddress, { ...question, req, res })
      else
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

interface Sub {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly family: Family
  readonly asked: Asked
}

function answer(edge: Edge, posternAddress: () => string, sub: Sub): void {
  const { site, table } = edge
  const { family, asked, res } = sub
  const place = placeFor(edge, asked.authority)
  // The dashboard decides for itself, and the edge's own paths have nothing behind them to open.
  if (place.kind !== 'workspace') return refuseQuestion(res, family, 'misdirected')
  if (asked.target.startsWith(paths.edgePrefix)) return refuseQuestion(res, family, 'not_found')
  const scan = scanHeaders(sub.req.rawHeaders)
  const facts = factsOf({ ...asked, table, site, place, scan, nowMs: edge.now() })
  const decision = decide(facts)
  const allowOrigin = readingOrigin(facts, decision)
  const peer = edge.peerOf(sub.req)
  const chain = chainOf(peer, scan.forwardedFor, edge.trusted)
  const requestId = nextRequestId()
  const seen = new Seen(
    RouteClass.forwardAuth,
    requestId,
    chain.client,
    place.label,
    asked.method,
    asked.target,
  )
  if (facts.route !== undefined) seen.workspaceId = facts.route.workspaceId
  if (facts.identity.kind !== 'anonymous') seen.userId = facts.identity.user.id
  if (decision.kind !== 'allow') {
    refuse(
      visitOf(edge, sub, { scan, place, peer, chain, requestId, seen, allowOrigin }),
      family,
      place,
      decision,
    )
    seen.status = res.statusCode
    return tellOver(edge, seen)
  }
  seen.port = decision.port
  const upstream = dialAddress(decision.route, decision.port)
  res.writeHead(200, allowHeaders(scan, decision.identity, allowOrigin, upstream, posternAddress()))
  res.end()
  seen.status = 200
  tellOver(edge, seen)
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
