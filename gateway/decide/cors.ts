// Pure. Where a request was made comes in; whether that is the same workspace, and what the answer says of it, comes out.
import type { EdgeRoute } from '../../control/wire/index.ts'
import type { Decision, Facts } from './decide.ts'
import { placeOfLabel, type WorkspacePlace } from '../host/host.ts'
import { corsOf } from './ports.ts'
import type { Scan } from '../headers/scan.ts'
import type { Site } from '../host/site.ts'

/**
 * Whose page made a request for a workspace's host, as its Origin says.
 *
 *   none       no Origin, `null`, this very host, or no workspace host of ours
 *   namesake   another host of the same workspace name, whether or not there is such a workspace
 *   alias      a host of another name that the table resolves to the same workspace
 *   stranger   any other workspace host, whether or not there is such a workspace
 */
export type Kin = 'none' | 'namesake' | 'alias' | 'stranger'

/** The label of a workspace host's origin, such as `shop-3000`; null for any other origin. */
function labelOf(site: Site, origin: string): string | null {
  const begin = site.scheme.length + 3
  const end = origin.length - site.baseDomain.length - site.portSuffix.length - 1
  return end > begin &&
    origin.startsWith(`${site.scheme}://`) &&
    origin.endsWith(`.${site.baseDomain}${site.portSuffix}`)
    ? origin.slice(begin, end)
    : null
}

/** Whose page an Origin says it is; `route` is what the host asked for leads to, `resolve` reads the table. */
export function kinOf(
  origin: string | null,
  asked: {
    readonly place: WorkspacePlace
    readonly ownOrigin: string
    readonly route: EdgeRoute | undefined
  },
  site: Site,
  resolve: { routeByName(name: string): EdgeRoute | undefined },
): Kin {
  if (origin === null || origin === asked.ownOrigin) return 'none'
  const label = labelOf(site, origin)
  const from = label === null ? null : placeOfLabel(label)
  if (from === null) return 'none'
  if (from.name === asked.place.name) return 'namesake'
  return asked.route !== undefined && resolve.routeByName(from.name)?.workspaceId === asked.route.workspaceId
    ? 'alias'
    : 'stranger'
}

/** True when the table says that the page which made the request is one of the workspace that is asked. */
export function isSibling(facts: Pick<Facts, 'kin' | 'route'>): boolean {
  return facts.route !== undefined && (facts.kin === 'namesake' || facts.kin === 'alias')
}

/**
 * The origin whose page may read the answer; null: the edge says nothing of it. Where a visitor must not learn whether
 * a workspace is there, only the name goes into it, which the visitor gave.
 */
export function readingOrigin(facts: Facts, decision: Decision): string | null {
  if (facts.kin === 'none') return null
  switch (decision.kind) {
    case 'preflight':
      return facts.origin
    case 'sign-in':
    case 'not-found':
    case 'unavailable':
      return facts.kin === 'namesake' ? facts.origin : null
    default: {
      const { route } = facts
      if (route === undefined || !isSibling(facts)) return null
      return corsOf(route, facts.port ?? route.defaultPort) === 'siblings' ? facts.origin : null
    }
  }
}

/** How long (s) a browser may keep an answer to a preflight. It opens nothing by itself: each request is decided on anew. */
const PREFLIGHT_SECONDS = 600

/** The header fields of an answer to a preflight (Fetch Standard, 3.3.3), but for those that `addCors` adds. */
export function preflightHeaders(scan: Scan): string[] {
  const headers = [
    'Access-Control-Allow-Methods',
    /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/.test(scan.requestMethod ?? '') ? (scan.requestMethod ?? '') : 'GET',
    'Access-Control-Max-Age',
    String(PREFLIGHT_SECONDS),
    'Vary',
    'Access-Control-Request-Method, Access-Control-Request-Headers',
  ]
  const names = scan.requestHeaders ?? ''
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z, -]{1,4096}$/.test(names))
    headers.push('Access-Control-Allow-Headers', names)
  return headers
}

const isCorsField = (name: string): boolean => name.toLowerCase().startsWith('access-control-')

/** An app's fields without what it says of CORS itself. */
export function withoutCors(headers: readonly string[]): string[] {
  const out: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2)
    if (!isCorsField(headers[i] as string)) out.push(headers[i] as string, headers[i + 1] as string)
  return out
}

/** Lets pages of that origin read an answer and all of its fields, as the answer's own origin may. */
export function addCors(headers: string[], origin: string): void {
  const names = new Set<string>()
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string
    if (!isCorsField(name) && name.toLowerCase() !== 'set-cookie') names.add(name)
  }
  headers.push(
    'Access-Control-Allow-Origin',
    origin,
    'Access-Control-Allow-Credentials',
    'true',
    'Access-Control-Expose-Headers',
    [...names].join(', '),
    'Vary',
    'Origin',
  )
}
