// Pure. A Host header and a request target come in; the place they mean, or why they mean none, comes out. No URL objects.
import { NAME_MAX_LENGTH, nameProblem } from '../../control/wire/index.ts'
import type { Site } from './site.ts'

export interface WorkspacePlace {
  readonly kind: 'workspace'
  /** The first label of the host, such as `shop-3000`; in path mode `/dev/shop`, which is no host's. */
  readonly label: string
  /** Name or alias of the workspace, such as `shop`. */
  readonly name: string
  /** 1 to 65535; null: the workspace's default app. */
  readonly port: number | null
  /** '' on a host of its own; in path mode what its paths begin with, such as `/dev/shop/ide`. */
  readonly prefix: string
}

/** Where a Host leads: the dashboard, a well-formed workspace host, the origin of path mode, or nowhere of ours (421). */
export type Place =
  | { readonly kind: 'dashboard' }
  | WorkspacePlace
  | { readonly kind: 'paths' }
  | { readonly kind: 'elsewhere' }

const DASHBOARD: Place = { kind: 'dashboard' }
const PATHS: Place = { kind: 'paths' }
const ELSEWHERE: Place = { kind: 'elsewhere' }

/** The longest host name of DNS plus a port; a longer Host header is nobody's. */
const HOST_MAX_LENGTH = 253 + 7

/**
 * The canonical host of one Host header value: lower case, without port and without one trailing dot; null for
 * anything but `host[:port]` of ASCII letters, digits, dots, hyphens, or a bracketed IPv6 address.
 *
 *   'Shop-3000.WS.localhost.:8090' → 'shop-3000.ws.localhost'      'x@localhost', 'a..b', '' → null
 */
export function canonicalHost(value: string): string | null {
  if (value.length === 0 || value.length > HOST_MAX_LENGTH) return null
  const match =
    /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_.-])?|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?$/.exec(value)
  if (match === null) return null
  if (match[2] !== undefined && (Number(match[2]) === 0 || Number(match[2]) > 65535)) return null
  let host = (match[1] as string).toLowerCase()
  if (host.endsWith('.')) host = host.slice(0, -1)
  return host === '' || host.includes('..') || host.endsWith('.') ? null : host
}

/**
 * What a host label names, by the grammar of `control/wire/names.ts`; null when it names nothing.
 *
 *   'shop-3000' → shop, 3000     'shop' → shop, null     'shop-0', 'shop-65536', 'shop-080', 'Shop' → null
 */
export function placeOfLabel(label: string): WorkspacePlace | null {
  if (label.length > NAME_MAX_LENGTH + 6) return null
  const hyphen = label.lastIndexOf('-')
  if (hyphen > 0) {
    const digits = label.slice(hyphen + 1)
    if (/^[1-9][0-9]{0,4}$/.test(digits)) {
      const port = Number(digits)
      const name = label.slice(0, hyphen)
      if (port > 65535 || nameProblem(name) !== null) return null
      return { kind: 'workspace', label, name, port, prefix: '' }
    }
  }
  return nameProblem(label) === null
    ? { kind: 'workspace', label, name: label, port: null, prefix: '' }
    : null
}

/** Where a canonical host leads. */
export function placeOf(host: string, site: Site): Place {
  if (host === site.publicHost) return DASHBOARD
  const base = site.baseDomain
  const dot = host.indexOf('.')
  if (dot < 1 || host.length - dot - 1 !== base.length || !host.endsWith(base)) return ELSEWHERE
  return placeOfLabel(host.slice(0, dot)) ?? ELSEWHERE
}

/** Where a raw Host header value leads; what isn't a host leads elsewhere. */
export function placeOfHostHeader(value: string, site: Site): Place {
  const host = canonicalHost(value)
  if (host === null) return ELSEWHERE
  return isOfPaths(host, value, site) ? PATHS : placeOf(host, site)
}

/** On the dashboard's own host name the port tells the two apart; nowhere else does it matter. */
function isOfPaths(host: string, value: string, { paths, publicHost, secure }: Site): boolean {
  if (paths === null || host !== paths.host) return false
  return host !== publicHost || (/:([0-9]+)$/.exec(value)?.[1] ?? (secure ? '443' : '80')) === paths.port
}

/** A request target, ready for use: origin form, `OPTIONS *`, or refused with one sentence. */
export type Target =
  | { readonly kind: 'path'; readonly target: string }
  | { readonly kind: 'asterisk' }
  | { readonly kind: 'bad'; readonly why: string }

const bad = (why: string): Target => ({ kind: 'bad', why })

// `#` and `\` make readers of the same target disagree; control bytes have no place in it.
// oxlint-disable-next-line no-control-regex
const REFUSED_IN_TARGET = /[\u0000-\u0020#\\\u007f]|[^\u0000-\u00ff]/

/**
 * The target of a request line (RFC 9112 §3.2): origin form passes untouched, however many slashes it begins with;
 * absolute form must name the Host (its authority replaces it, §3.2.2) and becomes origin form.
 */
export function targetOf(method: string, raw: string, hostHeader: string): Target {
  if (REFUSED_IN_TARGET.test(raw)) return bad('The request target has characters that it may not have.')
  if (raw.charCodeAt(0) === 0x2f) return { kind: 'path', target: raw }
  if (raw === '*')
    return method === 'OPTIONS' ? { kind: 'asterisk' } : bad('Only OPTIONS takes the target *.')
  const match = /^https?:\/\/([^/?]*)(.*)$/i.exec(raw)
  if (match === null) return bad('The request target is neither a path nor a URL.')
  const named = canonicalHost(match[1] as string)
  if (named === null || named !== canonicalHost(hostHeader))
    return bad('The request target names another host than Host.')
  const rest = match[2] as string
  return { kind: 'path', target: rest.startsWith('/') ? rest : `/${rest}` }
}

/** The path of an origin-form target, without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?')
  return query < 0 ? target : target.slice(0, query)
}

/** True for a path to go back to on this very host: `/…`, and nothing that a browser reads as another origin. */
export function isLocalPath(path: string): boolean {
  return /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(path) && path.length <= 4096
}
