/** Hosts, for administrators, and the tokens with which new agents join. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { removeHost } from '../service/hosts.ts'
import { listHosts } from '../store/hosts.ts'
import { deleteJoinTokens, insertJoinToken } from '../store/tokens.ts'
import { countByHost } from '../store/workspaces.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { isRestricted } from '../authorization/uses.ts'
import { hostView } from '../views/views.ts'
import { readUses } from '../authorization/whose.ts'
import { createHostTokenSchema, paths } from '../wire/index.ts'

/** A join token works once, for so long, in ms. */
const JOIN_MS = 86_400_000

export function hostRoutes({ feed, now }: Deployment): Route[] {
  return [
    {
      method: 'GET',
      path: paths.hosts,
      async run() {
        const counts = await countByHost(feed.db)
        const hosts = await listHosts(feed.db)
        const uses = await readUses(feed.db, now())
        const items = hosts.map((host) =>
          hostView(host, counts.get(host.id) ?? 0, isRestricted(uses, 'host', host.id)),
        )
        return { status: 200, body: { items } }
      },
    },
    {
      method: 'DELETE',
      path: paths.host,
      async run({ params }) {
        await removeHost(feed, params['id'] ?? '')
        return { status: 204 }
      },
    },
    {
      method: 'POST',
      path: paths.hostTokens,
      async run({ body }) {
        const { name } = parseBody(createHostTokenSchema, body)
        const [id, token, expiresAtMs] = [newId(), newToken('psj_'), now() + JOIN_MS]
        await deleteJoinTokens(feed.db, now())
        await insertJoinToken(feed.db, { hash: hashToken(token), id, name, expiresAtMs })
        return { status: 201, body: { id, token, expiresAtMs }, audit: { object: { id, name } } }
      },
    },
  ]
}
