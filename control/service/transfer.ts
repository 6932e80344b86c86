/** A workspace and its next owner go in; it changes hands in one transaction, or a coded refusal says why not. */
import type { Person } from '../authorization/authorization.ts'
import { barrier, routeNeeds } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { listAccessRequests } from '../store/access-requests.ts'
import type { Grant } from '../store/grants.ts'
import { deleteGrants, insertGrant, listGrants } from '../store/grants.ts'
import { findGroup, listMemberships } from '../store/groups.ts'
import { deleteLink, listLinks } from '../store/links.ts'
import type { Db } from '../store/open.ts'
import { findUser } from '../store/users.ts'
import type { User } from '../store/users.ts'
import { listWorkspacePasswords, NO_HASH, replaceWorkspacePassword } from '../store/workspace-passwords.ts'
import type { Workspace } from '../store/workspaces.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { newId } from '../credentials/tokens.ts'
import { roleIn } from '../authorization/whose.ts'
import { ApiError, isOwnerOf, paths, reaches } from '../wire/index.ts'
import type { Transfer, Transferred } from '../wire/index.ts'
import { accessChanged } from './grants.ts'
import { checkStart } from './beyond.ts'
import { hasBroken } from './break-glass.ts'
import { endGuestsOf } from './guests.ts'
import { checkTransfer } from './ledger.ts'
import { admitWaiting, settle } from './settle.ts'

const problem = (path: string, message: string): ApiError =>
  new ApiError('invalid_body', undefined, { errors: [{ path, message }] })

const canOwn = (user: User | null): user is User => user !== null && !user.disabled && user.role !== 'auditor'

/** True where one of them could open what the group has. */
async function hasOwner(db: Db, members: readonly { readonly userId: string }[]): Promise<boolean> {
  for (const { userId } of members) if (canOwn(await findUser(db, { id: userId }))) return true
  return false
}

/** Whoever can't sign in can't answer for a workspace; one answer for those and for nobody. */
async function personOf(db: Db, to: string): Promise<User> {
  // Ids go first: somebody may be called as another's id is, and nobody chooses an id.
  const user = (await findUser(db, { id: to })) ?? (await findUser(db, { username: to }))
  if (!canOwn(user)) throw problem('to', 'nobody of that name can own a workspace')
  return user
}

async function next(db: Db, before: Workspace, { to, toGroup }: Transfer) {
  const user = to === undefined ? null : await personOf(db, to)
  if (toGroup === undefined)
    return { ownerId: user?.id ?? before.ownerId, ownerGroupId: null, name: user?.username ?? '' }
  const group = (await findGroup(db, { id: toGroup })) ?? (await findGroup(db, { name: toGroup }))
  const members = group === null ? [] : await listMemberships(db, { groupId: group.id })
  if (group === null || !(await hasOwner(db, members)))
    throw problem('toGroup', 'there is no such group with members')
  const ownerId = user?.id ?? before.ownerId
  if (user !== null && !members.some(({ userId }) => userId === ownerId))
    throw problem('to', 'is not in that group')
  return { ownerId, ownerGroupId: group.id, name: `the group ${group.name}` }
}

/** What the former owner keeps, if anything: a grant in place of those that they had. */
async function keepFor(
  w: Writer,
  before: Workspace,
  role: Grant['role'],
  by: string,
  now: number,
): Promise<void> {
  const subject =
    before.ownerGroupId === null
      ? ({ kind: 'user', id: before.ownerId } as const)
      : ({ kind: 'group', id: before.ownerGroupId } as const)
  const there = await listGrants(w.db, { object: { kind: 'workspace', id: before.id }, subject })
  await deleteGrants(
    w.db,
    there.filter(({ reason }) => reason === null).map(({ id }) => id),
  )
  await insertGrant(w.db, {
    id: newId(),
    subjectKind: subject.kind,
    subjectId: subject.id,
    objectKind: 'workspace',
    objectId: before.id,
    role,
    ports: null,
    capabilities: [],
    expiresAtMs: null,
    reason: null,
    createdBy: by,
    createdAtMs: now,
  })
}

/** How many of each are worth nothing now. */
export type Ended = Transferred['ended']

/**
 * Whoever knows a link or a password was let in by the former owner. Links go, with their guests. A password stays as
 * one that nobody can give: a port that it stood before must not open by changing hands.
 */
async function endSecrets(w: Writer, workspaceId: string): Promise<Ended> {
  const links = await listLinks(w.db, { workspaceId })
  await endGuestsOf(w, { workspaceId })
  for (const { id } of links) await deleteLink(w.db, id)
  const passwords = (await listWorkspacePasswords(w.db, [workspaceId])).filter(({ hash }) => hash !== NO_HASH)
  for (const password of passwords)
    await replaceWorkspacePassword(w.db, { ...password, version: newId(), hash: NO_HASH })
  return { links: links.length, passwords: passwords.length }
}

const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

/** `gave it to eve`, and what ended by that. */
function verbOf(name: string, { links, passwords }: Ended): string {
  const parts = [
    ...(links > 0 ? [counted(links, 'link')] : []),
    ...(passwords > 0 ? [counted(passwords, 'password')] : []),
  ]
  return `gave it to ${name}${parts.length > 0 ? `, and ended ${parts.join(' and ')}` : ''}`
}

/**
 * Gives a workspace to another person or to a group. What the former owner had open ends, as they have no right to it
 * any more, unless they keep one; so do links and passwords. Grants stay. @throws ApiError not_found, forbidden, invalid_body, cap_reached
 */
export async function transferWorkspace(
  deployment: Deployment,
  person: Person,
  id: string,
  asked: Transfer,
): Promise<{ workspace: Workspace; ended: Ended }> {
  const now = deployment.now()
  return deployment.feed.write(async (w) => {
    const before = await findWorkspace(w.db, { id })
    if (before === null || before.data === 'delete') throw new ApiError('not_found')
    // Looked at again under the lock: of two who transfer at once, the second may be no owner by now.
    const need = routeNeeds[`POST ${paths.workspaceTransfer}`]
    const role = await roleIn(w.db, before, person, now)
    const barred = need === undefined ? 'forbidden' : barrier(need, person, role)
    if (barred !== null) throw new ApiError(barred)
    const { ownerId, ownerGroupId, name } = await next(w.db, before, asked)
    if (ownerId === before.ownerId && ownerGroupId === before.ownerGroupId)
      return { workspace: before, ended: { links: 0, passwords: 0 } }
    const isTaken = isOwnerOf({ ownerId, ownerGroupId, grants: [] }, person) && !reaches(role, 'owner')
    if (isTaken && !(await hasBroken(w.db, id, person.id, now)))
      throw new ApiError('forbidden', 'To take it over, break the glass first: its owner reads why.')
    await checkTransfer(deployment, w, before, { ownerId, ownerGroupId })
    await checkStart(w.db, { ...before, ownerId }, now, 'The next owner has')
    if (asked.keep !== undefined) await keepFor(w, before, asked.keep, person.id, now)
    const ended = await endSecrets(w, id)
    const draft = { ...before, ownerId, ownerGroupId }
    const event = { code: 'transferred', verb: verbOf(name, ended) } as const
    const after = await settle(deployment, w, before, draft, { told: { event, actor: person.username } })
    await accessChanged(w, id)
    for (const request of await listAccessRequests(w.db, { workspaceId: id, open: true }))
      await w.changed('access-request', request.id, request.userId)
    // A place of the former owner is free.
    if (before.admitted && ownerId !== before.ownerId) await admitWaiting(deployment, w)
    return { workspace: after, ended }
  })
}
