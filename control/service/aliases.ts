/** Commands about aliases go in; rows change and gateways are told, or a coded refusal says why not. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { deleteAlias, listAliases, putAlias, reserveName, takeName } from '../store/names.ts'
import type { Workspace } from '../store/workspaces.ts'
import { findWorkspace, touchWorkspace } from '../store/workspaces.ts'
import { ALIASES_MAX, ApiError } from '../wire/index.ts'
import type { NewAlias } from '../wire/index.ts'
import { checkName } from './names.ts'

async function touched(w: Writer, workspace: Workspace): Promise<Workspace> {
  const revision = await w.changed('workspace', workspace.id, workspace.ownerId)
  await touchWorkspace(w.db, workspace.id, revision)
  return { ...workspace, revision }
}

/** Gives a workspace an alias, or its alias another port. @throws ApiError not_found, invalid_name, name_taken, limit_exceeded */
export async function addAlias(
  { feed, options, now }: Deployment,
  id: string,
  { alias, port }: NewAlias,
): Promise<Workspace> {
  return feed.write(async (w) => {
    const workspace = await findWorkspace(w.db, { id })
    if (workspace === null) throw new ApiError('not_found')
    const mine = await listAliases(w.db, [id])
    const known = mine.find(({ name }) => name === alias)
    if (known?.port === port) return workspace
    if (known === undefined) {
      if (mine.length >= ALIASES_MAX)
        throw new ApiError('limit_exceeded', `A workspace has at most ${ALIASES_MAX} aliases.`)
      await checkName(w.db, options, alias, workspace.ownerId)
      await takeName(w.db, alias, workspace.ownerId, now())
    }
    await putAlias(w.db, { name: alias, workspaceId: id, port, createdAtMs: now() })
    return touched(w, workspace)
  })
}

/** Takes an alias away; the name stays the owner's until an administrator frees it. @throws ApiError not_found */
export async function removeAlias({ feed, now }: Deployment, id: string, alias: string): Promise<Workspace> {
  return feed.write(async (w) => {
    const workspace = await findWorkspace(w.db, { id })
    const known = (await listAliases(w.db, [id])).some(({ name }) => name === alias)
    if (workspace === null || !known) throw new ApiError('not_found')
    await deleteAlias(w.db, alias)
    await reserveName(w.db, alias, workspace.ownerId, now())
    return touched(w, workspace)
  })
}
