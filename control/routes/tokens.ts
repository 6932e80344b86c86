/** A person's access tokens. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { endTokens, makeToken, tokensOf } from '../service/tokens.ts'
import { listTokens } from '../store/tokens.ts'
import { ApiError, createTokenSchema, paths } from '../wire/index.ts'

export function tokenRoutes(deployment: Deployment): Route[] {
  const { feed, now } = deployment
  return [
    {
      method: 'GET',
      path: paths.tokens,
      run: async ({ person }) => ({ status: 200, body: { items: await tokensOf(feed.db, person, now()) } }),
    },
    {
      method: 'POST',
      path: paths.tokens,
      async run({ person, body }) {
        const { expiresAt, ...wish } = parseBody(createTokenSchema, body)
        const expiresAtMs = expiresAt === undefined ? undefined : Date.parse(expiresAt)
        if (expiresAtMs !== undefined && expiresAtMs <= now())
          throw new ApiError('invalid_body', undefined, {
            errors: [{ path: 'expiresAt', message: 'is over already' }],
          })
        const made = await makeToken(deployment, person, { ...wish, expiresAtMs })
        return { status: 201, body: made, audit: { object: { id: made.id, name: wish.name } } }
      },
    },
    {
      method: 'DELETE',
      path: paths.token,
      async run({ person, params }) {
        const { id, name } = await feed.write(async (w) => {
          const [found] = await listTokens(w.db, { userId: person.id, id: params['id'] ?? '' })
          if (found === undefined) throw new ApiError('not_found')
          await endTokens(w, [found])
          return found
        })
        return { status: 204, audit: { object: { id, name } } }
      },
    },
  ]
}
