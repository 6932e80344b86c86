/** Requests for access at rest: row ⇄ object. */
import type { Db } from './open.ts'

export interface AccessRequest {
  readonly id: string
  readonly userId: string
  /** The name of the host that was asked for, whether or not there is such a workspace. */
  readonly name: string
  /** The port in the host's label; null: the default app. */
  readonly port: number | null
  /** The workspace behind the name; null: there is none. */
  readonly workspaceId: string | null
  readonly state: 'open' | 'granted' | 'declined'
  readonly createdAtMs: number
  readonly expiresAtMs: number
}

interface Row {
  id: string
  user_id: string
  name: string
  port: number | null
  workspace_id: string | null
  state: string
  created_at_ms: number
  expires_at_ms: number
}

const fromRow = (row: Row): AccessRequest => ({
  id: row.id,
  userId: row.user_id,
  name: row.name,
  port: row.port,
  workspaceId: row.workspace_id,
  state: row.state as AccessRequest['state'],
  createdAtMs: row.created_at_ms,
  expiresAtMs: row.expires_at_ms,
})

/** Stores a request, or what became of it. */
export async function putAccessRequest(db: Db, request: AccessRequest): Promise<void> {
  await db<Row>('access_requests')
    .insert({
      id: request.id,
      user_id: request.userId,
      name: request.name,
      port: request.port,
      workspace_id: request.workspaceId,
      state: request.state,
      created_at_ms: request.createdAtMs,
      expires_at_ms: request.expiresAtMs,
    })
    .onConflict('id')
    .merge()
}

/** Which requests are meant; all that is said holds. */
export interface AccessRequestChoice {
  readonly ids?: readonly string[]
  readonly userId?: string
  readonly name?: string
  readonly workspaceId?: string
  /** Those that wait for an answer and have a workspace. */
  readonly open?: true
  readonly expiredAtMs?: number
}

/** Oldest first. */
export async function listAccessRequests(db: Db, choice: AccessRequestChoice): Promise<AccessRequest[]> {
  const query = db<Row>('access_requests').orderBy(['created_at_ms', 'id'])
  if (choice.ids !== undefined) query.whereIn('id', [...choice.ids])
  if (choice.userId !== undefined) query.where({ user_id: choice.userId })
  if (choice.name !== undefined) query.where({ name: choice.name })
  if (choice.workspaceId !== undefined) query.where({ workspace_id: choice.workspaceId })
  if (choice.open) query.where({ state: 'open' }).whereNotNull('workspace_id')
  if (choice.expiredAtMs !== undefined) query.where('expires_at_ms', '<=', choice.expiredAtMs)
  return (await query).map(fromRow)
}

export async function deleteAccessRequests(db: Db, ids: readonly string[]): Promise<void> {
  for (let at = 0; at < ids.length; at += 500)
    await db<Row>('access_requests')
      .whereIn('id', ids.slice(at, at + 500))
      .delete()
}
