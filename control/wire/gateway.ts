/** The contract with gateways in processes of their own: joining, facts by revision, and what they ask of control. */
import { z } from 'zod'
import { grantRoles, subjectKinds } from './access.ts'
import { roleSchema, scopeSchema } from './account.ts'
import { reachSchema } from './agent.ts'
import { type ApiCode, apiCodes } from './codes.ts'
import type { EdgeFact } from './edge.ts'
import { edgePortSchema } from './ports.ts'
import { phaseSchema } from './workspace.ts'

/** A one-use token with which one new gateway joins; shown once. */
export const createGatewayTokenSchema = z.strictObject({ name: z.string().min(1).max(80) })

export const gatewayViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  version: z.string(),
  /** It is fed by this server now. */
  connected: z.boolean(),
  createdAtMs: z.number(),
  lastSeenAtMs: z.number(),
})
export type GatewayView = z.infer<typeof gatewayViewSchema>

/** Sent at each start of a gateway: the first time with a join token as Bearer, later with a gateway token. */
export const gatewayJoinSchema = z.strictObject({
  name: z.string().min(1).max(80),
  machineId: z.string().min(1).max(128),
  version: z.string().max(64),
})
export type GatewayJoin = z.infer<typeof gatewayJoinSchema>

/** What all gateways of a deployment have in common. */
export const gatewayJoinedSchema = z.object({
  gatewayId: z.string(),
  /** Given at the first join only; kept in a 0600 file. */
  credential: z.string().optional(),
  publicUrl: z.string(),
  baseDomain: z.string(),
  /** Origin of path mode; null: it is off. A control that is older knows of none. */
  pathUrl: z.string().nullable().default(null),
  /** Seals flow cookies, base64url, 256 bits. */
  flowKey: z.string(),
})
export type GatewayJoined = z.infer<typeof gatewayJoinedSchema>

/** A gateway token lasts so long, in ms: it is renewed after half of that. */
export const GATEWAY_TOKEN_MS = 600_000

/** What a gateway gets for its credential: a JWT, Bearer of all its other calls, good for so long from now on, in ms. */
export const gatewayTokenSchema = z.object({ token: z.string(), expiresInMs: z.number().positive() })
export type GatewayToken = z.infer<typeof gatewayTokenSchema>

/** Control says something at least so often, in ms; a gateway that heard nothing for three of them connects anew. */
export const BEAT_MS = 2000

// Rows are open: a field that a newer control adds passes through an older gateway's schema.
const routeSchema = z.looseObject({
  workspaceId: z.string(),
  name: z.string(),
  ownerId: z.string(),
  ownerGroupId: z.string().nullable(),
  grants: z.array(
    z.looseObject({
      subjectKind: z.enum(subjectKinds),
      subjectId: z.string(),
      role: z.enum(grantRoles),
      ports: z.array(z.int()).nullable(),
      expiresAtMs: z.number().nullable(),
    }),
  ),
  aliases: z.array(z.string()),
  aliasPorts: z.array(z.object({ name: z.string(), port: z.int() })).optional(),
  phase: phaseSchema,
  reason: z.string(),
  incarnation: z.string(),
  reach: reachSchema,
  defaultPort: z.int().nullable(),
  ports: z.array(edgePortSchema.loose()),
  paths: z.array(z.looseObject({ prefix: z.string(), port: z.int() })),
  passwords: z.array(z.looseObject({ port: z.int().nullable(), version: z.string() })).optional(),
})
const userSchema = z.looseObject({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  role: roleSchema,
  groups: z.array(z.looseObject({ id: z.string(), name: z.string() })),
})
const sessionSchema = z.looseObject({
  hash: z.string(),
  userId: z.string(),
  expiresAtMs: z.number(),
  workspace: z.object({ parentHash: z.string(), workspaceId: z.string(), label: z.string() }).nullable(),
  link: z.looseObject({ id: z.string(), ports: z.array(z.int()).nullable() }).nullish(),
  passes: z.array(z.string()).optional(),
})
const tokenSchema = z.looseObject({
  hash: z.string(),
  id: z.string(),
  userId: z.string(),
  scopes: z.array(scopeSchema),
  bounds: z
    .object({ workspaceId: z.string(), ports: z.array(z.int()).nullable() })
    .nullable()
    .default(null),
  expiresAtMs: z.number().nullable(),
  passes: z.array(z.string()).optional(),
})

export const edgeFactSchema: z.ZodType<EdgeFact> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('route'), key: z.string(), row: routeSchema }),
  z.object({ kind: z.literal('user'), key: z.string(), row: userSchema }),
  z.object({ kind: z.literal('session'), key: z.string(), row: sessionSchema }),
  z.object({ kind: z.literal('token'), key: z.string(), row: tokenSchema }),
  z.object({ kind: z.literal('gone'), of: z.enum(['route', 'user', 'session', 'token']), key: z.string() }),
  z.object({ kind: z.literal('subnets'), row: z.array(z.string()) }),
  z.object({
    kind: z.literal('signing'),
    row: z.array(z.looseObject({ kid: z.string(), x: z.string(), d: z.string(), signsFromMs: z.number() })),
  }),
])

/**
 * `GET /api/gateway/v1/changes` (WebSocket, the token as Bearer): facts by revision. With `?epoch=…&since=…` of an
 * earlier connection it goes on from there where it can; else the first message is a `reset`. Revisions of two epochs
 * have nothing to do with each other. The gateway answers with `gatewaySaysSchema`.
 */
