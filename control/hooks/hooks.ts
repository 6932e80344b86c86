/** Commands about webhooks go in; rows change, and a new hook's secret comes out once. */
import { randomBytes } from 'node:crypto'
import type { Deployment } from '../deployment.ts'
import { shownSecret } from './hook-signature.ts'
import type { Vault } from '../credentials/secrets.ts'
import { redeliver } from '../store/deliveries.ts'
import type { Hook } from '../store/hooks.ts'
import { deleteHook, findHook, insertHook, listHooks, updateHook } from '../store/hooks.ts'
import { newId } from '../credentials/tokens.ts'
import { ApiError } from '../wire/index.ts'

/** More than anybody subscribes; each event asks all of them. */
const HOOKS_MAX = 50

const placeOf = (id: string): { workspaceId: string; name: string } => ({
  workspaceId: '',
  name: `hook ${id}`,
})

/** The key that a hook's messages are signed with. */
export function hookKey(vault: Vault, { id, secret }: Pick<Hook, 'id' | 'secret'>): Buffer {
  return Buffer.from(vault.open(placeOf(id), secret), 'base64')
}

/** @throws ApiError limit_exceeded */
export async function createHook(
  { feed, vault, now }: Deployment,
  given: Pick<Hook, 'name' | 'url' | 'events' | 'enabled'>,
): Promise<{ hook: Hook; secret: string }> {
  const [id, key] = [newId(), randomBytes(32)]
  const secret = vault.seal(placeOf(id), key.toString('base64'))
  const hook: Hook = { ...given, id, secret, createdAtMs: now(), dropped: 0 }
  await feed.write(async (w) => {
    if ((await listHooks(w.db)).length >= HOOKS_MAX)
      throw new ApiError('limit_exceeded', `At most ${HOOKS_MAX} hooks; delete one first.`)
    await insertHook(w.db, hook)
  })
  return { hook, secret: shownSecret(key) }
}

/** @throws ApiError not_found */
export async function changeHook(
  { feed }: Deployment,
  id: string,
  change: Parameters<typeof updateHook>[2],
): Promise<Hook> {
  return feed.write(async (w) => {
    await updateHook(w.db, id, change)
    const hook = await findHook(w.db, id)
    if (hook === null) throw new ApiError('not_found')
    return hook
  })
}

/** @throws ApiError not_found */
export async function removeHook({ feed }: Deployment, id: string): Promise<Hook> {
  return feed.write(async (w) => {
    const hook = await findHook(w.db, id)
    if (hook === null) throw new ApiError('not_found')
    await deleteHook(w.db, id)
    return hook
  })
}

/** Sends it anew, whatever became of it. @throws ApiError not_found, also while it is being sent */
export async function redeliverTo({ feed, now }: Deployment, id: string, deliveryId: string): Promise<Hook> {
  const hook = await findHook(feed.db, id)
  if (hook === null || !(await redeliver(feed.db, id, deliveryId, now()))) throw new ApiError('not_found')
  return hook
}
