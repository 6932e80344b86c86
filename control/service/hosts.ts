/** A host that is gone for good comes in; its row goes, and with it the credential of its agent. */
import type { Feed } from '../feed/feed.ts'
import { listGrants } from '../store/grants.ts'
import { deleteHost, findHost } from '../store/hosts.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { ApiError } from '../wire/index.ts'
import { takeGrants } from './grants.ts'

const SHOWN = 5

/**
 * Forgets a host; its agent, if it still runs, is refused from now on and ends.
 * @throws ApiError not_found; host_in_use while workspaces are on it, also in the trash, or when it is the server's own
 */
export async function removeHost(feed: Feed, id: string): Promise<void> {
  await feed.write(async (w) => {
    const host = await findHost(w.db, { id })
    if (host === null) throw new ApiError('not_found')
    if (host.embedded) throw new ApiError('host_in_use', 'It is the server’s own.')
    const names = (await listWorkspaces(w.db, { hostId: id })).map(({ name }) => name)
    const shown = names.slice(0, SHOWN).join(', ')
    if (names.length > 0)
      throw new ApiError('host_in_use', `${names.length} on it: ${shown}${names.length > SHOWN ? ' …' : ''}`)
    await takeGrants(w, await listGrants(w.db, { object: { kind: 'host', id } }))
    await deleteHost(w.db, id)
    await w.changed('host', id)
    // Its agent may be waiting: it is answered that nobody knows it.
    await w.changed('desired', id)
  })
}
