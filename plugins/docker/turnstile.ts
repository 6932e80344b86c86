/** Pieces of work come in; they are done one at a time, in the order in which they came. */
import type { Call } from '@postern/plugin'
import { orAborted } from './engine.ts'

export type Turnstile = <T>(call: Call, work: () => Promise<T>) => Promise<T>

/** Who gives up waiting leaves at once, and nobody goes through before the one inside is out. */
export function turnstile(): Turnstile {
  let last: Promise<unknown> = Promise.resolve()
  return ({ signal }, work) => {
    const mine = last.then(() => {
      signal.throwIfAborted()
      return work()
    })
    last = mine.catch(() => undefined)
    return orAborted(mine, signal)
  }
}
