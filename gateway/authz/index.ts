/**
 * Requests of a front proxy's forward auth come in on a listener of their own; the proxy's own decision on the visitor's
 * request that they describe goes out, in the words that the front understands. Keeps nothing, asks nobody.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '@postern/plugin'
import { paths } from '../../control/wire/index.ts'
import { decide } from '../decide.ts'
import { factsOf } from '../facts.ts'
import { pathOf, placeOfHostHeader } from '../host.ts'
import { scanHeaders } from '../scan.ts'
import type { Site } from '../site.ts'
import type { Table } from '../table.ts'
import type { Blocks } from '../trust.ts'
import { allowHeaders, dialAddress } from './allow.ts'
import { type Asked, type Family, readQuestion } from './families.ts'
import { refusal, refusalOf, refuse } from './refuse.ts'

/** What the forward-auth endpoints decide with. */
export interface AuthzDeps {
  readonly site: Site
  readonly table: Table
  /** Peers whose word is taken; on a unix socket the peer's address is ''. */
  readonly trusted: Blocks
  readonly log: Logger
  /** `address:port` of Postern's main listener, for fronts that can't dial a workspace themselves. */
  posternAddress(): string
  now(): number
}

const allowAlways = [
  'Cache-Control',
  'no-store',
  'Vary',
  'Cookie, Authorization, X-Postern-Token',
  'Content-Length',
  '0',
]

/** Answers every request on the forward-auth listener; health and metrics are taken out before. */
export function authzHandler(deps: AuthzDeps): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    // No body of a sub-request means anything to a decision.
    req.resume()
    try {
      const question = readQuestion(req.method ?? '', req.url ?? '', req.rawHeaders)
      if (question.ok) answer(deps, question.family, question.asked, req.rawHeaders, res)
      else if (question.family === null) refuse(res, { refusal: refusal('not_found'), family: null })
      else {
        const { family, why } = question
        refuse(res, { refusal: refusal('bad_request', { detail: why }), family })
      }
    } catch (err) {
      deps.log.error('forward auth failed', { err })
      // Whatever it was: not a yes.
      refuse(res, { refusal: refusal('unavailable'), family: null })
    }
  }
}

function answer(
  deps: AuthzDeps,
  family: Family,
  asked: Asked,
  rawHeaders: readonly string[],
  res: ServerResponse,
): void {
  const { site, table } = deps
  const place = placeOfHostHeader(asked.authority, site)
  // The dashboard decides for itself, and the edge's own paths have nothing behind them to open.
  if (place.kind !== 'workspace') return refuse(res, { refusal: refusal('misdirected'), family })
  const scan = scanHeaders(rawHeaders)
  const at = { site, scan, place, asked }
  if (pathOf(asked.target).startsWith(paths.edgePrefix))
    return refuse(res, { refusal: refusal('not_found'), family, at })
  const { method, upgrade } = asked
  const decision = decide(factsOf({ table, site, place, scan, method, upgrade, nowMs: deps.now() }))
  if (decision.kind !== 'allow') return refuse(res, { refusal: refusalOf(decision), family, at })
  const upstream = dialAddress(decision.route.reach, decision.port)
  res.writeHead(200, [
    ...allowHeaders(scan, decision.identity, upstream, deps.posternAddress()),
    ...allowAlways,
  ])
  res.end()
}
