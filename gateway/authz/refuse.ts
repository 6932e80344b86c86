/** A refusal comes in; the answer that a family's front understands goes out. Anything unforeseen is a refusal. */
import type { ServerResponse } from 'node:http'
import { ApiError, type ApiCode } from '../../control/wire/index.ts'
import type { Decision } from '../decide.ts'
import { nextRequestId } from '../edge.ts'
import type { WorkspacePlace } from '../host.ts'
import { isNavigation, type Scan } from '../scan.ts'
import { type Site, workspaceOrigin } from '../site.ts'
import type { Asked, Family } from './families.ts'

/** What a refusal is, before it is dressed for the front and the visitor. */
export interface Refusal {
  readonly code: ApiCode
  readonly detail: string | undefined
  readonly retryAfterSeconds: number | undefined
}

/** A refusal by its code; `detail` is for whoever set up the front. */
export function refusal(
  code: ApiCode,
  more: { readonly detail?: string; readonly retryAfterSeconds?: number } = {},
): Refusal {
  return { code, detail: more.detail, retryAfterSeconds: more.retryAfterSeconds }
}

/** Why a decision refuses, in the words of the API. */
export function refusalOf(decision: Exclude<Decision, { kind: 'allow' }>): Refusal {
  switch (decision.kind) {
    case 'sign-in':
      return refusal('unauthenticated')
    case 'not-found':
      return refusal('not_found')
    case 'refused':
      return refusal(decision.why === 'origin' ? 'wrong_origin' : 'missing_scope')
    case 'no-default-port':
      return refusal('upstream_unreachable')
    case 'not-reachable':
      return refusal('not_reachable_directly')
    case 'stopped':
      return refusal('workspace_stopped', { retryAfterSeconds: 5 })
    case 'starting':
      return refusal('workspace_starting', { retryAfterSeconds: 2 })
    default:
      return refusal('unavailable', { retryAfterSeconds: 1 })
  }
}

/** What is refused, to whose question, and what the visitor asked for where that was a workspace host. */
export interface Refused {
  readonly refusal: Refusal
  readonly family: Family | null
  readonly at?: {
    readonly site: Site
    readonly scan: Scan
    readonly place: WorkspacePlace
    readonly asked: Asked
  }
}

/** Where a signed-out visitor begins: on the workspace's own host, as a front can't set the flow's cookie for us. */
function signInLocation({ site, place, asked }: NonNullable<Refused['at']>): string {
  return `${workspaceOrigin(site, place.label)}/.postern/sign-in?to=${encodeURIComponent(asked.target)}`
}

/** nginx passes on 401 and 403 only; all else it makes a 500. */
function statusFor(family: Family | null, err: ApiError): number {
  if (family !== 'auth-request') return err.status
  return err.status === 401 ? 401 : 403
}

/** Sends the refusal: 303 to the sign-in for a person, the API's problem for a program, 401 or 403 for nginx. */
export function refuse(res: ServerResponse, refused: Refused): void {
  const { family, at } = refused
  const { code, detail, retryAfterSeconds } = refused.refusal
  const err = new ApiError(code, detail)
  const headers = [
    'Cache-Control',
    'no-store',
    'Vary',
    'Cookie, Authorization, X-Postern-Token',
    'X-Content-Type-Options',
    'nosniff',
  ]
  let status = statusFor(family, err)
  if (code === 'unauthenticated' && at !== undefined) {
    if (isNavigation(at.scan) && !at.asked.upgrade) {
      headers.push('Location', signInLocation(at))
      if (family !== 'auth-request') status = 303
    } else headers.push('WWW-Authenticate', 'Bearer realm="Postern"')
  }
  if (retryAfterSeconds !== undefined) headers.push('Retry-After', String(retryAfterSeconds))
  const body = status === 303 ? '' : JSON.stringify(err.problem(nextRequestId()))
  if (body !== '') headers.push('Content-Type', 'application/problem+json')
  headers.push('Content-Length', String(Buffer.byteLength(body)))
  res.writeHead(status, headers)
  res.end(body)
}
