/** API tokens and join tokens at rest: row ⇄ object. Only hashes of their secrets are here. */
import type { Scope, TokenBounds } from '../wire/index.ts'
import { scopes as allScopes } from '../wire/index.ts'
import type { Db } from './open.ts'

export interface Token {
  readonly hash: string
  readonly id: string
  readonly userId: string
  readonly name: string
  readonly scopes: readonly Scope[]
  /** Null: all workspaces that its user may open. */
  readonly bounds: TokenBounds | null
  /** The token that it was made with, and ends with; null: a person's session. */
  readonly parentId: string | null
  readonly createdAtMs: number
  readonly expiresAtMs: number | null
  readonly lastUsedAtMs: number | null
}

interface Row {
  hash: string
  id: string
  user_id: string
  name: string
  scopes: string
  workspace_id: string | null
  ports: string | null
  parent_id: string | null
  created_at_ms: number
  expires_at_ms: number | null
  last_used_at_ms: number | null
}

const fromRow = (row: Row): Token => ({
  hash: row.hash,
  id: row.id,
  userId: row.user_id,
  name: row.name,
  scopes: allScopes.filter((scope) => row.scopes.split(' ').includes(scope)),
  bounds:
    row.workspace_id === null
      ? null
      : {
          workspaceId: row.workspace_id,
          ports: row.ports === null ? null : (JSON.parse(row.ports) as number[]),
        },
  parentId: row.parent_id,
  createdAtMs: row.created_at_ms,
  expiresAtMs: row.expires_at_ms,
  lastUsedAtMs: row.last_used_at_ms,
})

export async function insertToken(db: Db, token: Token): Promise<void> {
  await db<Row>('tokens').insert({
    hash: token.hash,
    id: token.id,
    user_id: token.userId,
    name: token.name,
    scopes: token.scopes.join(' '),
    workspace_id: token.bounds?.workspaceId ?? null,
    ports: token.bounds === null || token.bounds.ports === null ? null : JSON.stringify(token.bounds.ports),
    parent_id: token.parentId,
    created_at_ms: token.createdAtMs,
    expires_at_ms: token.expiresAtMs,
    last_used_at_ms: token.lastUsedAtMs,
  })
}

export type TokenChoice =
  | { userId: string }
  | { id: string; userId: string }
  | { hash: string }
  | { expiredAtMs: number }
  | { workspaceId: string }
  | { parentIds: readonly string[] }
  | 'all'

/** Newest first. */
export async function listTokens(db: Db, choice: TokenChoice): Promise<Token[]> {
  const query = db<Row>('tokens').orderBy('created_at_ms', 'desc')
  if (choice !== 'all') {
    if ('id' in choice) query.where({ id: choice.id, user_id: choice.userId })
    else if ('userId' in choice) query.where({ user_id: choice.userId })
    else if ('hash' in choice) query.where({ hash: choice.hash })
    else if ('workspaceId' in choice) query.where({ workspace_id: choice.workspaceId })
    else if ('parentIds' in choice) query.whereIn('parent_id', [...choice.parentIds])
    else query.where('expires_at_ms', '<=', choice.expiredAtMs)
  }
  return (await query).map(fromRow)
}

export async function deleteTokens(db: Db, hashes: readonly string[]): Promise<void> {
  await db<Row>('tokens')
    .whereIn('hash', [...hashes])
    .delete()
}

export async function markTokenUsed(db: Db, id: string, atMs: number): Promise<void> {
  await db<Row>('tokens').where({ id }).update({ last_used_at_ms: atMs })
}

interface JoinRow {
  hash: string
  id: string
  name: string
  expires_at_ms: number
  used: number
}

export async function insertJoinToken(
  db: Db,
  token: { hash: string; id: string; name: string; expiresAtMs: number },
): Promise<void> {
  await db<JoinRow>('host_tokens').insert({
    hash: token.hash,
    id: token.id,
    name: token.name,
    expires_at_ms: token.expiresAtMs,
    used: 0,
  })
}

/** True for the first who asks in time, for nobody after. */
export async function consumeJoinToken(db: Db, hash: string, nowMs: number): Promise<boolean> {
  const count = await db<JoinRow>('host_tokens')
    .where({ hash, used: 0 })
    .andWhere('expires_at_ms', '>', nowMs)
    .update({ used: 1 })
  return count === 1
}

/** Those that expired by a time, or all. */
export async function deleteJoinTokens(db: Db, expiredAtMs?: number): Promise<void> {
  const query = db<JoinRow>('host_tokens')
  if (expiredAtMs !== undefined) query.where('expires_at_ms', '<=', expiredAtMs)
  await query.delete()
}
