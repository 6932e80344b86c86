/** Time goes in: rows older than the operator keeps go, which is told itself; acts that never ended are said to be unknown. */
import type { Deployment } from '../deployment.ts'
import { lastPruned, loseBegun, pruneOldest } from '../store/audit.ts'
import { tellRow, writeAudit } from './audit-rows.ts'

const DAY = 86_400_000
/** A call of the API that has not ended after so long has lost its server, in ms. */
const LOST_MS = 10 * 60_000
/** Rows that go in one transaction: others write in between. */
const BATCH = 5000

/** What was begun and never ended: whether it was done must be looked up where it would be seen. */
export async function settleAudit({ feed, now, log }: Deployment): Promise<void> {
  const count = await feed.db.transaction(async (tx) => {
    const lost = await loseBegun(tx, now() - LOST_MS)
    for (const row of lost) await tellRow(tx, row)
    return lost.length
  })
  if (count > 0) log.warn('acts have no known end: a server ended while it was at them', { count })
}

/** Once a day; of several servers one does it. */
export async function pruneAudit({ feed, options, now }: Deployment): Promise<void> {
  const before = now() - options.auditRetentionMs
  if (now() - (await lastPruned(feed.db)) < DAY) return
  for (;;) {
    const pruned = await feed.write(async (w) => {
      const count = await pruneOldest(w.db, before, BATCH)
      const actor = { kind: 'system', id: '', name: '' } as const
      const details = { count, before: new Date(before).toISOString() }
      if (count > 0) await writeAudit(w.db, { action: 'audit.prune', actor, details }, now())
      return count
    })
    if (pruned < BATCH) return
  }
}
