// Pure. What was seen of a request comes in; one line of JSON in ASCII goes out, every field bounded, no secret in it.
import { classNames } from './classes.ts'
import type { Seen } from './seen.ts'

/** The longest host and path that a line shows; what is longer is cut. */
const HOST_MAX = 128
const PATH_MAX = 512

const PLAIN = /^[ !#-[\]-~]*$/
const TOKENS = /\bps[a-z]_[A-Za-z0-9_-]{8,}/g

/** All that isn't plain ASCII becomes an escape, so that no reader of the log takes it for a line or a command. */
function escaped(text: string, max: number): string {
  let out = ''
  for (let i = 0; i < text.length && out.length < max; i++) {
    const char = text[i] as string
    if (PLAIN.test(char)) out += char
    else if (char === '"' || char === '\\') out += `\\${char}`
    else out += `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`
  }
  return out
}

function bounded(text: string, max: number): string {
  const cut = text.length > max ? text.slice(0, max) : text
  return PLAIN.test(cut) ? cut : escaped(cut, max)
}

const UNDERSCORE = 0x5f

/** `ps`, a letter and `_`: a look that is cheaper than the pattern. */
function mayHoldToken(path: string): boolean {
  for (let at = path.indexOf('ps'); at >= 0; at = path.indexOf('ps', at + 1))
    if (path.charCodeAt(at + 3) === UNDERSCORE) return true
  return false
}

/** The path without its query, which may hold codes and tokens of any app; what looks like a token of ours is hidden. */
export function shownPath(target: string): string {
  const question = target.indexOf('?')
  const path = question < 0 ? target : target.slice(0, question)
  return bounded(mayHoldToken(path) ? path.replace(TOKENS, '[redacted]') : path, PATH_MAX)
}

let secondAt = -1
let secondText = ''

/** ISO 8601 in UTC with ms; the text of a second is made once. */
function timeText(nowMs: number): string {
  const second = Math.floor(nowMs / 1000)
  if (second !== secondAt) {
    secondAt = second
    secondText = new Date(second * 1000).toISOString().slice(0, 20)
  }
  const ms = Math.floor(nowMs - second * 1000)
  return `${secondText}${ms > 99 ? '' : ms > 9 ? '0' : '00'}${ms}Z`
}

/** A Host that is nobody's, as a line may show it. */
export const shownHost = (host: string): string => bounded(host, HOST_MAX)

/**
 * One line with its line end. Durations are whole microseconds. Fields that say nothing are left out: no port, no user,
 * no bytes, no refusal, the usual engine. Method, host label, ids and addresses come parsed: only the path is anybody's.
 */
export function accessLine(seen: Seen, nowMs: number, ms: number): string {
  let line = `{"time":"${timeText(nowMs)}","requestId":"${seen.requestId}","class":"${classNames[seen.kind]}","method":"${seen.method}","host":"${seen.host}","path":"${shownPath(seen.target)}","status":${seen.status},"durationUs":${Math.round(ms * 1000)},"client":"${seen.client}"`
  if (seen.headMs >= 0) line += `,"headUs":${Math.round(seen.headMs * 1000)}`
  if (seen.received > 0) line += `,"bytesIn":${seen.received}`
  if (seen.sent > 0) line += `,"bytesOut":${seen.sent}`
  if (seen.port > 0) line += `,"port":${seen.port}`
  if (seen.workspaceId !== '') line += `,"workspace":"${seen.workspaceId}"`
  if (seen.userId !== '') line += `,"user":"${seen.userId}"`
  if (seen.cause !== '') line += `,"cause":"${seen.cause}"`
  if (seen.reason !== '') line += `,"reason":"${seen.reason}"`
  if (seen.engine !== '') line += `,"engine":"${seen.engine}"`
  if (seen.traceId !== '') line += `,"trace":"${seen.traceId}"`
  if (seen.retried) line += ',"retried":true'
  return `${line}}\n`
}
