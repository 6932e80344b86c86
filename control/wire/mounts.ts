/** What a workspace may have of its host beyond its own walls: GPUs, directories of the host, the host's network. */
import { z } from 'zod'
import { isPlainPath, PLAIN_PATH, targetProblem } from './mount-rules.ts'

const path = z.string().max(1024).refine(isPlainPath, PLAIN_PATH)

/** A directory of the host, put into a workspace. */
export const mountSchema = z.strictObject({
  source: path,
  target: path,
  readOnly: z.boolean().default(false),
})
export type Mount = z.infer<typeof mountSchema>

/** Places of the same workspace must not lie in each other. */
export const mountsSchema = z
  .array(
    mountSchema.superRefine(({ target }, context) => {
      const message = targetProblem(target)
      if (message !== null) context.addIssue({ code: 'custom', path: ['target'], message })
    }),
  )
  .max(16)
  .superRefine((mounts, context) => {
    mounts.forEach(({ target }, at) => {
      const isOver = mounts.some((other, i) => i !== at && `${target}/`.startsWith(`${other.target}/`))
      if (isOver)
        context.addIssue({ code: 'custom', path: [at, 'target'], message: 'is at or in another mount' })
    })
  })

export const gpuCount = z.int().min(0).max(64)

/** The networks that a workspace has in place of its own; `host`: the host's. */
export const networkNames = ['host'] as const
export const networksSchema = z.array(z.enum(networkNames)).max(1)
export type NetworkName = (typeof networkNames)[number]
