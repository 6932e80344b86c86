/** Passwords of workspaces and of single ports at rest, and who gave them. Row ⇄ object. */
import type { Db } from './open.ts'

/** Stands before a port, or before all of a workspace. Another password is another version. */
export interface WorkspacePassword {
  readonly version: string
  readonly workspaceId: string
  /** Null: the whole workspace. */
  readonly port: number | null
  readonly hash: string
  readonly setAtMs: number
}

/** The hash of none: whatever is given, it isn't that. */
export const NO_HASH = ''

interface Row {
  version: string
  workspace_id: string
  port: number
  hash: string
  set_at_ms: number
}

const fromRow = (row: Row): WorkspacePassword => ({
  version: row.version,
  workspaceId: row.workspace_id,
  port: row.port === 0 ? null : row.port,
  hash: row.hash,
  setAtMs: row.set_at_ms,
})

/** Those of some workspaces, or all; the whole workspace's first, then by port. */
export async function listWorkspacePasswords(
  db: Db,
  workspaceIds?: readonly string[],
): Promise<WorkspacePassword[]> {
  const query = db<Row>('workspace_passwords').orderBy('port')
  if (workspaceIds !== undefined) query.whereIn('workspace_id', [...workspaceIds])
  return (await query).map(fromRow)
}

/** False where there was none. What was given for it is void. */
export async function deleteWorkspacePassword(
  db: Db,
  workspaceId: string,
  port: number | null,
): Promise<boolean> {
  const count = await db<Row>('workspace_passwords')
    .where({ workspace_id: workspaceId, port: port ?? 0 })
    .delete()
  return count > 0
}

/** In place of the one that was there; what was given for that is void. */
export async function replaceWorkspacePassword(db: Db, password: WorkspacePassword): Promise<void> {
  await deleteWorkspacePassword(db, password.workspaceId, password.port)
  await db<Row>('workspace_passwords').insert({
    version: password.version,
    workspace_id: password.workspaceId,
    port: password.port ?? 0,
    hash: password.hash,
    set_at_ms: password.setAtMs,
  })
}

interface PassRow {
  holder_hash: string
  version: string
  given_at_ms: number
}

/** Notes that the holder of a session or token gave the password of that version. */
export async function insertPass(
  db: Db,
  holderHash: string,
  version: string,
  givenAtMs: number,
): Promise<void> {
  await db<PassRow>('passes')
    .insert({ holder_hash: holderHash, version, given_at_ms: givenAtMs })
    .onConflict(['holder_hash', 'version'])
    .ignore()
}

/** The versions given by each holder. */
export async function passesOf(
  db: Db,
  holders: readonly string[] | 'all',
): Promise<ReadonlyMap<string, readonly string[]>> {
  const query = db<PassRow>('passes').orderBy('version')
  if (holders !== 'all') query.whereIn('holder_hash', [...holders])
  const passes = new Map<string, string[]>()
  for (const { holder_hash: holder, version } of await query)
    passes.set(holder, [...(passes.get(holder) ?? []), version])
  return passes
}

/** Forgets those whose session or token is gone. */
export async function deleteStrayPasses(db: Db): Promise<void> {
  const query = db<PassRow>('passes')
  for (const table of ['sessions', 'guests', 'tokens'])
    query.whereNotExists(db(table).select('hash').where('hash', db.ref('passes.holder_hash')))
  await query.delete()
}
