/** What hooks are owed comes in; of each no more than a bound stays, and what is given up is counted on the hook. */
import type { Deployment } from '../deployment.ts'
import { countDeliveries, dropOldest, dropOlder, pruneDeliveries } from '../store/deliveries.ts'
import { countDropped } from '../store/hooks.ts'
import type { Db } from '../store/open.ts'

/** Of one hook, those that are not delivered: dead ones and those that wait. */
export const OWED_MAX = 10_000
/** Of one hook, those that are delivered. */
export const DELIVERED_MAX = 1000
/** How long any are kept, in ms. */
export const KEPT_MS = 30 * 86_400_000

interface Owed {
  readonly waiting: number
  readonly dead: number
}

/**
 * Those that have waited too long go; then, of what is too much, dead ones, and those that have waited longest: what is
 * newest is what a receiver can do most with. Gives how many went.
 */
async function giveUp(db: Db, hookId: string, { waiting, dead }: Owed, nowMs: number): Promise<number> {
  return db.transaction(async (tx) => {
    const tooOld = waiting > 0 ? await dropOlder(tx, hookId, nowMs - KEPT_MS, nowMs) : 0
    const over = waiting + dead - tooOld - OWED_MAX
    const dying = over > 0 ? await dropOldest(tx, { hookId, state: 'dead' }, over, nowMs) : 0
    const left = over - dying
    const given = left > 0 ? await dropOldest(tx, { hookId, state: 'waiting' }, left, nowMs) : 0
    const dropped = tooOld + dying + given
    if (dropped > 0) await countDropped(tx, hookId, dropped)
    return dropped
  })
}

/** Safe to repeat, and on several servers at once. What is being sent at the moment is never given up. */
export async function keepDeliveries({ feed, log, now }: Deployment): Promise<void> {
  const { db } = feed
  const nowMs = now()
  await pruneDeliveries(db, nowMs - KEPT_MS)
  for (const [hookId, { delivered, ...owed }] of await countDeliveries(db)) {
    if (delivered > DELIVERED_MAX)
      await dropOldest(db, { hookId, state: 'delivered' }, delivered - DELIVERED_MAX, nowMs)
    const dropped = await giveUp(db, hookId, owed, nowMs)
    if (dropped > 0) log.warn('a webhook is owed too much; the oldest was given up', { hookId, dropped })
  }
}
