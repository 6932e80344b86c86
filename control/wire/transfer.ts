/** A workspace's next owner, and what became of what the former one had shared, as the users' API takes and gives it. */
import { z } from 'zod'
import { grantRoles } from './access.ts'
import { grantViewSchema } from './grants.ts'
import { workspaceViewSchema } from './workspace.ts'

/** The next owner: a person, by user name, or a group, for which a person of it may answer. */
export const transferSchema = z
  .strictObject({
    to: z.string().min(1).max(64).optional(),
    toGroup: z.string().min(1).max(80).optional(),
    /** What the former owner keeps; without, nothing. */
    keep: z.enum(grantRoles).optional(),
  })
  .refine(({ to, toGroup }) => to !== undefined || toGroup !== undefined, {
    path: ['to'],
    message: 'name a person, or a group as toGroup',
  })
export type Transfer = z.infer<typeof transferSchema>

export const transferredSchema = workspaceViewSchema.extend({
  /** What others knew, and is worth nothing now. */
  ended: z.object({ links: z.int(), passwords: z.int() }),
  /** What stays: on the workspace itself. */
  grants: z.array(grantViewSchema),
})
export type Transferred = z.infer<typeof transferredSchema>
