/** Aliases of a workspace, and the settings of the deployment. */
import type { Call, Reply, Route } from '../call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../parse.ts'
import { addAlias, removeAlias } from '../service/aliases.ts'
import { patchSettings } from '../service/settings.ts'
import { readSettings } from '../store/settings.ts'
import { workspaceViews } from '../views.ts'
import { newAliasSchema, patchSettingsSchema, paths } from '../wire/index.ts'

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
  ]
}
