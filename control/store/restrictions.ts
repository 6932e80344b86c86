/** What only the holders of a grant may use, at rest. */
import type { RestrictedKind } from '../wire/index.ts'
import type { Db } from './open.ts'

export interface Restriction {
  readonly kind: RestrictedKind
  /** A host's id, a template's name, an image's repository. */
  readonly id: string
}

interface Row {
  object_kind: string
  object_id: string
}

const toRow = ({ kind, id }: Restriction): Row => ({ object_kind: kind, object_id: id })

/** By kind and id. */
export async function listRestrictions(db: Db): Promise<Restriction[]> {
  const rows = await db<Row>('restrictions').orderBy(['object_kind', 'object_id'])
  return rows.map((row) => ({ kind: row.object_kind as RestrictedKind, id: row.object_id }))
}

/** What is restricted already stays so. */
export async function insertRestriction(db: Db, restriction: Restriction): Promise<void> {
  await db<Row>('restrictions').insert(toRow(restriction)).onConflict(['object_kind', 'object_id']).ignore()
}

/** What isn't restricted stays so. */
export async function deleteRestriction(db: Db, restriction: Restriction): Promise<void> {
  await db<Row>('restrictions').where(toRow(restriction)).delete()
}
