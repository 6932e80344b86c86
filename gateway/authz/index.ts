/**
 * Requests of a front proxy's forward auth come in on a listener of their own; the proxy's own decision on the visitor's
 * request that they describe goes out, in the words that the front understands. Keeps nothing, asks nobody.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { paths } from '../../control/wire/index.ts'
import { decide } from '../decide.ts'
import { type Edge, nextRequestId, type Visit } from '../edge.ts'
import { factsOf } from '../facts.ts'
import { pathOf, placeOfHostHeader } from '../host.ts'
import { scanHeaders } from '../scan.ts'
import { allowHeaders, dialAddress } from './allow.ts'
import { type Asked, type Family, readQuestion } from './families.ts'
import { refuse, refuseQuestion } from './refuse.ts'

const allowAlways = [
  'Cache-Control',
  'no-store',
  'Vary',
  'Cookie, Authorization, X-Postern-Token',
  'Content-Length',
  '0',
]

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
    // No body of a sub-request means anything to a decision.
    req.resume()
    try {
      const question = readQuestion(req.method ?? '', req.url ?? '', req.rawHeaders)
      if (question.ok) answer(edge, posternAddress, question.family, visitOf(edge, req, res, question.asked))
      else if (question.family === null) refuseQuestion(res, null, 'not_found')
      else refuseQuestion(res, question.family, 'bad_request', question.why)
    } catch (err) {
      edge.log.error('forward auth failed', { err })
      // Whatever it was: not a yes.
      refuseQuestion(res, null, 'unavailable')
    }
  }
}

/** The visitor's request as if it had come to the proxy's door. */
function visitOf(
  edge: Edge,
  req: IncomingMessage,
  res: ServerResponse,
  asked: Asked,
): Visit & { asked: Asked } {
  return {
    edge,
    req,
    res,
    asked,
    scan: scanHeaders(req.rawHeaders),
    place: placeOfHostHeader(asked.authority, edge.site),
    target: asked.target,
    method: asked.method,
    requestId: nextRequestId(),
    peer: edge.peerOf(req.socket),
    socket: null,
    head: null,
    expectsContinue: false,
  }
}

function answer(
  edge: Edge,
  posternAddress: () => string,
  family: Family,
  visit: Visit & { asked: Asked },
): void {
  const { site, table } = edge
  const { scan, place, asked, res } = visit
  // The dashboard decides for itself, and the edge's own paths have nothing behind them to open.
  if (place.kind !== 'workspace') return refuseQuestion(res, family, 'misdirected')
  if (pathOf(asked.target).startsWith(paths.edgePrefix)) return refuseQuestion(res, family, 'not_found')
  const { method, upgrade } = asked
  const decision = decide(factsOf({ table, site, place, scan, method, upgrade, nowMs: edge.now() }))
  if (decision.kind !== 'allow') return refuse(visit, family, place, decision)
  const upstream = dialAddress(decision.route.reach, decision.port)
  res.writeHead(200, [...allowHeaders(scan, decision.identity, upstream, posternAddress()), ...allowAlways])
  res.end()
}
