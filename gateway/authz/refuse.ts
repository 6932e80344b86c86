/** A refusal comes in; the answer that a family's front understands goes out. Anything unforeseen is a refusal. */
import type { ServerResponse } from 'node:http'
import { ApiError, type ApiCode } from '../../control/wire/index.ts'
import { answerDecision, noteDenial, sendRedirect } from '../pages/answer.ts'
import type { Decision } from '../decide/decide.ts'
import { nextRequestId, type Visit } from '../edge.ts'
import { entryLocation } from '../flows/enter.ts'
import { passwordLocation } from '../flows/password.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { isNavigation } from '../headers/scan.ts'
import { unkept } from './allow.ts'
import type { Asked, Family } from './families.ts'

/** For whoever set up the front. */
const PREFLIGHT =
  'Preflights are answered by Postern’s own listener: route OPTIONS with Access-Control-Request-Method there.'

const headersAlways = [
  ...unkept,
  'X-Content-Type-Options',
  'nosniff',
  'Content-Type',
  'application/problem+json',
]

/** nginx passes on 401 and 403 only; all else it makes a 500. */
function statusFor(family: Family | null, err: ApiError): number {
  if (family !== 'auth-request') return err.status
  return err.status === 401 ? 401 : 403
}

/** Refuses a question that no decision was made on; `detail` is for whoever set up the front. */
export function refuseQuestion(
  res: ServerResponse,
  family: Family | null,
  code: ApiCode,
  detail?: string,
  headers: readonly string[] = [],
): void {
  const err = new ApiError(code, detail)
  const body = Buffer.from(JSON.stringify(err.problem(nextRequestId())))
  res.writeHead(statusFor(family, err), [...headersAlways, ...headers, 'Content-Length', String(body.length)])
  res.end(body)
}

/**
 * Refuses as the proxy itself would: the same pages and problems, but that a person who is signed out is sent to begin
 * on the workspace's own host, as a front can't set the flow's cookie for us; nginx hears 401 and 403 only.
 */
export function refuse(
  visit: Visit & { readonly asked: Asked },
  family: Family,
  place: WorkspacePlace,
  decision: Exclude<Decision, { kind: 'allow' }>,
): void {
  const { edge, res, scan, asked } = visit
  noteDenial(visit, decision)
  // A front takes each 2xx for a yes, and would let the preflight through to the app.
  if (decision.kind === 'preflight') return refuseQuestion(res, family, 'forbidden', PREFLIGHT)
  const isPerson = isNavigation(scan) && !asked.upgrade
  if (family === 'auth-request') {
    const isPassword = decision.kind === 'password'
    const isUnknown = decision.kind === 'sign-in' || isPassword
    const code = isPassword ? 'password_required' : isUnknown ? 'unauthenticated' : 'forbidden'
    const location = isPassword
      ? passwordLocation(edge.site, place, asked.target)
      : entryLocation(edge.site, place, asked.target)
    return refuseQuestion(res, family, code, undefined, [
      'X-Postern-Allow-Origin',
      visit.allowOrigin ?? '',
      ...(isUnknown
        ? isPerson
          ? ['Location', location]
          : ['WWW-Authenticate', 'Bearer realm="postern"']
        : []),
    ])
  }
  if (decision.kind === 'sign-in' && isPerson)
    return sendRedirect(visit, entryLocation(edge.site, place, asked.target))
  answerDecision(visit, decision)
}
