/** The one table of who may do what: every route, every kind of live message. A route without a row does not start. */
import { ApiError, paths } from './wire/index.ts'
import type { Identity, Scope, StreamKind } from './wire/index.ts'

/**
 * `public`: anybody. `signed-in`: any user, about their own things. `owner`: the workspace in the path is theirs, or
 * they are an administrator. `agent`, `gateway`: a host's or a gateway's own credential, checked by the route. `scopes`:
 * a token needs one of them (`admin` always does); without, a token needs `admin`.
 */
export interface Need {
  readonly who: 'public' | 'signed-in' | 'owner' | 'administrator' | 'agent' | 'gateway'
  readonly scopes?: readonly Scope[]
}

const sees = ['workspaces:read', 'workspaces:write'] as const
const changes = ['workspaces:write'] as const

/** `METHOD path` → what it needs. */
export const routeNeeds: Readonly<Record<string, Need>> = {
  [`POST ${paths.setup}`]: { who: 'public' },
  [`POST ${paths.sessions}`]: { who: 'public' },
  [`GET ${paths.sessions}`]: { who: 'signed-in' },
  [`DELETE ${paths.currentSession}`]: { who: 'signed-in' },
  [`DELETE ${paths.session}`]: { who: 'signed-in' },
  [`GET ${paths.me}`]: { who: 'signed-in', scopes: ['workspaces:read', 'workspaces:write', 'connect'] },
  [`POST ${paths.password}`]: { who: 'signed-in' },
  [`GET ${paths.tokens}`]: { who: 'signed-in' },
  [`POST ${paths.tokens}`]: { who: 'signed-in' },
  [`DELETE ${paths.token}`]: { who: 'signed-in' },
  [`GET ${paths.users}`]: { who: 'administrator' },
  [`POST ${paths.users}`]: { who: 'administrator' },
  [`PATCH ${paths.user}`]: { who: 'administrator' },
  [`DELETE ${paths.user}`]: { who: 'administrator' },
  [`GET ${paths.workspaces}`]: { who: 'signed-in', scopes: sees },
  [`POST ${paths.workspaces}`]: { who: 'signed-in', scopes: changes },
  [`GET ${paths.workspace}`]: { who: 'owner', scopes: sees },
  [`PATCH ${paths.workspace}`]: { who: 'owner', scopes: changes },
  [`DELETE ${paths.workspace}`]: { who: 'owner', scopes: changes },
  [`POST ${paths.workspaceStart}`]: { who: 'owner', scopes: changes },
  [`POST ${paths.workspaceStop}`]: { who: 'owner', scopes: changes },
  [`POST ${paths.workspaceRestart}`]: { who: 'owner', scopes: changes },
  [`POST ${paths.workspaceRestore}`]: { who: 'owner', scopes: changes },
  [`GET ${paths.workspaceEvents}`]: { who: 'owner', scopes: sees },
  [`GET ${paths.templates}`]: { who: 'signed-in', scopes: sees },
  [`GET ${paths.limits}`]: { who: 'signed-in', scopes: sees },
  [`GET ${paths.hosts}`]: { who: 'administrator' },
  [`POST ${paths.hostTokens}`]: { who: 'administrator' },
  [`DELETE ${paths.host}`]: { who: 'administrator' },
  [`GET ${paths.reservedNames}`]: { who: 'administrator' },
  [`DELETE ${paths.reservedName}`]: { who: 'administrator' },
  [`GET ${paths.openapi}`]: { who: 'public' },
  [`GET ${paths.jwks}`]: { who: 'public' },
  [`POST ${paths.agentRegister}`]: { who: 'agent' },
  [`GET ${paths.agentDesired}`]: { who: 'agent' },
  [`POST ${paths.agentReport}`]: { who: 'agent' },
  [`GET ${paths.gateways}`]: { who: 'administrator' },
  [`POST ${paths.gatewayTokens}`]: { who: 'administrator' },
  [`DELETE ${paths.gateway}`]: { who: 'administrator' },
  [`POST ${paths.gatewayJoin}`]: { who: 'gateway' },
  [`GET ${paths.gatewaySetup}`]: { who: 'gateway' },
  [`POST ${paths.gatewaySetup}`]: { who: 'gateway' },
  [`POST ${paths.gatewaySignIn}`]: { who: 'gateway' },
  [`POST ${paths.gatewaySignOut}`]: { who: 'gateway' },
  [`POST ${paths.gatewayCode}`]: { who: 'gateway' },
  [`POST ${paths.gatewayRedeem}`]: { who: 'gateway' },
  [`POST ${paths.gatewayStart}`]: { who: 'gateway' },
}

/** Upgrades of the API → what they need. */
export const realtimeNeeds: Readonly<Record<string, Need>> = {
  [paths.events]: { who: 'signed-in', scopes: sees },
  [paths.gatewayChanges]: { who: 'gateway' },
}

/** Kinds of message on the live stream → who is sent them. */
export const messageNeeds: Readonly<Record<StreamKind, Need>> = {
  workspace: { who: 'owner' },
  'workspace-gone': { who: 'owner' },
  timeline: { who: 'owner' },
  host: { who: 'administrator' },
  'host-gone': { who: 'administrator' },
  limits: { who: 'signed-in' },
  live: { who: 'signed-in' },
  resync: { who: 'signed-in' },
}

/** A signed-in user with what the session or token lets them do. */
export interface Person {
  readonly id: string
  readonly username: string
  /** Role and scopes together allow all that an administrator may. */
  readonly administrator: boolean
  /** Null for a token. */
  readonly sessionHash: string | null
}

function person(identity: Exclude<Identity, { kind: 'anonymous' }>): Person {
  const whole = identity.kind === 'session' || identity.scopes.includes('admin')
  return {
    id: identity.user.id,
    username: identity.user.username,
    administrator: whole && identity.user.role === 'administrator',
    sessionHash: identity.kind === 'session' ? identity.sessionHash : null,
  }
}

/** The person behind a request, null where none is needed. @throws ApiError unauthenticated, missing_scope, forbidden */
export function authorize(need: Need, identity: Identity): Person | null {
  if (need.who === 'public' || need.who === 'agent' || need.who === 'gateway') return null
  if (identity.kind === 'anonymous') throw new ApiError('unauthenticated')
  if (identity.kind === 'token') {
    const enough: readonly Scope[] = ['admin', ...(need.scopes ?? [])]
    if (!identity.scopes.some((scope) => enough.includes(scope)))
      throw new ApiError('missing_scope', `It needs ${need.scopes?.join(' or ') ?? 'admin'}.`)
  }
  const found = person(identity)
  if (need.who === 'administrator' && !found.administrator) throw new ApiError('forbidden')
  return found
}
