/** How long to wait before trying again: count in, milliseconds out. Pure: chance is an argument. */

/** Bounds of a series of waits; each wait is twice the one before. */
export interface BackoffBounds {
  readonly firstMs: number
  readonly maxMs: number
}

/** Between starts of a program that ends, and tries of an action that fails: 0.5 s, 1 s, 2 s … 5 min. */
export const retryBounds: BackoffBounds = { firstMs: 500, maxMs: 300_000 }
/** Between tries to reach control or the runtime: short, since all waits for them. */
export const reachBounds: BackoffBounds = { firstMs: 250, maxMs: 5_000 }

/** The wait after the `count`-th failure in a row, in milliseconds; 0 for none. */
export function backoffMs(count: number, bounds: BackoffBounds = retryBounds): number {
  if (count < 1) return 0
  return Math.min(bounds.maxMs, bounds.firstMs * 2 ** Math.min(count - 1, 40))
}

/** The same wait shortened by up to a half, so that many agents don't come back at once; `chance` is 0 to 1. */
export function jittered(ms: number, chance: number): number {
  return Math.round(ms * (1 - chance / 2))
}
