/** Names of purged workspaces and removed aliases, which stay their former owners' until an administrator frees them. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { freeName, listReserved } from '../store/names.ts'
import { listUsers } from '../store/users.ts'
import { ApiError, paths } from '../wire/index.ts'
import type { ReservedNameView } from '../wire/index.ts'

export function nameRoutes({ feed, log, now }: Deployment): Route[] {
  return [
    {
      method: 'GET',
      path: paths.reservedNames,
      async run() {
        const users = new Map((await listUsers(feed.db)).map(({ id, username }) => [id, username]))
        const items = (await listReserved(feed.db)).map(({ name, ownerId, sinceMs }): ReservedNameView => {
          return { name, owner: { id: ownerId, username: users.get(ownerId) ?? null }, sinceMs }
        })
        return { status: 200, body: { items } }
      },
    },
    {
      method: 'DELETE',
      path: paths.reservedName,
      async run({ params, person }) {
        const name = params['name'] ?? ''
        const freed = await feed.write((w) => freeName(w.db, name, now()))
        if (!freed) throw new ApiError('not_found')
        log.info('a reserved name was freed', { name, by: person.username })
        return { status: 204 }
      },
    },
  ]
}
