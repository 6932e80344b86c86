/** The real clock. Rooms take a `Clock`, tests give another. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from './seams.ts'

/** Wall time and real sleep; `sleep` holds the process no longer than its signal. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, { signal }) => {
    signal.throwIfAborted()
    await pause(ms, undefined, { signal }).catch((err: unknown) => {
      throw signal.aborted ? signal.reason : err
    })
  },
}
