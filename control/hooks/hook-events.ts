/** Something came about; a row for each hook that wants to know of it comes out, in the same transaction. */
import { insertDelivery } from '../store/deliveries.ts'
import { listHooks } from '../store/hooks.ts'
import type { Db } from '../store/open.ts'
import { newId } from '../credentials/tokens.ts'
import { matchesEvent } from '../wire/index.ts'
import type { HookEventName } from '../wire/index.ts'

/** What a receiver is sent; `data` never holds a secret, nor where a person came from. */
export interface HookEvent {
  readonly type: HookEventName
  readonly atMs: number
  readonly data: Readonly<Record<string, unknown>>
}

/** Hooks that rest are told of nothing. */
export async function tellHooks(db: Db, { type, atMs, data }: HookEvent): Promise<void> {
  for (const hook of await listHooks(db, { enabled: true })) {
    if (!matchesEvent(hook.events, type)) continue
    const body = JSON.stringify({ type, timestamp: new Date(atMs).toISOString(), data })
    await insertDelivery(db, { id: `msg_${newId()}`, hookId: hook.id, event: type, body }, atMs)
  }
}
