/** The schemas of the wire go in; what gateways ask of control comes out, for the description of the API. */
import type { Operation } from './operation.ts'
import * as wire from '../wire/index.ts'

const { paths } = wire

/** What gateways ask, with a token that they get for their credential. */
export const gatewayOperations: Readonly<Record<string, Operation>> = {
  [`POST ${paths.gatewayJoin}`]: {
    summary: 'A gateway joins by a join token, or makes itself known again by its token.',
    body: wire.gatewayJoinSchema,
    answers: { 200: wire.gatewayJoinedSchema },
  },
  [`POST ${paths.gatewayExchange}`]: {
    summary:
      'A gateway gives its credential for a token that lasts ten minutes: all else is asked with that.',
    answers: { 200: wire.gatewayTokenSchema },
  },
  [`GET ${paths.gatewaySetup}`]: {
    summary: 'For gateways: are there no users yet?',
    answers: { 200: wire.setupOpenSchema },
  },
  [`POST ${paths.gatewaySetup}`]: {
    summary: 'For gateways: make the first administrator.',
    body: wire.gatewaySetupSchema,
    answers: { 200: wire.newSessionSchema },
  },
  [`POST ${paths.gatewaySignIn}`]: {
    summary: 'For gateways: sign a person in.',
    body: wire.gatewaySignInSchema,
    answers: { 200: wire.newSessionSchema },
  },
  [`POST ${paths.gatewaySignOut}`]: {
    summary: 'For gateways: end a session.',
    body: wire.gatewaySignOutSchema,
    answers: { 200: wire.signedOutSchema, 204: null },
  },
  [`GET ${paths.gatewayProviders}`]: {
    summary: 'For gateways: the providers that one may sign in at.',
    answers: { 200: wire.signInProvidersSchema },
  },
  [`POST ${paths.gatewayProviderBegin}`]: {
    summary: 'For gateways: begin a sign-in at a provider.',
    body: wire.gatewayProviderBeginSchema,
    answers: { 200: wire.begunSignInSchema },
  },
  [`POST ${paths.gatewayProviderFinish}`]: {
    summary: 'For gateways: end a sign-in at a provider.',
    body: wire.gatewayProviderFinishSchema,
    answers: { 200: wire.finishedSignInSchema },
  },
  [`POST ${paths.gatewayTokenUsed}`]: {
    summary: 'For gateways: an access token is in use.',
    body: wire.gatewayTokenUsedSchema,
    answers: { 204: null },
  },
  [`POST ${paths.gatewayActivity}`]: {
    summary: 'For gateways: visits to others’ workspaces and refusals.',
    body: wire.gatewayActivitySchema,
    answers: { 204: null },
  },
  [`POST ${paths.gatewaySessionUsed}`]: {
    summary: 'For gateways: a session was used now.',
    body: wire.gatewaySessionUsedSchema,
    answers: { 204: null },
  },
  [`POST ${paths.gatewayReset}`]: {
    summary: 'For gateways: set a password by a one-time link.',
    body: wire.gatewayResetSchema,
    answers: { 200: wire.newSessionSchema },
  },
  [`POST ${paths.gatewayInvitation}`]: {
    summary: 'For gateways: become a user by an invitation.',
    body: wire.gatewayInvitationSchema,
    answers: { 200: wire.newSessionSchema },
  },
  [`POST ${paths.gatewayCode}`]: {
    summary: 'For gateways: a one-time code of the hand-off.',
    body: wire.gatewayCodeSchema,
    answers: { 200: wire.issuedCodeSchema },
  },
  [`POST ${paths.gatewayRedeem}`]: {
    summary: 'For gateways: redeem it for a session.',
    body: wire.gatewayRedeemSchema,
    answers: { 200: wire.newSessionSchema },
  },
  [`POST ${paths.gatewayRequestAccess}`]: {
    summary: 'For gateways: somebody asks to be let in.',
    body: wire.gatewayRequestAccessSchema,
    answers: { 204: null },
  },
  [`POST ${paths.gatewayStart}`]: {
    summary: 'For gateways: the Start button.',
    body: wire.gatewayStartSchema,
    answers: { 204: null },
  },
  [`POST ${paths.gatewayLink}`]: {
    summary: 'For gateways: use a link for a guest’s session.',
    body: wire.gatewayLinkSchema,
    answers: { 200: wire.newSessionSchema },
  },
  [`POST ${paths.gatewayJoinGuest}`]: {
    summary: 'For gateways: the same guest on another host of the workspace.',
    body: wire.gatewayJoinGuestSchema,
    answers: { 200: wire.newSessionSchema },
  },
  [`POST ${paths.gatewayGuestUsed}`]: {
    summary: 'For gateways: a guest’s session is in use.',
    body: wire.gatewayGuestUsedSchema,
    answers: { 204: null },
  },
  [`POST ${paths.gatewayPass}`]: {
    summary: 'For gateways: a visitor gives the password of a port.',
    body: wire.gatewayPassSchema,
    answers: { 200: wire.passGivenSchema },
  },
}
