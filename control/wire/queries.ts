/** What stands behind the `?` of the users' API: one schema a route, for its reader and for the description. */
import { z } from 'zod'
import { objectKinds } from './access.ts'
import { auditActions } from './actions.ts'
import { auditOutcomes } from './audit.ts'
import { deliveryStates } from './hooks.ts'

const PAGE_SIZE = 100
const PAGE_SIZE_MAX = 500
const TEXT_MAX = 200

/** A page of a list: at most `limit` items, behind the item that `next` of the page before named. */
export const pageQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(PAGE_SIZE_MAX).default(PAGE_SIZE),
  after: z.string().optional(),
})

/** Mine, which is what I may see; or all of the deployment. */
export const workspacesQuerySchema = pageQuerySchema.extend({ owner: z.enum(['me', 'all']).optional() })

/** To the trash, or for ever. */
export const removeQuerySchema = z.object({ purge: z.enum(['true', 'false']).default('false') })

/** Grants on one thing, or one's own. */
export const grantsQuerySchema = pageQuerySchema
  .extend({ kind: z.enum(objectKinds).optional(), id: z.string().optional() })
  .refine(({ kind, id }) => (kind === undefined) === (id === undefined), {
    message: 'kind and id go together',
    path: ['kind'],
  })

export const deliveriesQuerySchema = pageQuerySchema.extend({ state: z.enum(deliveryStates).optional() })

const anything = z.string().transform((given) => given.slice(0, TEXT_MAX))
const oneOf = (known: ReadonlySet<string>): z.ZodType<string, string> =>
  z.string().refine((given) => given === '' || known.has(given), 'is not known')
const objects = auditActions.map((action) => `${action.split('.')[0]}.*`)
const time = z.string().transform((given, told): number => {
  const atMs = /^\d{1,15}$/.test(given) ? Number(given) : Date.parse(given)
  if (Number.isFinite(atMs)) return atMs
  told.addIssue('a time (RFC 3339), or ms')
  return z.NEVER
})

/** Which rows of the audit: an empty field asks for nothing; `action` may be a group such as `workspace.*`. */
export const auditQuerySchema = z.object({
  actor: anything.optional(),
  action: oneOf(new Set([...auditActions, ...objects])).optional(),
  object: anything.optional(),
  workspace: anything.optional(),
  outcome: oneOf(new Set([...auditOutcomes, 'refused'])).optional(),
  since: time.optional(),
  until: time.optional(),
})
