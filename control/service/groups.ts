/** Commands about groups of people go in; rows change, and gateways hear of each person whom it touches. */
import type { Person } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { Group } from '../store/groups.ts'
import {
  deleteGroup,
  deleteMembership,
  findGroup,
  insertGroup,
  insertMembership,
  listMemberships,
} from '../store/groups.ts'
import { listGrants } from '../store/grants.ts'
import { deleteQuota } from '../store/quotas.ts'
import { findUser } from '../store/users.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { newId } from '../credentials/tokens.ts'
import { ApiError } from '../wire/index.ts'
import { tellJoining } from './break-glass.ts'
import { takeGrants } from './grants.ts'

/** Memberships that people make; a provider's are its own. */
const BY_HAND = ''

/** @throws ApiError name_taken */
export async function createGroup({ feed, now }: Deployment, name: string): Promise<Group> {
  const group: Group = { id: newId(), name, createdAtMs: now() }
  await feed.write(async (w) => {
    if ((await findGroup(w.db, { name })) !== null)
      throw new ApiError('name_taken', 'There is a group of that name already.')
    await insertGroup(w.db, group)
  })
  return group
}

/** With it go its memberships and the grants to it. @throws ApiError not_found, group_in_use while it owns workspaces */
export async function removeGroup({ feed }: Deployment, id: string): Promise<void> {
  await feed.write(async (w) => {
    if ((await findGroup(w.db, { id })) === null) throw new ApiError('not_found')
    if ((await listWorkspaces(w.db, { ownerGroupId: id, limit: 1 })).length > 0)
      throw new ApiError('group_in_use')
    const members = new Set((await listMemberships(w.db, { groupId: id })).map(({ userId }) => userId))
    await takeGrants(w, await listGrants(w.db, { subject: { kind: 'group', id } }))
    await deleteQuota(w.db, { kind: 'group', id })
    await deleteGroup(w.db, id)
    for (const userId of members) await w.changed('user', userId, userId)
  })
}

async function known(w: Writer, groupId: string, userId: string): Promise<Group> {
  const group = await findGroup(w.db, { id: groupId })
  if (group === null || (await findUser(w.db, { id: userId })) === null) throw new ApiError('not_found')
  return group
}

/**
 * Adding who is in it changes nothing. Who adds themself says why, where that opens workspaces of others to them.
 * @throws ApiError not_found, invalid_body
 */
export async function addMember(
  { feed, now }: Deployment,
  by: Person,
  { groupId, userId, reason }: { groupId: string; userId: string; reason: string | undefined },
): Promise<void> {
  await feed.write(async (w) => {
    const group = await known(w, groupId, userId)
    if (userId === by.id) await tellJoining(w, by, group, reason, now())
    if (await insertMembership(w.db, { groupId, userId, source: BY_HAND }))
      await w.changed('user', userId, userId)
  })
}

/** Taking out who isn't in it changes nothing. @throws ApiError not_found; synced_member where a provider says so */
export async function removeMember(
  { feed, options }: Deployment,
  groupId: string,
  userId: string,
): Promise<void> {
  await feed.write(async (w) => {
    await known(w, groupId, userId)
    const wasIn = await deleteMembership(w.db, { groupId, userId, source: BY_HAND })
    let isOut = wasIn
    for (const one of await listMemberships(w.db, { groupId, userId })) {
      // What a provider said that the operator has taken away, nobody else can take back.
      if (options.oidcProviders?.some(({ id }) => id === one.source) === true)
        throw new ApiError('synced_member')
      isOut = (await deleteMembership(w.db, one)) || isOut
    }
    if (isOut) await w.changed('user', userId, userId)
  })
}
