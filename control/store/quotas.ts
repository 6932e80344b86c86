/** Quotas of users and groups at rest, and what workspaces use: row ⇄ object. */
import type { Account, Held } from '../placement/quotas.ts'
import type { Quota, QuotaKind } from '../wire/index.ts'
import type { Db } from './open.ts'

interface Row {
  subject_kind: string
  subject_id: string
  max_workspaces: number | null
  max_running: number | null
  cpu_millis: number | null
  memory_bytes: number | null
  disk_bytes: number | null
}

const fromRow = (row: Row): Account & Quota => ({
  kind: row.subject_kind as QuotaKind,
  id: row.subject_id,
  maxWorkspaces: row.max_workspaces,
  maxRunning: row.max_running,
  cpu: row.cpu_millis === null ? null : row.cpu_millis / 1000,
  memoryBytes: row.memory_bytes,
  diskBytes: row.disk_bytes,
})

/** All: there are few beside users. */
export async function listQuotas(db: Db): Promise<(Account & Quota)[]> {
  return (await db<Row>('quotas').orderBy(['subject_kind', 'subject_id'])).map(fromRow)
}

/** In the place of what was set before. */
export async function saveQuota(db: Db, { kind, id }: Account, quota: Quota): Promise<void> {
  await deleteQuota(db, { kind, id })
  await db<Row>('quotas').insert({
    subject_kind: kind,
    subject_id: id,
    max_workspaces: quota.maxWorkspaces,
    max_running: quota.maxRunning,
    cpu_millis: quota.cpu === null ? null : Math.round(quota.cpu * 1000),
    memory_bytes: quota.memoryBytes,
    disk_bytes: quota.diskBytes,
  })
}

/** False when there was none. */
export async function deleteQuota(db: Db, { kind, id }: Account): Promise<boolean> {
  return (await db<Row>('quotas').where({ subject_kind: kind, subject_id: id }).delete()) > 0
}

/** Who is in a group that has a quota. */
export async function membershipsThatCount(db: Db): Promise<{ userId: string; groupId: string }[]> {
  const withQuota = db<Row>('quotas').where({ subject_kind: 'group' }).select('subject_id')
  const rows = await db<{ user_id: string; group_id: string }>('group_members')
    .distinct('user_id', 'group_id')
    .whereIn('group_id', withQuota)
  return rows.map((row) => ({ userId: row.user_id, groupId: row.group_id }))
}

/** What the workspaces outside the trash, the places given, and the disks of all come to, by who answers for them. */
export async function usageByOwner(db: Db): Promise<Held[]> {
  const rows = await db('workspaces')
    .select('owner_id', 'owner_group_id')
    .sum({ running: 'admitted' })
    .sum({ kept: db.raw("CASE WHEN want = 'removed' THEN 0 ELSE 1 END") })
    .sum({ cpu: db.raw('admitted * cpu_millis') })
    .sum({ memory: db.raw('admitted * memory_bytes') })
    .sum({ disk: 'disk_bytes' })
    .groupBy('owner_id', 'owner_group_id')
  return (rows as unknown as Record<string, string | number | null>[]).map((row) => ({
    ownerId: String(row['owner_id']),
    ownerGroupId: row['owner_group_id'] === null ? null : String(row['owner_group_id']),
    workspaces: Number(row['kept']),
    running: Number(row['running']),
    cpu: Number(row['cpu']) / 1000,
    memoryBytes: Number(row['memory']),
    diskBytes: Number(row['disk']),
  }))
}
