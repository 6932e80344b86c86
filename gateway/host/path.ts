// Pure. A request target on the origin of path mode comes in; the workspace that it names and its app's own target come out.
import { nameOfLabel, nameProblem, pathLabelOf } from '../../control/wire/index.ts'
import { pathOf, placeOfLabel, type WorkspacePlace } from './host.ts'
import type { Site } from './site.ts'

/** What a target of path mode means. */
export type PathTarget =
  /** `target` is what the app is asked: what follows the prefix, byte for byte. */
  | { readonly kind: 'app'; readonly place: WorkspacePlace; readonly target: string }
  /** The prefix without its slash, against which a page's relative links would miss. */
  | { readonly kind: 'slash'; readonly location: string }
  /** Somebody who reads it otherwise would be out of the prefix. */
  | { readonly kind: 'leaves' }
  | { readonly kind: 'nothing' }

const NOTHING: PathTarget = { kind: 'nothing' }
const LEAVES: PathTarget = { kind: 'leaves' }

/** Bytes above ASCII percent-encoded, as browsers would send them. */
export function asciiTarget(target: string): string {
  return target.replace(
    /[\x80-\xff]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

/** What readers take for a slash; `\\` itself is in no target. */
const SLASHES: readonly RegExp[] = [/\//, /\/|%2f/i, /\/|%5c/i, /\/|%2f|%5c/i]

/**
 * True when some reader would climb out of a path: one that takes `%2e` for a dot, `%2f` or `%5c` for a slash, two
 * slashes for one, or leaves out what follows a `;` in a segment, before or after it took those for slashes.
 */
export function leavesPrefix(path: string): boolean {
  if (!/(?:\.|%2e){2}/i.test(path)) return false
  return SLASHES.some((first) => {
    const read = path.split(first).map((segment) => segment.split(/;|%3b/i, 1)[0])
    return [path, read.join('/')].some((each) => SLASHES.some((slash) => climbsOut(each.split(slash))))
  })
}

function climbsOut(segments: readonly string[]): boolean {
  let depth = 0
  for (const segment of segments) {
    const name = segment.split(/;|%3b/i, 1)[0]?.replace(/%2e/gi, '.') ?? ''
    if (name === '..') depth--
    else if (name !== '' && name !== '.') depth++
    if (depth < 0) return true
  }
  return false
}

function pathPlace(name: string, port: number | null): WorkspacePlace | null {
  if (nameProblem(name) !== null) return null
  const label = pathLabelOf(name)
  return { kind: 'workspace', label, name, port, prefix: `${label}/${port ?? 'ide'}` }
}

/**
 * What a target names, by its raw bytes alone:
 *
 *   '/dev/shop/ide/a?b'   the default app of shop, asked for /a?b       '/dev/shop/3000/'   its port 3000, asked for /
 *   '/dev/shop/ide?b'     belongs with a slash                          '/dev/shop/ide/a/../../x'   leaves
 *   '/dev/Shop/ide/', '/dev/shop/x/', '/dev/shop', '/dev/shop/03000/', '//dev/shop/ide/'   nothing
 */
export function pathTarget(target: string): PathTarget {
  const match = /^\/dev\/([a-z0-9-]{1,40})\/(ide|[1-9][0-9]{0,4})(?=[/?]|$)/.exec(target)
  if (match === null) return NOTHING
  const [prefix, name, app] = match as unknown as [string, string, string]
  const port = app === 'ide' ? null : Number(app)
  const place = port !== null && port > 65535 ? null : pathPlace(name, port)
  if (place === null) return NOTHING
  const rest = target.slice(prefix.length)
  if (!rest.startsWith('/')) return { kind: 'slash', location: `${prefix}/${asciiTarget(rest)}` }
  return leavesPrefix(pathOf(rest).slice(1)) ? LEAVES : { kind: 'app', place, target: rest }
}

/** The place that a hand-off is for, by its label: a workspace's host, or, where path mode is on, its default app by path. */
export function placeOfHandOff(label: string, site: Site): WorkspacePlace | null {
  const name = nameOfLabel(label)
  if (label !== pathLabelOf(name)) return placeOfLabel(label)
  return site.paths === null ? null : pathPlace(name, null)
}
