/** A wait that can be cut short: rings in, one waiter woken out. A ring while nobody waits is kept, several make one. */
import type { Clock } from './seams.ts'

export interface Bell {
  ring(): void
  /** Resolves at the next ring, or after `ms`; at once if it has rung since the last wait. Rejects when the signal aborts. */
  wait(ms: number): Promise<void>
}

/** A bell for one waiter at a time. */
export function createBell(clock: Clock, signal: AbortSignal): Bell {
  let rung = false
  let nap: AbortController | null = null
  return {
    ring() {
      rung = true
      nap?.abort(new Error('rung'))
    },
    async wait(ms) {
      signal.throwIfAborted()
      if (!rung) {
        const mine = new AbortController()
        const onAbort = (): void => mine.abort(signal.reason)
        signal.addEventListener('abort', onAbort, { once: true })
        nap = mine
        try {
          await clock.sleep(ms, { signal: mine.signal })
        } catch (err) {
          if (signal.aborted || !rung) throw err
        } finally {
          nap = null
          signal.removeEventListener('abort', onAbort)
        }
      }
      rung = false
    },
  }
}
