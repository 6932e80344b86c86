/** Workspaces at rest: row ⇄ object. */
import type { Knex } from 'knex'
import type { Phase, ReasonCode, Status } from '../wire/index.ts'
import { heldDisk } from '../lifecycle/disk.ts'
import { beyondNothing, beyondUnsaid } from '../lifecycle/spec.ts'
import type { Resolved, StoredSpec } from '../lifecycle/spec.ts'
import type { Holder } from './grants.ts'
import { grantedWorkspaces } from './grants.ts'
import { IDS_MAX } from './hosts.ts'
import type { Db } from './open.ts'

export type Want = 'running' | 'stopped' | 'removed'

/** Why a workspace is in its phase, and since when. */
export interface StoredReason {
  readonly code: ReasonCode
  readonly message: string
  readonly sinceMs: number
  readonly nextTryAtMs?: number
}

export interface Workspace {
  readonly id: string
  readonly name: string
  /** Who answers for it. */
  readonly ownerId: string
  /** Its members own it; null: `ownerId` alone does. */
  readonly ownerGroupId: string | null
  readonly want: Want
  /** `delete`: purged, the row goes when its host says that nothing is left. */
  readonly data: 'keep' | 'delete'
  /** Holds one of the places that the caps on running workspaces give. */
  readonly admitted: boolean
  /** When it was last asked to run: who waits longest is admitted first. */
  readonly wantedAtMs: number
  readonly generation: number
  /** The generation that brought the program's part of the spec; what only the edge reads leaves it. */
  readonly programGeneration: number
  readonly spec: StoredSpec
  readonly resolved: Resolved
  readonly hostId: string | null
  /** Revision of the last change of what is desired of its host about it. */
  readonly desiredRevision: number
  /** What its host said last; null: nothing yet. */
  readonly status: Status | null
  /** The desired revision that the host had seen when it said so. */
  readonly statusRevision: number
  readonly phase: Phase
  readonly reason: StoredReason | null
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly purgeAtMs: number | null
  readonly revision: number
}

interface Row {
  id: string
  name: string
  owner_id: string
  owner_group_id: string | null
  want: string
  data: string
  admitted: number
  wanted_at_ms: number
  generation: number
  program_generation: number
  spec: string
  resolved: string
  /** Of `resolved`, to be summed up. */
  cpu_millis: number
  memory_bytes: number
  disk_bytes: number | null
  host_id: string | null
  desired_revision: number
  status: string | null
  status_revision: number
  phase: string
  reason: string | null
  created_at_ms: number
  updated_at_ms: number
  purge_at_ms: number | null
  revision: number
}

const parsed = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T))

/** What was stored before disks had sizes. */
const unsized = { diskBytes: null } as const

const fromRow = (row: Row): Workspace => ({
  id: row.id,
  name: row.name,
  ownerId: row.owner_id,
  ownerGroupId: row.owner_group_id,
  want: row.want as Want,
  data: row.data as Workspace['data'],
  admitted: row.admitted !== 0,
  wantedAtMs: row.wanted_at_ms,
  generation: row.generation,
  programGeneration: row.program_generation,
  spec: { ...beyondUnsaid, ...(JSON.parse(row.spec) as StoredSpec) },
  resolved: { ...unsized, ...beyondNothing, ...(JSON.parse(row.resolved) as Resolved) },
  hostId: row.host_id,
  desiredRevision: row.desired_revision,
  status: parsed<Status>(row.status),
  statusRevision: row.status_revision,
  phase: row.phase as Phase,
  reason: parsed<StoredReason>(row.reason),
  createdAtMs: row.created_at_ms,
  updatedAtMs: row.updated_at_ms,
  purgeAtMs: row.purge_at_ms,
  revision: row.revision,
})

const toRow = (workspace: Workspace): Row => ({
  id: workspace.id,
  name: workspace.name,
  owner_id: workspace.ownerId,
  owner_group_id: workspace.ownerGroupId,
  want: workspace.want,
  data: workspace.data,
  admitted: workspace.admitted ? 1 : 0,
  wanted_at_ms: workspace.wantedAtMs,
  generation: workspace.generation,
  program_generation: workspace.programGeneration,
  spec: JSON.stringify(workspace.spec),
  resolved: JSON.stringify(workspace.resolved),
  cpu_millis: Math.round(workspace.resolved.cpu * 1000),
  memory_bytes: workspace.resolved.memoryBytes,
  disk_bytes: heldDisk(workspace),
  host_id: workspace.hostId,
  desired_revision: workspace.desiredRevision,
  status: workspace.status === null ? null : JSON.stringify(workspace.status),
  status_revision: workspace.statusRevision,
  phase: workspace.phase,
  reason: workspace.reason === null ? null : JSON.stringify(workspace.reason),
  created_at_ms: workspace.createdAtMs,
  updated_at_ms: workspace.updatedAtMs,
  purge_at_ms: workspace.purgeAtMs,
  revision: workspace.revision,
})

