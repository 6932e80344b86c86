/** People, sessions, tokens and hosts, as the users' API takes and gives them. */
import { z } from 'zod'
import { portNumber } from './ports.ts'
import { PASSWORD_MAX, PASSWORD_MIN } from './password-rules.ts'

/** `auditor`: reads what an administrator reads, changes nothing, opens no workspace that isn’t public. */
export const roles = ['administrator', 'auditor', 'member'] as const
export const roleSchema = z.enum(roles)
export type Role = z.infer<typeof roleSchema>

export const usernameSchema = z
  .string()
  .min(1)
  .max(40)
  .regex(/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/, 'small letters, digits, dot, hyphen and underscore')
/** Its length; what else a password must be, depends on whose it is: `passwordProblem`. */
export const passwordSchema = z
  .string()
  .min(PASSWORD_MIN, `at least ${PASSWORD_MIN} characters`)
  .max(PASSWORD_MAX, `at most ${PASSWORD_MAX} characters`)
export const emailSchema = z.email().max(254)

export const setupSchema = z.strictObject({
  token: z.string().max(200),
  username: usernameSchema,
  password: passwordSchema,
  email: emailSchema.optional(),
})
export const signInSchema = z.strictObject({ username: z.string().max(200), password: z.string().max(1024) })

export const createUserSchema = z.strictObject({
  username: usernameSchema,
  password: passwordSchema,
  email: emailSchema.optional(),
  role: roleSchema.default('member'),
})
export const userViewSchema = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string().nullable(),
  role: roleSchema,
  disabled: z.boolean(),
  createdAtMs: z.number(),
  /** How they can sign in: `password`, names of providers; said where people are listed, and of oneself. */
  signInBy: z.array(z.string()).optional(),
})
export type UserView = z.infer<typeof userViewSchema>

/** What an administrator changes of a user; a new password, a new role or disabling ends the user's sessions. */
export const patchUserSchema = z.strictObject({
  email: emailSchema.nullable().optional(),
  role: roleSchema.optional(),
  disabled: z.boolean().optional(),
  password: passwordSchema.optional(),
})
/** Ends the user's other sessions, and their API tokens unless they say otherwise: whoever knew the old one may have made some. */
export const changePasswordSchema = z.strictObject({
  currentPassword: z.string().max(1024),
  newPassword: passwordSchema,
  keepTokens: z.boolean().default(false),
})

/** `workspaces:read` sees; `workspaces:write` changes; `connect` opens ports; `admin` all that the user may. */
export const scopes = ['workspaces:read', 'workspaces:write', 'connect', 'admin'] as const
export const scopeSchema = z.enum(scopes)
export type Scope = z.infer<typeof scopeSchema>

export const createTokenSchema = z.strictObject({
  name: z.string().min(1).max(80),
  scopes: z.array(scopeSchema).min(1).optional(),
  /** Id or name: it works for that one only. */
  workspace: z.string().min(1).max(64).optional(),
  /** Of that workspace: it opens no others. */
  ports: z.array(portNumber).min(1).max(32).optional(),
  expiresAt: z.iso.datetime({ offset: true }).optional(),
})
export const tokenViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  scopes: z.array(scopeSchema),
  /** Null: all workspaces that its user may open. A null name: they may not see it now. */
  workspace: z.object({ id: z.string(), name: z.string().nullable() }).nullable(),
  ports: z.array(z.int()).nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number().nullable(),
  lastUsedAtMs: z.number().nullable(),
})
export type TokenView = z.infer<typeof tokenViewSchema>

export const sessionViewSchema = z.object({
  id: z.string(),
  current: z.boolean(),
  createdAtMs: z.number(),
  lastUsedAtMs: z.number(),
  expiresAtMs: z.number(),
  /** The browser's User-Agent with its address. */
  device: z.string(),
  /** Where it was signed in from. */
  address: z.string(),
  /** By what it was signed in: `password`, `setup`, `reset`, `invitation`, or `oidc:<provider>`. */
  via: z.string(),
})
export type SessionView = z.infer<typeof sessionViewSchema>

export const hostViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  runtime: z.string(),
  connected: z.boolean(),
  lastSeenAtMs: z.number(),
  health: z.object({ status: z.string(), message: z.string(), warnings: z.array(z.string()) }),
  workspaces: z.int(),
  /** Only who holds a grant with `create` gets workspaces on it. */
  restricted: z.boolean(),
  /** What its owner lets workspaces have of it, with a grant for it. */
  gives: z.object({ gpus: z.int(), mounts: z.array(z.string()), hostNetwork: z.boolean() }),
})
export type HostView = z.infer<typeof hostViewSchema>

/** A name that is kept for the owner of a purged workspace; a null username: that user is gone. */
export const reservedNameViewSchema = z.object({
  name: z.string(),
  owner: z.object({ id: z.string(), username: z.string().nullable() }),
  sinceMs: z.number(),
})
export type ReservedNameView = z.infer<typeof reservedNameViewSchema>

/** A one-use token with which one new agent registers; shown once. */
export const createHostTokenSchema = z.strictObject({ name: z.string().min(1).max(80) })
