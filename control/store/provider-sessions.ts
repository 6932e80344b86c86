/** What is held of a dashboard session that began at a provider: row ⇄ object. Tokens are sealed before they come here. */
import type { Db } from './open.ts'

export interface ProviderSession {
  readonly sessionHash: string
  readonly provider: string
  readonly subject: string
  /** Sealed; the hint with which one signs out at the provider. */
  readonly idToken: string
  /** Sealed; null where the provider gave none. */
  readonly refreshToken: string | null
  /** When the provider is asked again; null: never. */
  readonly refreshAtMs: number | null
  /** The operator set how long it lasts: what the provider says doesn't move its end. */
  readonly fixedEnd: boolean
}

interface Row {
  session_hash: string
  provider: string
  subject: string
  id_token: string
  refresh_token: string | null
  refresh_at_ms: number | null
  fixed_end: number
}

const fromRow = (row: Row): ProviderSession => ({
  sessionHash: row.session_hash,
  provider: row.provider,
  subject: row.subject,
  idToken: row.id_token,
  refreshToken: row.refresh_token,
  refreshAtMs: row.refresh_at_ms,
  fixedEnd: row.fixed_end !== 0,
})

export async function insertProviderSession(db: Db, session: ProviderSession): Promise<void> {
  await db<Row>('provider_sessions').insert({
    session_hash: session.sessionHash,
    provider: session.provider,
    subject: session.subject,
    id_token: session.idToken,
    refresh_token: session.refreshToken,
    refresh_at_ms: session.refreshAtMs,
    fixed_end: session.fixedEnd ? 1 : 0,
  })
}

export async function findProviderSession(db: Db, sessionHash: string): Promise<ProviderSession | null> {
  const row = await db<Row>('provider_sessions').where({ session_hash: sessionHash }).first()
  return row === undefined ? null : fromRow(row)
}

/** Those whose provider is to be asked by now, the longest due first. */
export async function dueProviderSessions(db: Db, nowMs: number, limit: number): Promise<ProviderSession[]> {
  const rows = await db<Row>('provider_sessions')
    .where('refresh_at_ms', '<=', nowMs)
    .orderBy('refresh_at_ms')
    .limit(limit)
  return rows.map(fromRow)
}

/** Puts the next question off; false where another server has done so first: a refresh token is used once. */
export async function claimRefresh(
  db: Db,
  { sessionHash, refreshAtMs }: ProviderSession,
  untilMs: number,
): Promise<boolean> {
  const changed = await db<Row>('provider_sessions')
    .where({ session_hash: sessionHash, refresh_at_ms: refreshAtMs })
    .update({ refresh_at_ms: untilMs })
  return changed > 0
}

/** Keeps what a refresh brought. */
export async function updateProviderSession(
  db: Db,
  sessionHash: string,
  next: Pick<ProviderSession, 'idToken' | 'refreshToken' | 'refreshAtMs'>,
): Promise<void> {
  await db<Row>('provider_sessions')
    .where({ session_hash: sessionHash })
    .update({ id_token: next.idToken, refresh_token: next.refreshToken, refresh_at_ms: next.refreshAtMs })
}
