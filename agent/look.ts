/** Looks at the runtime: hints, time and requests in, whole observations out. A hint is a reason to look, never a fact. */
import type { Health, Instance, Logger, Runtime, WorkspaceId } from '@postern/plugin'
import { backoffMs, jittered, reachBounds } from './backoff.ts'
import { createBell } from './bell.ts'
import { withDeadline } from './deadline.ts'
import type { Clock } from './seams.ts'

export interface LookerParts {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
  readonly signal: AbortSignal
  /** Look at least so often. */
  readonly resyncMs: number
  /** Called when a look begins; what it gives is passed on with the result. */
  readonly onBegin: () => number
  readonly onSeen: (seen: readonly Instance[] | 'unknown', began: number) => void
  readonly onHealth: (health: Health) => void
  /** False: the hint tells nothing new. */
  readonly heeds: (id: WorkspaceId | '*') => boolean
}

export interface Looker {
  /** Look soon; many requests make one look. */
  request(): void
}

const listMs = 20_000
/**
 * After a hint, look again so much later: an engine may tell of a change before its own list shows it (Docker tells
 * `die` before it has cleaned up and saved the container's state).
 */
const echoesMs = [300, 1_300]
const healthMs = 10_000

/** Looks until aborted: at once, on request, on a hint, and by resync; more slowly while the runtime doesn't answer. */
export function startLooker(parts: LookerParts): Looker {
  const { clock, signal, log } = parts
  const bell = createBell(clock, signal)
  const request = (): void => bell.ring()
  let hintedMs = -Infinity
  const restMs = (lookedMs: number): number => {
    const echo = echoesMs.map((ms) => hintedMs + ms).find((at) => at > lookedMs)
    return echo === undefined ? parts.resyncMs : Math.max(0, echo - clock.now())
  }

  const looks = async (): Promise<void> => {
    let failures = 0
    for (;;) {
      signal.throwIfAborted()
      const began = parts.onBegin()
      const startedMs = clock.now()
      const seen = await observe(parts, failures)
      const endedMs = clock.now()
      const tookMs = endedMs - startedMs
      failures = seen === 'unknown' ? failures + 1 : 0
      parts.onSeen(seen, began)
      if (seen === 'unknown') {
        parts.onHealth(await healthOf(parts))
        await clock.sleep(jittered(backoffMs(failures, reachBounds), parts.random()), { signal })
      } else {
        await bell.wait(restMs(startedMs))
        // Looks take at most half of the runtime's time, however many hints come.
        const spare = Math.min(tookMs, 1_000) - (clock.now() - endedMs)
        if (spare > 0) await clock.sleep(spare, { signal })
      }
    }
  }
  const healths = async (): Promise<void> => {
    for (;;) {
      parts.onHealth(await healthOf(parts))
      await clock.sleep(parts.resyncMs, { signal })
    }
  }
  const run = (what: Promise<void>): void => {
    what.catch((err: unknown) => {
      if (!signal.aborted) log.error('the agent no longer looks at its runtime', { err })
    })
  }
  run(looks())
  run(healths())
  if (parts.runtime.watch !== undefined) {
    run(
      hints(parts, () => {
        hintedMs = clock.now()
        request()
      }),
    )
  }
  return { request }
}

async function observe(parts: LookerParts, failures: number): Promise<readonly Instance[] | 'unknown'> {
  const { clock, signal, log, runtime } = parts
  try {
    const seen = await withDeadline(clock, { ms: listMs, signal }, (inner) => runtime.list({ signal: inner }))
    if (failures > 0) log.info('the runtime answers again', { failures })
    return seen
  } catch (err) {
    signal.throwIfAborted()
    if (failures === 0) log.warn('the runtime cannot be read; nothing is inferred', { err })
    return 'unknown'
  }
}

async function healthOf({ clock, signal, runtime }: LookerParts): Promise<Health> {
  try {
    return await withDeadline(clock, { ms: healthMs, signal }, (inner) => runtime.health({ signal: inner }))
  } catch (err) {
    signal.throwIfAborted()
    return { status: 'unhealthy', message: err instanceof Error ? err.message : String(err) }
  }
}

/** Follows the runtime's hints; a stream that ends is opened again, and all is looked at since some may be lost. */
async function hints(parts: LookerParts, hint: () => void): Promise<void> {
  const { clock, signal, log, runtime } = parts
  let failures = 0
  for (;;) {
    signal.throwIfAborted()
    try {
      for await (const id of runtime.watch?.({ signal }) ?? []) {
        failures = 0
        if (parts.heeds(id)) hint()
      }
      failures += 1
    } catch (err) {
      signal.throwIfAborted()
      if (failures++ === 0) log.warn('no hints from the runtime; it is looked at by time', { err })
    }
    hint()
    await clock.sleep(jittered(backoffMs(failures, reachBounds), parts.random()), { signal })
    hint()
  }
}
