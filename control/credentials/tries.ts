/**
 * Tries under keys go in; a refusal comes out where a key has had too many. In memory, one number a key: the time at
 * which its debt is paid. Budgets are of one process: with N servers a guesser has N of each.
 */
import { ApiError } from '../wire/index.ts'

/** Tries that are forgiven at once, and how long until one more is, in ms. */
export interface Allowance {
  readonly burst: number
  readonly refillMs: number
}

/** Budgets that are remembered of each kind. */
export const BUDGETS_MAX = 20_000

/** Budgets of one kind. */
export interface Budgets {
  /** Why not yet, in words; undefined: those of the code. */
  readonly says: string | undefined
  /** Those that are remembered now. */
  readonly size: number
  /** How long until a try is allowed, in ms; 0 or less: now. */
  waitMs(key: string): number
  charge(key: string): void
  refund(key: string): void
}

class OwnBudgets implements Budgets {
  readonly says: string | undefined
  readonly #allowance: Allowance
  readonly #now: () => number
  readonly #paidAtMs = new Map<string, number>()

  constructor(allowance: Allowance, now: () => number, says: string | undefined) {
    this.#allowance = allowance
    this.#now = now
    this.says = says
  }

  get size(): number {
    return this.#paidAtMs.size
  }

  waitMs(key: string): number {
    const { burst, refillMs } = this.#allowance
    return (this.#paidAtMs.get(key) ?? 0) - this.#now() - (burst - 1) * refillMs
  }

  charge(key: string): void {
    const now = this.#now()
    this.#paidAtMs.set(key, Math.max(this.#paidAtMs.get(key) ?? 0, now) + this.#allowance.refillMs)
    if (this.#paidAtMs.size > BUDGETS_MAX) this.#forget(now)
  }

  refund(key: string): void {
    const paid = this.#paidAtMs.get(key)
    if (paid !== undefined) this.#paidAtMs.set(key, paid - this.#allowance.refillMs)
  }

  /** Those that owe nothing go; of the others, those that owe least: a flood of keys frees nobody who guesses much. */
  #forget(now: number): void {
    for (const [key, paid] of this.#paidAtMs) if (paid <= now) this.#paidAtMs.delete(key)
    const over = this.#paidAtMs.size - BUDGETS_MAX * 0.9
    if (over <= 0) return
    const least = [...this.#paidAtMs].sort(([, a], [, b]) => a - b).slice(0, over)
    for (const [key] of least) this.#paidAtMs.delete(key)
  }
}

/** Budgets by key, each of the same allowance. */
export const budgetsOf = (allowance: Allowance, now: () => number, says?: string): Budgets =>
  new OwnBudgets(allowance, now, says)

/** What one try is charged to. */
export type Charges = readonly (readonly [budgets: Budgets, key: string])[]

/**
 * Counts a try before it is checked, so that parallel ones count too. A refused one isn't counted, so that the wait is
 * never more than one refill. @throws ApiError rate_limited
 */
export function spend(charges: Charges): void {
  for (const [budgets, key] of charges) {
    const wait = budgets.waitMs(key)
    if (wait > 0)
      throw new ApiError('rate_limited', budgets.says, {
        retryAfterSeconds: Math.max(1, Math.ceil(wait / 1000)),
      })
  }
  for (const [budgets, key] of charges) budgets.charge(key)
}

/** Takes a try back that was right. */
export function refund(charges: Charges): void {
  for (const [budgets, key] of charges) budgets.refund(key)
}
