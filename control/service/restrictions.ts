/** Commands about what is open to all go in; rows change, and workspaces that waited for a host are looked at again. */
import type { Deployment } from '../deployment.ts'
import { findHost } from '../store/hosts.ts'
import { deleteRestriction, insertRestriction } from '../store/restrictions.ts'
import type { Restriction } from '../store/restrictions.ts'
import { repositoryOf } from '../authorization/uses.ts'
import { ApiError } from '../wire/index.ts'
import { placeWaiting } from './settle.ts'

/** Opens a thing to all, or to the holders of grants only. Workspaces that use it go on. @throws ApiError not_found */
export async function restrict(
  deployment: Deployment,
  given: Restriction,
  restricted: boolean,
): Promise<Restriction> {
  const { feed, templates } = deployment
  const it = given.kind === 'image' ? { ...given, id: repositoryOf(given.id) } : given
  await feed.write(async (w) => {
    if (it.kind === 'host' && (await findHost(w.db, { id: it.id })) === null) throw new ApiError('not_found')
    if (it.kind === 'template' && !templates.has(it.id)) throw new ApiError('not_found')
    if (restricted) await insertRestriction(w.db, it)
    else await deleteRestriction(w.db, it)
    if (it.kind !== 'host') return
    await w.changed('host', it.id)
    if (!restricted) await placeWaiting(deployment, w)
  })
  return it
}
