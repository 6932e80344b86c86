/** Times and spans as a person reads them. `nowMs` is always given; the local time zone decides what today is. */

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

const two = (n: number): string => String(n).padStart(2, '0')
const midnight = (ms: number): number => new Date(ms).setHours(0, 0, 0, 0)

/** Today as 14:05, within six days before or after as Fri, else 12 Nov, with the year when it is another one. */
export function shortTime(atMs: number, nowMs: number): string {
  const at = new Date(atMs)
  // Rounded, because a day of the clock change has 23 or 25 hours.
  const days = Math.round((midnight(atMs) - midnight(nowMs)) / DAY)
  if (days === 0) return `${two(at.getHours())}:${two(at.getMinutes())}`
  if (Math.abs(days) <= 6) return weekdays[at.getDay()] ?? ''
  const date = `${at.getDate()} ${months[at.getMonth()]}`
  return at.getFullYear() === new Date(nowMs).getFullYear() ? date : `${date} ${at.getFullYear()}`
}

/** 2026-11-22 14:05:09, local: what stands on hover. */
export function exactTime(atMs: number): string {
  const at = new Date(atMs)
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** A length of time in its largest unit, rounded down: 40 s, 12 min, 3 h, 5 d; never less than 0 s. */
export function span(ms: number): string {
  if (ms < MINUTE) return `${Math.max(0, Math.floor(ms / 1000))} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`
  return `${Math.floor(ms / DAY)} d`
}

/** How long ago, for lists: now within five seconds, else the span. */
export function ago(atMs: number, nowMs: number): string {
  const ms = nowMs - atMs
  return ms < 5000 ? 'now' : `${span(ms)} ago`
}