export async function insertWorkspace(db: Db, workspace: Workspace): Promise<void> {
  await db<Row>('workspaces').insert(toRow(workspace))
}

export async function updateWorkspace(db: Db, workspace: Workspace): Promise<void> {
  await db<Row>('workspaces').where({ id: workspace.id }).update(toRow(workspace))
}

/** Something about it that isn't in its row has changed. */
export async function touchWorkspace(db: Db, id: string, revision: number): Promise<void> {
  await db<Row>('workspaces').where({ id }).update({ revision })
}

export async function deleteWorkspace(db: Db, id: string): Promise<void> {
  await db<Row>('workspaces').where({ id }).delete()
}

export async function findWorkspace(
  db: Db,
  by: { id: string } | { name: string },
): Promise<Workspace | null> {
  const row = await db<Row>('workspaces').where(by).first()
  return row === undefined ? null : fromRow(row)
}

export interface WorkspaceChoice {
  readonly ownerId?: string
  readonly ownerGroupId?: string
  /** Those that are there for this person at `nowMs`: owned, owned by a group of theirs, or granted. */
  readonly visibleTo?: { readonly holder: Holder; readonly nowMs: number }
  readonly hostId?: string
  readonly ids?: readonly string[]
  /** Unplaced ones that want to run. */
  readonly unplaced?: true
  /** Those that want to run and hold no place, who waits longest first. */
  readonly waitingForPlace?: true
  /** Trash whose time is over. */
  readonly purgeableAtMs?: number
  readonly after?: string | undefined
  readonly limit?: number
}

function visibleTo(
  db: Db,
  query: Knex.QueryBuilder,
  { holder, nowMs }: { readonly holder: Holder; readonly nowMs: number },
): void {
  const groupIds = holder.groups.map(({ id }) => id)
  query.where((any) => {
    any
      .where({ owner_id: holder.id, owner_group_id: null })
      .orWhere((its) => void its.whereIn('owner_group_id', groupIds))
      .orWhere((its) => void its.whereIn('id', grantedWorkspaces(db, holder, nowMs)))
  })
}

/** In the order of their names (those that wait for a place: of their waiting). */
export async function listWorkspaces(db: Db, choice: WorkspaceChoice): Promise<Workspace[]> {
  const query = db<Row>('workspaces')
  if (choice.ownerId !== undefined) query.where({ owner_id: choice.ownerId })
  if (choice.ownerGroupId !== undefined) query.where({ owner_group_id: choice.ownerGroupId })
  if (choice.visibleTo !== undefined) visibleTo(db, query, choice.visibleTo)
  if (choice.hostId !== undefined) query.where({ host_id: choice.hostId })
  if (choice.ids !== undefined) query.whereIn('id', [...choice.ids])
  if (choice.unplaced) query.where({ want: 'running' }).whereNull('host_id')
  if (choice.waitingForPlace) query.where({ want: 'running', admitted: 0 }).orderBy(['wanted_at_ms', 'id'])
  if (choice.purgeableAtMs !== undefined)
    query.where({ want: 'removed', data: 'keep' }).where('purge_at_ms', '<=', choice.purgeableAtMs)
  if (choice.after !== undefined) query.where('name', '>', choice.after)
  if (choice.limit !== undefined) query.limit(choice.limit)
  return (await query.orderBy('name')).map(fromRow)
}

/** Workspaces by host, whatever they want: their data is there. */
export async function countByHost(db: Db, hostIds?: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (hostIds?.length === 0) return new Map()
  const query = db<Row>('workspaces').whereNotNull('host_id')
  if (hostIds !== undefined && hostIds.length <= IDS_MAX) query.whereIn('host_id', [...hostIds])
  const rows = await query.select('host_id').count({ n: '*' }).groupBy('host_id')
  const counted = rows as unknown as { host_id: string; n: number }[]
  return new Map(counted.map((row) => [row.host_id, Number(row.n)]))
}

/** How many GPUs the workspaces that may run have, by host. */
export async function gpusByHost(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db<Row>('workspaces')
    .where({ admitted: 1 })
    .whereNotNull('host_id')
    .where('resolved', 'like', '%"gpus":%')
    .whereNot('resolved', 'like', '%"gpus":0%')
    .select('host_id', 'resolved')
  const taken = new Map<string, number>()
  for (const { host_id: hostId, resolved } of rows) {
    const { gpus } = JSON.parse(resolved) as Resolved
    if (hostId !== null) taken.set(hostId, (taken.get(hostId) ?? 0) + gpus)
  }
  return taken
}

/** True when some workspace has a sealed environment entry. */
export async function hasSecrets(db: Db): Promise<boolean> {
  return (await db<Row>('workspaces').where('spec', 'like', '%"secret":true%').first('id')) !== undefined
}
