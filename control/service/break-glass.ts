/** An administrator's reason goes in; an hour's grant to themselves comes out, on the workspace's timeline for its owner. */
import type { Person } from '../authorization/authorization.ts'
import { looksNeed } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import type { Grant } from '../store/grants.ts'
import { deleteGrants, insertGrant, listGrants } from '../store/grants.ts'
import { appendTimeline } from '../store/timeline.ts'
import type { Workspace } from '../store/workspaces.ts'
import { newId } from '../credentials/tokens.ts'
import { workspaceFor } from '../authorization/whose.ts'
import { accessChanged } from './grants.ts'

/** A broken glass opens for so long, in ms. */
export const GLASS_MS = 3_600_000

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
    const line = await appendTimeline(w.db, {
      workspaceId: workspace.id,
      atMs: nowMs,
      phase: workspace.phase,
      code: 'glass_broken',
      message: `${person.username} opened it as an administrator, for an hour: ${reason}`,
      actor: person.username,
    })
    await w.changed('timeline', String(line), workspace.ownerId)
    await accessChanged(w, workspace.id)
    return { grant, workspace }
  })
}
