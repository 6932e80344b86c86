/** Webhooks at rest: row ⇄ object. Their secrets are sealed. */
import type { HookView } from '../wire/index.ts'
import { deleteDeliveries } from './deliveries.ts'
import type { Db } from './open.ts'

export interface Hook {
  readonly id: string
  readonly name: string
  readonly url: string
  readonly events: readonly string[]
  readonly enabled: boolean
  /** The signing key, sealed by the vault. */
  readonly secret: string
  readonly createdAtMs: number
  /** Deliveries that were given up. */
  readonly dropped: number
}

interface Row {
  id: string
  name: string
  url: string
  events: string
  enabled: number
  secret: string
  created_at_ms: number
  dropped: number
}

const fromRow = (row: Row): Hook => ({
  id: row.id,
  name: row.name,
  url: row.url,
  events: JSON.parse(row.events) as string[],
  enabled: row.enabled !== 0,
  secret: row.secret,
  createdAtMs: row.created_at_ms,
  dropped: Number(row.dropped),
})

export async function insertHook(db: Db, hook: Hook): Promise<void> {
  await db<Row>('hooks').insert({
    id: hook.id,
    name: hook.name,
    url: hook.url,
    events: JSON.stringify(hook.events),
    enabled: hook.enabled ? 1 : 0,
    secret: hook.secret,
    created_at_ms: hook.createdAtMs,
    dropped: hook.dropped,
  })
}

/** Counts deliveries that were given up. */
export async function countDropped(db: Db, id: string, count: number): Promise<void> {
  await db<Row>('hooks').where({ id }).increment('dropped', count)
}

/** In the order in which they were made. */
export async function listHooks(db: Db, choice: { readonly enabled?: true } = {}): Promise<Hook[]> {
  const query = db<Row>('hooks').orderBy('created_at_ms').orderBy('id')
  if (choice.enabled === true) query.where({ enabled: 1 })
  return (await query).map(fromRow)
}

export async function findHook(db: Db, id: string): Promise<Hook | null> {
  const row = await db<Row>('hooks').where({ id }).first()
  return row === undefined ? null : fromRow(row)
}

/** Changes what is given. */
export async function updateHook(
  db: Db,
  id: string,
  change: {
    readonly name?: string | undefined
    readonly url?: string | undefined
    readonly events?: readonly string[] | undefined
    readonly enabled?: boolean | undefined
  },
): Promise<void> {
  const row: Partial<Row> = {}
  if (change.name !== undefined) row.name = change.name
  if (change.url !== undefined) row.url = change.url
  if (change.events !== undefined) row.events = JSON.stringify(change.events)
  if (change.enabled !== undefined) row.enabled = change.enabled ? 1 : 0
  if (Object.keys(row).length > 0) await db<Row>('hooks').where({ id }).update(row)
}

/** With all that was to be delivered to it. */
export async function deleteHook(db: Db, id: string): Promise<void> {
  await deleteDeliveries(db, id)
  await db<Row>('hooks').where({ id }).delete()
}

/** Is there a secret of a hook that only the vault opens? */
export async function hasHooks(db: Db): Promise<boolean> {
  return (await db<Row>('hooks').first('id')) !== undefined
}

/** A hook as administrators see it: without its secret. */
export const hookView = (hook: Hook, deliveries: HookView['deliveries']): HookView => ({
  id: hook.id,
  name: hook.name,
  url: hook.url,
  events: [...hook.events],
  enabled: hook.enabled,
  createdAtMs: hook.createdAtMs,
  deliveries,
  dropped: hook.dropped,
})
