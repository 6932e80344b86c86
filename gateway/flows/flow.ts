// Pure but for a nonce that is given. The state of one hand-off comes in; a sealed cookie value comes out, and back.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { isLocalPath } from '../host/host.ts'

/** How long a browser may take for a hand-off (s), with a sign-in in between. */
export const FLOW_SECONDS = 300

/** What a workspace host remembers in the browser while it is away at the dashboard's host. */
export interface Flow {
  /** 256 bits, base64url; '' once it has been used. */
  readonly nonce: string
  /** Where the visitor wanted to go: a local path with its query. */
  readonly path: string
  readonly startedAtMs: number
  /** Hand-offs begun since `firstAtMs`. */
  readonly attempts: number
  readonly firstAtMs: number
}

const mac = (key: Buffer, label: string, body: string): Buffer =>
  createHmac('sha256', key).update(`${label}\n${body}`).digest()

/** Text that only we can have written, for one label only; fit for a cookie and for a query. */
export function seal(key: Buffer, label: string, text: string): string {
  const body = Buffer.from(text).toString('base64url')
  return `${body}.${mac(key, label, body).toString('base64url')}`
}

/** The text that was sealed; null when it wasn't, or for another label. */
export function unseal(key: Buffer, label: string, value: string | null): string | null {
  const match = value === null ? null : /^([A-Za-z0-9_-]{1,4096})\.([A-Za-z0-9_-]{43})$/.exec(value)
  if (match === null) return null
  const [, body, sealed] = match as unknown as [string, string, string]
  if (!timingSafeEqual(Buffer.from(sealed, 'base64url'), mac(key, label, body))) return null
  return Buffer.from(body, 'base64url').toString()
}

/** The cookie value of a flow, bound to the host that it is for. */
export function sealFlow(key: Buffer, label: string, flow: Flow): string {
  const fields = [flow.nonce, flow.startedAtMs, flow.attempts, flow.firstAtMs, flow.path]
  return seal(key, label, JSON.stringify(fields))
}

/** The flow of a cookie value; null when it is not ours, for another host, or older than five minutes. */
export function openFlow(key: Buffer, label: string, value: string | null, nowMs: number): Flow | null {
  const body = unseal(key, label, value)
  if (body === null) return null
  // The seal proves that we wrote it.
  const fields = JSON.parse(body) as [string, number, number, number, string]
  const [nonce, startedAtMs, attempts, firstAtMs, path] = fields
  const age = nowMs - startedAtMs
  if (age < 0 || age > FLOW_SECONDS * 1000 || !isLocalPath(path)) return null
  return { nonce, startedAtMs, attempts, firstAtMs, path }
}

/** What the dashboard's host is told of the nonce: base64url SHA-256. */
export function challengeOf(nonce: string): string {
  return createHash('sha256').update(nonce, 'latin1').digest('base64url')
}
