/** Webhooks: which events there are, what a hook is, and what became of each delivery. */
import { z } from 'zod'
import { auditActions } from './actions.ts'

/** What comes about by itself, beside the acts of the audit: a workspace's phase, a host that fell silent or is back. */
export const ownEvents = ['workspace.phase', 'host.away', 'host.back'] as const

/** Every event that a hook may be told of: the audit's actions, refused ones included, and our own. */
export const hookEvents = [...auditActions, ...ownEvents] as const
export type HookEventName = (typeof hookEvents)[number]

const groups = new Set(hookEvents.map((name) => `${name.split('.')[0]}.*`))
const isPattern = (text: string): boolean =>
  text === '*' || groups.has(text) || (hookEvents as readonly string[]).includes(text)

/** True when an event is one of those that the patterns name: `*`, `workspace.*`, `workspace.start`. */
export function matchesEvent(patterns: readonly string[], event: HookEventName): boolean {
  const group = `${event.slice(0, event.indexOf('.'))}.*`
  return patterns.some((pattern) => pattern === '*' || pattern === event || pattern === group)
}

function isTarget(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, hash } = new URL(text)
  return (protocol === 'https:' || protocol === 'http:') && username + password + hash === ''
}

const eventsSchema = z
  .array(
    z.string().max(60).refine(isPattern, 'an event such as workspace.start, a group such as host.*, or *'),
  )
  .min(1)
  .max(50)
const urlSchema = z
  .string()
  .max(2000)
  .refine(isTarget, 'an http or https URL without user, password and fragment')
const nameSchema = z.string().min(1).max(80)

export const createHookSchema = z.strictObject({
  name: nameSchema,
  url: urlSchema,
  events: eventsSchema,
  enabled: z.boolean().default(true),
})
/** A hook that is not enabled rests: it is told of nothing new, and what waits for it waits on. */
export const patchHookSchema = z.strictObject({
  name: nameSchema.optional(),
  url: urlSchema.optional(),
  events: eventsSchema.optional(),
  enabled: z.boolean().optional(),
})

export const hookViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  enabled: z.boolean(),
  createdAtMs: z.number(),
  /** Deliveries by what became of them, as far as they are kept. */
  deliveries: z.object({ waiting: z.int(), delivered: z.int(), dead: z.int() }),
  /** Never delivered and no longer kept: there were too many of them, or they had waited too long. */
  dropped: z.int(),
})
export type HookView = z.infer<typeof hookViewSchema>

/** `secret` (`whsec_` and the base64 of the key) is shown this once. */
export const createdHookSchema = hookViewSchema.extend({ secret: z.string() })

export const deliveryStates = ['waiting', 'delivered', 'dead'] as const
export type DeliveryState = (typeof deliveryStates)[number]

export const deliverySchema = z.object({
  /** The `webhook-id`, the same at every try. */
  id: z.string(),
  event: z.string(),
  state: z.enum(deliveryStates),
  createdAtMs: z.number(),
  attempts: z.int(),
  /** Null once it is delivered or dead. */
  nextTryAtMs: z.number().nullable(),
  /** Of the last answer; null: there was none. */
  status: z.int().nullable(),
  /** Why the last try failed; '' when it did not. */
  error: z.string(),
  /** The beginning of the last answer's body, at most 1 kB. */
  answer: z.string(),
  body: z.string(),
})
export type Delivery = z.infer<typeof deliverySchema>
