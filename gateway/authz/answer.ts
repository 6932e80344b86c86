/** A decision comes in; the answer that a family's front understands goes out. Pure; anything unforeseen is a refusal. */
import { apiCodes, type ApiCode } from '../../control/wire/index.ts'
import type { Decision } from '../decide.ts'
import type { Family } from './families.ts'

/** What a refusal is, before it is dressed for the front and the visitor. */
export interface Refusal {
  readonly code: ApiCode
  /** A sign-in mends it. */
  readonly signIn: boolean
  readonly retryAfterSeconds: number | null
}

const refusal = (code: ApiCode, more: Partial<Omit<Refusal, 'code'>> = {}): Refusal => ({
  code,
  signIn: more.signIn ?? false,
  retryAfterSeconds: more.retryAfterSeconds ?? null,
})

/** Why a decision other than `allow` and `not-reachable` refuses, in the words of the API. */
export function refusalOf(decision: Exclude<Decision, { kind: 'allow' | 'not-reachable' }>): Refusal {
  switch (decision.kind) {
    case 'sign-in':
      return refusal('unauthenticated', { signIn: true })
    case 'not-found':
      return refusal('not_found')
    case 'refused':
      return refusal(decision.why === 'origin' ? 'wrong_origin' : 'missing_scope')
    case 'no-default-port':
      return refusal('upstream_unreachable')
    case 'stopped':
      return refusal('workspace_stopped', { retryAfterSeconds: 5 })
    case 'starting':
      return refusal('workspace_starting', { retryAfterSeconds: 2 })
    default:
      return refusal('unavailable', { retryAfterSeconds: 1 })
  }
}

/** nginx passes on 401 and 403 only: everything else would become a 500. */
export function statusFor(family: Family | null, code: ApiCode): number {
  const { status } = apiCodes[code]
  if (family !== 'auth-request') return status
  return status === 401 ? 401 : 403
}
