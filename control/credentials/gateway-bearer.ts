/** The fields of a gateway's call go in; the secret that this door takes comes out, or a refusal that names the right one. */
import type { Call } from '../api/call.ts'
import { ApiError } from '../wire/index.ts'

const bearer = (headers: Call['headers']): string =>
  /^Bearer (\S{1,2048})$/.exec(String(headers['authorization'] ?? ''))?.[1] ?? ''

/** The long-lived credential, where it is exchanged. @throws ApiError gateway_unknown */
export function gatewayCredential(headers: Call['headers']): string {
  const given = bearer(headers)
  if (/^psg_[A-Za-z0-9_-]{20,100}$/.test(given)) return given
  throw new ApiError('gateway_unknown', 'A gateway sends its credential as Bearer here.')
}

/** The short-lived token, everywhere else; where gateways join, a join token too. @throws ApiError gateway_token_refused */
export function gatewayToken(headers: Call['headers']): string {
  const given = bearer(headers)
  if (given.startsWith('psg_'))
    throw new ApiError(
      'gateway_token_refused',
      'The credential itself is not taken here, only a token for it.',
    )
  if (given === '') throw new ApiError('gateway_token_refused', 'A gateway sends a token as Bearer.')
  return given
}
