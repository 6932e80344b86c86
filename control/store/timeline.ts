/** The timelines of workspaces at rest: row ⇄ object. */
import type { Phase, ReasonCode, TimelineEvent } from '../wire/index.ts'
import type { Db } from './open.ts'

interface Row {
  id: number
  workspace_id: string
  at_ms: number
  phase: string
  code: string
  message: string
  actor: string | null
}

const fromRow = (row: Row): TimelineEvent => ({
  id: row.id,
  workspaceId: row.workspace_id,
  atMs: row.at_ms,
  phase: row.phase as Phase,
  code: row.code as ReasonCode,
  message: row.message,
  actor: row.actor,
})

/** Entries kept for one workspace. */
export const TIMELINE_KEPT = 500

/** Gives the new entry's id; the oldest beyond the bound are forgotten. */
export async function appendTimeline(db: Db, event: Omit<TimelineEvent, 'id'>): Promise<number> {
  const rows = await db<Row>('timeline')
    .insert({
      workspace_id: event.workspaceId,
      at_ms: event.atMs,
      phase: event.phase,
      code: event.code,
      message: event.message,
      actor: event.actor,
    })
    .returning('id')
  const id = (rows[0] as { id: number }).id
  const oldest = await db<Row>('timeline')
    .where({ workspace_id: event.workspaceId })
    .orderBy('id', 'desc')
    .offset(TIMELINE_KEPT)
    .first('id')
  if (oldest !== undefined)
    await db<Row>('timeline').where({ workspace_id: event.workspaceId }).where('id', '<=', oldest.id).delete()
  return id
}

/** Newest first, those older than the entry `before` where it is given. */
export async function listTimeline(
  db: Db,
  workspaceId: string,
  page: { before?: number | undefined; limit: number },
): Promise<TimelineEvent[]> {
  const query = db<Row>('timeline').where({ workspace_id: workspaceId })
  if (page.before !== undefined) query.where('id', '<', page.before)
  return (await query.orderBy('id', 'desc').limit(page.limit)).map(fromRow)
}

export async function findTimeline(db: Db, ids: readonly number[]): Promise<TimelineEvent[]> {
  return (
    await db<Row>('timeline')
      .whereIn('id', [...ids])
      .orderBy('id')
  ).map(fromRow)
}
