/** Grants on workspaces, by who manages them, and on templates, images and hosts, by administrators. */
import type { Reply, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { pageOf, paged } from '../api/paging.ts'
import { parseBody, parseQuery } from '../api/parse.ts'
import { breakGlass } from '../service/break-glass.ts'
import { createGrant, grantsFor, removeGrant } from '../service/grants.ts'
import type { Grant } from '../store/grants.ts'
import type { Db } from '../store/open.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { grantViews } from '../views/views-grants.ts'
import { breakGlassSchema, createGrantSchema, grantsQuerySchema, paths } from '../wire/index.ts'
import type { ObjectKind } from '../wire/index.ts'

/** `?kind=workspace&id=<id or name>`; null: not about one thing. @throws ApiError invalid_body */
function askedOf(query: URLSearchParams): { kind: ObjectKind; id: string } | null {
  const { kind, id } = parseQuery(grantsQuerySchema, query)
  return kind === undefined || id === undefined ? null : { kind, id }
}

/** What the audit says of a grant: to whom, on what, as what. */
async function told(db: Db, grant: Grant): Promise<NonNullable<Reply['audit']>> {
  const { objectKind, objectId, subjectKind, subjectId, role, reason } = grant
  const workspace = objectKind === 'workspace' ? await findWorkspace(db, { id: objectId }) : null
  const [view] = await grantViews(db, [grant])
  return {
    object: { id: grant.id },
    workspace: workspace === null ? null : { id: workspace.id, ownerId: workspace.ownerId },
    details: {
      subject: `${subjectKind} ${view?.subject.name ?? subjectId}`,
      on: `${objectKind} ${workspace?.name ?? objectId}`,
      role,
      ...(reason === null ? {} : { reason }),
    },
  }
}

export function grantRoutes(deployment: Deployment): Route[] {
  const { db } = deployment.feed
  return [
    {
      method: 'GET',
      path: paths.grants,
      async run({ query, person }) {
        const page = pageOf(query)
        const grants = await grantsFor(deployment, person, askedOf(query), {
          after: page.after,
          limit: page.limit + 1,
        })
        const views = await grantViews(db, grants.slice(0, page.limit))
        return {
          status: 200,
          body: paged(
            grants,
            page,
            ({ id }) => id,
            () => views,
          ),
        }
      },
    },
    {
      method: 'POST',
      path: paths.grants,
      async run({ body, person }) {
        const grant = await createGrant(deployment, person, parseBody(createGrantSchema, body))
        const [view] = await grantViews(db, [grant])
        return { status: 201, body: view, audit: await told(db, grant) }
      },
    },
    {
      method: 'POST',
      path: paths.workspaceBreakGlass,
      async run({ body, params, person }) {
        const { reason } = parseBody(breakGlassSchema, body)
        const { grant, workspace } = await breakGlass(deployment, person, params['id'] ?? '', reason)
        const [view] = await grantViews(db, [grant])
        const { id, name, ownerId } = workspace
        const audit = {
          object: { kind: 'workspace', id, name },
          workspace: { id, ownerId },
          details: { reason },
        }
        return { status: 201, body: view, audit }
      },
    },
    {
      method: 'DELETE',
      path: paths.grant,
      async run({ params, person }) {
        const grant = await removeGrant(deployment, person, params['id'] ?? '')
        return { status: 204, audit: await told(db, grant) }
      },
    },
  ]
}
