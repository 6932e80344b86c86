/** A row of the audit is written together with what hooks are told of it: both are there or neither. */
import type { AuditEntry } from '../store/audit.ts'
import { endAudit, insertAudit } from '../store/audit.ts'
import type { Db } from '../store/open.ts'
import type { AuditRow } from '../wire/index.ts'
import { tellHooks } from '../hooks/hook-events.ts'

/** Runs in the transaction that `db` is, or in one of its own. */
function inOne<T>(db: Db, work: (tx: Db) => Promise<T>): Promise<T> {
  return db.isTransaction === true ? work(db) : db.transaction(work)
}

/** Where people come from is for those who read the audit, not for other services. */
export async function tellRow(db: Db, row: AuditRow): Promise<void> {
  const { id: auditId, atMs, actor, action: type, object, workspaceId, outcome, details } = row
  const { kind, id, name } = actor
  const data = { auditId, actor: { kind, id, name }, object, workspaceId, outcome, details }
  await tellHooks(db, { type, atMs, data })
}

/** Gives the id of the new row. */
export function writeAudit(db: Db, entry: AuditEntry, atMs: number): Promise<number> {
  return inOne(db, async (tx) => {
    const row = await insertAudit(tx, entry, atMs)
    await tellRow(tx, row)
    return row.id
  })
}

/** The end of what was begun. */
export function completeAudit(db: Db, id: number, entry: AuditEntry): Promise<void> {
  return inOne(db, async (tx) => {
    const row = await endAudit(tx, id, entry)
    if (row !== null) await tellRow(tx, row)
  })
}
