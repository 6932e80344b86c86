/** One-time links to set a password or to become a user, at rest: row ⇄ object. Only hashes of their secrets are here. */
import { roles } from '../wire/index.ts'
import type { Role } from '../wire/index.ts'
import type { Db } from './open.ts'

export interface ResetLink {
  readonly hash: string
  readonly id: string
  readonly userId: string
  readonly expiresAtMs: number
}

interface ResetRow {
  hash: string
  id: string
  user_id: string
  expires_at_ms: number
}

/** The newest link of a user is the only one that works. */
export async function replaceResetLink(db: Db, link: ResetLink): Promise<void> {
  await deleteResetLinks(db, link.userId)
  await db<ResetRow>('reset_links').insert({
    hash: link.hash,
    id: link.id,
    user_id: link.userId,
    expires_at_ms: link.expiresAtMs,
  })
}

/** Whose password the link sets, without using it up; null: it sets none now. */
export async function findResetLink(db: Db, hash: string, nowMs: number): Promise<string | null> {
  const row = await db<ResetRow>('reset_links').where({ hash }).andWhere('expires_at_ms', '>', nowMs).first()
  return row?.user_id ?? null
}

/** Whose password the link sets, given to the first who asks in time, and to nobody after. */
export async function takeResetLink(db: Db, hash: string, nowMs: number): Promise<string | null> {
  const userId = await findResetLink(db, hash, nowMs)
  return (await db<ResetRow>('reset_links').where({ hash }).delete()) === 1 ? userId : null
}

export async function deleteResetLinks(db: Db, userId: string): Promise<void> {
  await db<ResetRow>('reset_links').where({ user_id: userId }).delete()
}

export async function deleteAllResetLinks(db: Db): Promise<void> {
  await db<ResetRow>('reset_links').delete()
}

export interface Invitation {
  readonly id: string
  readonly hash: string
  /** Whom it is for, where the administrator said so. */
  readonly email: string | null
  readonly role: Role
  readonly groupIds: readonly string[]
  /** The administrator's id. */
  readonly createdBy: string
  readonly createdAtMs: number
  readonly expiresAtMs: number
  /** The id of the user who came of it; null: nobody yet. */
  readonly usedBy: string | null
}

interface Row {
  id: string
  hash: string
  email: string | null
  role: string
  group_ids: string
  created_by: string
  created_at_ms: number
  expires_at_ms: number
  used_by: string | null
}

const fromRow = (row: Row): Invitation => ({
  id: row.id,
  hash: row.hash,
  email: row.email,
  // What isn't known here gives the least.
  role: roles.find((role) => role === row.role) ?? 'member',
  groupIds: JSON.parse(row.group_ids) as string[],
  createdBy: row.created_by,
  createdAtMs: row.created_at_ms,
  expiresAtMs: row.expires_at_ms,
  usedBy: row.used_by,
})

export async function insertInvitation(db: Db, invitation: Invitation): Promise<void> {
  await db<Row>('invitations').insert({
    id: invitation.id,
    hash: invitation.hash,
    email: invitation.email,
    role: invitation.role,
    group_ids: JSON.stringify(invitation.groupIds),
    created_by: invitation.createdBy,
    created_at_ms: invitation.createdAtMs,
    expires_at_ms: invitation.expiresAtMs,
    used_by: invitation.usedBy,
  })
}

/** Newest first; used and expired ones too, until they are swept. */
export async function listInvitations(db: Db): Promise<Invitation[]> {
  return (await db<Row>('invitations').orderBy('created_at_ms', 'desc')).map(fromRow)
}

/** The open one behind a link, or the oldest open one for an e-mail address, whatever its capitals. */
export async function findOpenInvitation(
  db: Db,
  by: { readonly hash: string } | { readonly email: string },
  nowMs: number,
): Promise<Invitation | null> {
  const where = 'hash' in by ? { hash: by.hash } : { email: by.email.toLowerCase() }
  const row = await db<Row>('invitations')
    .where(where)
    .whereNull('used_by')
    .where('expires_at_ms', '>', nowMs)
    .orderBy('created_at_ms')
    .first()
  return row === undefined ? null : fromRow(row)
}

/** True for the first user who takes it. */
export async function useInvitation(db: Db, id: string, userId: string): Promise<boolean> {
  return (await db<Row>('invitations').where({ id }).whereNull('used_by').update({ used_by: userId })) === 1
}

/** Gives the one that is gone now; null: there was none. */
export async function deleteInvitation(db: Db, id: string): Promise<Invitation | null> {
  const row = await db<Row>('invitations').where({ id }).first()
  if (row === undefined || (await db<Row>('invitations').where({ id }).delete()) === 0) return null
  return fromRow(row)
}

/** Revokes what this administrator invited to and nobody has accepted. */
export async function deleteOpenInvitations(db: Db, createdBy: string): Promise<void> {
  await db<Row>('invitations').where({ created_by: createdBy }).whereNull('used_by').delete()
}

/** What expired before is forgotten. */
export async function deleteAccountLinks(db: Db, nowMs: number, keptMs: number): Promise<void> {
  await db<ResetRow>('reset_links').where('expires_at_ms', '<=', nowMs).delete()
  await db<Row>('invitations')
    .where('expires_at_ms', '<=', nowMs - keptMs)
    .delete()
}
