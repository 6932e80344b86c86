/** Signing keys at rest: row ⇄ object. The private part is sealed. */
import type { Db } from './open.ts'

export interface StoredSigningKey {
  /** Thumbprint of the public part (RFC 7638). */
  readonly kid: string
  /** The public part, base64url. */
  readonly x: string
  readonly sealed: string
  readonly signsFromMs: number
}

interface Row {
  kid: string
  x: string
  sealed: string
  signs_from_ms: number
}

/** In the order in which they sign. */
export async function listSigningKeys(db: Db): Promise<StoredSigningKey[]> {
  const rows = await db<Row>('signing_keys').orderBy(['signs_from_ms', 'kid'])
  return rows.map(({ kid, x, sealed, signs_from_ms: signsFromMs }) => ({ kid, x, sealed, signsFromMs }))
}

export async function insertSigningKey(db: Db, key: StoredSigningKey): Promise<void> {
  const { kid, x, sealed, signsFromMs } = key
  await db<Row>('signing_keys').insert({ kid, x, sealed, signs_from_ms: signsFromMs })
}

export async function deleteSigningKeys(db: Db, kids: readonly string[]): Promise<void> {
  await db<Row>('signing_keys')
    .whereIn('kid', [...kids])
    .delete()
}
