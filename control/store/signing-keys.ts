/** Signing keys at rest: row ⇄ object. The private part is sealed. */
import type { Db } from './open.ts'

/** `assertion`: statements on visitors, signed by gateways. `gateway`: gateways' own tokens, signed by control alone. */
export type KeyPurpose = 'assertion' | 'gateway'

export interface StoredSigningKey {
  /** Thumbprint of the public part (RFC 7638). */
  readonly kid: string
  /** The public part, base64url. */
  readonly x: string
  readonly sealed: string
  readonly signsFromMs: number
  readonly purpose: KeyPurpose
}

interface Row {
  kid: string
  x: string
  sealed: string
  signs_from_ms: number
  purpose: KeyPurpose
}

/** Those of one purpose, in the order in which they sign. */
export async function listSigningKeys(db: Db, purpose: KeyPurpose): Promise<StoredSigningKey[]> {
  const rows = await db<Row>('signing_keys').where({ purpose }).orderBy(['signs_from_ms', 'kid'])
  return rows.map(({ kid, x, sealed, signs_from_ms: signsFromMs }) => ({
    kid,
    x,
    sealed,
    signsFromMs,
    purpose,
  }))
}

export async function insertSigningKey(db: Db, key: StoredSigningKey): Promise<void> {
  const { kid, x, sealed, signsFromMs, purpose } = key
  await db<Row>('signing_keys').insert({ kid, x, sealed, signs_from_ms: signsFromMs, purpose })
}

export async function deleteSigningKeys(db: Db, kids: readonly string[]): Promise<void> {
  await db<Row>('signing_keys')
    .whereIn('kid', [...kids])
    .delete()
}
