/** Where users are signed in, for administrators and auditors; administrators end it. API tokens stay. */
import type { Call, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { endAllOf, endSessions } from '../service/sessions.ts'
import type { Db } from '../store/open.ts'
import { listSessions } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import type { User } from '../store/users.ts'
import { sessionView } from '../views/views.ts'
import { ApiError, paths } from '../wire/index.ts'

async function userOf(db: Db, params: Call['params']): Promise<User> {
  const user = await findUser(db, { id: params['id'] ?? '' })
  if (user === null) throw new ApiError('not_found')
  return user
}
const told = ({ id, username }: User) => ({ object: { kind: 'user', id, name: username } })

export function userSessionRoutes({ feed }: Deployment): Route[] {
  return [
    {
      method: 'GET',
      path: paths.userSessions,
      async run({ params, sessionHash }) {
        const { id } = await userOf(feed.db, params)
        const own = (await listSessions(feed.db, { userId: id })).filter(
          ({ workspace }) => workspace === null,
        )
        return { status: 200, body: { items: own.map((each) => sessionView(each, sessionHash)) } }
      },
    },
    {
      method: 'DELETE',
      path: paths.userSessions,
      async run({ params }) {
        const user = await feed.write(async (w) => {
          const found = await userOf(w.db, params)
          await endAllOf(w, found.id, { tokens: false })
          return found
        })
        return { status: 204, audit: told(user) }
      },
    },
    {
      method: 'DELETE',
      path: paths.userSession,
      async run({ params }) {
        const user = await feed.write(async (w) => {
          const found = await userOf(w.db, params)
          const sessions = await listSessions(w.db, { userId: found.id, id: params['session'] ?? '' })
          if (sessions.length === 0) throw new ApiError('not_found')
          await endSessions(w, sessions)
          return found
        })
        return { status: 204, audit: told(user) }
      },
    },
  ]
}
