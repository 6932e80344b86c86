// Pure. The head of an app's answer comes in; what of it holds on an origin that other workspaces are on too comes out.
import { Field, fieldKind } from './fields.ts'

/** What speaks for a whole origin or host, of which an app by path has a part only. */
const OF_ALL: ReadonlySet<string> = new Set([
  // A service worker's scope ends where its script's folder does, unless this says otherwise.
  'service-worker-allowed',
  'clear-site-data',
  'strict-transport-security',
  'alt-svc',
  'nel',
  'report-to',
])

const isUnder = (path: string, prefix: string): boolean =>
  path.startsWith(prefix) && /^(?:$|[/?#])/.test(path.slice(prefix.length))

/** A path of the app's own as browsers have it; one that has the prefix already is an app's that knows of it. */
const under = (path: string, prefix: string): string => (isUnder(path, prefix) ? path : prefix + path)

/**
 * A Location as it leads by path: one that begins with a single slash, or with the public origin, is the app's own.
 *
 *   '/x' → '/dev/shop/ide/x'     'x', '//other/x', 'https://other/x', '/dev/shop/ide/x' → unchanged
 */
export function locationUnder(value: string, prefix: string, origin: string): string {
  const isAbsolute = value.startsWith(origin) && /^(?:$|[/?#])/.test(value.slice(origin.length))
  const rest = isAbsolute ? value.slice(origin.length) : value
  if (!isAbsolute && !/^\/(?![/\\])/.test(rest)) return value
  return (isAbsolute ? origin : '') + under(rest.startsWith('/') ? rest : `/${rest}`, prefix)
}

/**
 * A `Set-Cookie` of an app by path: for this host only, and below the prefix. Null for one that claims `__Host-`, which
 * holds for `Path=/` alone: browsers would refuse it below a prefix, and elsewhere other workspaces would get it.
 */
export function cookieUnder(value: string, prefix: string): string | null {
  const [pair = '', ...attributes] = value.split(';')
  if (/^[\s=]*__host-/i.test(pair)) return null
  const kept = [pair]
  for (const attribute of attributes) {
    const equals = attribute.indexOf('=')
    const name = (equals < 0 ? attribute : attribute.slice(0, equals)).trim().toLowerCase()
    if (name === 'domain') continue
    const path = equals < 0 ? '' : attribute.slice(equals + 1).trim()
    // Without a slash it counts for nothing, and the folder of the address does, which is below the prefix.
    kept.push(name === 'path' && path.startsWith('/') ? ` Path=${under(path, prefix)}` : attribute)
  }
  return kept.join(';')
}

/** The fields of an app's answer, flat, as they may stand on the origin of path mode. */
export function fieldsUnder(headers: readonly string[], prefix: string, origin: string): string[] {
  const out: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name, value] = [headers[i] as string, headers[i + 1] as string]
    const kind = fieldKind(name)
    if (kind === Field.setCookie) {
      const cookie = cookieUnder(value, prefix)
      if (cookie !== null) out.push(name, cookie)
    } else if (kind === Field.location) out.push(name, locationUnder(value, prefix, origin))
    else if (!OF_ALL.has(name.toLowerCase())) out.push(name, value)
  }
  return out
}
