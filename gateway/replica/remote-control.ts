// What the edge asks of control comes in; HTTP calls with the gateway's token go out, and parsed answers come back.
import { Agent, type Dispatcher, request } from 'undici'
import { z } from 'zod'
import {
  ApiError,
  apiCodes,
  begunSignInSchema,
  finishedSignInSchema,
  type ApiCode,
  type EdgeControl,
  type GatewayJoin,
  type GatewayJoined,
  type GatewayToken,
  gatewayJoinedSchema,
  gatewayTokenSchema,
  issuedCodeSchema,
  newSessionSchema,
  passGivenSchema,
  paths,
  setupOpenSchema,
  signedOutSchema,
  signInProvidersSchema,
} from '../../control/wire/index.ts'

export interface RemoteControl extends EdgeControl {
  /** Ends its connections. */
  close(): Promise<void>
}

/** A sign-in waits for a password's hash, and for other gateways to know of it. */
const ANSWER_MS = 30_000
const CONNECT_MS = 5000

const problemSchema = z.object({
  code: z.string(),
  detail: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
})

async function ask(
  dispatcher: Dispatcher,
  serverUrl: string,
  bearer: string,
  call: { method: 'GET' | 'POST'; path: string; body?: unknown; signal?: AbortSignal },
): Promise<unknown> {
  const { method, path, body, signal } = call
  const answer = await request(`${serverUrl}${path}`, {
    dispatcher,
    method,
    headers: {
      authorization: `Bearer ${bearer}`,
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  })
  const text = await answer.body.text()
  if (answer.statusCode === 204) return undefined
  const json = parseJson(text)
  if (answer.statusCode < 300 && json !== undefined) return json
  throw problemOf(json, answer.statusCode, answer.headers['retry-after'])
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // told apart by the caller
  }
}

function problemOf(json: unknown, status: number, retryAfter: string | string[] | undefined): Error {
  const problem = problemSchema.safeParse(json)
  if (!problem.success || !(problem.data.code in apiCodes))
    return new Error(`the server answered ${status}, not as Postern does`)
  const { code, detail, errors } = problem.data
  const seconds = Number(retryAfter)
  return new ApiError(code as ApiCode, detail, {
    ...(errors === undefined ? {} : { errors }),
    ...(Number.isInteger(seconds) ? { retryAfterSeconds: seconds } : {}),
  })
}

/** What says nothing of the visitor, but of us. */
const isOurs = ({ code }: ApiError): boolean =>
  code === 'unauthenticated' || code === 'gateway_token_refused' || code === 'gateway_unknown'

/** Control as a gateway in a process of its own reaches it. What isn't an answer is `unavailable`; so is all without a token (''). */
export function remoteControl(serverUrl: string, token: () => string): RemoteControl {
  const pool = new Agent({ connect: { timeout: CONNECT_MS }, headersTimeout: ANSWER_MS })
  const call = async <T>(
    schema: z.ZodType<T>,
    method: 'GET' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<T> => {
    try {
      const bearer = token()
      if (bearer === '') throw new Error('this gateway has no token at the moment')
      return schema.parse(await ask(pool, serverUrl, bearer, { method, path, body }))
    } catch (err) {
      if (err instanceof ApiError && !isOurs(err)) throw err
      throw new ApiError('unavailable', 'The server behind this gateway does not answer.', { cause: err })
    }
  }
  return {
    setupOpen: async () => (await call(setupOpenSchema, 'GET', paths.gatewaySetup)).open,
    setup: (body, origin) => call(newSessionSchema, 'POST', paths.gatewaySetup, { body, origin }),
    signIn: (body, origin) => call(newSessionSchema, 'POST', paths.gatewaySignIn, { body, origin }),
    tokenUsed: (tokenId) => call(z.undefined(), 'POST', paths.gatewayTokenUsed, { tokenId }),
    sessionUsed: (sessionHash) => call(z.undefined(), 'POST', paths.gatewaySessionUsed, { sessionHash }),
    resetPassword: (body, origin) => call(newSessionSchema, 'POST', paths.gatewayReset, { body, origin }),
    acceptInvitation: (body, origin) =>
      call(newSessionSchema, 'POST', paths.gatewayInvitation, { body, origin }),
    signOut: async (sessionHash) =>
      (await call(signedOutSchema.optional(), 'POST', paths.gatewaySignOut, { sessionHash }))?.location ??
      null,
    providers: async () => (await call(signInProvidersSchema, 'GET', paths.gatewayProviders)).items,
    beginSignIn: (given) => call(begunSignInSchema, 'POST', paths.gatewayProviderBegin, given),
    finishSignIn: (given, origin) =>
      call(finishedSignInSchema, 'POST', paths.gatewayProviderFinish, { given, origin }),
    issueCode: async (grant) => (await call(issuedCodeSchema, 'POST', paths.gatewayCode, grant)).code,
    redeemCode: (given, origin) =>
      call(newSessionSchema, 'POST', paths.gatewayRedeem, {
        ...given,
        ...(origin === null ? {} : { origin }),
      }),
    startWorkspace: (workspaceId, userId, origin) =>
      call(z.undefined(), 'POST', paths.gatewayStart, { workspaceId, userId, origin }),
    redeemLink: (given, origin) => call(newSessionSchema, 'POST', paths.gatewayLink, { ...given, origin }),
    joinGuest: (given, origin) =>
      call(newSessionSchema, 'POST', paths.gatewayJoinGuest, { ...given, origin }),
    note: (notes) => call(z.undefined(), 'POST', paths.gatewayActivity, { notes }),
    guestUsed: (sessionHash) => call(z.undefined(), 'POST', paths.gatewayGuestUsed, { sessionHash }),
    givePassword: async (given, origin) =>
      (await call(passGivenSchema, 'POST', paths.gatewayPass, { ...given, origin })).session,
    requestAccess: (userId, label, origin) =>
      call(z.undefined(), 'POST', paths.gatewayRequestAccess, { userId, label, origin }),
    close: () => pool.destroy(),
  }
}

async function askOnce<T>(
  schema: z.ZodType<T>,
  serverUrl: string,
  bearer: string,
  call: { path: string; body?: unknown; signal: AbortSignal },
): Promise<T> {
  const pool = new Agent({ connect: { timeout: CONNECT_MS }, headersTimeout: ANSWER_MS })
  try {
    return schema.parse(await ask(pool, serverUrl, bearer, { method: 'POST', ...call }))
  } finally {
    await pool.destroy()
  }
}

/** Joins by a join token, or makes itself known again by its token. @throws ApiError unauthenticated, gateway_token_refused, gateway_unknown; network errors */
export function joinControl(
  serverUrl: string,
  bearer: string,
  body: GatewayJoin,
  signal: AbortSignal,
): Promise<GatewayJoined> {
  return askOnce(gatewayJoinedSchema, serverUrl, bearer, { path: paths.gatewayJoin, body, signal })
}

/** Gives the credential for a token: the one call that it travels on. @throws ApiError gateway_unknown; network errors */
export function exchangeCredential(
  serverUrl: string,
  credential: string,
  signal: AbortSignal,
): Promise<GatewayToken> {
  return askOnce(gatewayTokenSchema, serverUrl, credential, { path: paths.gatewayExchange, signal })
}
