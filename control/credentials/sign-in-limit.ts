/**
 * Tries to sign in go in, a refusal comes out after too many. The model, in which nobody can lock out somebody else:
 *
 *   who tries                                       what a wrong try is charged to
 *   a browser that this user has signed in with     a budget of that browser alone (its device cookie)
 *   an address that this user is signed in from     user and address together; the address
 *   anybody else                                    the same, and the user's budget for all strangers together
 *
 * So whoever guesses one name from many addresses is soon down to a guess a minute in all, and locks out strangers only.
 */
import { networkOf } from '../wire/index.ts'
import type { Allowance, Charges } from './tries.ts'
import { budgetsOf, refund, spend } from './tries.ts'

const perDevice: Allowance = { burst: 10, refillMs: 15_000 }
const perPair: Allowance = { burst: 5, refillMs: 15_000 }
const perAddress: Allowance = { burst: 30, refillMs: 4_000 }
const perStrangers: Allowance = { burst: 20, refillMs: 60_000 }

/** How an attempt is known: by the id in its device cookie, by an address that the user is signed in from, or not. */
export type Familiar =
  { readonly by: 'device'; readonly id: string } | { readonly by: 'address' } | { readonly by: 'nothing' }

/** One try; without a user name (a set-up, reset or invitation link) its address alone is charged. */
export interface Attempt {
  readonly username: string | null
  readonly ip: string
  readonly familiar: Familiar
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
  const devices = budgetsOf(perDevice, now)
  const pairs = budgetsOf(perPair, now)
  const addresses = budgetsOf(perAddress, now)
  const strangers = budgetsOf(perStrangers, now, STRANGERS)
  const charges = ({ username, ip, familiar }: Attempt): Charges => {
    if (familiar.by === 'device') return [[devices, familiar.id]]
    const address = [addresses, networkOf(ip)] as const
    if (username === null) return [address]
    const name = username.slice(0, 64)
    const pair = [pairs, `${networkOf(ip)} ${name}`] as const
    return familiar.by === 'address' ? [pair, address] : [pair, address, [strangers, name]]
  }
  return {
    spend: (attempt) => spend(charges(attempt)),
    refund: (attempt) => refund(charges(attempt)),
    get size() {
      return devices.size + pairs.size + addresses.size + strangers.size
    },
  }
}
