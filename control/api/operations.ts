/** The schemas of the wire go in; what each route of the API takes and gives comes out, for its description. */
import { z } from 'zod'
import { gatewayOperations } from './gateway-operations.ts'
import { grantOperations } from './grant-operations.ts'
import { list, type Operation } from './operation.ts'
import { sharingOperations } from './sharing-operations.ts'
import * as wire from '../wire/index.ts'

const secret = z.object({ id: z.string(), token: z.string() })
const joinSecret = secret.extend({ expiresAtMs: z.number() })
const page = wire.pageQuerySchema

const { paths } = wire
const accepted = { 202: wire.workspaceViewSchema }

/** `METHOD path` → what it takes and gives; a test holds it against the router. */
export const operations: Readonly<Record<string, Operation>> = {
  [`POST ${paths.setup}`]: {
    summary: 'Make the first administrator.',
    body: wire.setupSchema,
    answers: { 201: wire.userViewSchema },
  },
  [`POST ${paths.sessions}`]: {
    summary: 'Sign in.',
    body: wire.signInSchema,
    answers: { 201: wire.userViewSchema },
  },
  [`GET ${paths.sessions}`]: { summary: 'My sessions.', answers: { 200: list(wire.sessionViewSchema) } },
  [`DELETE ${paths.sessions}`]: { summary: 'End all my sessions but this one.', answers: { 204: null } },
  [`DELETE ${paths.currentSession}`]: { summary: 'Sign out.', answers: { 204: null } },
  [`DELETE ${paths.session}`]: { summary: 'End one of my sessions.', answers: { 204: null } },
  [`GET ${paths.me}`]: { summary: 'Who I am.', answers: { 200: wire.userViewSchema } },
  [`POST ${paths.password}`]: {
    summary: 'Change my password; my other sessions end, and my API tokens unless I keep them.',
    body: wire.changePasswordSchema,
    answers: { 204: null },
  },
  [`GET ${paths.jwks}`]: {
    summary: 'The public keys of identity assertions.',
    answers: { 200: wire.jwksSchema },
  },
  [`GET ${paths.tokens}`]: { summary: 'My API tokens.', answers: { 200: list(wire.tokenViewSchema) } },
  [`POST ${paths.tokens}`]: {
    summary: 'Make an API token; it is shown once.',
    body: wire.createTokenSchema,
    answers: { 201: secret },
  },
  [`DELETE ${paths.token}`]: { summary: 'Delete one of my tokens.', answers: { 204: null } },
  [`GET ${paths.users}`]: { summary: 'All users.', query: page, answers: { 200: list(wire.userViewSchema) } },
  [`POST ${paths.users}`]: {
    summary: 'Make a user.',
    body: wire.createUserSchema,
    answers: { 201: wire.userViewSchema },
  },
  [`PATCH ${paths.user}`]: {
    summary: 'Change a user.',
    body: wire.patchUserSchema,
    answers: { 200: wire.userViewSchema },
  },
  [`DELETE ${paths.user}`]: { summary: 'Delete a user without workspaces.', answers: { 204: null } },
  [`GET ${paths.userSessions}`]: {
    summary: 'Where a user is signed in.',
    answers: { 200: list(wire.sessionViewSchema) },
  },
  [`DELETE ${paths.userSessions}`]: { summary: 'End all sessions of a user.', answers: { 204: null } },
  [`DELETE ${paths.userSession}`]: { summary: 'End one session of a user.', answers: { 204: null } },
  [`DELETE ${paths.userIdentity}`]: {
    summary:
      'Forget whom a user is at a provider; who signs in there next by the same address may be linked anew.',
    answers: { 204: null },
  },
  [`POST ${paths.userResetLink}`]: {
    summary: 'Make a one-time link that sets the user’s password; it works for 24 hours, older ones die.',
    answers: { 201: wire.createdResetLinkSchema },
  },
  [`GET ${paths.invitations}`]: {
    summary: 'The invitations, used and expired ones too.',
    answers: { 200: list(wire.invitationViewSchema) },
  },
  [`POST ${paths.invitations}`]: {
    summary: 'Invite somebody; the link is shown once.',
    body: wire.createInvitationSchema,
    answers: { 201: wire.createdInvitationSchema },
  },
  [`DELETE ${paths.invitation}`]: { summary: 'Revoke an invitation.', answers: { 204: null } },
  [`GET ${paths.quota}`]: {
    summary: 'What a user (`user`) or a group (`group`) may have, and has.',
    answers: { 200: wire.quotaViewSchema },
  },
  [`PUT ${paths.quota}`]: {
    summary: 'Set a quota; it stops nothing that runs.',
    body: wire.putQuotaSchema,
    answers: { 200: wire.quotaViewSchema },
  },
  [`DELETE ${paths.quota}`]: { summary: 'Take a quota away.', answers: { 204: null } },
  [`GET ${paths.workspaces}`]: {
    summary: 'My workspaces; all with ?owner=all.',
    query: wire.workspacesQuerySchema,
    answers: { 200: list(wire.workspaceViewSchema) },
  },
  [`POST ${paths.workspaces}`]: {
    summary: 'Create a workspace.',
    body: wire.createWorkspaceSchema,
    answers: accepted,
  },
  [`GET ${paths.workspace}`]: {
    summary: 'One workspace, by id or name.',
    answers: { 200: wire.workspaceViewSchema },
  },
  [`PATCH ${paths.workspace}`]: {
    summary: 'Change a part of the spec.',
    body: wire.patchWorkspaceSchema,
    answers: accepted,
  },
  [`DELETE ${paths.workspace}`]: {
    summary: 'To the trash; for ever with ?purge=true.',
    query: wire.removeQuerySchema,
    answers: accepted,
  },
  [`POST ${paths.workspaceStart}`]: { summary: 'Start it.', answers: accepted },
  [`POST ${paths.workspaceStop}`]: { summary: 'Stop it.', answers: accepted },
  [`POST ${paths.workspaceRestart}`]: { summary: 'Restart it.', answers: accepted },
  [`POST ${paths.workspaceRestore}`]: { summary: 'Bring it back from the trash.', answers: accepted },
  [`GET ${paths.workspaceEvents}`]: {
    summary: 'Its timeline, newest first.',
    query: page,
    answers: { 200: list(wire.timelineEventSchema) },
  },
  [`GET ${paths.workspaceLinks}`]: {
    summary: 'Its links.',
    answers: { 200: list(wire.linkViewSchema) },
  },
  [`POST ${paths.workspaceLinks}`]: {
    summary: 'Make a link that opens its ports to whoever has it; it is shown once.',
    body: wire.createLinkSchema,
    answers: { 201: wire.newLinkSchema },
  },
  [`DELETE ${paths.workspaceLink}`]: {
    summary: 'Revoke a link; whoever came by it is out at once.',
    answers: { 204: null },
  },
  [`GET ${paths.workspacePassword}`]: {
    summary: 'Which passwords it has.',
    answers: { 200: list(wire.passwordViewSchema) },
  },
  [`PUT ${paths.workspacePassword}`]: {
    summary: 'Set the password before its ports, or before one.',
    body: wire.setPasswordSchema,
    answers: { 204: null },
  },
  [`DELETE ${paths.workspacePassword}`]: {
    summary: 'Take a password away.',
    body: wire.removePasswordSchema,
    answers: { 204: null },
  },
  [`GET ${paths.templates}`]: { summary: 'The templates.', answers: { 200: list(wire.templateViewSchema) } },
  [`GET ${paths.limits}`]: { summary: 'What the server enforces.', answers: { 200: wire.limitsSchema } },
  ...grantOperations,
  [`GET ${paths.hosts}`]: { summary: 'The hosts.', answers: { 200: list(wire.hostViewSchema) } },
  [`DELETE ${paths.host}`]: {
    summary: 'Forget a host without workspaces; its agent is refused from then on.',
    answers: { 204: null },
  },
  [`GET ${paths.reservedNames}`]: {
    summary: 'Names of purged workspaces, reserved to their former owners.',
    answers: { 200: list(wire.reservedNameViewSchema) },
  },
  [`DELETE ${paths.reservedName}`]: {
    summary: 'Free a reserved name for everybody.',
    answers: { 204: null },
  },
  [`POST ${paths.hostTokens}`]: {
    summary: 'Make a one-use token for a new agent.',
    body: wire.createHostTokenSchema,
    answers: { 201: joinSecret },
  },
  [`GET ${paths.hooks}`]: { summary: 'The webhooks.', answers: { 200: list(wire.hookViewSchema) } },
  [`POST ${paths.hooks}`]: {
    summary: 'Make a webhook; its secret is shown once.',
    body: wire.createHookSchema,
    answers: { 201: wire.createdHookSchema },
  },
  [`PATCH ${paths.hook}`]: {
    summary: 'Change a webhook, or let it rest.',
    body: wire.patchHookSchema,
    answers: { 200: wire.hookViewSchema },
  },
  [`DELETE ${paths.hook}`]: {
    summary: 'Delete a webhook with all that waits for it.',
    answers: { 204: null },
  },
  [`GET ${paths.hookDeliveries}`]: {
    summary: 'What was and will be sent to it, newest first.',
    query: wire.deliveriesQuerySchema,
    answers: { 200: list(wire.deliverySchema) },
  },
  [`POST ${paths.hookRedeliver}`]: { summary: 'Send one anew.', answers: { 202: null } },
  [`GET ${paths.audit}`]: {
    summary:
      'Who did what, newest first: all of it for those who read everything, else what is mine. ' +
      'An action may be a group (workspace.*), an outcome `refused`.',
    query: wire.auditQuerySchema.extend(page.shape),
    answers: { 200: list(wire.auditRowSchema) },
  },
  [`GET ${paths.auditExport}`]: {
    summary: 'The same, oldest first and whole, as JSON lines.',
    query: wire.auditQuerySchema,
    answers: { 200: wire.auditRowSchema },
    type: 'application/x-ndjson',
  },
  [`GET ${paths.gateways}`]: {
    summary: 'The gateways in processes of their own.',
    answers: { 200: list(wire.gatewayViewSchema) },
  },
  [`POST ${paths.gatewayTokens}`]: {
    summary: 'Make a one-use token for a new gateway.',
    body: wire.createGatewayTokenSchema,
    answers: { 201: joinSecret },
  },
  [`DELETE ${paths.gateway}`]: { summary: 'Revoke a gateway.', answers: { 204: null } },
  ...gatewayOperations,
  ...sharingOperations,
  [`GET ${paths.openapi}`]: {
    summary: 'This description.',
    answers: { 200: z.record(z.string(), z.unknown()) },
  },
}
