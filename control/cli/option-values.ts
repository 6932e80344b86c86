/** What a person wrote for one option (a flag, a variable, a line of YAML) comes in; a typed value, or an Error that says what is wrong, comes out. */
import { isAbsolute, resolve } from 'node:path'
import { homedir } from 'node:os'
import ipaddr from 'ipaddr.js'
import type { ListenAddress } from '../../gateway/seams.ts'
import { nameProblem, nameProblemText } from '../wire/index.ts'

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const unitsBytes: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
}

/** Any text that isn't empty; numbers count as text, since YAML makes them of digits. @throws Error */
export function readText(raw: unknown): string {
  if (typeof raw === 'number') return String(raw)
  if (typeof raw !== 'string' || raw.trim() === '') throw new Error('needs some text')
  return raw.trim()
}

/** A whole number of 0 and more. @throws Error */
export function readCount(raw: unknown): number {
  const text = readText(raw)
  if (!/^\d{1,12}$/.test(text)) throw new Error(`${JSON.stringify(raw)} is not a whole number of 0 or more`)
  return Number(text)
}

/** A whole number of 1 to 256. @throws Error */
export function readWorkers(raw: unknown): number {
  const count = readCount(raw)
  if (count < 1 || count > 256) throw new Error(`${JSON.stringify(raw)} is not a number of 1 to 256`)
  return count
}

/** A whole number of 1 and more. @throws Error */
export function readPositiveCount(raw: unknown): number {
  const count = readCount(raw)
  if (count === 0) throw new Error('0 would let nothing through')
  return count
}

/** A number above 0, such as `0.5`. @throws Error */
export function readAmount(raw: unknown): number {
  const text = readText(raw)
  if (!/^\d{1,9}(\.\d{1,3})?$/.test(text) || Number(text) === 0)
    throw new Error(`${JSON.stringify(raw)} is not a number above 0`)
  return Number(text)
}

/** Bytes: `1048576`, `512M`, `16G`. @throws Error */
export function readBytes(raw: unknown): number {
  const match = /^(\d{1,15})\s*([kmgt]?)(?:i?b)?$/i.exec(readText(raw))
  const unit = unitsBytes[match?.[2]?.toLowerCase() ?? '-']
  if (!match || unit === undefined)
    throw new Error(`${JSON.stringify(raw)} is not a size such as 512M or 16G`)
  return Number(match[1]) * unit
}

/** Milliseconds: `500ms`, `10s`, `30m`, `12h`, `7d`. @throws Error */
export function readDuration(raw: unknown): number {
  const match = /^(\d{1,9})\s*(ms|s|m|h|d)$/.exec(readText(raw))
  const unit = unitsMs[match?.[2] ?? '-']
  if (!match || unit === undefined)
    throw new Error(`${JSON.stringify(raw)} is not a time with its unit, such as 10s, 12h or 7d`)
  return Number(match[1]) * unit
}

/** An absolute path; `~/` is the home directory, a relative one counts from the working directory. @throws Error */
export function readPath(raw: unknown): string {
  const text = readText(raw)
  if (text === '~' || text.startsWith('~/')) return resolve(homedir(), text.slice(2))
  return isAbsolute(text) ? text : resolve(text)
}

/** As `readPath`, and `-` stays what it is. @throws Error */
export function readPathOrDash(raw: unknown): string {
  return raw === '-' ? '-' : readPath(raw)
}

/** As `readPathOrDash`, and `off` (YAML writes it as a boolean). @throws Error */
export function readPathDashOrOff(raw: unknown): string {
  return raw === 'off' || raw === false ? 'off' : readPathOrDash(raw)
}

/** The items of a list, or of a text with commas. @throws Error */
export function readList(raw: unknown): readonly string[] {
  const items = Array.isArray(raw) ? raw : [raw]
  return items
    .flatMap((item) => readText(item).split(','))
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** `127.0.0.1:8090`, `[::1]:8090`, `localhost:8090` or the path of a unix socket (with a slash). @throws Error */
export function readAddress(raw: unknown): ListenAddress {
  const text = readText(raw)
  if (text.startsWith('unix:')) return { path: readPath(text.slice(5)) }
  if (text.includes('/')) return { path: readPath(text) }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || !(port >= 1 && port <= 65_535))
    throw new Error(
      `${JSON.stringify(raw)} is not host:port (such as 127.0.0.1:8090 or [::1]:8090) nor the path of a socket`,
    )
  return { host, port }
}

/** One or more addresses. @throws Error */
export function readAddresses(raw: unknown): readonly ListenAddress[] {
  const addresses = readList(raw).map(readAddress)
  if (addresses.length === 0) throw new Error('needs at least one address')
  return addresses
}

