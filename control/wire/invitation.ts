/** One-time links that administrators make: invitations to become a user, and links to set a new password. */
import { z } from 'zod'
import { emailSchema, passwordSchema, roleSchema, usernameSchema } from './account.ts'

/** With an e-mail address, who signs in by a provider that has verified it needs no link; `groups` are ids. */
export const createInvitationSchema = z.strictObject({
  email: emailSchema.optional(),
  role: roleSchema.default('member'),
  groups: z.array(z.string().min(1).max(40)).max(50).optional(),
  /** Without one: in 7 days. */
  expiresAt: z.iso.datetime({ offset: true }).optional(),
})
export type CreateInvitation = z.infer<typeof createInvitationSchema>

export const invitationViewSchema = z.object({
  id: z.string(),
  email: z.string().nullable(),
  role: roleSchema,
  /** Groups that the person will be in; those that are gone by then are left out. */
  groups: z.array(z.object({ id: z.string(), name: z.string() })),
  state: z.enum(['open', 'used', 'expired']),
  /** User names; null: that user is gone, or nobody yet. */
  createdBy: z.string().nullable(),
  usedBy: z.string().nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
})
export type InvitationView = z.infer<typeof invitationViewSchema>

/** `url` is shown once: whoever opens it becomes a user. */
export const createdInvitationSchema = invitationViewSchema.extend({ url: z.string() })
export type CreatedInvitation = z.infer<typeof createdInvitationSchema>

/** `url` is shown once: whoever opens it sets the user's password and is signed in as them. */
export const createdResetLinkSchema = z.object({ id: z.string(), url: z.string(), expiresAtMs: z.number() })
export type CreatedResetLink = z.infer<typeof createdResetLinkSchema>

export const resetSchema = z.strictObject({ token: z.string().max(200), password: passwordSchema })
/** The e-mail address is the invitation's: what anybody may type proves nothing. */
export const acceptInvitationSchema = z.strictObject({
  token: z.string().max(200),
  username: usernameSchema,
  password: passwordSchema,
})
