/** Set-up, sign-in, and the list of a person's sessions. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import type { ProviderSignIn } from '../oidc/index.ts'
import { parseBody } from '../api/parse.ts'
import type { Accounts } from '../service/accounts.ts'
import { endAllOf, endSessions } from '../service/sessions.ts'
import { listSessions } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import { sessionView, userView } from '../views/views.ts'
import { waysIn } from '../views/views-people.ts'
import { ApiError, changePasswordSchema, paths, setupSchema, signInSchema } from '../wire/index.ts'

export function sessionRoutes(
  deployment: Deployment,
  accounts: Accounts,
  providers: ProviderSignIn,
): Route[] {
  const { feed } = deployment
  const json = (body: unknown): unknown => {
    // A form of another site can post an empty or a text body, never this type: it must be there.
    if (body === undefined) throw new ApiError('unsupported_media_type')
    return body
  }
  return [
    {
      method: 'POST',
      path: paths.setup,
      async run({ body, origin }) {
        const { session, user } = await accounts.setup(parseBody(setupSchema, json(body)), origin)
        return { status: 201, body: userView(user), session }
      },
    },
    {
      method: 'POST',
      path: paths.sessions,
      async run({ body, origin, sessionHash }) {
        const { session, user } = await accounts.signIn(parseBody(signInSchema, json(body)), origin)
        // Never goes on in a session that the browser brought: somebody else may have put it there.
        if (sessionHash !== null)
          await feed.write(async (w) => endSessions(w, await listSessions(w.db, { hash: sessionHash })))
        return { status: 201, body: userView(user), session }
      },
    },
    {
      method: 'GET',
      path: paths.sessions,
      async run({ person }) {
        const sessions = await listSessions(feed.db, { userId: person.id })
        const own = sessions.filter(({ workspace }) => workspace === null)
        return { status: 200, body: { items: own.map((each) => sessionView(each, person.sessionHash)) } }
      },
    },
    {
      method: 'DELETE',
      path: paths.currentSession,
      async run({ person }) {
        const hash = person.sessionHash
        const leave = hash === null ? null : await providers.leaving(hash)
        if (hash !== null) await feed.write(async (w) => endSessions(w, await listSessions(w.db, { hash })))
        const signOutAt = (await leave?.()) ?? null
        return { status: 204, session: 'clear', ...(signOutAt === null ? {} : { signOutAt }) }
      },
    },
    {
      method: 'DELETE',
      path: paths.sessions,
      async run({ person }) {
        await feed.write((w) => endAllOf(w, person.id, { tokens: false, but: person.sessionHash }))
        return { status: 204 }
      },
    },
    {
      method: 'DELETE',
      path: paths.session,
      async run({ person, params }) {
        await feed.write(async (w) => {
          const found = await listSessions(w.db, { userId: person.id, id: params['id'] ?? '' })
          if (found.length === 0) throw new ApiError('not_found')
          await endSessions(w, found)
        })
        return { status: 204 }
      },
    },
    {
      method: 'GET',
      path: paths.me,
      async run({ person }) {
        const user = await findUser(feed.db, { id: person.id })
        if (user === null) throw new ApiError('unauthenticated')
        return { status: 200, body: (await waysIn(deployment, [user]))[0] }
      },
    },
    {
      method: 'POST',
      path: paths.password,
      async run({ person, body, origin }) {
        const given = parseBody(changePasswordSchema, body)
        await accounts.changePassword(person, given, origin)
        return { status: 204, audit: { details: { keepTokens: given.keepTokens } } }
      },
    },
  ]
}
