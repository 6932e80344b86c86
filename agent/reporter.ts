/** Sends reports: the latest state in; one call at a time out, at once on change and by heartbeat. */
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from '@postern/plugin'
import type { AgentControl, Report } from '../control/wire/index.ts'
import { backoffMs, jittered, reachBounds } from './backoff.ts'
import { createBell } from './bell.ts'
import { isFinal } from './desired.ts'
import type { Clock } from './seams.ts'

export interface Reporter {
  /** Takes the whole state; it is sent at once if it differs from what control has. */
  offer(report: Report): void
}

export interface ReporterParts {
  readonly control: AgentControl
  readonly clock: Clock
  readonly random: () => number
  readonly heartbeatMs: () => number
  readonly log: Logger
  readonly signal: AbortSignal
  readonly onEnd: (err: Error) => void
}

/** Reports until aborted; a lost report costs latency only, since the next one is whole again. */
export function startReporter(parts: ReporterParts): Reporter {
  let latest: Report | null = null
  let sent: Report | null = null
  const bell = createBell(parts.clock, parts.signal)
  const isNews = (): boolean => latest !== null && !isDeepStrictEqual(latest, sent)

  const send = async (): Promise<void> => {
    let failures = 0
    while (!parts.signal.aborted) {
      const report = latest
      if (report === null) {
        await bell.wait(parts.heartbeatMs())
        continue
      }
      try {
        await parts.control.report(report, { signal: parts.signal })
        failures = 0
        sent = report
        if (!isNews()) await bell.wait(parts.heartbeatMs())
      } catch (err) {
        if (parts.signal.aborted) return
        if (isFinal(err)) return parts.onEnd(err)
        if (failures++ === 0) parts.log.warn('a report did not reach control', { err })
        sent = null
        await parts.clock.sleep(jittered(backoffMs(failures, reachBounds), parts.random()), parts)
      }
    }
  }
  send().catch((err: unknown) => {
    if (!parts.signal.aborted) parts.onEnd(err instanceof Error ? err : new Error(String(err)))
  })

  return {
    offer(report) {
      latest = report
      if (isNews()) bell.ring()
    },
  }
}
