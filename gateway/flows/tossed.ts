// Pure. The cookies of a visit come in; fields that take away what pages of other workspaces put beside ours go out.
import { readCookies } from '../headers/cookies.ts'
import type { Visit } from '../edge.ts'
import { pathOf, type Place } from '../host/host.ts'
import { cookiesOfPlace, hostOfPlace, type Site } from '../host/site.ts'

const DEPTH_MAX = 6

/** Every domain that a page of a neighbour may set a cookie for, and that it comes to this host from. */
function domainsOf(host: string): string[] {
  const labels = host.split('.')
  return labels.slice(0, -1).map((_, n) => labels.slice(n).join('.'))
}

/** Every Path whose cookies come with a request for `path` (RFC 6265 §5.1.4), down to six segments. */
function pathsOf(path: string): string[] {
  const paths = ['/']
  let to = path.indexOf('/', 1)
  for (let depth = 0; depth < DEPTH_MAX && path.length > 1; depth++) {
    const end = to < 0 ? path.length : to
    paths.push(path.slice(0, end))
    if (to < 0) break
    if (end + 1 < path.length || path.endsWith('/')) paths.push(path.slice(0, end + 1))
    to = path.indexOf('/', end + 1)
  }
  return paths.filter((each) => /^[\x21-\x3a\x3c-\x7e]+$/.test(each))
}

/** What one browser was given beside our cookies; nothing where none of our names came along. */
export function tossedAway(site: Site, place: Place, cookie: string | null, target: string): string[] {
  if (cookie === null) return []
  switch (place.kind) {
    case 'dashboard': {
      const { session, device, provider } = site.cookies
      const at = { names: [session, device, provider], host: site.publicHost, target }
      // On another port of that very host, workspaces' pages put cookies of this host itself beside ours.
      return fieldsFor(site, cookie, site.paths?.host === site.publicHost ? { ...at, ownPath: '/' } : at)
    }
    case 'workspace': {
      const { session, flow, path } = cookiesOfPlace(site, place)
      const at = { names: [session, flow], host: hostOfPlace(site, place), target: place.prefix + target }
      return fieldsFor(site, cookie, place.prefix === '' ? at : { ...at, ownPath: path })
    }
    default:
      return []
  }
}

interface Toss {
  readonly names: readonly string[]
  readonly host: string
  readonly target: string
  /** Where pages of this very host name may have put others beside ours, which is at this Path. */
  readonly ownPath?: string
}

function fieldsFor(site: Site, cookie: string, { names, host, target, ownPath }: Toss): string[] {
  // Names with `__Host-` no page of another host can set (RFC 6265bis §4.1.3.2).
  if (site.secure && ownPath === undefined) return []
  const { hashes } = readCookies(cookie)
  const secure = site.secure ? '; Secure' : ''
  const fields: string[] = []
  for (const name of names.filter((each) => hashes.has(each)))
    for (const path of pathsOf(pathOf(target))) {
      const gone = (domain: string): string => `${name}=; Path=${path}${domain}; Max-Age=0${secure}`
      if (ownPath !== undefined && path !== ownPath) fields.push('Set-Cookie', gone(''))
      for (const domain of domainsOf(host)) fields.push('Set-Cookie', gone(`; Domain=${domain}`))
    }
  return fields
}

/**
 * For a visit that proves nobody. Two cookies of one name are none, and one that another host's page set for all hosts
 * can't be told from ours: without this, whoever set it would lock a browser out for as long as they like.
 */
export function withoutTossed(visit: Visit): string[] {
  return tossedAway(visit.edge.site, visit.place, visit.scan.cookie, visit.target)
}
