// Pure. The plain majority of HTTP/1.1: a GET without a body is written, an answer of known length is read; null for all else.

const HEAD_MAX_BYTES = 16 * 1024

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const TARGET = /^\/[\x21-\x7e\x80-\xff]*$/
const UNSAFE = /[^\t\x20-\x7e\x80-\xff]/
const LENGTH = /^[0-9]{1,15}$/
const SPACE = 0x20
const TAB = 0x09

/** Fields that say how a message is framed, or what its connection is to become: theirs is the full engine. */
const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * The bytes (latin1) of a GET without a body, on a connection that is kept; null when a field, the target or the number
 * of Hosts is not plainly fit to be written (RFC 9112 §3 and §5).
 */
export function plainRequest(target: string, headers: readonly string[]): string | null {
  if (!TARGET.test(target)) return null
  let host: string | null = null
  let fields = ''
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string
    const value = headers[i + 1] as string
    if (!TOKEN.test(name) || UNSAFE.test(value)) return null
    const { length } = name
    if (length === 4 && name.toLowerCase() === 'host') {
      if (host !== null) return null
      host = value
    } else if ((length === 6 || length === 7 || length >= 10) && FRAMING.has(name.toLowerCase())) return null
    else fields += `${name}: ${value}\r\n`
  }
  if (host === null) return null
  return `GET ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${fields}\r\n`
}

/** The head of an answer that can be in no doubt. */
export interface PlainAnswer {
  /** 200 to 599. */
  readonly status: number
  readonly reason: string
  /** Flat, as they came. */
  readonly raw: readonly string[]
  /** Bytes of the head. */
  readonly headBytes: number
  /** Bytes of the body. */
  readonly length: number
  /** For how long the connection may wait for its next request, in ms; 0: it ends with this answer. */
  readonly keepMs: number
}

interface Reading {
  length: number
  keepMs: number
}

/** How long a connection is kept where the app doesn't say; an app's own limit is mostly five seconds. */
const KEEP_MS = 4000
/** So much sooner than it says an app is not asked again: its end may be on its way. */
const KEEP_MARGIN_MS = 1000

/** Takes a field of framing; false: nothing for here. */
function takeFraming(reading: Reading, name: string, value: string): boolean {
  switch (name) {
    case 'content-length':
      if (reading.length >= 0 || !LENGTH.test(value)) return false
      reading.length = Number(value)
      return true
    case 'connection': {
      const said = value.toLowerCase()
      if (said === 'close') reading.keepMs = 0
      return said === 'close' || said === 'keep-alive'
    }
    case 'keep-alive': {
      const seconds = /(?:^|[\s,;])timeout=([0-9]{1,6})/i.exec(value)?.[1]
      if (seconds !== undefined)
        reading.keepMs = Math.min(reading.keepMs, Math.max(0, Number(seconds) * 1000 - KEEP_MARGIN_MS))
      return true
    }
    default:
      return false
  }
}

/** Reads the status line; 0 for one that isn't the plainest. */
function statusOf(text: string): number {
  if (!text.startsWith('HTTP/1.1 ') || text.charCodeAt(12) !== SPACE) return 0
  const status = Number(text.slice(9, 12))
  return status >= 200 && status <= 599 ? status : 0
}

/**
 * Reads the beginning of an answer to a GET (RFC 9112 §4 to §6): the whole head is there, every field is a token and
 * visible text, and the body's length is said once, or there is none by the status. Null for all else.
 */
export function plainAnswer(bytes: Buffer): PlainAnswer | null {
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, HEAD_MAX_BYTES))
  const end = text.indexOf('\r\n\r\n')
  const status = statusOf(text)
  if (end < 0 || status === 0) return null
  let at = text.indexOf('\r\n')
  const reason = text.slice(13, at)
  if (UNSAFE.test(reason)) return null
  const raw: string[] = []
  const reading: Reading = { length: -1, keepMs: KEEP_MS }
  for (at += 2; at < end;) {
    const next = text.indexOf('\r\n', at)
    const colon = text.indexOf(':', at)
    if (colon < 0 || colon > next) return null
    const name = text.slice(at, colon)
    const value = trimmed(text, colon + 1, next)
    if (!TOKEN.test(name) || UNSAFE.test(value)) return null
    if (name.length === 7 || name.length >= 10) {
      const lower = name.toLowerCase()
      if (FRAMING.has(lower) && !takeFraming(reading, lower, value)) return null
    }
    raw.push(name, value)
    at = next + 2
  }
  if (status === 204 || status === 304) {
    // A length would be that of another answer (RFC 9110 §8.6).
    if (reading.length >= 0) return null
    reading.length = 0
  }
  if (reading.length < 0) return null
  return { status, reason, raw, headBytes: end + 4, length: reading.length, keepMs: reading.keepMs }
}

function trimmed(text: string, from: number, to: number): string {
  let [first, last] = [from, to]
  while (first < last && isBlank(text.charCodeAt(first))) first++
  while (last > first && isBlank(text.charCodeAt(last - 1))) last--
  return text.slice(first, last)
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB
