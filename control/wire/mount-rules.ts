/** Pure. A path comes in; whether it can be a mount's source or place, or the words why not, comes out. Without a library, for browsers too. */

export const PLAIN_PATH = 'an absolute path without . and .. and without a slash at its end'

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
  if (!isPlainPath(target)) return PLAIN_PATH
  if (keptInside.test(target) || kept.includes(target))
    return 'is a place of the workspace itself; try /data, or a folder in /home/dev'
  return null
}

/** True when a path is one of these directories or below one of them. */
export function isUnder(path: string, directories: readonly string[]): boolean {
  return directories.some((directory) => path === directory || path.startsWith(`${directory}/`))
}
