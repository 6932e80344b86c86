/** Single facts of the deployment at rest: its id, the guard of set-up, the tokens that open set-up. */
import type { Db } from './open.ts'

export type FactName = 'deployment_id' | 'set_up_by' | 'key_check' | 'max_visibility'

export async function readFact(db: Db, name: FactName): Promise<string | null> {
  const row = await db<{ name: string; value: string }>('facts').where({ name }).first()
  return row?.value ?? null
}

/** Stores a fact that is settled once; gives what is stored, also when someone was first. */
export async function settleFact(db: Db, name: FactName, value: string): Promise<string> {
  await db('facts').insert({ name, value }).onConflict('name').ignore()
  return (await readFact(db, name)) ?? value
}

export async function insertSetupToken(db: Db, hash: string, nowMs: number): Promise<void> {
  await db('setup_tokens').insert({ hash, created_at_ms: nowMs })
}

export async function hasSetupToken(db: Db, hash: string): Promise<boolean> {
  return (await db('setup_tokens').where({ hash }).first()) !== undefined
}

/** Forgets those made before `beforeMs`; all of them without. */
export async function deleteSetupTokens(db: Db, beforeMs?: number): Promise<void> {
  const query = db('setup_tokens')
  if (beforeMs !== undefined) query.where('created_at_ms', '<', beforeMs)
  await query.delete()
}

/** Replaces a fact. */
export async function replaceFact(db: Db, name: FactName, value: string): Promise<void> {
  await db('facts').insert({ name, value }).onConflict('name').merge()
}
