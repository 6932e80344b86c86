/** A call of the API goes in with what would be done; it is written down before, done, and completed after. */
import type { Person } from '../authorization/authorization.ts'
import type { Telling } from './audit-actions.ts'
import { toldOf } from './audit-actions.ts'
import type { Call, Reply, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import type { AuditActor, AuditEntry } from './audit.ts'
import { findSession } from '../store/sessions.ts'
import type { Workspace } from '../store/workspaces.ts'
import { ApiError, auditObjectOf } from '../wire/index.ts'
import type { ApiCode, AuditAction, Identity } from '../wire/index.ts'

/** What a route is refused for before it runs, counted for so long in one row, in ms. */
const DENIED_MS = 10 * 60_000

const NOBODY: AuditActor = { kind: 'anonymous', id: '', name: '' }

/** Who acts, as the audit names them; by which session only where `sessionId` is known. */
export function auditActorOf(identity: Identity, sessionId: string | null = null): AuditActor {
  if (identity.kind === 'anonymous' || identity.kind === 'link') return NOBODY
  const { id, username } = identity.user
  if (identity.kind === 'token')
    return { kind: 'user', id, name: username, via: { kind: 'token', id: identity.tokenId } }
  return {
    kind: 'user',
    id,
    name: username,
    via: sessionId === null ? null : { kind: 'session', id: sessionId },
  }
}

/** A refusal before a route ran: counted by code and person, with one of its routes as the sample. */
export async function tellDenied(
  { audit }: Deployment,
  err: unknown,
  route: Route,
  identity: Identity,
  call: Pick<Call, 'origin'>,
): Promise<void> {
  if (!(err instanceof ApiError)) return
  const actor = auditActorOf(identity)
  const entry: AuditEntry = {
    action: 'access.denied',
    actor,
    object: { kind: 'route', id: `${route.method} ${route.path}` },
    outcome: err.code,
    origin: call.origin,
  }
  await audit.count(`api ${err.code} ${actor.id}`, entry, DENIED_MS)
}

interface Act {
  readonly route: Route
  readonly telling: Telling
  readonly identity: Identity
  readonly person: Person | null
  readonly workspace: Workspace | null
}

type Given = Pick<Call, 'params' | 'query' | 'origin' | 'body'>

/** Ids and names as we make them; what else stands in a path may be a secret in the wrong place. */
const plain = (text: string | undefined): string =>
  text !== undefined && /^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$/.test(text) ? text : ''

/** What the path says that it is about: `/workspaces/:id/links/:link` is about the link where a link is what is changed. */
function objectAtFirst(
  workspace: Workspace | null,
  action: AuditAction,
  { params }: Given,
): NonNullable<AuditEntry['object']> {
  const kind = auditObjectOf(action)
  if (workspace !== null && (kind === 'workspace' || kind === 'access'))
    return { kind: 'workspace', id: workspace.id, name: workspace.name }
  const own = plain(params[kind])
  if (own !== '') return { id: own, ...(kind === 'alias' || kind === 'name' ? { name: own } : {}) }
  return { id: workspace === null ? plain(params['id']) : '' }
}

/** What was made is known by its own id and name; nothing else of an answer is taken. */
function objectMade(body: unknown): AuditEntry['object'] | null {
  if (typeof body !== 'object' || body === null) return null
  const { id, name, username } = body as { id?: unknown; name?: unknown; username?: unknown }
  if (typeof id !== 'string') return null
  const called = typeof name === 'string' ? name : typeof username === 'string' ? username : ''
  return { id, name: called }
}

function made(act: Act, first: AuditEntry, call: Given, { body, audit }: Reply): AuditEntry {
  const action = audit?.action ?? first.action
  const fromBody = objectMade(body)
  const isSame = first.object?.id === '' || first.object?.id === fromBody?.id
  const object = audit?.object ?? (isSame ? fromBody : null) ?? first.object
  // Of a change, which fields it named; never what they hold.
  const isPatch = act.route.method === 'PATCH' && typeof call.body === 'object' && call.body !== null
  const fields = isPatch ? { fields: Object.keys(call.body) } : {}
  const isWorkspace = (object?.kind ?? auditObjectOf(action)) === 'workspace' && object !== undefined
  const workspace =
    audit?.workspace ??
    first.workspace ??
    (isWorkspace && act.person !== null ? { id: object.id, ownerId: act.person.id } : null)
  return {
    ...first,
    action,
    ...(object === undefined ? {} : { object }),
    workspace,
    details: { ...fields, ...audit?.details },
  }
}

/** Does what a route does, told before and after. @throws what it throws; ApiError unavailable when it can't be told */
export async function audited(
  deployment: Deployment,
  act: Act,
  call: Given,
  run: () => Promise<Reply>,
): Promise<Reply> {
  const { identity, workspace } = act
  const action = toldOf(act.telling, call.query)
  if (action === 'itself' || action === 'nothing') return run()
  const { feed, audit } = deployment
  const session = identity.kind === 'session' ? await findSession(feed.db, identity.sessionHash) : null
  const first: AuditEntry = {
    action,
    actor: auditActorOf(identity, session?.id ?? null),
    object: objectAtFirst(workspace, action, call),
    workspace: workspace === null ? null : { id: workspace.id, ownerId: workspace.ownerId },
    origin: call.origin,
  }
  const begun = await audit.begin(first)
  const refused = (code: ApiCode): Promise<void> => begun.end({ ...first, outcome: code })
  const reply = await run().catch(async (err: unknown) => {
    await refused(err instanceof ApiError ? err.code : 'internal')
    throw err
  })
  await begun.end(made(act, first, call, reply))
  return reply
}
