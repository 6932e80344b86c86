/** Rows of groups and grants go in; what users are shown of them comes out, with the names of whom and what they name. */
import { listGroups, listMemberships } from '../store/groups.ts'
import type { Group } from '../store/groups.ts'
import type { Grant } from '../store/grants.ts'
import { listHosts } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'
import { listUsers } from '../store/users.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import type { GrantView, GroupView } from '../wire/index.ts'

async function usernames(db: Db): Promise<Map<string, string>> {
  return new Map((await listUsers(db)).map(({ id, username }) => [id, username]))
}

/** Groups with who is in them, by name. */
export async function groupViews(db: Db, groups: readonly Group[]): Promise<GroupView[]> {
  if (groups.length === 0) return []
  const only = groups.length === 1 ? { groupId: groups[0]?.id ?? '' } : {}
  const memberships = await listMemberships(db, only)
  const names = await usernames(db)
  return groups.map(({ id, name, createdAtMs }) => ({
    id,
    name,
    createdAtMs,
    members: memberships
      .filter(({ groupId }) => groupId === id)
      .map(({ userId, source }) => ({ id: userId, username: names.get(userId) ?? '', source }))
      .sort((a, b) => (a.username < b.username ? -1 : 1)),
  }))
}

/** Grants in the order of the rows. */
export async function grantViews(db: Db, grants: readonly Grant[]): Promise<GrantView[]> {
  if (grants.length === 0) return []
  const ids = (kind: string): string[] => [
    ...new Set(grants.filter(({ objectKind }) => objectKind === kind).map(({ objectId }) => objectId)),
  ]
  const users = await usernames(db)
  const groups = new Map((await listGroups(db)).map(({ id, name }) => [id, name]))
  const named = new Map(
    [...(await listWorkspaces(db, { ids: ids('workspace') })), ...(await listHosts(db, ids('host')))].map(
      ({ id, name }) => [id, name],
    ),
  )
  return grants.map((grant) => ({
    id: grant.id,
    subject: {
      kind: grant.subjectKind,
      id: grant.subjectId,
      name: (grant.subjectKind === 'user' ? users : groups).get(grant.subjectId) ?? '',
    },
    // Templates and images are their names.
    object: {
      kind: grant.objectKind,
      id: grant.objectId,
      name: named.get(grant.objectId) ?? grant.objectId,
    },
    role: grant.role,
    ports: grant.ports === null ? null : [...grant.ports],
    capabilities: [...grant.capabilities],
    expiresAtMs: grant.expiresAtMs,
    reason: grant.reason,
    createdBy: { id: grant.createdBy, username: users.get(grant.createdBy) ?? null },
    createdAtMs: grant.createdAtMs,
  }))
}
