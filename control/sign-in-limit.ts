/**
 * Tries to sign in go in, a refusal comes out after too many. Counted by user name and address together and by
 * address alone, never by user name alone: nobody can lock out somebody else.
 */
import { ApiError } from './wire/index.ts'

/** Failures that are forgiven at once, and how long until one more is, in ms. */
interface Allowance {
  readonly burst: number
  readonly refillMs: number
}

const perUser: Allowance = { burst: 5, refillMs: 15_000 }
const perAddress: Allowance = { burst: 30, refillMs: 4_000 }
const KEYS_MAX = 20_000

/** Neighbours in one IPv6 /64 are one address. */
export function networkOf(ip: string): string {
  if (!ip.includes(':') || ip.startsWith('::ffff:')) return ip
  return ip.split(':').slice(0, 4).join(':')
}

export interface SignInLimit {
  /** Counts a try before it is checked, so that parallel ones count too. @throws ApiError rate_limited */
  spend(username: string, ip: string): void
  /** Takes a try back that was right. */
  refund(username: string, ip: string): void
}

export function signInLimit(now: () => number): SignInLimit {
  // Per key the time at which its debt is paid: one number is the whole bucket.
  const paidAtMs = new Map<string, number>()
  const keys = (username: string, ip: string): [string, Allowance][] => [
    [`u ${networkOf(ip)} ${username.slice(0, 64)}`, perUser],
    [`a ${networkOf(ip)}`, perAddress],
  ]
  const forget = (time: number): void => {
    for (const [key, paid] of paidAtMs) if (paid <= time) paidAtMs.delete(key)
    for (const key of paidAtMs.keys()) {
      if (paidAtMs.size <= KEYS_MAX) break
      paidAtMs.delete(key)
    }
  }
  return {
    spend(username, ip) {
      const time = now()
      for (const [key, { burst, refillMs }] of keys(username, ip)) {
        const wait = (paidAtMs.get(key) ?? 0) - time - (burst - 1) * refillMs
        if (wait > 0)
          throw new ApiError('rate_limited', undefined, {
            retryAfterSeconds: Math.max(1, Math.ceil(wait / 1000)),
          })
      }
      for (const [key, { refillMs }] of keys(username, ip))
        paidAtMs.set(key, Math.max(paidAtMs.get(key) ?? 0, time) + refillMs)
      if (paidAtMs.size > KEYS_MAX) forget(time)
    },
    refund(username, ip) {
      for (const [key, { refillMs }] of keys(username, ip)) {
        const paid = paidAtMs.get(key)
        if (paid !== undefined) paidAtMs.set(key, paid - refillMs)
      }
    },
  }
}
