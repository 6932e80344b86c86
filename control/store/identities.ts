/** Who a provider's subject is here, at rest: row ⇄ object. A subject belongs to one user, a user to one subject of a provider. */
import type { Db } from './open.ts'

/** A subject as a provider names it. The issuer is part of it: another one behind the same id is another provider. */
export interface Subject {
  readonly provider: string
  readonly issuer: string
  readonly subject: string
}

interface Row {
  provider: string
  issuer: string
  subject: string
  user_id: string
  created_at_ms: number
}

/** The user of a subject; null: nobody yet. */
export async function userIdOf(db: Db, subject: Subject): Promise<string | null> {
  const row = await db<Row>('identities')
    .where({ provider: subject.provider, issuer: subject.issuer, subject: subject.subject })
    .first()
  return row?.user_id ?? null
}

/** Fails on a subject that is somebody's already, and on a user who has another one of this provider. */
export async function insertIdentity(
  db: Db,
  { provider, issuer, subject }: Subject,
  userId: string,
  nowMs: number,
): Promise<void> {
  await db<Row>('identities').insert({ provider, issuer, subject, user_id: userId, created_at_ms: nowMs })
}

/** False when there was none. */
export async function deleteIdentity(db: Db, provider: string, userId: string): Promise<boolean> {
  return (await db<Row>('identities').where({ provider, user_id: userId }).delete()) > 0
}

/** Ids of the providers by which each of these users signs in, sorted. */
export async function providersOf(
  db: Db,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>()
  const rows = await db<Row>('identities')
    .whereIn('user_id', [...userIds])
    .orderBy('provider')
  for (const { user_id: id, provider } of rows) found.set(id, [...(found.get(id) ?? []), provider])
  return found
}
