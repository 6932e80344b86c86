/** Gateways in processes of their own: what administrators see and do, and what a gateway asks for with its token. */
import type { z } from 'zod'
import type { Call, Reply, Route } from '../api/call.ts'
import type { GatewayLinks } from '../feed/gateway-links.ts'
import { gatewayCredential, gatewayToken } from '../credentials/gateway-bearer.ts'
import { parseBody } from '../api/parse.ts'
import type { Deployment } from '../deployment.ts'
import type { Gateways } from '../service/gateways.ts'
import { orTold, PROGRAM_MS } from '../service/told-refusals.ts'
import * as wire from '../wire/index.ts'
import type { EdgeControl, GatewayView } from '../wire/index.ts'

const { paths } = wire

/** What administrators see of gateways, and how they let one in or out. */
export function gatewayRoutes(gateways: Gateways, links: GatewayLinks): Route[] {
  const view = ({ id, name, version, createdAtMs, lastSeenAtMs }: ReturnType<Gateways['list']>[number]) =>
    ({ id, name, version, createdAtMs, lastSeenAtMs, connected: links.isConnected(id) }) satisfies GatewayView
  return [
    {
      method: 'GET',
      path: paths.gateways,
      run: () => Promise.resolve({ status: 200, body: { items: gateways.list().map(view) } }),
    },
    {
      method: 'POST',
      path: paths.gatewayTokens,
      async run({ body }) {
        const { name } = parseBody(wire.createGatewayTokenSchema, body)
        const made = await gateways.newToken(name)
        return { status: 201, body: made, audit: { object: { id: made.id, name } } }
      },
    },
    {
      method: 'DELETE',
      path: paths.gateway,
      async run({ params }) {
        await gateways.revoke(params['id'] ?? '')
        return { status: 204 }
      },
    },
  ]
}

/** What a gateway asks of control, as the server's own edge does in its process. */
export function gatewayCallRoutes(deployment: Deployment, gateways: Gateways, edge: EdgeControl): Route[] {
  const identify = ({ headers }: Pick<Call, 'headers'>): void => void gateways.identify(gatewayToken(headers))
  /** Refuses before the body is read; parses it; answers with what `act` gives. */
  const post = <T extends z.ZodType>(
    path: string,
    schema: T,
    act: (given: z.output<T>) => Promise<unknown>,
  ): Route => ({
    method: 'POST',
    path,
    admit: (headers) => Promise.resolve(identify({ headers })),
    async run(call): Promise<Reply> {
      identify(call)
      const body = await act(parseBody(schema, call.body))
      return body === undefined ? { status: 204 } : { status: 200, body }
    },
  })
  return [
    {
      method: 'POST',
      path: paths.gatewayJoin,
      async run({ headers, body, origin }) {
        const joined = async () => {
          const bearer = gatewayToken(headers)
          return gateways.join(parseBody(wire.gatewayJoinSchema, body), bearer)
        }
        const answer = await orTold(deployment, { action: 'gateway.join' }, origin, joined, PROGRAM_MS)
        return { status: 200, body: answer }
      },
    },
    {
      method: 'POST',
      path: paths.gatewayExchange,
      run: async ({ headers }) => ({ status: 200, body: gateways.exchange(gatewayCredential(headers)) }),
    },
    {
      method: 'GET',
      path: paths.gatewaySetup,
      async run(call) {
        identify(call)
        return { status: 200, body: { open: await edge.setupOpen() } }
      },
    },
    post(paths.gatewaySetup, wire.gatewaySetupSchema, ({ body, origin }) => {
      const { email, ...rest } = body
      return edge.setup({ ...rest, ...(email === undefined ? {} : { email }) }, origin)
    }),
    post(paths.gatewaySignIn, wire.gatewaySignInSchema, ({ body, origin }) => edge.signIn(body, origin)),
    post(paths.gatewayTokenUsed, wire.gatewayTokenUsedSchema, ({ tokenId }) => edge.tokenUsed(tokenId)),
    post(paths.gatewaySessionUsed, wire.gatewaySessionUsedSchema, ({ sessionHash }) =>
      edge.sessionUsed(sessionHash),
    ),
    post(paths.gatewayReset, wire.gatewayResetSchema, ({ body, origin }) => edge.resetPassword(body, origin)),
    post(paths.gatewayInvitation, wire.gatewayInvitationSchema, ({ body, origin }) =>
      edge.acceptInvitation(body, origin),
    ),
    post(paths.gatewaySignOut, wire.gatewaySignOutSchema, async ({ sessionHash }) => {
      const location = await edge.signOut(sessionHash)
      return location === null ? undefined : { location }
    }),
    {
      method: 'GET',
      path: paths.gatewayProviders,
      async run(call) {
        identify(call)
        return { status: 200, body: { items: await edge.providers() } }
      },
    },
    post(paths.gatewayProviderBegin, wire.gatewayProviderBeginSchema, (given) => edge.beginSignIn(given)),
    post(paths.gatewayProviderFinish, wire.gatewayProviderFinishSchema, ({ given, origin }) =>
      edge.finishSignIn(given, origin),
    ),
    post(paths.gatewayCode, wire.gatewayCodeSchema, async (grant) => ({ code: await edge.issueCode(grant) })),
    post(paths.gatewayRedeem, wire.gatewayRedeemSchema, ({ origin, ...given }) =>
      edge.redeemCode(given, origin ?? null),
    ),
    post(paths.gatewayStart, wire.gatewayStartSchema, ({ workspaceId, userId, origin }) =>
      edge.startWorkspace(workspaceId, userId, origin),
    ),
    post(paths.gatewayActivity, wire.gatewayActivitySchema, ({ notes }) => edge.note(notes)),
    post(paths.gatewayLink, wire.gatewayLinkSchema, ({ origin, ...given }) => edge.redeemLink(given, origin)),
    post(paths.gatewayJoinGuest, wire.gatewayJoinGuestSchema, ({ origin, ...given }) =>
      edge.joinGuest(given, origin),
    ),
    post(paths.gatewayGuestUsed, wire.gatewayGuestUsedSchema, ({ sessionHash }) =>
      edge.guestUsed(sessionHash),
    ),
    post(paths.gatewayPass, wire.gatewayPassSchema, async ({ origin, ...given }) => ({
      session: await edge.givePassword(given, origin),
    })),
    post(paths.gatewayRequestAccess, wire.gatewayRequestAccessSchema, ({ userId, label, origin }) =>
      edge.requestAccess(userId, label, origin),
    ),
  ]
}
