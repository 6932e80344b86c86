/** Links of administrators: invitations, and the one that sets a user's password. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { createResetLink } from '../service/account-links.ts'
import { createInvitation, invitationViews, revokeInvitation } from '../service/invitations.ts'
import { createInvitationSchema, paths } from '../wire/index.ts'

export function invitationRoutes(deployment: Deployment): Route[] {
  return [
    {
      method: 'GET',
      path: paths.invitations,
      run: async () => ({ status: 200, body: { items: await invitationViews(deployment) } }),
    },
    {
      method: 'POST',
      path: paths.invitations,
      async run({ body, person }) {
        const made = await createInvitation(deployment, person.id, parseBody(createInvitationSchema, body))
        const { role, email } = made
        const groups = made.groups.map(({ name }) => name)
        return { status: 201, body: made, audit: { details: { role, email, groups } } }
      },
    },
    {
      method: 'DELETE',
      path: paths.invitation,
      async run({ params }) {
        const { role, email } = await revokeInvitation(deployment, params['id'] ?? '')
        return { status: 204, audit: { details: { role, email } } }
      },
    },
    {
      method: 'POST',
      path: paths.userResetLink,
      async run({ params }) {
        const { username, ...made } = await createResetLink(deployment, params['id'] ?? '')
        const object = { kind: 'user', id: params['id'] ?? '', name: username }
        return { status: 201, body: made, audit: { object } }
      },
    },
  ]
}
