/** Sign-ins that went well come in; the audit's rows of them come out. */
import type { AuditActor } from '../store/audit.ts'
import type { Db } from '../store/open.ts'
import type { Session } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import type { Origin } from '../wire/index.ts'
import { writeAudit } from '../audit/audit-rows.ts'

/** In the transaction that begins the session: both are there or neither. */
export async function tellBegun(db: Db, session: Session, origin: Origin): Promise<void> {
  const { userId, id, createdAtMs } = session
  const name = (await findUser(db, { id: userId }))?.username ?? ''
  const actor: AuditActor = { kind: 'user', id: userId, name, via: { kind: 'session', id } }
  await writeAudit(db, { action: 'session.begin', actor, object: { id }, origin }, createdAtMs)
}
