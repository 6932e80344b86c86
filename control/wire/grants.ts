/** Groups of people and grants on things, as the users' API takes and gives them. */
import { z } from 'zod'
import { grantRoles, hostCapabilities, objectKinds, restrictedKinds, subjectKinds } from './access.ts'
import { portNumber } from './ports.ts'

export const createGroupSchema = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(80)
    .regex(/^[^\x00-\x1f\x7f,]*$/, 'no commas and no control characters')
    .refine((name) => name.trim() === name, 'no blanks at its ends'),
})

export const groupViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  createdAtMs: z.number(),
  /** `source`: '' for those added by hand, else the sign-in provider that says so. */
  members: z.array(z.object({ id: z.string(), username: z.string(), source: z.string() })),
})
export type GroupView = z.infer<typeof groupViewSchema>

const reference = z.string().min(1).max(255)

/** Objects and subjects are named by id or by name. */
export const createGrantSchema = z.strictObject({
  subject: z.strictObject({ kind: z.enum(subjectKinds), id: reference }),
  object: z.strictObject({ kind: z.enum(objectKinds), id: reference }),
  /** On templates, images and hosts there is one: who may use it. */
  role: z.enum(grantRoles).default('viewer'),
  /** A viewer's only ports. */
  ports: z.array(portNumber).min(1).max(32).optional(),
  /** On a host: what it may be used for. */
  capabilities: z.array(z.enum(hostCapabilities)).min(1).optional(),
  expiresAt: z.iso.datetime({ offset: true }).optional(),
})
export type CreateGrant = z.infer<typeof createGrantSchema>

/** Only who holds a grant on it may use it. An image is meant by its repository, whatever the tag. */
export const restrictionSchema = z.strictObject({ kind: z.enum(restrictedKinds), id: reference })

/** What an administrator changes of a host. */
export const patchHostSchema = z.strictObject({ restricted: z.boolean() })

/** Why an administrator must see into somebody's workspace; its owner reads it. */
export const breakGlassSchema = z.strictObject({
  reason: z
    .string()
    .trim()
    .min(5, 'say why, in a few words')
    .max(500)
    .regex(/^[^\x00-\x1f\x7f]*$/, 'one line'),
})

/** Needed of who adds themself, where the group opens workspaces of others to them. */
export const joinGroupSchema = breakGlassSchema.partial()

export const grantViewSchema = z.object({
  id: z.string(),
  subject: z.object({ kind: z.enum(subjectKinds), id: z.string(), name: z.string() }),
  object: z.object({ kind: z.enum(objectKinds), id: z.string(), name: z.string() }),
  role: z.enum(grantRoles),
  ports: z.array(z.int()).nullable(),
  capabilities: z.array(z.enum(hostCapabilities)),
  expiresAtMs: z.number().nullable(),
  /** Why an administrator broke the glass; null: it was given. */
  reason: z.string().nullable(),
  createdBy: z.object({ id: z.string(), username: z.string().nullable() }),
  createdAtMs: z.number(),
})
export type GrantView = z.infer<typeof grantViewSchema>
