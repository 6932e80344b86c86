// Pure. A Location of an app and where the app runs come in; what the visitor is sent to comes out.
import type { Reach } from '@postern/plugin'

/** Where an app believes that it is: names of its own machine, and its ports there. */
export interface OwnOrigin {
  /** The address that is dialled, without brackets. */
  readonly host: string
  readonly ports: readonly number[]
}

/** Where the program behind a port believes that it is. */
export function ownOriginOf(reach: Reach, port: number): OwnOrigin {
  const mapped = reach.kind === 'ports' ? reach.ports[String(port)] : undefined
  return { host: reach.kind === 'none' ? '' : reach.host, ports: [port, mapped ?? port] }
}

/** Scheme, authority and the rest of an absolute or network-path reference (RFC 3986 §4). */
const ABSOLUTE = /^(?:(https?):)?\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(\d{1,5}))?(?=[/?#]|$)/i
const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '0.0.0.0', '[::1]', '[::]'])

/**
 * A Location that names the app's own origin leads to the public one instead; every other stays as it is.
 *
 *   'http://localhost:3000/x' → 'https://shop.example/x'     '/x', 'http://localhost:3001/x' → unchanged
 */
export function publicLocation(value: string, own: OwnOrigin, publicOrigin: string): string {
  const match = ABSOLUTE.exec(value)
  if (match === null) return value
  const [named, scheme = 'http', host = '', port] = match
  const lower = host.toLowerCase()
  if (!LOOPBACK.has(lower) && lower !== own.host && lower !== `[${own.host}]`) return value
  if (!own.ports.includes(port === undefined ? (scheme.toLowerCase() === 'https' ? 443 : 80) : Number(port)))
    return value
  return publicOrigin + value.slice(named.length)
}
