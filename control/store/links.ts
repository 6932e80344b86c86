/** Links to workspaces at rest: row ⇄ object. Only hashes of their secrets are here. */
import type { Db } from './open.ts'

/** Opens ports of one workspace to whoever has its secret. */
export interface Link {
  readonly id: string
  readonly hash: string
  readonly workspaceId: string
  /** Null: every port that is open to links. */
  readonly port: number | null
  readonly name: string
  /** The user who made it. */
  readonly createdBy: string
  readonly createdAtMs: number
  readonly expiresAtMs: number | null
  readonly maxUses: number | null
  readonly uses: number
  readonly lastUsedAtMs: number | null
}

interface Row {
  id: string
  hash: string
  workspace_id: string
  port: number | null
  name: string
  created_by: string
  created_at_ms: number
  expires_at_ms: number | null
  max_uses: number | null
  uses: number
  last_used_at_ms: number | null
}

const fromRow = (row: Row): Link => ({
  id: row.id,
  hash: row.hash,
  workspaceId: row.workspace_id,
  port: row.port,
  name: row.name,
  createdBy: row.created_by,
  createdAtMs: row.created_at_ms,
  expiresAtMs: row.expires_at_ms,
  maxUses: row.max_uses,
  uses: row.uses,
  lastUsedAtMs: row.last_used_at_ms,
})

export async function insertLink(db: Db, link: Link): Promise<void> {
  await db<Row>('links').insert({
    id: link.id,
    hash: link.hash,
    workspace_id: link.workspaceId,
    port: link.port,
    name: link.name,
    created_by: link.createdBy,
    created_at_ms: link.createdAtMs,
    expires_at_ms: link.expiresAtMs,
    max_uses: link.maxUses,
    uses: link.uses,
    last_used_at_ms: link.lastUsedAtMs,
  })
}

export async function findLink(
  db: Db,
  by: { hash: string } | { id: string } | { id: string; workspaceId: string },
): Promise<Link | null> {
  const query = db<Row>('links')
  if ('hash' in by) query.where({ hash: by.hash })
  else query.where({ id: by.id })
  if ('workspaceId' in by) query.where({ workspace_id: by.workspaceId })
  const row = await query.first()
  return row === undefined ? null : fromRow(row)
}

/** Those of a workspace, or all; newest first. */
export async function listLinks(db: Db, choice: { workspaceId: string } | 'all'): Promise<Link[]> {
  const query = db<Row>('links').orderBy('created_at_ms', 'desc').orderBy('id')
  if (choice !== 'all') query.where({ workspace_id: choice.workspaceId })
  return (await query).map(fromRow)
}

/** Counts a use; false, and nothing counted, for a link that is over or gone. Two can't both have the last one. */
export async function useLink(db: Db, id: string, nowMs: number): Promise<boolean> {
  const count = await db<Row>('links')
    .where({ id })
    .andWhere((one) => void one.whereNull('max_uses').orWhere('uses', '<', db.ref('max_uses')))
    .andWhere((one) => void one.whereNull('expires_at_ms').orWhere('expires_at_ms', '>', nowMs))
    .update({ uses: db.raw('uses + 1'), last_used_at_ms: nowMs })
  return count === 1
}

/** Its guests go with it. */
export async function deleteLink(db: Db, id: string): Promise<void> {
  await db<Row>('links').where({ id }).delete()
}
