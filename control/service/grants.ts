/** Commands about grants go in; rows change, and what stands on a grant that goes is told to gateways and live streams. */
import type { Person } from '../authorization/authorization.ts'
import { sharesNeed, shareNeed } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { findGroup } from '../store/groups.ts'
import type { Grant, GrantChoice } from '../store/grants.ts'
import { deleteGrants, findGrant, insertGrant, listGrants } from '../store/grants.ts'
import { findHost } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'
import { findUser } from '../store/users.ts'
import { findWorkspace, touchWorkspace } from '../store/workspaces.ts'
import { newId } from '../credentials/tokens.ts'
import { placeWaiting } from './settle.ts'
import { repositoryOf } from '../authorization/uses.ts'
import { workspaceFor } from '../authorization/whose.ts'
import { ApiError, counts, isOwnerOf } from '../wire/index.ts'
import type { CreateGrant, ObjectKind } from '../wire/index.ts'

/** On one thing, so that a decision on it stays fast. */
const GRANTS_MAX = 200

const problem = (path: string, message: string): ApiError =>
  new ApiError('invalid_body', undefined, { errors: [{ path, message }] })

/** Tells gateways and live streams that a workspace’s owners or grants are others now. */
export async function accessChanged(w: Writer, workspaceId: string): Promise<void> {
  const workspace = await findWorkspace(w.db, { id: workspaceId })
  if (workspace === null) return
  await w.changed('access', workspaceId, workspace.ownerId)
  const revision = await w.changed('workspace', workspaceId, workspace.ownerId)
  await touchWorkspace(w.db, workspaceId, revision)
}

/** Takes grants away, inside a transaction. */
export async function takeGrants(w: Writer, grants: readonly Grant[]): Promise<void> {
  await deleteGrants(
    w.db,
    grants.map(({ id }) => id),
  )
  const workspaces = grants.filter(({ objectKind }) => objectKind === 'workspace')
  for (const id of new Set(workspaces.map(({ objectId }) => objectId))) await accessChanged(w, id)
  // Whose limits it made wider are told of it.
  const hosts = grants.filter(({ objectKind }) => objectKind === 'host')
  for (const id of new Set(hosts.map(({ objectId }) => objectId))) await w.changed('host', id)
}

/** What somebody opened by office ends with the office. */
export async function takeGlass(w: Writer, userId: string): Promise<void> {
  const grants = await listGrants(w.db, { subject: { kind: 'user', id: userId } })
  await takeGrants(
    w,
    grants.filter(({ reason }) => reason !== null),
  )
}

/** The subject's id. A user or group that nobody knows is a mistake in the body, not a missing page. */
async function subjectOf(db: Db, { kind, id }: CreateGrant['subject']): Promise<string> {
  const found =
    kind === 'user'
      ? ((await findUser(db, { id })) ?? (await findUser(db, { username: id })))
      : ((await findGroup(db, { id })) ?? (await findGroup(db, { name: id })))
  if (found === null) throw problem('subject.id', `there is no ${kind} of that name`)
  return found.id
}

/**
 * Who manages a workspace by a grant gives nothing that outlasts it, and themselves nothing at all: that would only be to
 * stay when it is taken away. @throws ApiError invalid_body
 */
async function checkGiving(
  db: Db,
  person: Person,
  subject: Pick<Grant, 'subjectKind' | 'subjectId'>,
  { objectId, expiresAtMs, nowMs }: { objectId: string; expiresAtMs: number | null; nowMs: number },
): Promise<void> {
  if (subject.subjectKind === 'user' && subject.subjectId === person.id)
    throw problem('subject.id', 'is you: nobody shares with themselves')
  const workspace = await findWorkspace(db, { id: objectId })
  if (workspace === null || isOwnerOf({ ...workspace, grants: [] }, person)) return
  const own = (await listGrants(db, { object: { kind: 'workspace', id: objectId } })).filter(
    (each) => each.role === 'manager' && counts(each, person, nowMs),
  )
  const endMs = Math.max(...own.map((each) => each.expiresAtMs ?? Infinity))
  if ((expiresAtMs ?? Infinity) > endMs)
    throw problem('expiresAt', `at most until ${new Date(endMs).toISOString()}, when your own grant ends`)
}

/** The object's id, if this person may grant on it. */
async function objectOf(
  { templates, now }: Deployment,
  db: Db,
  person: Person,
  { kind, id }: CreateGrant['object'],
): Promise<string> {
  if (kind === 'workspace') return (await workspaceFor(db, person, id, shareNeed, now())).workspace.id
  if (!person.administrator) throw new ApiError('forbidden')
  if (kind === 'host' && (await findHost(db, { id })) === null) throw new ApiError('not_found')
  if (kind === 'template' && !templates.has(id)) throw new ApiError('not_found')
  return kind === 'image' ? repositoryOf(id) : id
}

