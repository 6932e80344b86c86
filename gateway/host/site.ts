// The public URL and the base domain come in, once at the start; names, origins and cookie names that the edge compares with come out.
import type { WorkspacePlace } from './host.ts'

/** The names of the edge's cookies on this deployment. */
export interface CookieNames {
  readonly session: string
  readonly workspace: string
  readonly flow: string
  /** Of browsers that somebody has signed in with. */
  readonly device: string
  /** That a browser has forgotten what a name's former owner left in it. */
  readonly renewed: string
  /** Sign-ins at providers that this browser has begun. */
  readonly provider: string
}

/** The origin of path mode, where all workspaces are served below prefixes. */
export interface PathSite {
  /** Such as `https://paths.example.net:8443`; never ends in a slash. */
  readonly origin: string
  /** Lower case, without the port. */
  readonly host: string
  /** The scheme's own written out, such as `443`. */
  readonly port: string
}

/** What the edge knows of itself: everything that a request is compared with. */
export interface Site {
  readonly scheme: 'http' | 'https'
  /** Lower case, without the port. */
  readonly publicHost: string
  /** Such as `http://localhost:8090`; never ends in a slash. */
  readonly publicOrigin: string
  /** `:8090`, or '' for the scheme's own port. */
  readonly portSuffix: string
  /** Lower case, such as `ws.localhost`. */
  readonly baseDomain: string
  readonly secure: boolean
  readonly cookies: CookieNames
  /** Null: path mode is off. */
  readonly paths: PathSite | null
}

/** Why a URL can't be the origin of path mode beside that dashboard and base domain, in one clause; null: it can. */
export function pathUrlProblem(pathUrl: string, publicUrl: string, baseDomain: string): string | null {
  const [paths, dashboard] = [new URL(pathUrl), new URL(publicUrl)]
  const host = paths.hostname.toLowerCase().replace(/\.$/, '')
  const base = baseDomain.toLowerCase().replace(/\.$/, '')
  if (`${paths.pathname}${paths.search}${paths.hash}${paths.username}${paths.password}` !== '/')
    return 'only scheme, host and port'
  if (paths.origin === dashboard.origin || (host === dashboard.hostname && paths.port === dashboard.port))
    return `${pathUrl} is the dashboard's own origin; workspaces need another`
  if (paths.protocol !== dashboard.protocol)
    return `the scheme must be that of the public URL, ${dashboard.protocol.slice(0, -1)}`
  if (host === base || host.endsWith(`.${base}`))
    return `${host} is a name of the base domain ${base}, where workspaces have hosts of their own`
  return null
}

function pathSiteOf(pathUrl: string, publicUrl: string, baseDomain: string): PathSite {
  const problem = pathUrlProblem(pathUrl, publicUrl, baseDomain)
  if (problem !== null) throw new TypeError(`path URL: ${problem}`)
  const url = new URL(pathUrl)
  const usual = url.protocol === 'https:' ? '443' : '80'
  const host = url.hostname.toLowerCase().replace(/\.$/, '')
  return { origin: url.origin, host, port: url.port === '' ? usual : url.port }
}

/** Reads the operator's settings. @throws TypeError when a URL is no http(s) origin that it may be, or the base no host name. */
export function siteOf(publicUrl: string, baseDomain: string, pathUrl?: string | null): Site {
  const url = new URL(publicUrl)
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new TypeError(`public URL ${publicUrl}: the scheme must be http or https`)
  if (
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.hash !== '' ||
    url.pathname !== '/'
  )
    throw new TypeError(`public URL ${publicUrl}: only scheme, host and port`)
  const base = baseDomain.toLowerCase().replace(/\.$/, '')
  if (!/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/.test(base))
    throw new TypeError(`base domain ${baseDomain}: not a host name`)
  const secure = url.protocol === 'https:'
  const prefix = secure ? '__Host-' : ''
  return {
    scheme: secure ? 'https' : 'http',
    publicHost: url.hostname.toLowerCase(),
    publicOrigin: url.origin,
    portSuffix: url.port === '' ? '' : `:${url.port}`,
    baseDomain: base,
    secure,
    cookies: {
      session: `${prefix}postern_session`,
      workspace: `${prefix}postern_workspace`,
      flow: `${prefix}postern_flow`,
      device: `${prefix}postern_device`,
      renewed: `${prefix}postern_renewed`,
      provider: `${prefix}postern_provider`,
    },
    paths: pathUrl == null ? null : pathSiteOf(pathUrl, publicUrl, base),
  }
}

/** Where a workspace is served: the origin of its host, or that of path mode. */
export function originOfPlace(site: Site, place: WorkspacePlace): string {
  return place.prefix === '' ? workspaceOrigin(site, place.label) : (site.paths?.origin ?? 'null')
}

/** What its addresses begin with: its origin, and in path mode its prefix. */
export const urlOfPlace = (site: Site, place: WorkspacePlace): string =>
  originOfPlace(site, place) + place.prefix

/** The host name of that origin, without a port. */
export function hostOfPlace(site: Site, place: WorkspacePlace): string {
  return place.prefix === '' ? `${place.label}.${site.baseDomain}` : (site.paths?.host ?? '')
}

/** Our cookies of one workspace, in the order session, flow, renewed; and the Path of all three. */
export interface PlaceCookies {
  readonly session: string
  readonly flow: string
  readonly renewed: string
  readonly path: string
}

/**
 * In path mode they go to that workspace's paths only, so that a head carries no other's; `__Host-` would need `Path=/`.
 */
export function cookiesOfPlace(site: Site, place: WorkspacePlace): PlaceCookies {
  const { workspace, flow, renewed } = site.cookies
  if (place.prefix === '') return { session: workspace, flow, renewed, path: '/' }
  const prefix = site.secure ? '__Secure-' : ''
  return {
    session: `${prefix}postern_path_${place.name}`,
    flow: `${prefix}postern_pathflow_${place.name}`,
    renewed: `${prefix}postern_pathrenewed_${place.name}`,
    path: `${place.label}/`,
  }
}

/** The origin of a workspace host, such as `http://shop-3000.ws.localhost:8090`. */
export function workspaceOrigin(site: Site, label: string): string {
  return `${site.scheme}://${label}.${site.baseDomain}${site.portSuffix}`
}
