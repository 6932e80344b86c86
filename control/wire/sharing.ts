/** Sharing as the users' API takes and gives it: aliases, the settings of the deployment. */
import { z } from 'zod'
import { aliasProblem } from './names.ts'
import { portNumber, visibilitySchema } from './ports.ts'

/** Another name of a workspace's host; without a port it leads to the default app. */
export const newAliasSchema = z.strictObject({
  alias: z.string().superRefine((alias, context) => {
    const problem = aliasProblem(alias)
    if (problem !== null) context.addIssue(problem)
  }),
  port: portNumber.nullable().default(null),
})
export type NewAlias = z.output<typeof newAliasSchema>

export const aliasSchema = z.object({ name: z.string(), port: z.int().nullable() })
export type AliasView = z.infer<typeof aliasSchema>

/** What administrators set for the whole deployment. */
export const settingsSchema = z.object({
  /** As widely as ports may be opened; those that are declared wider are narrowed to it. */
  maxVisibility: visibilitySchema,
})
export type Settings = z.infer<typeof settingsSchema>
export const patchSettingsSchema = z.strictObject({ maxVisibility: visibilitySchema.optional() })
export type PatchSettings = z.infer<typeof patchSettingsSchema>
