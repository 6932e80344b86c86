/** Sign-ins come in, those that went well and those that did not; the audit's rows of them come out. */
import type { Deployment } from '../deployment.ts'
import { networkOf } from '../credentials/sign-in-limit.ts'
import type { AuditActor } from '../store/audit.ts'
import type { Db } from '../store/open.ts'
import type { Session } from '../store/sessions.ts'
import type { User } from '../store/users.ts'
import { findUser } from '../store/users.ts'
import type { ApiCode, Origin } from '../wire/index.ts'
import { writeAudit } from '../audit/audit-rows.ts'

/** In the transaction that begins the session: both are there or neither. */
export async function tellBegun(db: Db, session: Session, origin: Origin): Promise<void> {
  const { userId, id, createdAtMs } = session
  const name = (await findUser(db, { id: userId }))?.username ?? ''
  const actor: AuditActor = { kind: 'user', id: userId, name, via: { kind: 'session', id } }
  await writeAudit(db, { action: 'session.begin', actor, object: { id }, origin }, createdAtMs)
}

/**
 * Counted by account and network. What was typed as a name that nobody has isn't kept: people type their password there.
 */
export async function tellRefused(
  { audit }: Pick<Deployment, 'audit'>,
  outcome: ApiCode,
  user: Pick<User, 'id' | 'username'> | null,
  origin: Origin,
): Promise<void> {
  const actor: AuditActor = { kind: 'anonymous', id: '', name: '' }
  const object = { kind: 'user', id: user?.id ?? '', name: user?.username ?? '' }
  const key = `sign-in ${outcome} ${user?.id ?? ''} ${networkOf(origin.ip)}`
  await audit.count(key, { action: 'session.begin', actor, object, outcome, origin })
}
