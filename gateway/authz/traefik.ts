/**
 * The table comes in; Traefik's dynamic configuration goes out, for its HTTP provider: a router for each port that Traefik
 * can dial, guarded by forward auth, and one for all the rest, which Postern serves. Pure.
 */
import { type EdgeRoute, paths } from '../../control/wire/index.ts'
import type { Site } from '../host/site.ts'
import { namedPort } from '../decide/ports.ts'
import { dialAddress } from './allow.ts'

interface Router {
  readonly rule: string
  readonly service: string
  readonly priority: number
  readonly middlewares?: readonly string[]
}

interface Service {
  readonly loadBalancer: {
    readonly servers: readonly { readonly url: string }[]
    readonly passHostHeader: true
    readonly responseForwarding: { readonly flushInterval: string }
  }
}

type Middleware =
  | { readonly headers: { readonly customRequestHeaders: Readonly<Record<string, ''>> } }
  | {
      readonly forwardAuth: {
        readonly address: string
        readonly trustForwardHeader: false
        readonly authResponseHeaders: readonly string[]
      }
    }

/** As Traefik documents it (v3, dynamic configuration, HTTP). */
export interface TraefikConfig {
  readonly http: {
    readonly routers: Readonly<Record<string, Router>>
    readonly middlewares: Readonly<Record<string, Middleware>>
    readonly services: Readonly<Record<string, Service>>
  }
}

/** What the configuration is made of. */
export interface TraefikInput {
  readonly site: Site
  readonly routes: Iterable<EdgeRoute>
  /** `host:port` of the forward-auth listener, as Traefik reaches it. */
  readonly authz: string
  /** `address:port` of the main listener, as Traefik reaches it. */
  readonly postern: string
}

/**
 * Where Traefik asks about one port of one instance. It names the address that Traefik will send the request to: a
 * configuration is some seconds old, and the address may be another workspace's by then.
 */
export function guardPath(route: EdgeRoute, dialled: string): string {
  return `${paths.traefikGuard}/${route.workspaceId}/${encodeURIComponent(route.incarnation)}/${encodeURIComponent(dialled)}`
}

const FROM_ANSWER = [
  'X-Postern-User',
  'X-Postern-Email',
  'X-Postern-Groups',
  'X-Postern-Assertion',
  'X-Postern-Upstream',
  'X-Postern-Allow-Origin',
  'X-Postern-Token',
  'Cookie',
  'Authorization',
] as const

/** What a visitor may not claim. Those that Traefik sets itself are refused in their aliases only. */
const CLAIMS: readonly { readonly name: string; readonly aliasesOnly?: true }[] = [
  { name: 'X-Postern-User' },
  { name: 'X-Postern-Email' },
  { name: 'X-Postern-Groups' },
  { name: 'X-Postern-Assertion' },
  { name: 'X-Postern-Upstream' },
  { name: 'X-Postern-Allow-Origin' },
  { name: 'X-Postern-Token', aliasesOnly: true },
  { name: 'X-Forwarded-For', aliasesOnly: true },
  { name: 'X-Forwarded-Host', aliasesOnly: true },
  { name: 'X-Forwarded-Proto', aliasesOnly: true },
  { name: 'X-Forwarded-Prefix' },
  { name: 'X-Forwarded-User' },
  { name: 'X-Forwarded-Email' },
  { name: 'X-Forwarded-Groups' },
  { name: 'X-Forwarded-Preferred-Username' },
  { name: 'X-Forwarded-Access-Token' },
  { name: 'X-Auth-Request-User' },
  { name: 'X-Auth-Request-Email' },
  { name: 'X-Auth-Request-Groups' },
  { name: 'X-Original-URL' },
  { name: 'X-Original-URI' },
  { name: 'X-Original-Method' },
  { name: 'Remote-User' },
  { name: 'Remote-Name' },
  { name: 'Remote-Email' },
  { name: 'Remote-Groups' },
  { name: 'X-Client-IP' },
  { name: 'True-Client-IP' },
  { name: 'CF-Connecting-IP' },
  { name: 'Forwarded' },
]

