/** Sessions and hand-off codes at rest: row ⇄ object. Only hashes of their secrets are here. */
import type { Db } from './open.ts'

/** A browser's session; `workspace` is set on a child that lives on one workspace host. */
export interface Session {
  readonly hash: string
  readonly id: string
  readonly userId: string
  readonly workspace: {
    readonly parentHash: string
    readonly workspaceId: string
    readonly label: string
  } | null
  readonly createdAtMs: number
  readonly lastUsedAtMs: number
  /** Slides with use. */
  readonly expiresAtMs: number
  /** Never slides. */
  readonly endsAtMs: number
  readonly ip: string
  readonly userAgent: string
  /** By what it was signed in: `password`, `setup`, `reset`, `invitation`, `oidc:<provider>`. */
  readonly via: string
}

interface Row {
  hash: string
  id: string
  user_id: string
  parent_hash: string | null
  workspace_id: string | null
  label: string | null
  created_at_ms: number
  last_used_at_ms: number
  expires_at_ms: number
  ends_at_ms: number
  ip: string
  user_agent: string
  via: string
}

const fromRow = (row: Row): Session => ({
  hash: row.hash,
  id: row.id,
  userId: row.user_id,
  workspace:
    row.parent_hash === null || row.workspace_id === null || row.label === null
      ? null
      : { parentHash: row.parent_hash, workspaceId: row.workspace_id, label: row.label },
  createdAtMs: row.created_at_ms,
  lastUsedAtMs: row.last_used_at_ms,
  expiresAtMs: row.expires_at_ms,
  endsAtMs: row.ends_at_ms,
  ip: row.ip,
  userAgent: row.user_agent,
  via: row.via,
})

export async function insertSession(db: Db, session: Session): Promise<void> {
  await db<Row>('sessions').insert({
    hash: session.hash,
    id: session.id,
    user_id: session.userId,
    parent_hash: session.workspace?.parentHash ?? null,
    workspace_id: session.workspace?.workspaceId ?? null,
    label: session.workspace?.label ?? null,
    created_at_ms: session.createdAtMs,
    last_used_at_ms: session.lastUsedAtMs,
    expires_at_ms: session.expiresAtMs,
    ends_at_ms: session.endsAtMs,
    ip: session.ip.slice(0, 64),
    user_agent: session.userAgent.slice(0, 400),
    via: session.via.slice(0, 80),
  })
}

export async function findSession(db: Db, hash: string): Promise<Session | null> {
  const row = await db<Row>('sessions').where({ hash }).first()
  return row === undefined ? null : fromRow(row)
}

/** Which sessions are meant: of a user, one by id or hash, the children of one, of a workspace, expired ones, or all. */
export type SessionChoice =
  | { userId: string }
  | { id: string; userId: string }
  | { hash: string }
  | { parentHash: string }
  | { workspaceId: string }
  | { expiredAtMs: number }
  | 'all'

/** Newest first. */
export async function listSessions(db: Db, choice: SessionChoice): Promise<Session[]> {
  const query = db<Row>('sessions').orderBy('created_at_ms', 'desc')
  if (choice !== 'all') {
    if ('id' in choice) query.where({ id: choice.id, user_id: choice.userId })
    else if ('userId' in choice) query.where({ user_id: choice.userId })
    else if ('hash' in choice) query.where({ hash: choice.hash })
    else if ('parentHash' in choice) query.where({ parent_hash: choice.parentHash })
    else if ('workspaceId' in choice) query.where({ workspace_id: choice.workspaceId })
    else query.where('expires_at_ms', '<=', choice.expiredAtMs)
  }
  return (await query).map(fromRow)
}

/** Moves a session's end. */
export async function extendSession(
  db: Db,
  hash: string,
  times: { expiresAtMs: number; endsAtMs: number },
): Promise<void> {
  await db<Row>('sessions')
    .where({ hash })
    .update({ expires_at_ms: times.expiresAtMs, ends_at_ms: times.endsAtMs })
}

/** A one-time code of the hand-off between the dashboard's host and a workspace host. */
export interface Code {
  readonly hash: string
  readonly userId: string
  readonly parentHash: string
  readonly workspaceId: string
  readonly label: string
  readonly challenge: string
  readonly expiresAtMs: number
}

interface CodeRow {
  hash: string
  user_id: string
  parent_hash: string
  workspace_id: string
  label: string
  challenge: string
  expires_at_ms: number
  used: number
}

export async function insertCode(db: Db, code: Code): Promise<void> {
  await db<CodeRow>('codes').insert({
    hash: code.hash,
    user_id: code.userId,
    parent_hash: code.parentHash,
    workspace_id: code.workspaceId,
    label: code.label,
    challenge: code.challenge,
    expires_at_ms: code.expiresAtMs,
    used: 0,
  })
}

/** Gives the code to the first who asks, and to nobody after. */
export async function consumeCode(db: Db, hash: string): Promise<Code | null> {
  const rows = await db<CodeRow>('codes').where({ hash, used: 0 }).update({ used: 1 }).returning('*')
  const row = rows[0]
  if (row === undefined) return null
  return {
    hash: row.hash,
    userId: row.user_id,
    parentHash: row.parent_hash,
    workspaceId: row.workspace_id,
    label: row.label,
    challenge: row.challenge,
    expiresAtMs: row.expires_at_ms,
  }
}

export async function deleteCodes(db: Db, expiredAtMs: number): Promise<void> {
  await db<CodeRow>('codes').where('expires_at_ms', '<=', expiredAtMs).delete()
}
