/** The one table of who may do what: every route, every kind of live message. A route without a row does not start. */
import { ApiError, paths, reaches } from '../wire/index.ts'
import type { AccessRole, Accessing, Identity, Role, Scope, StreamKind, TokenBounds } from '../wire/index.ts'

/**
 * `public`: anybody. `signed-in`: any user, about their own things. `workspace`: who is at least `level` to the workspace
 * in the path. `reads-all`: administrators and auditors. `agent`: a host's own credential, `gateway`: a gateway's
 * token (its credential where that is exchanged), checked by the route. `scopes`: a token needs one of them (`admin` always does); without, a token needs `admin`.
 */
export interface Need {
  readonly who: 'public' | 'signed-in' | 'workspace' | 'administrator' | 'reads-all' | 'agent' | 'gateway'
  readonly level?: AccessRole
  /** Who else may, whatever they are to the workspace. */
  readonly also?: 'administrator' | 'reads-all'
  readonly scopes?: readonly Scope[]
  /** A change of one's own account: auditors make no other. */
  readonly own?: true
  /** A token of one workspace may call it, about that one only. */
  readonly bound?: true
  /** It changes something. */
  readonly changes?: boolean
}

const sees = ['workspaces:read', 'workspaces:write'] as const
const changes = ['workspaces:write'] as const
const makes = ['workspaces:write', 'connect'] as const
const all = ['workspaces:read', 'workspaces:write', 'connect'] as const
/** Of who may look at a workspace. */
export const looksNeed: Need = {
  who: 'workspace',
  level: 'viewer',
  also: 'reads-all',
  scopes: sees,
  bound: true,
}
const steers: Need = {
  who: 'workspace',
  level: 'editor',
  also: 'administrator',
  scopes: changes,
  bound: true,
}
const manages: Need = { who: 'workspace', level: 'manager', scopes: changes }
const sharing: Need = { ...manages, also: 'reads-all', scopes: sees }
const trashes: Need = { ...manages, also: 'administrator' }

/** `DELETE …?purge=true`: beyond what its route needs. */
export const purgeNeed: Need = { who: 'workspace', level: 'owner', also: 'administrator', changes: true }
/** Beyond what the routes of grants need, on a workspace. */
export const shareNeed: Need = { ...manages, changes: true }
export const sharesNeed: Need = { who: 'workspace', level: 'manager', also: 'reads-all' }

