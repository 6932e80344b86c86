/** A clock that stands still until it is told to go on. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../agent/seams.ts'

export interface TestClock extends Clock {
  /** Goes on by `ms`, waking sleepers in order; resolves when what they woke has come to rest. */
  advance(ms: number): Promise<void>
  /** Until everything that can go on without time has done so. */
  rest(): Promise<void>
  /** How long until the next sleeper wakes, in milliseconds; null when nobody sleeps. */
  nextMs(): number | null
}

interface Sleeper {
  readonly atMs: number
  wake(): void
}

/** Starts at `nowMs`, by default an arbitrary day. */
export function testClock(nowMs = 1_700_000_000_000): TestClock {
  let now = nowMs
  let sleepers: Sleeper[] = []
  const next = (): Sleeper | undefined => sleepers.toSorted((a, b) => a.atMs - b.atMs)[0]
  const rest = async (): Promise<void> => {
    for (let turns = 0; turns < 8; turns += 1) await turn()
  }
  return {
    now: () => now,
    sleep: (ms, { signal }) =>
      new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const end = (): void => {
          sleepers = sleepers.filter((each) => each !== sleeper)
          signal.removeEventListener('abort', onAbort)
        }
        const onAbort = (): void => {
          end()
          reject(signal.reason)
        }
        const sleeper: Sleeper = {
          atMs: now + ms,
          wake: () => {
            end()
            resolve()
          },
        }
        sleepers.push(sleeper)
        signal.addEventListener('abort', onAbort, { once: true })
      }),
    rest,
    nextMs: () => {
      const first = next()
      return first === undefined ? null : Math.max(0, first.atMs - now)
    },
    async advance(ms) {
      const target = now + ms
      await rest()
      for (let first = next(); first !== undefined && first.atMs <= target; first = next()) {
        now = Math.max(now, first.atMs)
        first.wake()
        await rest()
      }
      now = target
      await rest()
    },
  }
}
