/** Links that open ports of a workspace to whoever has them, and passwords before ports, as the users' API takes and gives them. */
import { z } from 'zod'
import { portNumber } from './ports.ts'

/** Without `port` it opens every port of the workspace that is open to links. */
export const createLinkSchema = z.strictObject({
  name: z.string().max(80).optional(),
  port: portNumber.optional(),
  expiresAt: z.iso.datetime({ offset: true }).optional(),
  maxUses: z.int().min(1).max(1_000_000).optional(),
})

export type CreateLink = z.infer<typeof createLinkSchema>

/** The one time that the secret is told; it is behind the `#` of the URL. */
export const newLinkSchema = z.object({ id: z.string(), url: z.string() })

export const linkViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** Null: the whole workspace. */
  port: z.int().nullable(),
  createdBy: z.object({ id: z.string(), username: z.string() }),
  createdAtMs: z.number(),
  expiresAtMs: z.number().nullable(),
  maxUses: z.int().nullable(),
  uses: z.int(),
  lastUsedAtMs: z.number().nullable(),
})
export type LinkView = z.infer<typeof linkViewSchema>

/** Short ones are for visitors who were told them; tries are limited. */
export const visitorPasswordSchema = z.string().min(6, 'at least 6 characters').max(200)

/** Without `port` it is for every port that has none of its own. */
export const setPasswordSchema = z.strictObject({
  password: visitorPasswordSchema,
  port: portNumber.optional(),
})
export const removePasswordSchema = z.strictObject({ port: portNumber.optional() })

export const passwordViewSchema = z.object({
  /** Null: the whole workspace. */
  port: z.int().nullable(),
  setAtMs: z.number(),
  /** It was the former owner's: nobody can give it, and it keeps visitors out until it is set anew or removed. */
  lapsed: z.boolean(),
})
export type PasswordView = z.infer<typeof passwordViewSchema>
