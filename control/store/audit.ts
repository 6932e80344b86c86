/** The audit at rest: row ⇄ object. What comes in is cut to its bounds here, so that nobody fills the disk by a name. */
import type { Knex } from 'knex'
import type {
  AuditAction,
  AuditActorKind,
  AuditDetail,
  AuditOutcome,
  AuditRow,
  Origin,
} from '../wire/index.ts'
import { auditObjectOf } from '../wire/index.ts'
import type { Db } from './open.ts'

export interface AuditActor {
  readonly kind: AuditActorKind
  readonly id: string
  readonly name: string
  readonly via?: AuditRow['actor']['via']
}

/** One act, as whoever saw it tells it. `details` never holds a secret. */
export interface AuditEntry {
  readonly actor: AuditActor
  readonly action: AuditAction
  /** Absent: nothing but what the action's name says. */
  readonly object?: { readonly kind?: string; readonly id: string; readonly name?: string }
  readonly workspace?: { readonly id: string; readonly ownerId: string } | null
  /** Absent: `ok`. */
  readonly outcome?: AuditOutcome
  readonly origin?: Origin | null
  readonly details?: Readonly<Record<string, AuditDetail>>
}

interface Row {
  id: number
  at_ms: number
  actor_kind: string
  actor_id: string
  actor_name: string
  via_kind: string
  via_id: string
  action: string
  object_kind: string
  object_id: string
  object_name: string
  workspace_id: string | null
  owner_id: string | null
  outcome: string
  count: number
  ip: string
  user_agent: string
  request_id: string
  details: string
}

const fromRow = (row: Row): AuditRow => ({
  id: Number(row.id),
  atMs: row.at_ms,
  actor: {
    kind: row.actor_kind as AuditActorKind,
    id: row.actor_id,
    name: row.actor_name,
    via: row.via_kind === '' ? null : ({ kind: row.via_kind, id: row.via_id } as AuditRow['actor']['via']),
  },
  action: row.action as AuditAction,
  object: { kind: row.object_kind, id: row.object_id, name: row.object_name },
  workspaceId: row.workspace_id,
  outcome: row.outcome,
  count: row.count,
  ip: row.ip,
  userAgent: row.user_agent,
  requestId: row.request_id,
  details: JSON.parse(row.details) as AuditRow['details'],
})

const DETAILS_MAX = 20
const DETAIL_MAX = 200

/** One line of printable text of at most `max` UTF-16 units, never half a character. */
function line(text: string, max: number): string {
  // PostgreSQL takes no NUL, and a reader's terminal no control bytes.
  const plain = text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, ' ')
  return plain.length <= max ? plain : plain.slice(0, max).replace(/[\uD800-\uDBFF]$/, '')
}

function detailText(details: AuditEntry['details'] = {}): string {
  const short = (value: AuditDetail): AuditDetail =>
    typeof value === 'string'
      ? line(value, DETAIL_MAX)
      : typeof value === 'object' && value !== null
        ? value.slice(0, DETAILS_MAX).map((each) => line(each, DETAIL_MAX))
        : value
  const kept = Object.entries(details).slice(0, DETAILS_MAX)
  return JSON.stringify(Object.fromEntries(kept.map(([key, value]) => [line(key, 40), short(value)])))
}

function subject({ action, object, workspace, outcome, details }: Omit<AuditEntry, 'actor'>): Partial<Row> {
  return {
    action,
    object_kind: object?.kind ?? auditObjectOf(action),
    object_id: line(object?.id ?? '', 64),
    object_name: line(object?.name ?? '', 120),
    workspace_id: workspace?.id ?? null,
    owner_id: workspace?.ownerId ?? null,
    outcome: outcome ?? 'ok',
    details: detailText(details),
  }
}

export async function insertAudit(db: Db, entry: AuditEntry, atMs: number): Promise<AuditRow> {
  const { actor, origin } = entry
  const rows = await db<Row>('audit')
    .insert({
      at_ms: atMs,
      actor_kind: actor.kind,
      actor_id: line(actor.id, 40),
      actor_name: line(actor.name, 80),
      via_kind: actor.via?.kind ?? '',
      via_id: line(actor.via?.id ?? '', 40),
      ...subject(entry),
      count: 1,
      ip: line(origin?.ip ?? '', 64),
      user_agent: line(origin?.userAgent ?? '', 200),
      request_id: line(origin?.requestId ?? '', 64),
    })
    .returning('*')
  return fromRow(rows[0] as Row)
}

/** Says how what was begun has ended, and what it was about where that came out on the way. */
export async function endAudit(
  db: Db,
  id: number,
  entry: Omit<AuditEntry, 'actor'>,
): Promise<AuditRow | null> {
  const [row] = await db<Row>('audit').where({ id }).update(subject(entry)).returning('*')
  return row === undefined ? null : fromRow(row)
}

