/** One signed message goes in; it is posted once, to an address that may be posted to; what came back comes out. */
import { lookup } from 'node:dns'
import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import type { LookupFunction } from 'node:net'
import { Agent, buildConnector, request } from 'undici'

/** A receiver has so long for all of its answer, in ms. */
export const POST_MS = 10_000
/** Of a receiver's answer so much is kept, in bytes. */
export const ANSWER_MAX = 1000

export interface Posted {
  /** Null: there was no answer. */
  readonly status: number | null
  /** '' for 2xx. */
  readonly error: string
  readonly answer: string
}

/** Why nothing may be sent to an address; null: it may. */
export type Barrier = (address: string) => string | null

export interface Post {
  (url: string, headers: Record<string, string>, body: string, signal: AbortSignal): Promise<Posted>
}

/** Resolves a name to those of its addresses that may be posted to: what is connected to is what was looked at. */
function guardedLookup(barrier: Barrier): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (err, addresses: LookupAddress[]) => {
      if (err !== null) return done(err, '', 4)
      const open = addresses.filter(({ address }) => barrier(address) === null)
      const [first] = open
      if (first === undefined) {
        const why = addresses.map(({ address }) => `${address}: ${barrier(address)}`)[0] ?? 'no address'
        return done(new Error(`not sent: ${why}`), '', 4)
      }
      if (options.all === true) return done(null, open)
      return done(null, first.address, first.family)
    })
  }
}

function guardedAgent(barrier: Barrier): Agent {
  const connect = buildConnector({ lookup: guardedLookup(barrier), timeout: POST_MS })
  return new Agent({
    connections: 4,
    pipelining: 1,
    keepAliveTimeout: 1000,
    connect(options, done) {
      const host = options.hostname.replace(/^\[|\]$/g, '')
      // A literal address is never looked up.
      const why = isIP(host) === 0 ? null : barrier(host)
      if (why === null) connect(options, done)
      else done(new Error(`not sent: ${host}: ${why}`), null)
    },
  })
}

/** The beginning of a body as one text without control bytes. */
async function beginning(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= ANSWER_MAX) break
  }
  const text = Buffer.concat(chunks).subarray(0, ANSWER_MAX).toString('utf8')
  return text.replace(/[\p{Cc}\p{Cs}]/gu, ' ')
}

function reasonOf(err: unknown): string {
  if (!(err instanceof Error)) return String(err)
  if (err.name === 'TimeoutError') return `no answer within ${POST_MS / 1000} s`
  return err.message || (err as { code?: string }).code || err.name
}

/** Follows no redirect; never rejects but by an end of the signal. */
export function hookPost(barrier: Barrier): Post & { close(): Promise<void> } {
  const dispatcher = guardedAgent(barrier)
  const post: Post = async (url, headers, body, signal) => {
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(POST_MS)])
      const answer = await request(url, { method: 'POST', headers, body, dispatcher, signal: within })
      const status = answer.statusCode
      const text = await beginning(answer.body)
      const isTaken = status >= 200 && status < 300
      const moved = status >= 300 && status < 400 ? ': redirects are not followed' : ''
      return { status, error: isTaken ? '' : `answered ${status}${moved}`, answer: text }
    } catch (err) {
      signal.throwIfAborted()
      return { status: null, error: reasonOf(err), answer: '' }
    }
  }
  return Object.assign(post, { close: () => dispatcher.destroy() })
}
