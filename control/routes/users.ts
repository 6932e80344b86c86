/** The accounts of a deployment, for administrators. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { unlink } from '../oidc/people.ts'
import { pageOf, paged } from '../api/paging.ts'
import { parseBody } from '../api/parse.ts'
import type { Accounts } from '../service/accounts.ts'
import { listUsers } from '../store/users.ts'
import { userView } from '../views/views.ts'
import { waysIn } from '../views/views-people.ts'
import { createUserSchema, patchUserSchema, paths } from '../wire/index.ts'

export function userRoutes(deployment: Deployment, accounts: Accounts): Route[] {
  const { feed } = deployment
  return [
    {
      method: 'GET',
      path: paths.users,
      async run({ query }) {
        const page = pageOf(query)
        const users = await listUsers(feed.db, { after: page.after, limit: page.limit + 1 })
        const views = await waysIn(deployment, users)
        return {
          status: 200,
          body: paged(
            views,
            page,
            ({ username }) => username,
            (rows) => [...rows],
          ),
        }
      },
    },
    {
      method: 'POST',
      path: paths.users,
      async run({ body }) {
        return { status: 201, body: userView(await accounts.createUser(parseBody(createUserSchema, body))) }
      },
    },
    {
      method: 'PATCH',
      path: paths.user,
      async run({ body, params }) {
        const user = await accounts.patchUser(params['id'] ?? '', parseBody(patchUserSchema, body))
        return { status: 200, body: userView(user) }
      },
    },
    {
      method: 'DELETE',
      path: paths.user,
      async run({ params }) {
        await accounts.deleteUser(params['id'] ?? '')
        return { status: 204 }
      },
    },
    {
      method: 'DELETE',
      path: paths.userIdentity,
      async run({ params: { id = '', provider = '' } }) {
        const { username } = await unlink(deployment, id, provider)
        const object = { kind: 'user', id, name: username }
        return { status: 204, audit: { object, details: { provider } } }
      },
    },
  ]
}