export async function deleteAudit(db: Db, id: number): Promise<void> {
  await db<Row>('audit').where({ id }).delete()
}

/** `more` of the same happened. */
export async function raiseAudit(db: Db, id: number, more: number): Promise<void> {
  await db<Row>('audit').where({ id }).increment('count', more)
}

/** Which rows are meant; absent: of all. */
export interface AuditChoice {
  /** Only what this person did, what was done to their account, and what was about workspaces that were theirs. */
  readonly concerns?: string
  /** Id or name. */
  readonly actor?: string
  /** An action, or all of one object: `workspace.*`. */
  readonly action?: string
  /** Id or name. */
  readonly object?: string
  readonly workspaceId?: string
  /** `refused`: all that is neither done nor at work. */
  readonly outcome?: string
  readonly sinceMs?: number
  readonly untilMs?: number
}

function chosen(db: Db, choice: AuditChoice): Knex.QueryBuilder<Row, Row[]> {
  const { concerns, actor, action, object, workspaceId, outcome, sinceMs, untilMs } = choice
  const query = db<Row>('audit')
  if (concerns !== undefined)
    query.where((either) => {
      const mine = either.where({ actor_id: concerns }).orWhere({ owner_id: concerns })
      void mine.orWhere({ object_id: concerns, object_kind: 'user' })
    })
  if (actor !== undefined)
    query.where((either) => void either.where({ actor_id: actor }).orWhere({ actor_name: actor }))
  if (object !== undefined)
    query.where((either) => void either.where({ object_id: object }).orWhere({ object_name: object }))
  if (action?.endsWith('.*') === true) query.where('action', 'like', `${action.slice(0, -1)}%`)
  else if (action !== undefined) query.where({ action })
  if (workspaceId !== undefined) query.where({ workspace_id: workspaceId })
  if (outcome === 'refused') query.whereNotIn('outcome', ['ok', 'begun', 'unknown'])
  else if (outcome !== undefined) query.where({ outcome })
  if (sinceMs !== undefined) query.where('at_ms', '>=', sinceMs)
  if (untilMs !== undefined) query.where('at_ms', '<', untilMs)
  return query as unknown as Knex.QueryBuilder<Row, Row[]>
}

/** Newest first, those with an id below `before` where it is given. */
export async function listAudit(
  db: Db,
  choice: AuditChoice,
  page: { before?: number | undefined; limit: number },
): Promise<AuditRow[]> {
  const query = chosen(db, choice)
  if (page.before !== undefined) query.where('id', '<', page.before)
  return (await query.orderBy('id', 'desc').limit(page.limit)).map(fromRow)
}

/** The newest 50 rows as one text: another where there is a new one, or where one of them has ended or is counted higher. */
export async function newestAudit(db: Db): Promise<string> {
  const rows = await db<Row>('audit').orderBy('id', 'desc').limit(50).select(['id', 'outcome', 'count'])
  return `rows ${rows.map(({ id, outcome, count }) => `${id} ${outcome} ${count}`).join(',')}`
}

/** Oldest first, a page at a time, up to the newest row that is there when it begins. */
export async function* everyAudit(db: Db, choice: AuditChoice, pageSize = 1000): AsyncGenerator<AuditRow[]> {
  const newest = Number((await db<Row>('audit').max({ id: 'id' }).first())?.['id'] ?? 0)
  let after = 0
  while (after < newest) {
    const rows = await chosen(db, choice)
      .where('id', '>', after)
      .where('id', '<=', newest)
      .orderBy('id')
      .limit(pageSize)
    if (rows.length === 0) return
    after = Number(rows.at(-1)?.id)
    yield rows.map(fromRow)
  }
}

/** What was begun before `beforeMs` and never ended reads `unknown` from now on; gives those rows. */
export async function loseBegun(db: Db, beforeMs: number): Promise<AuditRow[]> {
  const rows = await db<Row>('audit')
    .where({ outcome: 'begun' })
    .where('at_ms', '<', beforeMs)
    .update({ outcome: 'unknown' })
    .returning('*')
  return rows.map(fromRow)
}

/** Deletes at most `limit` of the oldest rows from before `beforeMs`; how many. */
export async function pruneOldest(db: Db, beforeMs: number, limit: number): Promise<number> {
  const last = await db<Row>('audit')
    .where('at_ms', '<', beforeMs)
    .orderBy('id')
    .offset(limit - 1)
    .first('id')
  const query = db<Row>('audit').where('at_ms', '<', beforeMs)
  if (last !== undefined) query.where('id', '<=', last.id)
  return query.delete()
}

/** When rows were last pruned, in ms; 0: never. */
export async function lastPruned(db: Db): Promise<number> {
  const row = await db<Row>('audit').where({ action: 'audit.prune' }).max({ at: 'at_ms' }).first()
  return Number(row?.['at'] ?? 0)
}