export const gatewayMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('reset'),
    epoch: z.string(),
    revision: z.int(),
    facts: z.array(edgeFactSchema),
  }),
  z.object({ type: z.literal('apply'), revision: z.int(), facts: z.array(edgeFactSchema) }),
  z.object({ type: z.literal('beat') }),
])
export type GatewayMessage = z.infer<typeof gatewayMessageSchema>

/** Every worker of the gateway decides by this revision or a newer one; or: by this token it goes on. */
export const gatewaySaysSchema = z.union([
  z.object({ ack: z.int() }),
  z.object({ token: z.string().max(2048) }),
])
export type GatewaySays = z.infer<typeof gatewaySaysSchema>

/** Close codes of that WebSocket beyond those of RFC 6455: it is revoked; its token is over; what was missed can't be made up. */
export const gatewayCloseCodes = { revoked: 4401, expired: 4408, anew: 4409 } as const

const originSchema = z.object({
  ip: z.string().max(64),
  userAgent: z.string().max(400),
  requestId: z.string().max(64),
  device: z.string().max(200).optional(),
})

/** The bodies of a gateway's calls; what is inside is checked where the server's own edge is, too. */
export const gatewaySetupSchema = z.object({
  body: z.object({
    token: z.string(),
    username: z.string(),
    password: z.string(),
    email: z.string().optional(),
  }),
  origin: originSchema,
})
export const gatewaySignInSchema = z.object({
  body: z.object({ username: z.string(), password: z.string() }),
  origin: originSchema,
})
export const gatewayResetSchema = z.object({
  body: z.object({ token: z.string(), password: z.string() }),
  origin: originSchema,
})
export const gatewayInvitationSchema = z.object({
  body: z.object({ token: z.string(), username: z.string(), password: z.string() }),
  origin: originSchema,
})
export const gatewayTokenUsedSchema = z.object({ tokenId: z.string().max(64) })
export const gatewaySessionUsedSchema = z.object({ sessionHash: z.string().max(64) })
export const gatewaySignOutSchema = z.object({ sessionHash: z.string().max(64) })
export const gatewayCodeSchema = z.object({
  userId: z.string(),
  parentHash: z.string(),
  workspaceId: z.string(),
  label: z.string(),
  challenge: z.string(),
})
export const gatewayRedeemSchema = z.object({
  code: z.string().max(512),
  nonce: z.string().max(512),
  label: z.string().max(63),
  origin: originSchema.optional(),
})
export const gatewayStartSchema = z.object({
  workspaceId: z.string(),
  userId: z.string(),
  origin: originSchema,
})

export const gatewayProviderBeginSchema = z.object({
  provider: z.string().max(40),
  next: z.string().max(4096),
  flows: z.string().max(4096).nullable(),
  invited: z.object({ token: z.string().max(512), origin: originSchema }).optional(),
})
export const gatewayProviderFinishSchema = z.object({
  given: z.object({
    provider: z.string().max(40),
    query: z.string().max(16_384),
    flows: z.string().max(4096).nullable(),
  }),
  origin: originSchema,
})
export const gatewayLinkSchema = z.object({
  secret: z.string().max(512),
  workspaceId: z.string().max(40),
  label: z.string().min(1).max(63),
  origin: originSchema,
})
export const gatewayJoinGuestSchema = z.object({
  sessionHash: z.string().max(64),
  label: z.string().min(1).max(63),
  origin: originSchema,
})
export const gatewayGuestUsedSchema = z.object({ sessionHash: z.string().max(64) })
export const gatewayPassSchema = z.object({
  workspaceId: z.string().max(40),
  port: z.int().nullable(),
  label: z.string().min(1).max(63),
  password: z.string().max(1024),
  holder: z.object({ kind: z.enum(['session', 'token']), hash: z.string().max(64) }).nullable(),
  origin: originSchema,
})

export const gatewayRequestAccessSchema = z.object({
  userId: z.string().max(64),
  label: z.string().max(63),
  origin: originSchema,
})

export const newSessionSchema = z.object({
  token: z.string(),
  expiresAtMs: z.number(),
  device: z.string().optional(),
  reusedAtMs: z.number().optional(),
})
export const passGivenSchema = z.object({ session: newSessionSchema.nullable() })
export const setupOpenSchema = z.object({ open: z.boolean() })
export const issuedCodeSchema = z.object({ code: z.string() })
/** Where a person signs out at their provider, after they did here. */
export const signedOutSchema = z.object({ location: z.string() })
export const signInProvidersSchema = z.object({
  items: z.array(z.object({ id: z.string(), name: z.string(), invites: z.boolean().default(false) })),
})
export const begunSignInSchema = z.object({ location: z.string(), flows: z.string() })
export const finishedSignInSchema = z.object({
  session: newSessionSchema.nullable(),
  refusal: z
    .object({
      // A code of a newer control is not known here.
      code: z.enum(Object.keys(apiCodes) as [ApiCode, ...ApiCode[]]).catch('provider_answer'),
      detail: z.string().optional(),
    })
    .nullable(),
  next: z.string(),
  flows: z.string(),
})

/**
 * A gateway passes a request for the dashboard's host on to control with `<token> <visitor's address>` in it: the token
 * proves whose word the address is.
 */
export const VISITOR_HEADER = 'x-postern-visitor'
