/** Chance goes in, ids and bearer secrets come out; at rest there is only the hash of a secret. */
import { createHash, randomBytes } from 'node:crypto'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** An id of 20 small letters and digits: 100 bits of chance. */
export function newId(): string {
  return [...randomBytes(20)].map((byte) => alphabet.charAt(byte & 31)).join('')
}

export type TokenPrefix = 'pst_' | 'psj_' | 'psa_' | 'psi_' | 'psg_' | 'psr_' | 'psv_' | 'psl_' | ''

/** A bearer secret of 256 bits, base64url after its prefix. */
export function newToken(prefix: TokenPrefix): string {
  return prefix + randomBytes(32).toString('base64url')
}

/** The form in which a secret is stored and travels to gateways: lower-case hex SHA-256. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
