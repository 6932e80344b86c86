/** Public keys of identity assertions, as programs look them up. */
import { z } from 'zod'

/** `GET /.well-known/postern/jwks.json` on the dashboard's host: a JWK set (RFC 7517, RFC 8037). */
export const jwksSchema = z.object({
  keys: z.array(
    z.object({
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: z.string(),
      kid: z.string(),
      alg: z.literal('EdDSA'),
      use: z.literal('sig'),
    }),
  ),
})
export type Jwks = z.infer<typeof jwksSchema>
