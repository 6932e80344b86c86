/** Requests for access as the users' API and the live stream give them. */
import { z } from 'zod'
import { grantRoles } from './access.ts'
import { portNumber } from './ports.ts'

/** A request is answered within so many days, or forgotten. */
export const ACCESS_REQUEST_DAYS = 14

export const accessRequestViewSchema = z.object({
  id: z.string(),
  /** Who asks. */
  user: z.object({ id: z.string(), username: z.string() }),
  /** The name of the host that they asked for. */
  name: z.string(),
  /** The port in it; null: the default app. */
  port: z.int().nullable(),
  /** For those who may answer; null for the one who asks. */
  workspace: z.object({ id: z.string(), name: z.string() }).nullable(),
  /** The one who asks isn't told of a refusal: it would say that there is such a workspace. */
  state: z.enum(['open', 'granted']),
  /** Would a viewer open what was asked for? Null for the one who asks. */
  isShared: z.boolean().nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
})
export type AccessRequestView = z.infer<typeof accessRequestViewSchema>

/** `toAnswer`: those that this person may answer; `mine`: those that they made. */
export const accessRequestsSchema = z.object({
  toAnswer: z.array(accessRequestViewSchema),
  mine: z.array(accessRequestViewSchema),
})
export type AccessRequests = z.infer<typeof accessRequestsSchema>

/** For an hour, a day, or, without, for ever; `ports` hold a viewer to those. */
export const grantRequestSchema = z.strictObject({
  role: z.enum(grantRoles).default('viewer'),
  forHours: z
    .union([z.literal(1), z.literal(24)])
    .nullable()
    .default(null),
  ports: z.array(portNumber).min(1).max(32).optional(),
})
export type GrantRequest = z.output<typeof grantRequestSchema>
