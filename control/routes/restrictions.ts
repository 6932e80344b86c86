/** Hosts, templates and images that only the holders of a grant may use. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody, parseQuery } from '../api/parse.ts'
import { restrict } from '../service/restrictions.ts'
import { findHost } from '../store/hosts.ts'
import { listRestrictions } from '../store/restrictions.ts'
import { countByHost } from '../store/workspaces.ts'
import { hostView } from '../views/views.ts'
import { ApiError, patchHostSchema, paths, restrictionSchema } from '../wire/index.ts'

export function restrictionRoutes(deployment: Deployment): Route[] {
  const { db } = deployment.feed
  return [
    {
      method: 'PATCH',
      path: paths.host,
      async run({ params, body }) {
        const { restricted } = parseBody(patchHostSchema, body)
        const { id } = await restrict(deployment, { kind: 'host', id: params['id'] ?? '' }, restricted)
        const host = await findHost(db, { id })
        if (host === null) throw new ApiError('not_found')
        const workspaces = (await countByHost(db)).get(id) ?? 0
        return { status: 200, body: hostView(host, workspaces, restricted) }
      },
    },
    {
      method: 'GET',
      path: paths.restrictions,
      run: async () => ({ status: 200, body: { items: await listRestrictions(db) } }),
    },
    {
      method: 'POST',
      path: paths.restrictions,
      async run({ body }) {
        const it = await restrict(deployment, parseBody(restrictionSchema, body), true)
        return { status: 201, body: it, audit: { details: { restricted: `${it.kind} ${it.id}` } } }
      },
    },
    {
      method: 'DELETE',
      path: paths.restrictions,
      async run({ query }) {
        const it = await restrict(deployment, parseQuery(restrictionSchema, query), false)
        return { status: 204, audit: { details: { opened: `${it.kind} ${it.id}` } } }
      },
    },
  ]
}
