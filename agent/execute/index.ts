/** Carries out one action: plugin calls with a deadline in, the outcome as data out. It decides nothing. */
import type { Instance, Logger, Progress, Runtime, WorkspaceSpec } from '@postern/plugin'
import { RuntimeError } from '@postern/plugin'
import { subject, type Action } from '../action.ts'
import { withDeadline } from '../deadline.ts'
import type { Outcome } from '../failures.ts'
import type { Clock } from '../seams.ts'
import { remove } from './remove.ts'
import { start } from './start.ts'
import { stop } from './stop.ts'

/** A start may have to pull an image. */
const startMs = 30 * 60_000
/** Beyond the grace that a stop gives. */
const stopMs = 60_000
const removeMs = 2 * 60_000

/** What an execution needs; it calls one runtime verb. */
export interface Execution {
  readonly runtime: Runtime
  /** The spec as this host's owner lets it run. @throws RuntimeError where they don't */
  readonly lawful: (spec: WorkspaceSpec) => Promise<WorkspaceSpec>
  readonly clock: Clock
  readonly log: Logger
  /** Aborts the action; the outcome is then `cancelled`. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}

/** Carries the action out and never rejects. */
export async function execute(action: Action, execution: Execution): Promise<Outcome> {
  const { clock, signal, log } = execution
  try {
    const instance = await withDeadline(clock, { ms: deadlineMs(action), signal }, (inner) =>
      call(action, execution, inner),
    )
    return { ok: true, instance }
  } catch (err) {
    if (signal.aborted) return { ok: false, cancelled: true }
    if (RuntimeError.is(err)) {
      const message = err.fix === undefined ? err.message : `${err.message} (${err.fix})`
      return { ok: false, cancelled: false, code: err.code, message }
    }
    log.error('the plugin failed without a code', { workspaceId: subject(action), do: action.do, err })
    const message = err instanceof Error ? err.message : String(err)
    return { ok: false, cancelled: false, code: 'ERR_INTERNAL', message }
  }
}

function call(
  action: Action,
  { runtime, lawful, onProgress }: Execution,
  signal: AbortSignal,
): Promise<Instance | null> {
  switch (action.do) {
    case 'start':
      return start(runtime, action, { signal, lawful, onProgress })
    case 'stop':
      return stop(runtime, action, { signal })
    case 'remove':
      return remove(runtime, action, { signal })
  }
}

function deadlineMs(action: Action): number {
  switch (action.do) {
    case 'start':
      return startMs
    case 'stop':
      return action.graceMs + stopMs
    case 'remove':
      return removeMs
  }
}
