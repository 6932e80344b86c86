/**
 * The reconcile loop: desired sets, hints and time in; plugin calls and reports out. What to do is decided by `plan`,
 * on four occasions that all do the same: a new desired set, a look at the runtime, an action that ended, and the
 * plan's own `wakeAt`.
 */
import type { EpochMs, Health, Instance, Logger, Progress, Runtime, WorkspaceId } from '@postern/plugin'
import type { AgentControl, Desired } from '../control/wire/index.ts'
import { print, subject, type Action, type Verb } from './action.ts'
import { createBell } from './bell.ts'
import { followDesired, type DesiredFeed } from './desired.ts'
import { execute } from './execute/index.ts'
import type { Outcome } from './failures.ts'
import { startLooker } from './look.ts'
import { createMemory } from './memory.ts'
import { plan, superseded, type PlanLimits } from './plan.ts'
import { statuses, type Work } from './report.ts'
import { startReporter, type Reporter } from './reporter.ts'
import type { Clock } from './seams.ts'

export interface LoopParts {
  readonly control: AgentControl
  readonly runtime: Runtime
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
  readonly limits: PlanLimits
  readonly heartbeatMs: () => number
  /** Called when the loop must end for good. */
  readonly onEnd: (err: Error) => void
}

export interface Loop {
  /** Asks control for desired state and reports, from now on; before that nothing is done. */
  follow(): void
  /** What was last seen of a workspace. */
  instances(id: WorkspaceId): readonly Instance[]
  /** Ends all waits and actions; resolves when the last action has settled. Workspaces live on. */
  close(): Promise<void>
}

interface Job {
  readonly action: Action
  readonly abort: AbortController
  readonly done: Promise<void>
  progress: Progress | null
}

const resyncMs = 30_000
/** Steps of a pull are told at most so often. */
const progressMs = 500

/** Starts the loop; it looks at the runtime at once. */
export function startLoop(parts: LoopParts): Loop {
  const { clock, runtime, log, limits } = parts
  const ending = new AbortController()
  const signal = ending.signal
  const alarm = createBell(clock, signal)
  const memory = createMemory(() => clock.now(), limits)
  const jobs = new Map<WorkspaceId, Job>()
  let health: Health = { status: 'undetected', message: 'not looked at yet' }
  let wakeAt: EpochMs | null = null
  let toldMs = 0
  let feed: DesiredFeed | null = null
  let reporter: Reporter | null = null
  const desired = (): Desired | 'unknown' => feed?.current() ?? 'unknown'

  const decide = (): void => {
    if (signal.aborted) return
    const actions = new Map([...jobs].map(([id, job]) => [id, job.action]))
    for (const id of superseded(desired(), actions)) jobs.get(id)?.abort.abort(new Error('superseded'))
    const inFlight = new Map<WorkspaceId, Verb | 'unseen'>(
      [...memory.unseen.keys()].map((id) => [id, 'unseen']),
    )
    for (const [id, action] of actions) inFlight.set(id, action.do)
    const { observed, failures, orphans } = memory
    const next = plan({
      desired: desired(),
      observed,
      failures,
      orphans,
      inFlight,
      now: clock.now(),
      limits,
    })
    for (const action of next.actions) launch(action)
    if (next.wakeAt !== wakeAt) {
      wakeAt = next.wakeAt
      alarm.ring()
    }
    tell()
  }

  const launch = (action: Action): void => {
    const id = subject(action)
    const abort = new AbortController()
    log.info('acting', { workspaceId: id, action: print(action) })
    const onProgress = (progress: Progress): void => {
      const job = jobs.get(id)
      if (job?.action !== action) return
      const isNewStep = job.progress?.step !== progress.step
      job.progress = progress
      if (isNewStep || clock.now() - toldMs >= progressMs) tell()
    }
    const outcome = execute(action, { runtime, clock, log, signal: abort.signal, onProgress })
    jobs.set(id, { action, abort, progress: null, done: outcome.then((result) => finish(action, result)) })
  }

  const finish = (action: Action, outcome: Outcome): void => {
    const id = subject(action)
    jobs.delete(id)
    memory.ended(action, outcome)
    if (!outcome.ok && !outcome.cancelled) {
      const { code, message: reason } = outcome
      log.warn('an action failed', { workspaceId: id, action: print(action), code, reason })
    }
    looker.request()
    decide()
  }

  const tell = (): void => {
    if (reporter === null) return
    toldMs = clock.now()
    const work = new Map<WorkspaceId, Work>()
    for (const [id, verb] of memory.unseen) if (verb !== null) work.set(id, { verb, progress: null })
    for (const [id, job] of jobs) work.set(id, { verb: job.action.do, progress: job.progress })
    const { observed, failures, runningSince } = memory
    const set = desired()
    reporter.offer({
      revision: set === 'unknown' ? 0 : set.revision,
      observed: observed !== 'unknown',
      health: {
        status: health.status,
        message: health.message.slice(0, 500),
        warnings: (health.warnings ?? []).slice(0, 20).map((warning) => warning.slice(0, 500)),
      },
      workspaces: statuses({
        desired: set,
        observed,
        failures,
        inFlight: work,
        runningSince,
        now: toldMs,
        limits,
      }),
    })
  }

  const looker = startLooker({
    ...{ runtime, clock, log, signal, resyncMs, random: parts.random },
    onBegin: () => memory.lookBegins(),
    onSeen: (seen, began) => {
      memory.looked(seen, began, desired(), new Set(jobs.keys()))
      decide()
    },
    onHealth: (now) => {
      health = now
      tell()
    },
    heeds: (id) => id === '*' || !jobs.has(id),
  })

  const ring = async (): Promise<void> => {
    for (;;) {
      await alarm.wait(wakeAt === null ? resyncMs : Math.max(0, wakeAt - clock.now()))
      if (wakeAt === null || wakeAt > clock.now()) continue
      wakeAt = null
      decide()
    }
  }
  ring().catch((err: unknown) => {
    if (!signal.aborted) parts.onEnd(err instanceof Error ? err : new Error(String(err)))
  })

  return {
    follow() {
      if (feed !== null || signal.aborted) return
      const { control, random, onEnd } = parts
      const call = { control, clock, random, log, signal, onEnd }
      reporter = startReporter({ ...call, heartbeatMs: parts.heartbeatMs })
      feed = followDesired({
        ...call,
        onChange: () => {
          const set = desired()
          if (set !== 'unknown') memory.wanted(set)
          // What was last seen is good enough to act on at once: verbs ensure, and the look corrects.
          decide()
          looker.request()
        },
      })
      tell()
    },
    instances: (id) => memory.instances(id),
    async close() {
      ending.abort(new Error('the agent ends'))
      for (const job of jobs.values()) job.abort.abort(signal.reason)
      await Promise.all([...jobs.values()].map((job) => job.done))
    },
  }
}
