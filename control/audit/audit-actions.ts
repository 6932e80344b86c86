/** The one table of what is told of whom: every route that changes something has its action here, beside its need. */
import { paths } from '../wire/index.ts'
import type { AuditAction } from '../wire/index.ts'

/**
 * An action: the dispatch tells it. `itself`: what the route calls tells it, since there are other doors to the same
 * act. `nothing`: no person acts there (reports of agents and gateways).
 */
export type Telling = AuditAction | 'itself' | 'nothing' | ByFlag

/** An action that another one takes the place of where the query says `flag=true`. */
export interface ByFlag {
  readonly flag: string
  readonly set: AuditAction
  readonly unset: AuditAction
}

/** `METHOD path` → what is told; a route that isn't GET and has no row does not start. */
export const routeActions: Readonly<Record<string, Telling>> = {
  [`POST ${paths.setup}`]: 'itself',
  [`POST ${paths.sessions}`]: 'itself',
  [`DELETE ${paths.sessions}`]: 'session.end',
  [`DELETE ${paths.userSessions}`]: 'session.end',
  [`DELETE ${paths.userSession}`]: 'session.end',
  [`DELETE ${paths.currentSession}`]: 'session.end',
  [`DELETE ${paths.session}`]: 'session.end',
  [`POST ${paths.password}`]: 'password.change',
  [`POST ${paths.tokens}`]: 'token.create',
  [`DELETE ${paths.token}`]: 'token.delete',
  [`POST ${paths.users}`]: 'user.create',
  [`PATCH ${paths.user}`]: 'user.change',
  [`DELETE ${paths.user}`]: 'user.delete',
  [`POST ${paths.userResetLink}`]: 'reset-link.create',
  [`DELETE ${paths.userIdentity}`]: 'identity.unlink',
  [`POST ${paths.invitations}`]: 'invitation.create',
  [`DELETE ${paths.invitation}`]: 'invitation.delete',
  [`PUT ${paths.quota}`]: 'quota.change',
  [`DELETE ${paths.quota}`]: 'quota.delete',
  [`POST ${paths.workspaces}`]: 'workspace.create',
  [`PATCH ${paths.workspace}`]: 'workspace.change',
  [`DELETE ${paths.workspace}`]: { flag: 'purge', set: 'workspace.purge', unset: 'workspace.delete' },
  [`POST ${paths.workspaceStart}`]: 'workspace.start',
  [`POST ${paths.workspaceStop}`]: 'workspace.stop',
  [`POST ${paths.workspaceRestart}`]: 'workspace.restart',
  [`POST ${paths.workspaceBreakGlass}`]: 'access.break-glass',
  [`POST ${paths.workspaceRestore}`]: 'workspace.restore',
  [`POST ${paths.groups}`]: 'group.create',
  [`DELETE ${paths.group}`]: 'group.delete',
  [`POST ${paths.groupMember}`]: 'group.change',
  [`DELETE ${paths.groupMember}`]: 'group.change',
  [`POST ${paths.grants}`]: 'grant.create',
  [`DELETE ${paths.grant}`]: 'grant.delete',
  [`POST ${paths.workspaceAliases}`]: 'alias.create',
  [`DELETE ${paths.workspaceAlias}`]: 'alias.delete',
  [`POST ${paths.workspaceTransfer}`]: 'workspace.transfer',
  [`POST ${paths.accessRequestGrant}`]: 'access.answer',
  [`POST ${paths.accessRequestDecline}`]: 'access.answer',
  [`PATCH ${paths.settings}`]: 'policy.change',
  [`POST ${paths.workspaceLinks}`]: 'link.create',
  [`DELETE ${paths.workspaceLink}`]: 'link.delete',
  [`PUT ${paths.workspacePassword}`]: 'workspace.password',
  [`DELETE ${paths.workspacePassword}`]: 'workspace.password',
  [`POST ${paths.hostTokens}`]: 'host.invite',
  [`PATCH ${paths.host}`]: 'host.change',
  [`POST ${paths.restrictions}`]: 'policy.change',
  [`DELETE ${paths.restrictions}`]: 'policy.change',
  [`DELETE ${paths.host}`]: 'host.delete',
  [`DELETE ${paths.reservedName}`]: 'name.free',
  [`POST ${paths.gatewayTokens}`]: 'gateway.invite',
  [`DELETE ${paths.gateway}`]: 'gateway.delete',
  [`POST ${paths.hooks}`]: 'hook.create',
  [`PATCH ${paths.hook}`]: 'hook.change',
  [`DELETE ${paths.hook}`]: 'hook.delete',
  [`POST ${paths.hookRedeliver}`]: 'hook.redeliver',
  [`POST ${paths.agentRegister}`]: 'itself',
  [`POST ${paths.agentReport}`]: 'nothing',
  [`POST ${paths.gatewayJoin}`]: 'itself',
  [`POST ${paths.gatewayExchange}`]: 'nothing',
  [`POST ${paths.gatewaySetup}`]: 'itself',
  [`POST ${paths.gatewaySignIn}`]: 'itself',
  [`POST ${paths.gatewaySignOut}`]: 'itself',
  [`POST ${paths.gatewaySessionUsed}`]: 'nothing',
  [`POST ${paths.gatewayTokenUsed}`]: 'nothing',
  [`POST ${paths.gatewayReset}`]: 'itself',
  [`POST ${paths.gatewayInvitation}`]: 'itself',
  [`POST ${paths.gatewayProviderBegin}`]: 'nothing',
  [`POST ${paths.gatewayProviderFinish}`]: 'itself',
  [`POST ${paths.gatewayCode}`]: 'nothing',
  [`POST ${paths.gatewayRedeem}`]: 'nothing',
  [`POST ${paths.gatewayActivity}`]: 'itself',
  [`POST ${paths.gatewayStart}`]: 'itself',
  [`POST ${paths.gatewayLink}`]: 'itself',
  [`POST ${paths.gatewayJoinGuest}`]: 'nothing',
  [`POST ${paths.gatewayGuestUsed}`]: 'nothing',
  [`POST ${paths.gatewayPass}`]: 'itself',
  [`POST ${paths.gatewayRequestAccess}`]: 'itself',
}

/** What is told of a route. @throws Error for one that changes something and has no row */
export function tellingOf(key: string, actions: Readonly<Record<string, Telling>>): Telling {
  const telling = actions[key]
  if (telling !== undefined) return telling
  if (key.startsWith('GET ')) return 'nothing'
  throw new Error(`${key} has no row in the table of audited actions`)
}

/** What is told of one call of a route. */
export function toldOf(telling: Telling, query: URLSearchParams): Exclude<Telling, ByFlag> {
  if (typeof telling === 'string') return telling
  return query.get(telling.flag) === 'true' ? telling.set : telling.unset
}
