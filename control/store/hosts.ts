/** Hosts at rest: row ⇄ object. */
import type { Register, Report } from '../wire/index.ts'
import type { Db } from './open.ts'

export interface Host {
  readonly id: string
  readonly name: string
  readonly publicKey: string
  readonly machineId: string
  /** Of the agent in the server's own process. */
  readonly embedded: boolean
  readonly epoch: number
  readonly credentialHash: string | null
  readonly runtime: string
  readonly capabilities: Register['capabilities']
  readonly subnets: readonly string[]
  readonly version: string
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
  readonly connected: boolean
  readonly health: Report['health']
  /** Grows with each change of what is desired of this host. */
  readonly desiredRevision: number
}

interface Row {
  id: string
  name: string
  public_key: string
  machine_id: string
  embedded: number
  epoch: number
  credential_hash: string | null
  runtime: string
  capabilities: string
  subnets: string
  version: string
  created_at_ms: number
  last_seen_at_ms: number
  connected: number
  health: string
  desired_revision: number
}

const fromRow = (row: Row): Host => ({
  id: row.id,
  name: row.name,
  publicKey: row.public_key,
  machineId: row.machine_id,
  embedded: row.embedded !== 0,
  epoch: row.epoch,
  credentialHash: row.credential_hash,
  runtime: row.runtime,
  capabilities: JSON.parse(row.capabilities) as Host['capabilities'],
  subnets: JSON.parse(row.subnets) as string[],
  version: row.version,
  createdAtMs: row.created_at_ms,
  lastSeenAtMs: row.last_seen_at_ms,
  connected: row.connected !== 0,
  health: JSON.parse(row.health) as Host['health'],
  desiredRevision: row.desired_revision,
})

const toRow = (host: Host): Row => ({
  id: host.id,
  name: host.name,
  public_key: host.publicKey,
  machine_id: host.machineId,
  embedded: host.embedded ? 1 : 0,
  epoch: host.epoch,
  credential_hash: host.credentialHash,
  runtime: host.runtime,
  capabilities: JSON.stringify(host.capabilities),
  subnets: JSON.stringify(host.subnets),
  version: host.version,
  created_at_ms: host.createdAtMs,
  last_seen_at_ms: host.lastSeenAtMs,
  connected: host.connected ? 1 : 0,
  health: JSON.stringify(host.health),
  desired_revision: host.desiredRevision,
})

/** Stores the whole host, new or known. */
export async function saveHost(db: Db, host: Host): Promise<void> {
  await db<Row>('hosts').insert(toRow(host)).onConflict('id').merge()
}

export type HostChoice =
  { id: string } | { credentialHash: string } | { publicKey: string } | { embeddedOn: string }

export async function findHost(db: Db, choice: HostChoice): Promise<Host | null> {
  const query = db<Row>('hosts')
  if ('id' in choice) query.where({ id: choice.id })
  else if ('credentialHash' in choice) query.where({ credential_hash: choice.credentialHash })
  else if ('publicKey' in choice) query.where({ public_key: choice.publicKey, embedded: 0 })
  else query.where({ machine_id: choice.embeddedOn, embedded: 1 })
  const row = await query.first()
  return row === undefined ? null : fromRow(row)
}

/** Nothing may refer to it any more. */
export async function deleteHost(db: Db, id: string): Promise<void> {
  await db<Row>('hosts').where({ id }).delete()
}

/** A statement takes only so many values; beyond that, all are as cheap. */
export const IDS_MAX = 500

/** In the order in which they joined: all, or at least those named. */
export async function listHosts(db: Db, ids?: readonly string[]): Promise<Host[]> {
  if (ids?.length === 0) return []
  const query = db<Row>('hosts').orderBy(['created_at_ms', 'id'])
  if (ids !== undefined && ids.length <= IDS_MAX) query.whereIn('id', [...ids])
  return (await query).map(fromRow)
}

/** Connected ones that weren't heard since a time. */
export async function silentHosts(db: Db, sinceMs: number): Promise<Host[]> {
  const rows = await db<Row>('hosts')
    .where({ connected: 1 })
    .where('last_seen_at_ms', '<', sinceMs)
    .orderBy('id')
  return rows.map(fromRow)
}

/** The networks of all hosts' workspaces, each once: CIDR blocks, sorted. */
export async function listSubnets(db: Db): Promise<string[]> {
  const rows = await db<Row>('hosts').distinct('subnets')
  return [...new Set(rows.flatMap(({ subnets }) => JSON.parse(subnets) as string[]))].sort()
}

/** The ids of the hosts that something is on. */
export function hostIdsOf(rows: readonly { readonly hostId: string | null }[]): string[] {
  return [...new Set(rows.flatMap(({ hostId }) => (hostId === null ? [] : [hostId])))]
}

/** Notes that hosts were heard; changes nothing else. */
export async function touchHosts(db: Db, ids: readonly string[], nowMs: number): Promise<void> {
  await db<Row>('hosts')
    .whereIn('id', [...ids])
    .update({ last_seen_at_ms: nowMs })
}

export async function updateHost(
  db: Db,
  id: string,
  change: { connected?: boolean; health?: Host['health']; desiredRevision?: number },
): Promise<void> {
  const row: Partial<Row> = {}
  if (change.connected !== undefined) row.connected = change.connected ? 1 : 0
  if (change.health !== undefined) row.health = JSON.stringify(change.health)
  if (change.desiredRevision !== undefined) row.desired_revision = change.desiredRevision
  if (Object.keys(row).length > 0) await db<Row>('hosts').where({ id }).update(row)
}