function checkShape(body: CreateGrant, nowMs: number): number | null {
  const { object, role, ports, capabilities } = body
  if (ports !== undefined && (object.kind !== 'workspace' || role !== 'viewer'))
    throw problem('ports', 'only viewers of a workspace are held to ports')
  if (capabilities !== undefined && object.kind !== 'host')
    throw problem('capabilities', 'only grants on hosts carry them')
  if (capabilities === undefined && object.kind === 'host')
    throw problem('capabilities', 'say what the host may be used for')
  if (object.kind !== 'workspace' && role !== 'viewer')
    throw problem('role', 'is viewer on all but workspaces')
  const expiresAtMs = body.expiresAt === undefined ? null : Date.parse(body.expiresAt)
  if (expiresAtMs !== null && expiresAtMs <= nowMs) throw problem('expiresAt', 'is over already')
  return expiresAtMs
}

/**
 * Gives a grant. One to the same subject on the same thing is replaced: what was said last holds.
 * @throws ApiError not_found, forbidden, invalid_body, limit_exceeded
 */
export async function createGrant(deployment: Deployment, person: Person, body: CreateGrant): Promise<Grant> {
  const nowMs = deployment.now()
  const expiresAtMs = checkShape(body, nowMs)
  return deployment.feed.write(async (w) => {
    const objectId = await objectOf(deployment, w.db, person, body.object)
    const subject = { kind: body.subject.kind, id: await subjectOf(w.db, body.subject) }
    const object = { kind: body.object.kind, id: objectId }
    const to = { subjectKind: subject.kind, subjectId: subject.id }
    if (object.kind === 'workspace') await checkGiving(w.db, person, to, { objectId, expiresAtMs, nowMs })
    const there = await listGrants(w.db, { object })
    const before = there.filter(
      (each) => each.subjectKind === subject.kind && each.subjectId === subject.id && each.reason === null,
    )
    if (there.length - before.length >= GRANTS_MAX)
      throw new ApiError('limit_exceeded', `At most ${GRANTS_MAX} grants on one thing; use a group.`)
    const grant: Grant = {
      id: newId(),
      ...to,
      objectKind: object.kind,
      objectId,
      role: body.role,
      ports: body.ports === undefined ? null : [...new Set(body.ports)].sort((a, b) => a - b),
      capabilities: [...new Set(body.capabilities ?? [])],
      expiresAtMs,
      reason: null,
      createdBy: person.id,
      createdAtMs: nowMs,
    }
    await deleteGrants(
      w.db,
      before.map(({ id }) => id),
    )
    await insertGrant(w.db, grant)
    if (object.kind === 'workspace') await accessChanged(w, objectId)
    if (object.kind === 'host') {
      await w.changed('host', objectId)
      await placeWaiting(deployment, w)
    }
    return grant
  })
}

/** Who may take a grant away: who may give it; and who holds it, as a person, gives it up. */
async function checkTaking(deployment: Deployment, db: Db, person: Person, grant: Grant): Promise<void> {
  if (grant.subjectKind === 'user' && grant.subjectId === person.id) return
  if (grant.objectKind === 'workspace')
    await workspaceFor(db, person, grant.objectId, shareNeed, deployment.now())
  else if (!person.administrator) throw new ApiError('not_found')
}

/** @throws ApiError not_found, forbidden */
export async function removeGrant(deployment: Deployment, person: Person, id: string): Promise<Grant> {
  return deployment.feed.write(async (w) => {
    const grant = await findGrant(w.db, id)
    if (grant === null) throw new ApiError('not_found')
    await checkTaking(deployment, w.db, person, grant)
    await takeGrants(w, [grant])
    return grant
  })
}

/** The grants on one thing for who may see them; without a thing, all of them, or the person's own. */
export async function grantsFor(
  { feed, now }: Deployment,
  person: Person,
  asked: { readonly kind: ObjectKind; readonly id: string } | null,
  page: Pick<GrantChoice, 'after' | 'limit'>,
): Promise<Grant[]> {
  const { db } = feed
  if (asked === null) return listGrants(db, { ...(person.readsAll ? {} : { holder: person }), ...page })
  if (asked.kind === 'workspace') {
    const { workspace } = await workspaceFor(db, person, asked.id, sharesNeed, now())
    return listGrants(db, { object: { kind: 'workspace', id: workspace.id }, ...page })
  }
  if (!person.readsAll) throw new ApiError('forbidden')
  return listGrants(db, { object: asked, ...page })
}

/** Takes away the grants whose time is over. */
export async function endGrants({ feed, now }: Deployment): Promise<void> {
  const over = { endedAtMs: now() }
  if ((await listGrants(feed.db, { ...over, limit: 1 })).length === 0) return
  await feed.write(async (w) => takeGrants(w, await listGrants(w.db, over)))
}
