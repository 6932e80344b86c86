// Pure. A Set-Cookie of an app comes in; what of it may reach the visitor goes out.
import { isOurCookieName } from './cookies.ts'

/** A `Set-Cookie` of an app: null when it names a cookie of ours; a Domain wider than the host is cut off, all else kept. */
export function narrowedCookie(value: string, host: string): string | null {
  const semicolon = value.indexOf(';')
  const pair = semicolon < 0 ? value : value.slice(0, semicolon)
  const equals = pair.indexOf('=')
  // A nameless cookie is sent back as its bare value, which a server may read as a name and value.
  if (isOurCookieName(equals < 1 ? pair.slice(equals + 1) : pair)) return null
  if (semicolon < 0 || !/;[\s]*domain/i.test(value)) return value
  return value
    .split(';')
    .filter((part, index) => index === 0 || !isWiderDomain(part, host))
    .join(';')
}

function isWiderDomain(attribute: string, host: string): boolean {
  const equals = attribute.indexOf('=')
  if (equals < 0 || attribute.slice(0, equals).trim().toLowerCase() !== 'domain') return false
  const domain = attribute
    .slice(equals + 1)
    .trim()
    .toLowerCase()
    .replace(/^\.+/, '')
    .replace(/\.$/, '')
  return domain !== host && host.endsWith(`.${domain}`)
}
