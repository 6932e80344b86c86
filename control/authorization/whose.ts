/** People and things go in; what they are to each other comes out, as the rows say it now. */
import type { Need, Person } from './authorization.ts'
import { barrier } from './authorization.ts'
import { listGrants } from '../store/grants.ts'
import { listGroups } from '../store/groups.ts'
import type { Db } from '../store/open.ts'
import { listRestrictions } from '../store/restrictions.ts'
import { findUser } from '../store/users.ts'
import type { User } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import type { Workspace } from '../store/workspaces.ts'
import type { Uses } from './uses.ts'
import { ApiError, nameProblem, roleOn } from '../wire/index.ts'
import type { AccessRole, Accessing } from '../wire/index.ts'

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
export async function accessingOf(db: Db, userId: string): Promise<(Accessing & User) | null> {
  const user = await findUser(db, { id: userId })
  return user === null ? null : { ...user, groups: await listGroups(db, { userId }) }
}
