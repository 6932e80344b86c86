/** People and things go in; what they are to each other comes out, as the rows say it now. */
import type { Need, Person } from './authorization.ts'
import { barrier } from './authorization.ts'
import { listGrants } from '../store/grants.ts'
import { listGroups } from '../store/groups.ts'
import type { Group } from '../store/groups.ts'
import type { Db } from '../store/open.ts'
import { listRestrictions } from '../store/restrictions.ts'
import { findSession } from '../store/sessions.ts'
import { listTokens } from '../store/tokens.ts'
import { findUser } from '../store/users.ts'
import type { User } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import type { Workspace } from '../store/workspaces.ts'
import type { Uses } from './uses.ts'
import { ApiError, nameProblem, roleOn } from '../wire/index.ts'
import type { AccessRole, Accessing, Identity } from '../wire/index.ts'

/** What a person is to a workspace now; null: nothing. */
export async function roleIn(
  db: Db,
  workspace: Workspace,
  person: Accessing,
  nowMs: number,
): Promise<AccessRole | null> {
  const grants = await listGrants(db, { object: { kind: 'workspace', id: workspace.id } })
  return roleOn({ ...workspace, grants }, person, nowMs)
}

export interface Found {
  readonly workspace: Workspace
  /** Null for who sees it by office only. */
  readonly role: AccessRole | null
}

/**
 * The workspace that a path names by id or name, if this person may do with it what `need` says.
 * @throws ApiError not_found for absent and for not theirs alike, forbidden for who sees it
 */
export async function workspaceFor(
  db: Db,
  person: Person,
  ref: string,
  need: Need,
  nowMs: number,
): Promise<Found> {
  // Only what can be a name is looked up as one; an id of 20 letters could be a name too, so ids go first.
  const found =
    (await findWorkspace(db, { id: ref.slice(0, 64) })) ??
    (nameProblem(ref) === null ? await findWorkspace(db, { name: ref }) : null)
  // Looked up for what isn't there as well: the time of the answer must not tell it from what is somebody else's.
  const grants = await listGrants(db, { object: { kind: 'workspace', id: found?.id ?? '' } })
  const bounds = person.token?.bounds ?? null
  if (found === null || (bounds !== null && bounds.workspaceId !== found.id)) throw new ApiError('not_found')
  const role = roleOn({ ...found, grants }, person, nowMs)
  const barred = barrier(need, person, role)
  if (barred !== null) throw new ApiError(barred)
  return { workspace: found, role }
}

/** What decides on the use of hosts, templates and images now. */
export async function readUses(db: Db, nowMs: number): Promise<Uses> {
  return {
    restrictions: await listRestrictions(db),
    grants: await listGrants(db, { onUses: true }),
    nowMs,
  }
}

/** A user as what decides on access sees them; null: there is none. */
export async function accessingOf(
  db: Db,
  userId: string,
): Promise<(User & { readonly groups: readonly Group[] }) | null> {
  const user = await findUser(db, { id: userId })
  return user === null ? null : { ...user, groups: await listGroups(db, { userId }) }
}

/** When what somebody is known by ends, in ms; null: it has ended. */
async function endOf(
  db: Db,
  known: Extract<Identity, { kind: 'session' | 'token' }>,
): Promise<number | null> {
  if (known.kind === 'session') return (await findSession(db, known.sessionHash))?.expiresAtMs ?? null
  const [token] = await listTokens(db, { userId: known.user.id, id: known.tokenId })
  return token === undefined ? null : (token.expiresAtMs ?? Infinity)
}

/**
 * Who asks, as the rows say it now: whoever sends a body decides how long that takes, and a right that was taken away
 * meanwhile must not be used with its last byte. @throws ApiError unauthenticated
 */
export async function identityNow(db: Db, identity: Identity, nowMs: number): Promise<Identity> {
  if (identity.kind !== 'session' && identity.kind !== 'token') return identity
  const endsAtMs = await endOf(db, identity)
  const user = await accessingOf(db, identity.user.id)
  if (endsAtMs === null || endsAtMs <= nowMs || user === null || user.disabled)
    throw new ApiError('unauthenticated')
  return { ...identity, user: { ...identity.user, role: user.role, groups: user.groups } }
}
