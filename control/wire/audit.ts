/** What is remembered of who did what: the closed list of acts, and a row of it as readers see it. */
import { z } from 'zod'
import { auditActions } from './actions.ts'
import type { AuditAction } from './actions.ts'
import { apiCodes } from './codes.ts'
import type { ApiCode } from './codes.ts'

/** What is before the dot of an action: the kind of thing that it is about, unless a row says otherwise. */
export const auditObjectOf = (action: AuditAction): string => action.slice(0, action.indexOf('.'))

/**
 * Who acted: a person (by a session or one of their tokens), a guest by a link, nobody who proved anything, a gateway or
 * an agent by its credential, or Postern by itself.
 */
export const auditActorKinds = ['user', 'guest', 'anonymous', 'gateway', 'agent', 'system'] as const
export type AuditActorKind = (typeof auditActorKinds)[number]

/** `ok`; the code of a refusal; `begun` while it is at work; `unknown`: the server ended before it could say. */
export type AuditOutcome = 'ok' | 'begun' | 'unknown' | ApiCode
export const auditOutcomes = ['ok', 'begun', 'unknown', ...(Object.keys(apiCodes) as ApiCode[])] as const

const detailSchema = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])
export type AuditDetail = string | number | boolean | null | readonly string[]

export const auditRowSchema = z.object({
  /** Grows; rows begun later have larger ones. */
  id: z.int(),
  atMs: z.number(),
  actor: z.object({
    kind: z.enum(auditActorKinds),
    id: z.string(),
    /** As it was called then. */
    name: z.string(),
    /** What they were known by: the id of a session, token or link; null where there was none. */
    via: z.object({ kind: z.enum(['session', 'token', 'link']), id: z.string() }).nullable(),
  }),
  action: z.enum(auditActions),
  object: z.object({ kind: z.string(), id: z.string(), name: z.string() }),
  /** The workspace that it was about; null: none. */
  workspaceId: z.string().nullable(),
  outcome: z.string(),
  /** How often it happened in the minute or hour that begins with `atMs`; refusals and connections are counted. */
  count: z.int(),
  /** '' where it isn't known, or isn't the reader's to know. */
  ip: z.string(),
  userAgent: z.string(),
  requestId: z.string(),
  details: z.record(z.string(), detailSchema),
})
export type AuditRow = z.infer<typeof auditRowSchema>
