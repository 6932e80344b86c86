/** A person's API tokens. */
import type { Route } from '../call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../parse.ts'
import { deleteTokens, insertToken, listTokens } from '../store/tokens.ts'
import { hashToken, newId, newToken } from '../tokens.ts'
import { tokenView } from '../views.ts'
import { ApiError, createTokenSchema, paths } from '../wire/index.ts'
import type { Scope } from '../wire/index.ts'

const plainScopes: readonly Scope[] = ['workspaces:read', 'workspaces:write', 'connect']
const TOKENS_MAX = 100

export function tokenRoutes({ feed, now }: Deployment): Route[] {
  return [
    {
      method: 'GET',
      path: paths.tokens,
      async run({ person }) {
        const tokens = await listTokens(feed.db, { userId: person.id })
        return { status: 200, body: { items: tokens.map(tokenView) } }
      },
    },
    {
      method: 'POST',
      path: paths.tokens,
      async run({ person, body }) {
        const { name, scopes, expiresAt } = parseBody(createTokenSchema, body)
        const expiresAtMs = expiresAt === undefined ? null : Date.parse(expiresAt)
        if (expiresAtMs !== null && expiresAtMs <= now())
          throw new ApiError('invalid_body', undefined, {
            errors: [{ path: 'expiresAt', message: 'is over already' }],
          })
        const [id, token] = [newId(), newToken('pst_')]
        await feed.write(async (w) => {
          if ((await listTokens(w.db, { userId: person.id })).length >= TOKENS_MAX)
            throw new ApiError('limit_exceeded', `At most ${TOKENS_MAX} tokens; delete one first.`)
          await insertToken(w.db, {
            hash: hashToken(token),
            id,
            userId: person.id,
            name,
            scopes: [...new Set(scopes ?? plainScopes)],
            createdAtMs: now(),
            expiresAtMs,
            lastUsedAtMs: null,
          })
          await w.changed('token', hashToken(token), person.id)
        })
        return { status: 201, body: { id, token }, audit: { object: { id, name } } }
      },
    },
    {
      method: 'DELETE',
      path: paths.token,
      async run({ person, params }) {
        const { id, name } = await feed.write(async (w) => {
          const [found] = await listTokens(w.db, { userId: person.id, id: params['id'] ?? '' })
          if (found === undefined) throw new ApiError('not_found')
          await deleteTokens(w.db, [found.hash])
          await w.changed('token', found.hash, person.id)
          return found
        })
        return { status: 204, audit: { object: { id, name } } }
      },
    },
  ]
}