const rows: Readonly<Record<string, Need>> = {
  [`POST ${paths.setup}`]: { who: 'public' },
  [`POST ${paths.sessions}`]: { who: 'public' },
  [`GET ${paths.sessions}`]: { who: 'signed-in' },
  [`DELETE ${paths.sessions}`]: { who: 'signed-in', own: true },
  [`DELETE ${paths.currentSession}`]: { who: 'signed-in', own: true },
  [`DELETE ${paths.session}`]: { who: 'signed-in', own: true },
  [`GET ${paths.me}`]: { who: 'signed-in', scopes: all, bound: true },
  [`POST ${paths.password}`]: { who: 'signed-in', own: true },
  [`GET ${paths.tokens}`]: { who: 'signed-in' },
  // Of what it may itself; one that only reads makes none.
  [`POST ${paths.tokens}`]: { who: 'signed-in', own: true, scopes: makes, bound: true },
  [`DELETE ${paths.token}`]: { who: 'signed-in', own: true },
  [`GET ${paths.users}`]: { who: 'reads-all' },
  [`POST ${paths.users}`]: { who: 'administrator' },
  [`PATCH ${paths.user}`]: { who: 'administrator' },
  [`DELETE ${paths.user}`]: { who: 'administrator' },
  [`GET ${paths.userSessions}`]: { who: 'reads-all' },
  [`DELETE ${paths.userSessions}`]: { who: 'administrator' },
  [`DELETE ${paths.userSession}`]: { who: 'administrator' },
  [`POST ${paths.userResetLink}`]: { who: 'administrator' },
  [`DELETE ${paths.userIdentity}`]: { who: 'administrator' },
  [`GET ${paths.invitations}`]: { who: 'reads-all' },
  [`POST ${paths.invitations}`]: { who: 'administrator' },
  [`DELETE ${paths.invitation}`]: { who: 'administrator' },
  [`GET ${paths.quota}`]: { who: 'reads-all' },
  [`PUT ${paths.quota}`]: { who: 'administrator' },
  [`DELETE ${paths.quota}`]: { who: 'administrator' },
  [`GET ${paths.workspaces}`]: { who: 'signed-in', scopes: sees, bound: true },
  [`POST ${paths.workspaces}`]: { who: 'signed-in', scopes: changes },
  [`GET ${paths.workspace}`]: looksNeed,
  [`PATCH ${paths.workspace}`]: manages,
  [`DELETE ${paths.workspace}`]: trashes,
  [`POST ${paths.workspaceStart}`]: steers,
  [`POST ${paths.workspaceStop}`]: steers,
  [`POST ${paths.workspaceRestart}`]: steers,
  [`POST ${paths.workspaceRestore}`]: trashes,
  [`POST ${paths.workspaceBreakGlass}`]: { who: 'administrator' },
  [`GET ${paths.workspaceEvents}`]: looksNeed,
  [`POST ${paths.workspaceAliases}`]: manages,
  [`DELETE ${paths.workspaceAlias}`]: manages,
  [`POST ${paths.workspaceTransfer}`]: {
    who: 'workspace',
    level: 'owner',
    also: 'administrator',
    scopes: changes,
  },
  [`GET ${paths.accessRequests}`]: { who: 'signed-in', scopes: sees },
  [`POST ${paths.accessRequestGrant}`]: { who: 'signed-in', scopes: changes },
  [`POST ${paths.accessRequestDecline}`]: { who: 'signed-in', scopes: changes },
  [`GET ${paths.settings}`]: { who: 'reads-all' },
  [`PATCH ${paths.settings}`]: { who: 'administrator' },
  [`GET ${paths.workspaceLinks}`]: sharing,
  [`POST ${paths.workspaceLinks}`]: manages,
  [`DELETE ${paths.workspaceLink}`]: manages,
  [`GET ${paths.workspacePassword}`]: sharing,
  [`PUT ${paths.workspacePassword}`]: manages,
  [`DELETE ${paths.workspacePassword}`]: manages,
  [`GET ${paths.templates}`]: { who: 'signed-in', scopes: sees },
  [`GET ${paths.limits}`]: { who: 'signed-in', scopes: sees },
  [`GET ${paths.groups}`]: { who: 'signed-in', scopes: sees },
  [`POST ${paths.groups}`]: { who: 'administrator' },
  [`GET ${paths.group}`]: { who: 'signed-in', scopes: sees },
  [`DELETE ${paths.group}`]: { who: 'administrator' },
  [`POST ${paths.groupMember}`]: { who: 'administrator' },
  [`DELETE ${paths.groupMember}`]: { who: 'administrator' },
  [`GET ${paths.grants}`]: { who: 'signed-in', scopes: sees },
  [`POST ${paths.grants}`]: { who: 'signed-in', scopes: changes },
  [`DELETE ${paths.grant}`]: { who: 'signed-in', scopes: changes },
  [`GET ${paths.hosts}`]: { who: 'reads-all' },
  [`POST ${paths.hostTokens}`]: { who: 'administrator' },
  [`PATCH ${paths.host}`]: { who: 'administrator' },
  [`GET ${paths.restrictions}`]: { who: 'reads-all' },
  [`POST ${paths.restrictions}`]: { who: 'administrator' },
  [`DELETE ${paths.restrictions}`]: { who: 'administrator' },
  [`DELETE ${paths.host}`]: { who: 'administrator' },
  [`GET ${paths.reservedNames}`]: { who: 'reads-all' },
  [`DELETE ${paths.reservedName}`]: { who: 'administrator' },
  [`GET ${paths.hooks}`]: { who: 'reads-all' },
  [`POST ${paths.hooks}`]: { who: 'administrator' },
  [`PATCH ${paths.hook}`]: { who: 'administrator' },
  [`DELETE ${paths.hook}`]: { who: 'administrator' },
  [`GET ${paths.hookDeliveries}`]: { who: 'reads-all' },
  [`POST ${paths.hookRedeliver}`]: { who: 'administrator' },
  [`GET ${paths.audit}`]: { who: 'signed-in' },
  [`GET ${paths.auditExport}`]: { who: 'signed-in' },
  [`GET ${paths.openapi}`]: { who: 'public' },
  [`GET ${paths.jwks}`]: { who: 'public' },
  [`POST ${paths.agentRegister}`]: { who: 'agent' },
  [`GET ${paths.agentDesired}`]: { who: 'agent' },
  [`POST ${paths.agentReport}`]: { who: 'agent' },
  [`GET ${paths.gateways}`]: { who: 'reads-all' },
  [`POST ${paths.gatewayTokens}`]: { who: 'administrator' },
  [`DELETE ${paths.gateway}`]: { who: 'administrator' },
  [`POST ${paths.gatewayJoin}`]: { who: 'gateway' },
  [`POST ${paths.gatewayExchange}`]: { who: 'gateway' },
  [`GET ${paths.gatewaySetup}`]: { who: 'gateway' },
  [`POST ${paths.gatewaySetup}`]: { who: 'gateway' },
  [`POST ${paths.gatewaySignIn}`]: { who: 'gateway' },
  [`POST ${paths.gatewaySignOut}`]: { who: 'gateway' },
  [`POST ${paths.gatewaySessionUsed}`]: { who: 'gateway' },
  [`POST ${paths.gatewayTokenUsed}`]: { who: 'gateway' },
  [`POST ${paths.gatewayReset}`]: { who: 'gateway' },
  [`POST ${paths.gatewayInvitation}`]: { who: 'gateway' },
  [`GET ${paths.gatewayProviders}`]: { who: 'gateway' },
  [`POST ${paths.gatewayProviderBegin}`]: { who: 'gateway' },
  [`POST ${paths.gatewayProviderFinish}`]: { who: 'gateway' },
  [`POST ${paths.gatewayCode}`]: { who: 'gateway' },
  [`POST ${paths.gatewayRedeem}`]: { who: 'gateway' },
  [`POST ${paths.gatewayActivity}`]: { who: 'gateway' },
  [`POST ${paths.gatewayStart}`]: { who: 'gateway' },
  [`POST ${paths.gatewayLink}`]: { who: 'gateway' },
  [`POST ${paths.gatewayJoinGuest}`]: { who: 'gateway' },
  [`POST ${paths.gatewayGuestUsed}`]: { who: 'gateway' },
  [`POST ${paths.gatewayPass}`]: { who: 'gateway' },
  [`POST ${paths.gatewayRequestAccess}`]: { who: 'gateway' },
}

