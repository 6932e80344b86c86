/** What a workspace may have of its host beyond its own walls: GPUs, directories of the host, the host's network. */
import { z } from 'zod'

/** Absolute, not the root, and written in the one plain way: no `.`, no `..`, no empty part, no slash at its end. */
export function isPlainPath(path: string): boolean {
  return (
    /^(?:\/[^/\x00-\x1f\x7f]+)+$/.test(path) && path.split('/').every((part) => part !== '.' && part !== '..')
  )
}

/** Where a workspace's own parts are: its kernel's file systems, its programs, `/tmp`, its home as a whole. */
const keptInside = /^\/(?:proc|sys|dev|run|var\/run|etc|boot|bin|sbin|lib|lib32|lib64|usr)(?:\/|$)/
const kept: readonly string[] = ['/var', '/tmp', '/home', '/home/dev']

/** Why a directory can't be put there in a workspace; null: it can. */
export function targetProblem(target: string): string | null {
  if (!isPlainPath(target)) return 'an absolute path without . and .. and without a slash at its end'
  if (keptInside.test(target) || kept.includes(target))
    return 'is a place of the workspace itself; try /data, or a folder in /home/dev'
  return null
}

const path = z
  .string()
  .max(1024)
  .refine(isPlainPath, 'an absolute path without . and .. and without a slash at its end')

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

/** True when a path is one of these directories or below one of them. */
export function isUnder(path: string, directories: readonly string[]): boolean {
  return directories.some((directory) => path === directory || path.startsWith(`${directory}/`))
}
