/** Groups of people at rest: row ⇄ object. A person may be in a group by several sources: by hand (''), by providers. */
import type { Db } from './open.ts'

export interface Group {
  readonly id: string
  readonly name: string
  readonly createdAtMs: number
}

export interface Membership {
  readonly groupId: string
  readonly userId: string
  /** '' for by hand, else the id of the sign-in provider that says so. */
  readonly source: string
}

interface Row {
  id: string
  name: string
  created_at_ms: number
}
interface MemberRow {
  group_id: string
  user_id: string
  source: string
}

const fromRow = (row: Row): Group => ({ id: row.id, name: row.name, createdAtMs: row.created_at_ms })
const toMemberRow = (one: Membership): MemberRow => ({
  group_id: one.groupId,
  user_id: one.userId,
  source: one.source,
})

/** Fails on a name that is there already. */
export async function insertGroup(db: Db, group: Group): Promise<void> {
  await db<Row>('groups').insert({ id: group.id, name: group.name, created_at_ms: group.createdAtMs })
}

export async function findGroup(db: Db, by: { id: string } | { name: string }): Promise<Group | null> {
  const row = await db<Row>('groups').where(by).first()
  return row === undefined ? null : fromRow(row)
}

/** In the order of their names: all, those named, or those that a user is in. */
export async function listGroups(
  db: Db,
  choice: { readonly ids?: readonly string[]; readonly userId?: string } = {},
): Promise<Group[]> {
  const query = db<Row>('groups').orderBy('name')
  if (choice.ids !== undefined) query.whereIn('id', [...choice.ids])
  if (choice.userId !== undefined)
    query.whereIn('id', db<MemberRow>('group_members').where({ user_id: choice.userId }).select('group_id'))
  return (await query).map(fromRow)
}

/** Its memberships go with it. */
export async function deleteGroup(db: Db, id: string): Promise<void> {
  await db<Row>('groups').where({ id }).delete()
}

/** A statement takes only so many values. */
const IDS_MAX = 500

/** All, or those of a group, of a user, of a source; or at least those of some users. */
export async function listMemberships(
  db: Db,
  choice: Partial<Membership> & { readonly userIds?: readonly string[] } = {},
): Promise<Membership[]> {
  if (choice.userIds?.length === 0) return []
  const query = db<MemberRow>('group_members').orderBy(['group_id', 'user_id', 'source'])
  if (choice.groupId !== undefined) query.where({ group_id: choice.groupId })
  if (choice.userId !== undefined) query.where({ user_id: choice.userId })
  if (choice.userIds !== undefined && choice.userIds.length <= IDS_MAX)
    query.whereIn('user_id', [...choice.userIds])
  if (choice.source !== undefined) query.where({ source: choice.source })
  return (await query).map((row) => ({ groupId: row.group_id, userId: row.user_id, source: row.source }))
}

/** False when it was so already. */
export async function insertMembership(db: Db, membership: Membership): Promise<boolean> {
  const row = toMemberRow(membership)
  if ((await db<MemberRow>('group_members').where(row).first()) !== undefined) return false
  await db<MemberRow>('group_members').insert(row)
  return true
}

/** False when there was none. */
export async function deleteMembership(db: Db, membership: Membership): Promise<boolean> {
  return (await db<MemberRow>('group_members').where(toMemberRow(membership)).delete()) > 0
}