/** One or more addresses, or none for `off`. @throws Error */
export function readAddressesOrOff(raw: unknown): readonly ListenAddress[] {
  const given: unknown = Array.isArray(raw) && raw.length === 1 ? raw[0] : raw
  return given === false || given === 'off' ? [] : readAddresses(given)
}

/** One or more of `host:port`. @throws Error */
export function readTcpAddresses(raw: unknown): readonly ListenAddress[] {
  const addresses = readAddresses(raw)
  if (addresses.some((address) => 'path' in address))
    throw new Error('is for host:port, not for a unix socket')
  return addresses
}

/** A bare flag, or `on` and `off`. @throws Error */
export function readSwitch(raw: unknown): boolean {
  if (raw === '' || raw === true || raw === 'on' || raw === 'true') return true
  if (raw === false || raw === 'off' || raw === 'false') return false
  throw new Error(`${JSON.stringify(raw)} is neither on nor off`)
}

/** One or more paths. @throws Error */
export function readPaths(raw: unknown): readonly string[] {
  const paths = readList(raw).map(readPath)
  if (paths.length === 0) throw new Error('needs at least one file')
  return paths
}

/** An address, or null for `off`. @throws Error */
export function readAddressOrOff(raw: unknown): ListenAddress | null {
  return raw === false || raw === 'off' ? null : readAddress(raw)
}

/** An http or https origin without path, such as `https://postern.example.com`. @throws Error */
export function readOrigin(raw: unknown): string {
  const text = readText(raw)
  const url = URL.canParse(text) ? new URL(text) : null
  const isOrigin =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.pathname === '/' &&
    url.search + url.hash + url.username + url.password === ''
  if (!isOrigin)
    throw new Error(`${JSON.stringify(raw)} is not an origin such as https://postern.example.com (no path)`)
  return url.origin
}

/** An http or https URL with or without a path, without credentials, query and fragment. @throws Error */
export function readHttpUrl(raw: unknown): string {
  const text = readText(raw)
  const url = URL.canParse(text) ? new URL(text) : null
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.search + url.hash + url.username + url.password !== ''
  )
    throw new Error(`${JSON.stringify(raw)} is not a URL such as http://127.0.0.1:4318`)
  return url.href
}

/** A number from 0 to 1. @throws Error */
export function readFraction(raw: unknown): number {
  const text = readText(raw)
  if (!/^(0?\.\d{1,9}|0|1|1\.0{1,9})$/.test(text))
    throw new Error(`${JSON.stringify(raw)} is not a number from 0 to 1`)
  return Number(text)
}

/** A domain name in small letters, such as `ws.example.com`. @throws Error */
export function readDomain(raw: unknown): string {
  const text = readText(raw).toLowerCase()
  if (!/^(?!.*\.$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text))
    throw new Error(`${JSON.stringify(raw)} is not a domain of two labels or more, such as ws.example.com`)
  return text
}

/** CIDR blocks or single addresses, such as `10.0.0.0/8,::1`. @throws Error */
export function readBlocks(raw: unknown): readonly string[] {
  return readList(raw).map((item) => {
    if (!ipaddr.isValidCIDR(item) && !(ipaddr.isValid(item) && /[.:]/.test(item)))
      throw new Error(`${JSON.stringify(item)} is neither an address nor a CIDR block such as 10.0.0.0/8`)
    if (item.includes('/')) return item
    return `${item}/${ipaddr.parse(item).kind() === 'ipv6' ? 128 : 32}`
  })
}

/** A `postgres://` URL; never shown in a message, since it holds a password. @throws Error */
export function readDatabaseUrl(raw: unknown): string {
  const text = readText(raw)
  if (!/^postgres(ql)?:\/\//.test(text) || !URL.canParse(text)) throw new Error('is not a postgres:// URL')
  return text
}

/** Settings of a plugin: whatever its own parser takes. @throws Error */
export function readMapping(raw: unknown): Readonly<Record<string, unknown>> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new Error('needs a mapping of keys')
  return raw as Record<string, unknown>
}

/** Makes a reader of one of the words. */
export function readOneOf<const W extends string>(...words: readonly W[]): (raw: unknown) => W {
  return (raw) => {
    const word = words.find((w) => w === raw)
    if (word === undefined) throw new Error(`${JSON.stringify(raw)} is none of ${words.join(', ')}`)
    return word
  }
}

/** Names as workspaces have them, separated by commas or repeated. @throws Error */
export function readNames(raw: unknown): readonly string[] {
  return readList(raw).map((name) => {
    const problem = nameProblem(name)
    if (problem !== null && problem !== 'reserved')
      throw new Error(`${JSON.stringify(name)}: ${nameProblemText[problem]}`)
    return name
  })
}
