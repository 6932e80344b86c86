// Pure but for a cache. Cookie and Authorization fields come in as bytes; our cookies, our tokens and what is left for the app come out.
import { createHash } from 'node:crypto'
import { Recent } from './recent.ts'

/** Every name that a cookie of ours has or had on any deployment, `__Host-` or not: none of them reaches an app. */
const OURS: ReadonlySet<string> = new Set(
  [
    'postern_session',
    'postern_workspace',
    'postern_flow',
    'postern_device',
    'postern_renewed',
    'postern_provider',
  ].flatMap((name) => [name, `__Host-${name}`]),
)

/** Of path mode there is one name for each workspace. */
const OF_PATHS = ['postern_path', '__Secure-postern_path']

function isOurs(name: string): boolean {
  if (OURS.has(name)) return true
  for (const begin of OF_PATHS) if (name.startsWith(begin)) return true
  return false
}

/** A Cookie header, read. */
export interface CookieReading {
  /** Hash of our cookie by name; null: the name came twice, which counts as not at all. */
  readonly hashes: ReadonlyMap<string, string | null>
  /** The header without our cookies, other bytes and their order kept; '' when nothing is left. */
  readonly rest: string
}

/** SHA-256 of a secret, lower-case hex: what the table is keyed by. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret, 'latin1').digest('hex')
}

// Not `trim()`: that takes U+00A0 and friends away too, so that a sibling's `\xA0__Host-…` cookie would read as ours.
function trimBlank(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}
const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

function split(header: string, each: (name: string, value: string) => boolean): string {
  let rest: string[] | null = null
  const segments = header.split(';')
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i] as string
    const equals = segment.indexOf('=')
    const ours = equals > 0 && each(trimBlank(segment.slice(0, equals)), trimBlank(segment.slice(equals + 1)))
    if (ours) rest ??= segments.slice(0, i)
    else rest?.push(segment)
  }
  if (rest === null) return header
  const left = rest.join(';')
  return trimBlank(left) === '' ? '' : left.replace(/^[ \t]+/, '')
}

function parse(header: string): CookieReading {
  const hashes = new Map<string, string | null>()
  const rest = split(header, (name, value) => {
    if (!isOurs(name)) return false
    hashes.set(name, hashes.has(name) ? null : secretHash(value))
    return true
  })
  return { hashes, rest }
}

/** The value of one cookie; null when it is absent or came twice. */
export function cookieValue(header: string | null, wanted: string): string | null {
  if (header === null) return null
  const values: string[] = []
  split(header, (name, value) => {
    if (name === wanted) values.push(value)
    return false
  })
  return values.length === 1 ? (values[0] as string) : null
}

/** True for the name of a cookie of ours as any browser or server may read it: blanks around it and case are nothing. */
export function isOurCookieName(name: string): boolean {
  const bare = name.trim().toLowerCase()
  return (
    bare.startsWith('postern_') || bare.startsWith('__host-postern_') || bare.startsWith('__secure-postern_')
  )
}

const NO_COOKIES: CookieReading = { hashes: new Map(), rest: '' }
/** Characters of the headers that are kept: tens of thousands of browsers', or few that are long. */
const KEPT_CHARS = 8 * 1024 * 1024
const LONGEST = 4096
const readings = new Recent<CookieReading>(KEPT_CHARS, (header) => header.length)

/** Reads a Cookie header (RFC 6265 §5.4, byte-strictly). What it gives depends on the bytes alone, so that they key a cache. */
export function readCookies(header: string | null): CookieReading {
  if (header === null) return NO_COOKIES
  const held = readings.get(header)
  if (held !== undefined) return held
  const reading = parse(header)
  if (header.length <= LONGEST) readings.set(header, reading)
  return reading
}

/** True for an Authorization value that carries a token of ours, well-formed or not: it is never passed on. */
export function isOurAuthorization(value: string): boolean {
  return /^[ \t]*bearer[ \t]+pst_/i.test(value)
}

/** The token in an Authorization value of ours; null when it is malformed. */
export function bearerToken(value: string): string | null {
  return /^[ \t]*bearer[ \t]+(pst_[A-Za-z0-9_-]{16,200})[ \t]*$/i.exec(value)?.[1] ?? null
}

/** The token in `X-Postern-Token`; null when it is malformed. */
export function plainToken(value: string): string | null {
  return /^pst_[A-Za-z0-9_-]{16,200}$/.test(value) ? value : null
}
