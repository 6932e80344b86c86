/** Rows that use keeps alive go in, of people and of visitors without an account: their end moves, or they are gone. */
import type { Db } from './open.ts'

/** Both are known by the hash of a secret, and say when they were used and when they end. */
export type SlidingTable = 'sessions' | 'guests'

interface Row {
  hash: string
  last_used_at_ms: number
  expires_at_ms: number
}

/** Moves the end of one. */
export async function slideEnd(
  db: Db,
  table: SlidingTable,
  hash: string,
  times: { readonly lastUsedAtMs: number; readonly expiresAtMs: number },
): Promise<void> {
  await db<Row>(table)
    .where({ hash })
    .update({ last_used_at_ms: times.lastUsedAtMs, expires_at_ms: times.expiresAtMs })
}

/** Deletes these; in `sessions`, children go with their parents. */
export async function deleteByHash(db: Db, table: SlidingTable, hashes: readonly string[]): Promise<void> {
  await db<Row>(table)
    .whereIn('hash', [...hashes])
    .delete()
}