/** `METHOD path` → what it needs. */
export const routeNeeds: Readonly<Record<string, Need>> = Object.fromEntries(
  Object.entries(rows).map(([key, need]) => [key, { ...need, changes: !key.startsWith('GET ') }]),
)

/** Upgrades of the API → what they need. */
export const realtimeNeeds: Readonly<Record<string, Need>> = {
  [paths.events]: { who: 'signed-in', scopes: sees, bound: true },
  [paths.gatewayChanges]: { who: 'gateway' },
}

/** Kinds of message on the live stream → who is sent them. */
export const messageNeeds: Readonly<Record<StreamKind, Need>> = {
  workspace: looksNeed,
  'workspace-gone': looksNeed,
  timeline: looksNeed,
  host: { who: 'reads-all' },
  'host-gone': { who: 'reads-all' },
  'access-request': { who: 'workspace', level: 'manager' },
  'access-request-gone': { who: 'workspace', level: 'manager' },
  'my-access-request': { who: 'signed-in' },
  limits: { who: 'signed-in' },
  audit: { who: 'reads-all' },
  live: { who: 'signed-in' },
  resync: { who: 'signed-in' },
}

/** A signed-in user with what the session or token lets them do. */
export interface Person extends Accessing {
  readonly username: string
  readonly role: Role
  readonly groups: readonly { readonly id: string; readonly name: string }[]
  /** Role and scopes together allow all that an administrator may. */
  readonly administrator: boolean
  /** They allow to read all that an administrator may read. */
  readonly readsAll: boolean
  /** Null for a token. */
  readonly sessionHash: string | null
  /** Null for a session. */
  readonly token: { readonly id: string; readonly bounds: TokenBounds | null } | null
}

function person(identity: Extract<Identity, { kind: 'session' | 'token' }>): Person {
  const whole = identity.kind === 'session' || identity.scopes.includes('admin')
  const { id, username, role, groups } = identity.user
  return {
    id,
    username,
    role,
    groups,
    administrator: whole && role === 'administrator',
    readsAll: whole && role !== 'member',
    sessionHash: identity.kind === 'session' ? identity.sessionHash : null,
    token: identity.kind === 'token' ? { id: identity.tokenId, bounds: identity.bounds } : null,
  }
}

/** The person behind a request, null where none is needed. @throws ApiError unauthenticated, missing_scope, forbidden */
export function authorize(need: Need, identity: Identity): Person | null {
  if (need.who === 'public' || need.who === 'agent' || need.who === 'gateway') return null
  if (identity.kind === 'anonymous' || identity.kind === 'link') throw new ApiError('unauthenticated')
  if (identity.kind === 'token') {
    const enough: readonly Scope[] = ['admin', ...(need.scopes ?? [])]
    if (!identity.scopes.some((scope) => enough.includes(scope)))
      throw new ApiError('missing_scope', `It needs ${need.scopes?.join(' or ') ?? 'admin'}.`)
    if (identity.bounds !== null && need.bound !== true)
      throw new ApiError('missing_scope', 'This token is for one workspace: to see it, start and stop it.')
  }
  const found = person(identity)
  if (found.role === 'auditor' && need.changes === true && need.own !== true)
    throw new ApiError('forbidden', 'Auditors read everything and change nothing.')
  if (need.who === 'administrator' && !found.administrator) throw new ApiError('forbidden')
  if (need.who === 'reads-all' && !found.readsAll) throw new ApiError('forbidden')
  return found
}

/**
 * What stands between a person who is `role` to a workspace and what needs `need`; null: nothing. Who doesn't see the
 * workspace is told that it isn't there.
 */
export function barrier(need: Need, who: Person, role: AccessRole | null): 'forbidden' | 'not_found' | null {
  const byOffice =
    (need.also === 'administrator' && who.administrator) || (need.also === 'reads-all' && who.readsAll)
  if (byOffice || reaches(role, need.level ?? 'owner')) return null
  return role !== null || who.readsAll ? 'forbidden' : 'not_found'
}
