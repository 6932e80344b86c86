/** The one name space of workspaces and aliases at rest: who holds a name, for whom it is kept, who had it before. */
import type { Db } from './open.ts'

/** Another name of a workspace's host; a null port: the workspace's default app, with its paths. */
export interface Alias {
  readonly name: string
  readonly workspaceId: string
  readonly port: number | null
  readonly createdAtMs: number
}

interface AliasRow {
  name: string
  workspace_id: string
  port: number | null
  created_at_ms: number
}

interface NameRow {
  name: string
  owner_id: string
  since_ms: number
  freed_at_ms: number | null
  reused_at_ms: number | null
}

const fromRow = (row: AliasRow): Alias => ({
  name: row.name,
  workspaceId: row.workspace_id,
  port: row.port,
  createdAtMs: row.created_at_ms,
})

/** Stores an alias, or the port that it leads to from now on. */
export async function putAlias(db: Db, alias: Alias): Promise<void> {
  await db<AliasRow>('aliases')
    .insert({
      name: alias.name,
      workspace_id: alias.workspaceId,
      port: alias.port,
      created_at_ms: alias.createdAtMs,
    })
    .onConflict('name')
    .merge(['port'])
}

export async function deleteAlias(db: Db, name: string): Promise<void> {
  await db<AliasRow>('aliases').where({ name }).delete()
}

/** By name; those of some workspaces, or of all. */
export async function listAliases(db: Db, workspaceIds?: readonly string[]): Promise<Alias[]> {
  const query = db<AliasRow>('aliases').orderBy('name')
  if (workspaceIds !== undefined) query.whereIn('workspace_id', [...workspaceIds])
  return (await query).map(fromRow)
}

/** More ids than this are not named in a query: databases bound how many it may have. */
const MANY = 500

/** Aliases by the workspace that they lead to. */
export async function aliasesOf(
  db: Db,
  workspaceIds?: readonly string[],
): Promise<ReadonlyMap<string, readonly Alias[]>> {
  const byWorkspace = new Map<string, Alias[]>()
  if (workspaceIds?.length === 0) return byWorkspace
  const isMany = workspaceIds !== undefined && workspaceIds.length > MANY
  for (const alias of await listAliases(db, isMany ? undefined : workspaceIds)) {
    const known = byWorkspace.get(alias.workspaceId)
    if (known === undefined) byWorkspace.set(alias.workspaceId, [alias])
    else known.push(alias)
  }
  return byWorkspace
}

/** True while a workspace or an alias has that name. */
export async function isNameInUse(db: Db, name: string): Promise<boolean> {
  if ((await db('workspaces').where({ name }).first('id')) !== undefined) return true
  return (await db('aliases').where({ name }).first('name')) !== undefined
}

const findName = (db: Db, name: string): Promise<NameRow | undefined> =>
  db<NameRow>('reserved_names').where({ name }).first()

/** Whose former name it is, or null. */
export async function reservedFor(db: Db, name: string): Promise<string | null> {
  const row = await findName(db, name)
  return row === undefined || row.freed_at_ms !== null ? null : row.owner_id
}

/** Keeps a name that is given up for the one who had it last. */
export async function reserveName(db: Db, name: string, ownerId: string, nowMs: number): Promise<void> {
  await db<NameRow>('reserved_names')
    .insert({ name, owner_id: ownerId, since_ms: nowMs, freed_at_ms: null, reused_at_ms: null })
    .onConflict('name')
    .merge(['owner_id', 'since_ms', 'freed_at_ms'])
}

/** Notes who takes a name into use: browsers that know it from somebody else are to forget what they hold of it. */
export async function takeName(db: Db, name: string, ownerId: string, nowMs: number): Promise<void> {
  const row = await findName(db, name)
  if (row === undefined || row.owner_id === ownerId) return
  await db<NameRow>('reserved_names')
    .where({ name })
    .update({ owner_id: ownerId, since_ms: nowMs, freed_at_ms: null, reused_at_ms: nowMs })
}

/** Since when (ms) the name is another owner's than before; null: nobody else had it. */
export async function reusedAtMs(db: Db, name: string): Promise<number | null> {
  return (await findName(db, name))?.reused_at_ms ?? null
}

/** Names that nobody uses and that are kept for their former owners, by name. */
export async function listReserved(
  db: Db,
): Promise<{ readonly name: string; readonly ownerId: string; readonly sinceMs: number }[]> {
  const rows = await db<NameRow>('reserved_names')
    .whereNull('freed_at_ms')
    .whereNotIn('name', db('workspaces').select('name'))
    .whereNotIn('name', db('aliases').select('name'))
    .orderBy('name')
  return rows.map((row) => ({ name: row.name, ownerId: row.owner_id, sinceMs: row.since_ms }))
}

/** Frees a name for everybody; false when it was not kept for anybody, or is in use. */
export async function freeName(db: Db, name: string, nowMs: number): Promise<boolean> {
  if (await isNameInUse(db, name)) return false
  const query = db<NameRow>('reserved_names').where({ name }).whereNull('freed_at_ms')
  return (await query.update({ freed_at_ms: nowMs })) > 0
}

/** The workspace that a name leads to, and the port where an alias says one; null: none. */
export async function findWorkspaceByHost(
  db: Db,
  name: string,
): Promise<{ readonly workspaceId: string; readonly port: number | null } | null> {
  const row = await db<{ id: string; name: string }>('workspaces').where({ name }).first('id')
  if (row !== undefined) return { workspaceId: row.id, port: null }
  const alias = await db<AliasRow>('aliases').where({ name }).first()
  return alias === undefined ? null : { workspaceId: alias.workspace_id, port: alias.port }
}
