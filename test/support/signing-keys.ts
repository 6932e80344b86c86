// A moment comes in; a key of identity assertions as gateways get it, and as programs look it up, comes out.
import { createHash, generateKeyPairSync } from 'node:crypto'
import { createLocalJWKSet, type JWTVerifyGetKey } from 'jose'
import type { EdgeFact, SigningKey } from '../../control/wire/index.ts'

/** Signs from then on. */
export function signingKey(signsFromMs: number): SigningKey {
  const { x = '', d = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return { kid: createHash('sha256').update(x).digest('base64url'), x, d, signsFromMs }
}

export const signingFact = (...row: SigningKey[]): EdgeFact => ({ kind: 'signing', row })

/** Their public parts. */
export const published = (...keys: SigningKey[]): JWTVerifyGetKey =>
  createLocalJWKSet({
    keys: keys.map(({ kid, x }) => ({ kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA' })),
  })
