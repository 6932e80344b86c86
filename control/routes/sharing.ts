/** Aliases of a workspace, its next owner, requests for access to it, and the settings of the deployment. */
import type { Call, Reply, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { accessRequestRoutes } from './access-requests.ts'
import { addAlias, removeAlias } from '../service/aliases.ts'
import { patchSettings } from '../service/settings.ts'
import { transferWorkspace } from '../service/transfer.ts'
import { listGrants } from '../store/grants.ts'
import { readSettings } from '../store/settings.ts'
import { grantViews } from '../views/views-grants.ts'
import { workspaceViews } from '../views/views.ts'
import { roleIn } from '../authorization/whose.ts'
import { newAliasSchema, patchSettingsSchema, paths, transferSchema } from '../wire/index.ts'

export function sharingRoutes(deployment: Deployment): Route[] {
  const { feed } = deployment
  const shown = async (workspace: Call['workspace'], status: number, role: Call['role']): Promise<Reply> => {
    const [body] = await workspaceViews(deployment, feed.db, [workspace], () => role)
    return { status, body }
  }
  return [
    {
      method: 'POST',
      path: paths.workspaceAliases,
      async run({ workspace, role, body }) {
        const given = parseBody(newAliasSchema, body)
        const reply = await shown(await addAlias(deployment, workspace.id, given), 201, role)
        return {
          ...reply,
          audit: { object: { id: given.alias, name: given.alias }, details: { port: given.port } },
        }
      },
    },
    {
      method: 'DELETE',
      path: paths.workspaceAlias,
      async run({ workspace, role, params }) {
        const alias = params['alias'] ?? ''
        const reply = await shown(await removeAlias(deployment, workspace.id, alias), 200, role)
        return { ...reply, audit: { object: { id: alias, name: alias } } }
      },
    },
    {
      method: 'POST',
      path: paths.workspaceTransfer,
      async run({ workspace, person, body }) {
        const given = parseBody(transferSchema, body)
        const { workspace: after, ended } = await transferWorkspace(deployment, person, workspace.id, given)
        const role = await roleIn(feed.db, after, person, deployment.now())
        const [view] = await workspaceViews(deployment, feed.db, [after], () => role)
        const { to = null, toGroup = null, keep = null } = given
        const stays = await listGrants(feed.db, { object: { kind: 'workspace', id: after.id } })
        const grants = await grantViews(feed.db, stays)
        const { links, passwords } = ended
        const details = { to, toGroup, keep, links, passwords, grants: grants.length }
        return { status: 202, body: { ...view, ended, grants }, audit: { details } }
      },
    },
    {
      method: 'GET',
      path: paths.settings,
      run: async () => ({ status: 200, body: await readSettings(feed.db) }),
    },
    {
      method: 'PATCH',
      path: paths.settings,
      async run({ body }) {
        const settings = await patchSettings(deployment, parseBody(patchSettingsSchema, body))
        return { status: 200, body: settings, audit: { details: { maxVisibility: settings.maxVisibility } } }
      },
    },
    ...accessRequestRoutes(deployment),
  ]
}
