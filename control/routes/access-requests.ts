/** Requests for access: those that one may answer and those that one made, and the answers. */
import type { Call, Reply, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { declineRequest, grantRequest, requestsFor } from '../service/access-requests.ts'
import type { AccessRequest } from '../store/access-requests.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { grantRequestSchema, paths } from '../wire/index.ts'

export function accessRequestRoutes(deployment: Deployment): Route[] {
  const told = async (
    { workspaceId, userId, name }: AccessRequest,
    details: Record<string, string | number | null>,
  ): Promise<Reply> => {
    const workspace = await findWorkspace(deployment.feed.db, { id: workspaceId ?? '' })
    const object = { kind: 'workspace', id: workspaceId ?? '', name }
    return { status: 204, audit: { object, workspace, details: { ...details, userId } } }
  }
  return [
    {
      method: 'GET',
      path: paths.accessRequests,
      run: async ({ person }: Call) => ({ status: 200, body: await requestsFor(deployment, person) }),
    },
    {
      method: 'POST',
      path: paths.accessRequestGrant,
      async run({ person, params, body }) {
        const given = parseBody(grantRequestSchema, body ?? {})
        const request = await grantRequest(deployment, person, params['id'] ?? '', given)
        return told(request, { answer: 'granted', role: given.role, forHours: given.forHours })
      },
    },
    {
      method: 'POST',
      path: paths.accessRequestDecline,
      run: async ({ person, params }) =>
        told(await declineRequest(deployment, person, params['id'] ?? ''), { answer: 'declined' }),
    },
  ]
}
