/** What one user, or one group's own workspaces, may have at once. */
import { z } from 'zod'

export const quotaKinds = ['user', 'group'] as const
export type QuotaKind = (typeof quotaKinds)[number]

/**
 * What is left out or null isn't said here, and is taken from elsewhere. `cpu` (cores) and `memoryBytes` are of all that
 * run, together; `diskBytes` of all that are there, stopped ones and the trash too, since their data is: so much is set
 * aside for them, whatever of it they use. It is refused as long as no host can hold a disk's size.
 */
export const putQuotaSchema = z.strictObject({
  maxWorkspaces: z.int().min(0).max(1_000_000).nullable().optional(),
  maxRunning: z.int().min(0).max(1_000_000).nullable().optional(),
  cpu: z.number().min(0).max(1_000_000).nullable().optional(),
  memoryBytes: z.int().min(0).nullable().optional(),
  diskBytes: z.int().min(0).nullable().optional(),
})
export type PutQuota = z.infer<typeof putQuotaSchema>

/** A quota that was set; null: not said. */
export const quotaSchema = z.object({
  maxWorkspaces: z.int().nullable(),
  maxRunning: z.int().nullable(),
  cpu: z.number().nullable(),
  memoryBytes: z.int().nullable(),
  diskBytes: z.int().nullable(),
})
export type Quota = z.infer<typeof quotaSchema>

const counted = z.object({ used: z.number(), max: z.number().nullable() })
/** What counts, and how far; a null `max` is no bound, an absent row a limit that no host here can hold. */
export const standingSchema = z.object({
  workspaces: counted,
  running: counted,
  cpu: counted.optional(),
  memoryBytes: counted.optional(),
  diskBytes: counted.optional(),
})
export type Standing = z.infer<typeof standingSchema>

export const quotaViewSchema = z.object({
  kind: z.enum(quotaKinds),
  id: z.string(),
  /** The user's or the group's. */
  name: z.string(),
  /** Null: none was set. */
  quota: quotaSchema.nullable(),
  /** What counts in the end, with what it is taken from elsewhere. */
  standing: standingSchema,
  /** Where more is in use than is allowed, a sentence each: nothing is stopped by a quota. */
  over: z.array(z.string()),
})
export type QuotaView = z.infer<typeof quotaViewSchema>
