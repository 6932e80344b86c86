/** Grants at rest: row ⇄ object; and which workspaces a person may see by them. */
import type { Knex } from 'knex'
import type { AccessGrant, GrantRole, HostCapability, ObjectKind, SubjectKind } from '../wire/index.ts'
import type { Db } from './open.ts'

export interface Grant extends AccessGrant {
  readonly id: string
  readonly objectKind: ObjectKind
  readonly objectId: string
  /** On hosts: what it may be used for. */
  readonly capabilities: readonly HostCapability[]
  /** Why an administrator broke the glass; null: it was given. */
  readonly reason: string | null
  readonly createdBy: string
  readonly createdAtMs: number
}

interface Row {
  id: string
  subject_kind: string
  subject_id: string
  object_kind: string
  object_id: string
  role: string
  ports: string | null
  capabilities: string
  expires_at_ms: number | null
  reason: string | null
  created_by: string
  created_at_ms: number
}

const fromRow = (row: Row): Grant => ({
  id: row.id,
  subjectKind: row.subject_kind as SubjectKind,
  subjectId: row.subject_id,
  objectKind: row.object_kind as ObjectKind,
  objectId: row.object_id,
  role: row.role as GrantRole,
  ports: row.ports === null ? null : (JSON.parse(row.ports) as number[]),
  capabilities: JSON.parse(row.capabilities) as HostCapability[],
  expiresAtMs: row.expires_at_ms,
  reason: row.reason,
  createdBy: row.created_by,
  createdAtMs: row.created_at_ms,
})

export async function insertGrant(db: Db, grant: Grant): Promise<void> {
  await db<Row>('grants').insert({
    id: grant.id,
    subject_kind: grant.subjectKind,
    subject_id: grant.subjectId,
    object_kind: grant.objectKind,
    object_id: grant.objectId,
    role: grant.role,
    ports: grant.ports === null ? null : JSON.stringify(grant.ports),
    capabilities: JSON.stringify(grant.capabilities),
    expires_at_ms: grant.expiresAtMs,
    reason: grant.reason,
    created_by: grant.createdBy,
    created_at_ms: grant.createdAtMs,
  })
}

export async function findGrant(db: Db, id: string): Promise<Grant | null> {
  const row = await db<Row>('grants').where({ id }).first()
  return row === undefined ? null : fromRow(row)
}

/** Whose grants count for a person: their own and those of their groups. */
export interface Holder {
  readonly id: string
  readonly groups: readonly { readonly id: string }[]
}

export interface GrantChoice {
  readonly object?: { readonly kind: ObjectKind; readonly id?: string }
  /** Those on hosts, templates and images. */
  readonly onUses?: true
  readonly objectIds?: readonly string[]
  readonly subject?: { readonly kind: SubjectKind; readonly id: string }
  readonly holder?: Holder
  /** Those whose time is over. */
  readonly endedAtMs?: number
  readonly after?: string | undefined
  readonly limit?: number
}

/** A statement takes only so many values. */
const IDS_MAX = 500

function ofHolder(query: Knex.QueryBuilder, holder: Holder): void {
  query.where((either) => {
    either.where({ subject_kind: 'user', subject_id: holder.id }).orWhere((group) => {
      group.where({ subject_kind: 'group' }).whereIn(
        'subject_id',
        holder.groups.map(({ id }) => id),
      )
    })
  })
}

/** In the order of their ids. */
export async function listGrants(db: Db, choice: GrantChoice): Promise<Grant[]> {
  const { object, objectIds, subject, endedAtMs } = choice
  const query = db<Row>('grants').orderBy('id')
  if (object !== undefined) query.where({ object_kind: object.kind })
  if (object?.id !== undefined) query.where({ object_id: object.id })
  if (choice.onUses) query.whereNot({ object_kind: 'workspace' })
  if (objectIds !== undefined && objectIds.length <= IDS_MAX) query.whereIn('object_id', [...objectIds])
  if (subject !== undefined) query.where({ subject_kind: subject.kind, subject_id: subject.id })
  if (choice.holder !== undefined) ofHolder(query, choice.holder)
  if (endedAtMs !== undefined) query.whereNotNull('expires_at_ms').where('expires_at_ms', '<=', endedAtMs)
  if (choice.after !== undefined) query.where('id', '>', choice.after)
  if (choice.limit !== undefined) query.limit(choice.limit)
  return (await query).map(fromRow)
}

export async function deleteGrants(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length > 0)
    await db<Row>('grants')
      .whereIn('id', [...ids])
      .delete()
}

/** The grants on workspaces by workspace: on all, or at least on those named. */
export async function grantsOnWorkspaces(db: Db, ids?: readonly string[]): Promise<Map<string, Grant[]>> {
  const byId = new Map<string, Grant[]>()
  if (ids?.length === 0) return byId
  const choice = ids === undefined ? {} : { objectIds: ids }
  for (const grant of await listGrants(db, { object: { kind: 'workspace' }, ...choice })) {
    const known = byId.get(grant.objectId)
    if (known === undefined) byId.set(grant.objectId, [grant])
    else known.push(grant)
  }
  return byId
}

/** The ids of the workspaces on which a person holds a grant that counts at `nowMs`, as a part of a query. */
export function grantedWorkspaces(db: Db, holder: Holder, nowMs: number): Knex.QueryBuilder {
  const query = db<Row>('grants').where({ object_kind: 'workspace' }).select('object_id')
  ofHolder(query, holder)
  return query.where((lasts) => void lasts.whereNull('expires_at_ms').orWhere('expires_at_ms', '>', nowMs))
}
