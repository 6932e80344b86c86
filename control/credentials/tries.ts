/**
 * Tries under keys go in; a refusal comes out where a key has had too many. In memory, one number a key: the time at
 * which its debt is paid.
 */
import { ApiError } from '../wire/index.ts'

/** Tries that are forgiven at once, and how long until one more is, in ms. */
export interface Allowance {
  readonly burst: number
  readonly refillMs: number
}

export type Counted = readonly (readonly [key: string, allowance: Allowance])[]

const KEYS_MAX = 20_000

export interface Tries {
  /** Counts a try under all its keys before it is checked, so that parallel ones count too. @throws ApiError rate_limited */
  spend(counted: Counted): void
  /** Takes a try back that was right. */
  refund(counted: Counted): void
}

/** Counts tries; a refused one isn't counted, so that the wait is never more than one refill. */
export function countTries(now: () => number): Tries {
  const paidAtMs = new Map<string, number>()
  const forget = (time: number): void => {
    for (const [key, paid] of paidAtMs) if (paid <= time) paidAtMs.delete(key)
    for (const key of paidAtMs.keys()) {
      if (paidAtMs.size <= KEYS_MAX) break
      paidAtMs.delete(key)
    }
  }
  return {
    spend(counted) {
      const time = now()
      for (const [key, { burst, refillMs }] of counted) {
        const wait = (paidAtMs.get(key) ?? 0) - time - (burst - 1) * refillMs
        if (wait > 0)
          throw new ApiError('rate_limited', undefined, {
            retryAfterSeconds: Math.max(1, Math.ceil(wait / 1000)),
          })
      }
      for (const [key, { refillMs }] of counted)
        paidAtMs.set(key, Math.max(paidAtMs.get(key) ?? 0, time) + refillMs)
      if (paidAtMs.size > KEYS_MAX) forget(time)
    },
    refund(counted) {
      for (const [key, { refillMs }] of counted) {
        const paid = paidAtMs.get(key)
        if (paid !== undefined) paidAtMs.set(key, paid - refillMs)
      }
    },
  }
}
