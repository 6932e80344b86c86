/**
 * An administrator's reason goes in; an hour's grant to themselves comes out, on the workspace's timeline for its owner.
 * Other ways by which an administrator would come to see what isn't theirs need the same: joining a group, taking over.
 */
import type { Person } from '../authorization/authorization.ts'
import { looksNeed } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { Grant } from '../store/grants.ts'
import { deleteGrants, insertGrant, listGrants } from '../store/grants.ts'
import type { Group } from '../store/groups.ts'
import type { Db } from '../store/open.ts'
import { appendTimeline } from '../store/timeline.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import type { Workspace } from '../store/workspaces.ts'
import { ApiError } from '../wire/index.ts'
import { newId } from '../credentials/tokens.ts'
import { workspaceFor } from '../authorization/whose.ts'
import { accessChanged } from './grants.ts'

/** A broken glass opens for so long, in ms. */
export const GLASS_MS = 3_600_000

async function tellOwner(
  w: Writer,
  { id, phase, ownerId }: Workspace,
  { username }: Person,
  did: string,
  nowMs: number,
): Promise<void> {
  const line = await appendTimeline(w.db, {
    workspaceId: id,
    atMs: nowMs,
    phase,
    code: 'glass_broken',
    message: `${username} ${did}`,
    actor: username,
  })
  await w.changed('timeline', String(line), ownerId)
}

/**
 * Before an administrator joins a group by themselves: where it opens workspaces that they see nothing of, their owners
 * are told why. @throws ApiError invalid_body without a reason
 */
export async function tellJoining(
  w: Writer,
  person: Person,
  { id, name }: Group,
  reason: string | undefined,
  nowMs: number,
): Promise<void> {
  const seenBy = (holder: Pick<Person, 'id' | 'groups'>): Promise<Workspace[]> =>
    listWorkspaces(w.db, { visibleTo: { holder, nowMs } })
  const known = new Set((await seenBy(person)).map((each) => each.id))
  const opened = (await seenBy({ id: '', groups: [{ id, name }] })).filter((each) => !known.has(each.id))
  if (opened.length === 0) return
  if (reason === undefined)
    throw new ApiError('invalid_body', `It would open workspaces of others to you: ${opened.length}.`, {
      errors: [{ path: 'reason', message: 'say why: their owners read it' }],
    })
  for (const workspace of opened)
    await tellOwner(w, workspace, person, `joined the group ${name}, which opens it: ${reason}`, nowMs)
}

/** True while this person has a workspace open by a broken glass. */
export async function hasBroken(
  db: Db,
  workspaceId: string,
  userId: string,
  nowMs: number,
): Promise<boolean> {
  const object = { kind: 'workspace', id: workspaceId } as const
  const own = await listGrants(db, { object, subject: { kind: 'user', id: userId } })
  return own.some(({ reason, expiresAtMs }) => reason !== null && (expiresAtMs ?? 0) > nowMs)
}

/**
 * Makes this administrator an editor of somebody's workspace for an hour. A later call begins the hour anew. Its owner
 * sees it, and may take the grant away.
 * @throws ApiError not_found
 */
export async function breakGlass(
  deployment: Deployment,
  person: Person,
  ref: string,
  reason: string,
): Promise<{ readonly grant: Grant; readonly workspace: Workspace }> {
  return deployment.feed.write(async (w) => {
    const nowMs = deployment.now()
    const { workspace } = await workspaceFor(w.db, person, ref, looksNeed, nowMs)
    const object = { kind: 'workspace', id: workspace.id } as const
    const before = await listGrants(w.db, { object, subject: { kind: 'user', id: person.id } })
    const grant: Grant = {
      id: newId(),
      subjectKind: 'user',
      subjectId: person.id,
      objectKind: object.kind,
      objectId: object.id,
      role: 'editor',
      ports: null,
      capabilities: [],
      expiresAtMs: nowMs + GLASS_MS,
      reason,
      createdBy: person.id,
      createdAtMs: nowMs,
    }
    await deleteGrants(
      w.db,
      before.filter((each) => each.reason !== null).map(({ id }) => id),
    )
    await insertGrant(w.db, grant)
    await tellOwner(w, workspace, person, `opened it as an administrator, for an hour: ${reason}`, nowMs)
    await accessChanged(w, workspace.id)
    return { grant, workspace }
  })
}
