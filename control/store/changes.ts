/** The change feed at rest: one row a change, its revision taken from one counter, so that commit order is revision order. */
import type { Db } from './open.ts'

export type ChangeKind =
  | 'workspace'
  | 'access'
  | 'timeline'
  | 'user'
  | 'session'
  | 'token'
  | 'host'
  /** Of a host: nothing but how it says that it is. */
  | 'health'
  | 'desired'
  | 'gateway'
  | 'signing'
  | 'gateway-key'
  | 'settings'
  | 'quota'
  | 'access-request'

/** `subject` is the id (of a session or token: the hash) of what changed; `audience` the user it concerns, null: administrators. */
export interface Change {
  readonly revision: number
  readonly kind: ChangeKind
  readonly subject: string
  readonly audience: string | null
}

/** Makes this transaction the only writer until it ends: the row of the counter is the lock. */
export async function lockFeed(db: Db): Promise<void> {
  await db('counters')
    .where({ name: 'revision' })
    .update({ value: db.ref('value') })
}

/** Appends a change and gives its revision; only inside a transaction that holds the lock. */
export async function appendChange(
  db: Db,
  kind: ChangeKind,
  subject: string,
  audience: string | null,
): Promise<number> {
  const rows = await db('counters').where({ name: 'revision' }).increment('value', 1).returning('value')
  const revision = Number((rows[0] as { value: number }).value)
  await db('changes').insert({ revision, kind, subject, audience })
  return revision
}

async function counter(db: Db, name: 'revision' | 'pruned'): Promise<number> {
  const row = await db<{ name: string; value: number }>('counters').where({ name }).first('value')
  return Number(row?.value ?? 0)
}

/** The newest revision, and the newest one that was pruned: a cursor below that has missed something. */
export async function readRevisions(db: Db): Promise<{ newest: number; pruned: number }> {
  return { newest: await counter(db, 'revision'), pruned: await counter(db, 'pruned') }
}

/** All changes after a revision, oldest first. */
export async function changesAfter(db: Db, revision: number): Promise<Change[]> {
  return db<Change>('changes').where('revision', '>', revision).orderBy('revision')
}

/** Forgets all but the newest `keep` changes. */
export async function pruneChanges(db: Db, keep: number): Promise<void> {
  const { newest, pruned } = await readRevisions(db)
  const upTo = newest - keep
  if (upTo <= pruned) return
  await db('changes').where('revision', '<=', upTo).delete()
  await db('counters').where({ name: 'pruned' }).update({ value: upTo })
}
