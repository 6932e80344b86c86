/** The machine's own time, for rooms that take time as an argument. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../../agent/seams.ts'

/** `sleep` rejects with the signal's own reason, which timers/promises would wrap. */
export const systemClock: Clock = {
  now: Date.now,
  async sleep(ms, { signal }) {
    signal.throwIfAborted()
    await pause(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
  },
}
