/**
 * What a declared port is where nothing else is said, and the grammar of paths; without a library, as the dashboard
 * holds to it too.
 *
 * The grammar of the paths that a workspace's default host is composed of. Strict, so that no two readers disagree:
 *
 *   prefix    = "/" | 1*( "/" segment )       at most 200 characters, never `/.postern` or below it
 *   segment   = 1*pchar without "%", neither "." nor ".."        (RFC 3986 §3.3)
 */

/** Who may open a port. `members`: whoever is signed in; `link`: viewers and holders of a link; each includes the owner. */
export const visibilities = ['owner', 'shared', 'members', 'link', 'public'] as const

/** True when an administrator's cap lets a port be as widely visible as that. */
export function isWithinCap(
  visibility: (typeof visibilities)[number],
  cap: (typeof visibilities)[number],
): boolean {
  return visibilities.indexOf(visibility) <= visibilities.indexOf(cap)
}

/**
 * Who may really open a port under a cap: never anybody whom the port itself keeps out. A port for holders of a link is
 * not one for all who are signed in, so that a cap of `members` leaves it to viewers.
 */
export function cappedVisibility<V extends (typeof visibilities)[number]>(
  visibility: V,
  cap: V,
): V | 'shared' {
  if (isWithinCap(visibility, cap)) return visibility
  return visibility === 'link' && cap === 'members' ? 'shared' : cap
}

export const PREFIX_MAX_LENGTH = 200
/** Prefixes of one workspace. */
export const PATHS_MAX = 16

/** What a declared port is where nothing else is said. */
export const portDefaults = {
  visibility: 'owner',
  lenient: false,
  hostHeader: 'public',
  scheme: 'http',
  cors: 'siblings',
} as const

/** What is wrong with a proposed prefix, as a sentence for a person; null: nothing. */
export function prefixProblem(prefix: string): string | null {
  if (!prefix.startsWith('/')) return 'A path begins with /.'
  if (prefix.length > PREFIX_MAX_LENGTH) return `A path has at most ${PREFIX_MAX_LENGTH} characters.`
  if (prefix === '/') return null
  if (prefix.endsWith('/')) return 'A path has no / at its end: /api stands for all below it too.'
  if (prefix.includes('//')) return 'A path has no //.'
  if (/\/\.\.?(?:\/|$)/.test(prefix)) return 'A path has no . or .. in it.'
  if (!/^[A-Za-z0-9._~!$&'()*+,;=:@/-]+$/.test(prefix))
    return 'A path has letters, digits and -._~ in it, and nothing like ?, #, % or a blank.'
  if (/^\/\.postern(?:\/|$)/.test(prefix)) return '/.postern is Postern’s own.'
  return null
}
