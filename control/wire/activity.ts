/** What a gateway tells control of afterwards, in batches: who came to whose workspace, and who was refused. */
import { z } from 'zod'

/** Why a visitor was refused, as the decision names it. */
export const denialReasons = ['sign-in', 'not-found', 'origin', 'scope', 'password'] as const
export type DenialReason = (typeof denialReasons)[number]

const noteSchema = z.object({
  kind: z.enum(['connected', ...denialReasons]),
  /** The first of them, ms. */
  atMs: z.number(),
  /** How often, since it was told last. */
  count: z.int().min(1),
  /** '' where nobody was signed in. */
  userId: z.string().max(64),
  /** Of a guest's link; '' where there is none. */
  linkId: z.string().max(64),
  /** By which session (its hash) or token (its id) of that user; '' where it isn't told. */
  sessionHash: z.string().max(64),
  tokenId: z.string().max(64),
  /** '' where there is none of that name. */
  workspaceId: z.string().max(64),
  port: z.int().nullable(),
  /** Of the first of them. */
  origin: z.object({
    ip: z.string().max(64),
    userAgent: z.string().max(400),
    requestId: z.string().max(64),
  }),
})
export type EdgeNote = z.infer<typeof noteSchema>

/** More than that a gateway keeps for the next batch. */
export const NOTES_MAX = 500
export const gatewayActivitySchema = z.object({ notes: z.array(noteSchema).max(NOTES_MAX) })
