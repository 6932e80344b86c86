/** What is to be delivered to webhooks, at rest: row ⇄ object. A row is claimed by one server at a time. */
import type { Knex } from 'knex'
import type { Delivery, DeliveryState, HookView } from '../wire/index.ts'
import type { Db } from './open.ts'

interface Row {
  seq: number
  id: string
  hook_id: string
  event: string
  body: string
  state: string
  attempts: number
  next_at_ms: number
  claim: string | null
  claimed_until_ms: number
  status: number | null
  error: string
  answer: string
  created_at_ms: number
  ended_at_ms: number | null
}

/** One that this server has claimed. */
export interface Claimed {
  readonly id: string
  readonly hookId: string
  readonly claim: string
  readonly attempts: number
  readonly body: string
}

const fromRow = (row: Row): Delivery => ({
  id: row.id,
  event: row.event,
  state: row.state as DeliveryState,
  createdAtMs: row.created_at_ms,
  attempts: row.attempts,
  nextTryAtMs: row.state === 'waiting' ? row.next_at_ms : null,
  status: row.status,
  error: row.error,
  answer: row.answer,
  body: row.body,
})

export async function insertDelivery(
  db: Db,
  given: { readonly id: string; readonly hookId: string; readonly event: string; readonly body: string },
  nowMs: number,
): Promise<void> {
  await db<Row>('deliveries').insert({
    id: given.id,
    hook_id: given.hookId,
    event: given.event,
    body: given.body,
    state: 'waiting',
    attempts: 0,
    next_at_ms: nowMs,
    claim: null,
    claimed_until_ms: 0,
    status: null,
    error: '',
    answer: '',
    created_at_ms: nowMs,
    ended_at_ms: null,
  })
}

const dueAt = (db: Db, nowMs: number): Knex.QueryBuilder<Row> =>
  db<Row>('deliveries')
    .where({ state: 'waiting' })
    .where('next_at_ms', '<=', nowMs)
    .where('claimed_until_ms', '<=', nowMs)

/** Hooks that are enabled and have something due that nobody is at. */
export async function dueHooks(db: Db, nowMs: number): Promise<string[]> {
  const rows = await dueAt(db, nowMs)
    .whereIn('hook_id', db('hooks').where({ enabled: 1 }).select('id'))
    .distinct('hook_id')
  return (rows as { hook_id: string }[]).map((row) => row.hook_id)
}

/** Due ones of a hook, longest due first, for this claim alone until `untilMs`. */
export async function claimDeliveries(
  db: Db,
  hookId: string,
  claim: string,
  times: { readonly nowMs: number; readonly untilMs: number },
  limit: number,
): Promise<Claimed[]> {
  const { nowMs, untilMs } = times
  const due = await dueAt(db, nowMs)
    .where({ hook_id: hookId })
    .whereIn('hook_id', db('hooks').where({ enabled: 1 }).select('id'))
    .orderBy('next_at_ms')
    .orderBy('seq')
    .limit(limit)
    .select('id')
  if (due.length === 0) return []
  // Asked again in the change itself: of two servers that saw the same row, the second finds it claimed.
  const rows = await db<Row>('deliveries')
    .whereIn(
      'id',
      (due as { id: string }[]).map(({ id }) => id),
    )
    .where({ state: 'waiting' })
    .where('claimed_until_ms', '<=', nowMs)
    .update({ claim, claimed_until_ms: untilMs })
    .returning('*')
  return rows.map(({ id, hook_id, attempts, body }) => ({ id, hookId: hook_id, claim, attempts, body }))
}

/** Gives back what was claimed and not tried. */
export async function freeClaims(db: Db, claim: string): Promise<void> {
  await db<Row>('deliveries').where({ claim }).update({ claim: null, claimed_until_ms: 0 })
}

/** No claim is anybody's: for the only server of a database, when it starts. */
export async function freeAllClaims(db: Db): Promise<void> {
  await db<Row>('deliveries').where('claimed_until_ms', '>', 0).update({ claim: null, claimed_until_ms: 0 })
}

