/**
 * Tries to sign in go in, a refusal comes out after too many. The model, in which nobody can lock out somebody else:
 *
 *   who tries                                       what a wrong try is charged to
 *   a browser that this user has signed in with     a budget of that browser alone (its device cookie)
 *   an address that this user is signed in from     user and address together; the address
 *   anybody else                                    the same, and the user's budget for all strangers together
 *
 * So whoever guesses one name from many addresses is soon down to a guess a minute in all, and locks out strangers only.
 * Neighbours in one IPv6 /64 are one address. Budgets are of one process: with N servers a guesser has N of each.
 */
import { ApiError } from '../wire/index.ts'

/** Failures that are forgiven at once, and how long until one more is, in ms. */
interface Allowance {
  readonly burst: number
  readonly refillMs: number
}

const perDevice: Allowance = { burst: 10, refillMs: 15_000 }
const perPair: Allowance = { burst: 5, refillMs: 15_000 }
const perAddress: Allowance = { burst: 30, refillMs: 4_000 }
const perStrangers: Allowance = { burst: 20, refillMs: 60_000 }

/** Budgets that are remembered of each kind. */
export const BUDGETS_MAX = 20_000

/** How an attempt is known: by the id in its device cookie, by an address that the user is signed in from, or not. */
export type Familiar =
  { readonly by: 'device'; readonly id: string } | { readonly by: 'address' } | { readonly by: 'nothing' }

/** One try; without a user name (a set-up, reset or invitation link) its address alone is charged. */
export interface Attempt {
  readonly username: string | null
  readonly ip: string
  readonly familiar: Familiar
}

/** Neighbours in one IPv6 /64 are one address. */
export function networkOf(ip: string): string {
  if (!ip.includes(':') || ip.startsWith('::ffff:')) return ip
  return ip.split(':').slice(0, 4).join(':')
}

/** Budgets of one kind. Per key the time at which its debt is paid: one number is the whole budget. */
class Budgets {
  readonly #allowance: Allowance
  readonly #paidAtMs = new Map<string, number>()

  constructor(allowance: Allowance) {
    this.#allowance = allowance
  }

  get size(): number {
    return this.#paidAtMs.size
  }

  /** How long until a try is allowed, in ms; 0 or less: now. */
  waitMs(key: string, now: number): number {
    const { burst, refillMs } = this.#allowance
    return (this.#paidAtMs.get(key) ?? 0) - now - (burst - 1) * refillMs
  }

  charge(key: string, now: number): void {
    this.#paidAtMs.set(key, Math.max(this.#paidAtMs.get(key) ?? 0, now) + this.#allowance.refillMs)
    if (this.#paidAtMs.size > BUDGETS_MAX) this.#forget(now)
  }

  refund(key: string): void {
    const paid = this.#paidAtMs.get(key)
    if (paid !== undefined) this.#paidAtMs.set(key, paid - this.#allowance.refillMs)
  }

  /** Those that owe nothing go; of the others, those that owe least: a flood of names frees nobody who guesses much. */
  #forget(now: number): void {
    for (const [key, paid] of this.#paidAtMs) if (paid <= now) this.#paidAtMs.delete(key)
    const over = this.#paidAtMs.size - BUDGETS_MAX * 0.9
    if (over <= 0) return
    const least = [...this.#paidAtMs].sort(([, a], [, b]) => a - b).slice(0, over)
    for (const [key] of least) this.#paidAtMs.delete(key)
  }
}

export interface SignInLimit {
  /** Counts a try before it is checked, so that parallel ones count too. @throws ApiError rate_limited */
  spend(attempt: Attempt): void
  /** Takes a try back that was right. */
  refund(attempt: Attempt): void
  /** Budgets that are remembered now, of all kinds. */
  readonly size: number
}

const STRANGERS =
  'Too many tries for this user. From a browser or an address that it is signed in with, it works as ever.'

export function signInLimit(now: () => number): SignInLimit {
  const devices = new Budgets(perDevice)
  const pairs = new Budgets(perPair)
  const addresses = new Budgets(perAddress)
  const strangers = new Budgets(perStrangers)
  const charges = ({ username, ip, familiar }: Attempt): [Budgets, string][] => {
    if (familiar.by === 'device') return [[devices, familiar.id]]
    const address: [Budgets, string] = [addresses, networkOf(ip)]
    if (username === null) return [address]
    const name = username.slice(0, 64)
    const pair: [Budgets, string] = [pairs, `${networkOf(ip)} ${name}`]
    return familiar.by === 'address' ? [pair, address] : [pair, address, [strangers, name]]
  }
  return {
    spend(attempt) {
      const time = now()
      const charged = charges(attempt)
      for (const [budgets, key] of charged) {
        const wait = budgets.waitMs(key, time)
        if (wait > 0)
          throw new ApiError('rate_limited', budgets === strangers ? STRANGERS : undefined, {
            retryAfterSeconds: Math.max(1, Math.ceil(wait / 1000)),
          })
      }
      for (const [budgets, key] of charged) budgets.charge(key, time)
    },
    refund(attempt) {
      for (const [budgets, key] of charges(attempt)) budgets.refund(key)
    },
    get size() {
      return devices.size + pairs.size + addresses.size + strangers.size
    },
  }
}