/** A name with its words joined in every way that frameworks read as `-`; Traefik itself takes any case. */
function aliases(name: string): string[] {
  const [first = '', ...rest] = name.split('-')
  return rest.reduce(
    (made, word) => made.flatMap((begun) => ['-', '_', '.'].map((by) => begun + by + word)),
    [first],
  )
}

/** An empty value takes a header away. */
function withoutClaims(): Record<string, ''> {
  const out: Record<string, ''> = {}
  for (const { name, aliasesOnly } of CLAIMS)
    for (const alias of aliases(name)) if (aliasesOnly !== true || alias !== name) out[alias] = ''
  return out
}

const CLAIMLESS = 'postern-without-claims'

/**
 * Traefik doesn't take what it sends on from the answer, nor what it answers: so Postern itself serves what it alone can,
 * which is its own paths, what pages of other ports ask, and whatever asks to change the protocol.
 */
const PLAIN = [
  '!PathPrefix(`/.postern/`)',
  '!Header(`Sec-Fetch-Site`, `same-site`)',
  '!(Method(`OPTIONS`) && HeaderRegexp(`Access-Control-Request-Method`, `.`))',
  '!HeaderRegexp(`Upgrade`, `.`)',
  '!HeaderRegexp(`Sec-WebSocket-Protocol`, `.`)',
].join(' && ')

const serviceAt = (address: string): Service => ({
  loadBalancer: {
    servers: [{ url: `http://${address}` }],
    passHostHeader: true,
    // Negative: at once, so that events are not held back.
    responseForwarding: { flushInterval: '-1ms' },
  },
})

/** The hosts on which a port is reached; a composed default host leads to several, by path, and stays Postern's. */
function hostsOf(site: Site, route: EdgeRoute, port: number): string[] {
  const names = [route.name, ...route.aliases]
  const hosts = names.map((name) => `${name}-${port}.${site.baseDomain}`)
  const isDefault = route.defaultPort === port && route.paths.length === 0
  for (const name of names) {
    const named = namedPort(route, { name, port: null })
    if (named === port || (named === null && isDefault)) hosts.push(`${name}.${site.baseDomain}`)
  }
  return hosts
}

/** So many ports at most, as the document is made and read whole: a few MB. Those beyond them go through Postern. */
export const ROUTERS_MAX = 2000

/** The whole configuration: ports that are declared, running, and of a reach that Traefik can dial. */
export function traefikConfig({ site, routes, authz, postern }: TraefikInput): TraefikConfig {
  const routers: Record<string, Router> = {
    postern: {
      rule: `Host(\`${site.publicHost}\`) || HostRegexp(\`^[a-z0-9-]+\\.${site.baseDomain.replaceAll('.', '\\.')}$\`)`,
      service: 'postern',
      priority: 1,
    },
  }
  const middlewares: Record<string, Middleware> = {
    [CLAIMLESS]: { headers: { customRequestHeaders: withoutClaims() } },
  }
  const services: Record<string, Service> = { postern: serviceAt(postern) }
  let made = 0
  for (const route of routes) {
    if (route.phase !== 'running') continue
    for (const { port } of route.ports) {
      const dialled = dialAddress(route, port)
      if (dialled === null || made === ROUTERS_MAX) continue
      made++
      const name = `${route.workspaceId}-${port}`
      const hosts = hostsOf(site, route, port).map((host) => `Host(\`${host}\`)`)
      routers[name] = {
        rule: `(${hosts.join(' || ')}) && ${PLAIN}`,
        service: name,
        priority: 100,
        middlewares: [CLAIMLESS, name],
      }
      middlewares[name] = {
        forwardAuth: {
          address: `http://${authz}${guardPath(route, dialled)}`,
          trustForwardHeader: false,
          authResponseHeaders: FROM_ANSWER,
        },
      }
      services[name] = serviceAt(dialled)
    }
  }
  return { http: { routers, middlewares, services } }
}
