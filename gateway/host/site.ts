// The public URL and the base domain come in, once at the start; names, origins and cookie names that the edge compares with come out.

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
}

/** Reads the operator's settings. @throws TypeError when the public URL is no http(s) origin or the base no host name. */
export function siteOf(publicUrl: string, baseDomain: string): Site {
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
  }
}

/** The origin of a workspace host, such as `http://shop-3000.ws.localhost:8090`. */
export function workspaceOrigin(site: Site, label: string): string {
  return `${site.scheme}://${label}.${site.baseDomain}${site.portSuffix}`
}
