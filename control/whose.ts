/** A person and the name or id of a workspace go in; the workspace and what they are to it come out, or that there is none. */
import type { Need, Person } from './authorization.ts'
import { barrier } from './authorization.ts'
import { listGrants } from './store/grants.ts'
import type { Db } from './store/open.ts'
import { findWorkspace } from './store/workspaces.ts'
import type { Workspace } from './store/workspaces.ts'
import { ApiError, nameProblem, roleOn } from './wire/index.ts'
import type { AccessRole, Accessing } from './wire/index.ts'

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
  const bounds = person.token?.bounds ?? null
  if (found === null || (bounds !== null && bounds.workspaceId !== found.id)) throw new ApiError('not_found')
  const role = await roleIn(db, found, person, nowMs)
  const barred = barrier(need, person, role)
  if (barred !== null) throw new ApiError(barred)
  return { workspace: found, role }
}
