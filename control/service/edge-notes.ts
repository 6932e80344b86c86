/** Batches of gateways go in: visits to others' workspaces and refusals; counted rows of the audit come out. */
import type { Deployment } from '../deployment.ts'
import type { AuditActor, AuditEntry } from '../store/audit.ts'
import { findSession } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import type { AuditOutcome, EdgeNote } from '../wire/index.ts'

const HOUR = 3_600_000
const DENIED_MS = 10 * 60_000

/** What a refusal is called where programs read it. */
const outcomes = {
  connected: 'ok',
  'sign-in': 'unauthenticated',
  'not-found': 'not_found',
  origin: 'forbidden',
  scope: 'missing_scope',
  password: 'wrong_password',
} as const satisfies Record<EdgeNote['kind'], AuditOutcome>

async function actorOf({ feed }: Deployment, note: EdgeNote): Promise<AuditActor> {
  const { userId, linkId, sessionHash, tokenId } = note
  if (userId === '') {
    if (linkId === '') return { kind: 'anonymous', id: '', name: '' }
    return { kind: 'guest', id: '', name: '', via: { kind: 'link', id: linkId } }
  }
  const name = (await findUser(feed.db, { id: userId }))?.username ?? ''
  const session = sessionHash === '' ? null : await findSession(feed.db, sessionHash)
  const via =
    tokenId !== ''
      ? ({ kind: 'token', id: tokenId } as const)
      : session === null
        ? null
        : ({ kind: 'session', id: session.id } as const)
  return { kind: 'user', id: userId, name, via }
}

/** Of a person, a workspace and a kind one row in its time; the rest raise its count. */
export async function noteActivity(deployment: Deployment, notes: readonly EdgeNote[]): Promise<void> {
  for (const note of notes) {
    const { kind, workspaceId, userId, linkId, sessionHash, tokenId, port, origin, count } = note
    const isVisit = kind === 'connected'
    const workspace = workspaceId === '' ? null : await findWorkspace(deployment.feed.db, { id: workspaceId })
    const entry: AuditEntry = {
      action: isVisit ? 'access.connect' : 'access.denied',
      actor: await actorOf(deployment, note),
      object: { kind: 'workspace', id: workspaceId, name: workspace?.name ?? '' },
      workspace,
      outcome: outcomes[kind],
      origin,
      details: { ...(port === null ? {} : { port }), ...(isVisit ? {} : { reason: kind }) },
    }
    const who = isVisit ? `${sessionHash}${tokenId}${linkId}` : userId
    const key = `edge ${kind} ${who} ${workspaceId}`
    await deployment.audit.count(key, entry, isVisit ? HOUR : DENIED_MS, count)
  }
}
