/** What openid-client throws comes in; an error of ours with a code and our own words comes out, the provider's only as cause. */
import { ApiError } from '../wire/index.ts'
import type { ApiCode } from '../wire/index.ts'

/** The refusal with which a provider says that it will never sign this person in again by this token (RFC 6749 §5.2). */
export const isGone = (err: unknown): boolean =>
  (err as { code?: unknown }).code === 'OAUTH_RESPONSE_BODY_ERROR' &&
  (err as { error?: unknown }).error === 'invalid_grant'

/** Errors of an authorisation answer (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6) that a person can do something about. */
const refusals: Readonly<Record<string, string>> = {
  access_denied: 'You, or the provider, said no.',
  login_required: 'It wants you to sign in there first.',
  consent_required: 'It wants your consent.',
  interaction_required: 'It wants to ask you something.',
  account_selection_required: 'It wants you to choose an account.',
}
const away = new Set(['temporarily_unavailable', 'server_error'])

const AWAY = new Set([
  'OAUTH_TIMEOUT',
  'OAUTH_ABORT',
  'OAUTH_RESPONSE_IS_NOT_CONFORM',
  'OAUTH_RESPONSE_IS_NOT_JSON',
  'OAUTH_PARSE_ERROR',
])

function wordsOf(err: {
  code?: unknown
  error?: unknown
  name?: unknown
}): [ApiCode, string?] | [ApiCode, string | undefined] {
  const { code, error } = err
  const said = typeof error === 'string' ? error : ''
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR')
    return away.has(said) ? ['provider_away'] : ['provider_refused', refusals[said]]
  if (code === 'OAUTH_RESPONSE_BODY_ERROR') {
    if (said === 'invalid_grant') return ['provider_answer', 'It was used before, or came too late.']
    if (said === 'invalid_client' || said === 'unauthorized_client')
      return ['provider_away', 'It does not accept this server: client_id or client_secret is wrong.']
    return ['provider_away']
  }
  if (code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED') return ['provider_clock']
  if (typeof code === 'string' && AWAY.has(code)) return ['provider_away']
  // fetch throws this for everything on the network; a mistake of ours has a code.
  if (err instanceof TypeError && code === undefined) return ['provider_away']
  const isTheirs = err.name === 'ClientError' || (typeof code === 'string' && code.startsWith('OAUTH_'))
  return [isTheirs ? 'provider_answer' : 'internal']
}

/** An error of ours passes untouched. */
export function failureOf(err: unknown): ApiError {
  if (err instanceof ApiError) return err
  const [code, detail] = wordsOf((err ?? {}) as { code?: unknown })
  return new ApiError(code, detail, { cause: err })
}