/** What became of a try; nothing when another server has claimed it since. */
export async function settleDelivery(
  db: Db,
  { id, claim, attempts }: Claimed,
  became: {
    readonly state: DeliveryState
    readonly status: number | null
    readonly error: string
    readonly answer: string
    readonly nextAtMs: number
    readonly nowMs: number
  },
): Promise<void> {
  const { state, status, error, answer, nextAtMs, nowMs } = became
  await db<Row>('deliveries')
    .where({ id, claim })
    .update({
      state,
      status,
      error: error.slice(0, 300),
      answer,
      attempts: attempts + 1,
      next_at_ms: nextAtMs,
      claim: null,
      claimed_until_ms: 0,
      ended_at_ms: state === 'waiting' ? null : nowMs,
    })
}

/** Newest first. */
export async function listDeliveries(
  db: Db,
  hookId: string,
  page: {
    readonly state?: DeliveryState | undefined
    readonly before?: number | undefined
    readonly limit: number
  },
): Promise<{ seq: number; delivery: Delivery }[]> {
  const query = db<Row>('deliveries').where({ hook_id: hookId })
  if (page.state !== undefined) query.where({ state: page.state })
  if (page.before !== undefined) query.where('seq', '<', page.before)
  const rows = await query.orderBy('seq', 'desc').limit(page.limit)
  return rows.map((row) => ({ seq: Number(row.seq), delivery: fromRow(row) }))
}

/** Begins again with all its tries. False when there is none of that hook, or it is at work. */
export async function redeliver(db: Db, hookId: string, id: string, nowMs: number): Promise<boolean> {
  const count = await db<Row>('deliveries')
    .where({ id, hook_id: hookId })
    .where('claimed_until_ms', '<=', nowMs)
    .update({ state: 'waiting', attempts: 0, next_at_ms: nowMs, claim: null, ended_at_ms: null })
  return count === 1
}

/** How many there are of each state, by hook. */
export async function countDeliveries(db: Db): Promise<Map<string, HookView['deliveries']>> {
  const rows = await db<Row>('deliveries')
    .groupBy('hook_id', 'state')
    .select('hook_id', 'state')
    .count({ n: '*' })
  const counts = new Map<string, HookView['deliveries']>()
  for (const row of rows as unknown as { hook_id: string; state: DeliveryState; n: number | string }[]) {
    const known = counts.get(row.hook_id) ?? { waiting: 0, delivered: 0, dead: 0 }
    counts.set(row.hook_id, { ...known, [row.state]: Number(row.n) })
  }
  return counts
}

export async function deleteDeliveries(db: Db, hookId: string): Promise<void> {
  await db<Row>('deliveries').where({ hook_id: hookId }).delete()
}

/** Forgets those that ended before. */
export async function pruneDeliveries(db: Db, endedBeforeMs: number): Promise<void> {
  await db<Row>('deliveries').where('ended_at_ms', '<', endedBeforeMs).delete()
}

/** Deletes the oldest `count` of a hook in one state, but what somebody is at; gives how many went. */
export async function dropOldest(
  db: Db,
  { hookId, state }: { readonly hookId: string; readonly state: DeliveryState },
  count: number,
  nowMs: number,
): Promise<number> {
  const those = (): Knex.QueryBuilder<Row> =>
    db<Row>('deliveries').where({ hook_id: hookId, state }).where('claimed_until_ms', '<=', nowMs)
  const last = (await those()
    .orderBy('seq')
    .offset(count - 1)
    .first('seq')) as Pick<Row, 'seq'> | undefined
  const query = those()
  if (last !== undefined) query.where('seq', '<=', last.seq)
  return query.delete()
}

/** Deletes those of a hook that have waited since before, but what somebody is at; gives how many went. */
export async function dropOlder(db: Db, hookId: string, beforeMs: number, nowMs: number): Promise<number> {
  return db<Row>('deliveries')
    .where({ hook_id: hookId, state: 'waiting' })
    .where('created_at_ms', '<', beforeMs)
    .where('claimed_until_ms', '<=', nowMs)
    .delete()
}
