/** What control wants of this host: a long-poll in, the last known desired set out; unknown until the first answer. */
import type { Logger } from '@postern/plugin'
import { ApiError, type AgentControl, type Desired } from '../control/wire/index.ts'
import { backoffMs, jittered, reachBounds } from './backoff.ts'
import type { Clock } from './seams.ts'

export interface DesiredFeed {
  /** The last set that control gave. It stays valid while control is away. */
  current(): Desired | 'unknown'
}

export interface DesiredParts {
  readonly control: AgentControl
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
  readonly signal: AbortSignal
  /** Called at once for each new set. */
  readonly onChange: () => void
  /** Called for an answer after which this process must not go on. */
  readonly onEnd: (err: Error) => void
}

/** Below every revision: asks for the whole set now. */
const nothing = -1

/** Polls until aborted. After each error it asks for the whole set again, so a control with another past is believed. */
export function followDesired(parts: DesiredParts): DesiredFeed {
  let current: Desired | 'unknown' = 'unknown'
  const poll = async (): Promise<void> => {
    let since = nothing
    let failures = 0
    while (!parts.signal.aborted) {
      try {
        const answer = await parts.control.desired(since, { signal: parts.signal })
        if (failures > 0) parts.log.info('control answers again', { failures })
        failures = 0
        if (answer === null || parts.signal.aborted) continue
        since = answer.revision
        current = answer
        parts.onChange()
      } catch (err) {
        if (parts.signal.aborted) return
        if (isFinal(err)) return parts.onEnd(err)
        if (failures++ === 0) parts.log.warn('control does not answer; workspaces live on', { err })
        since = nothing
        await parts.clock.sleep(jittered(backoffMs(failures, reachBounds), parts.random()), parts)
      }
    }
  }
  poll().catch((err: unknown) => {
    if (!parts.signal.aborted) parts.onEnd(err instanceof Error ? err : new Error(String(err)))
  })
  return { current: () => current }
}

/** True when a newer process of this agent has taken over. */
export function isFinal(err: unknown): err is ApiError {
  return err instanceof ApiError && err.code === 'stale_epoch'
}
