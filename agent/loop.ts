/**
 * The reconcile loop: desired sets, hints and time in; plugin calls and reports out. What to do is decided by `plan`,
 * on four occasions that all do the same: a new desired set, a look at the runtime, an action that ended, and the
 * plan's own `wakeAt`.
 */
import type { EpochMs, Health, Instance, Logger, Runtime, WorkspaceId, WorkspaceSpec } from '@postern/plugin'
import type { AgentControl, Desired } from '../control/wire/index.ts'
import { print, subject, type Action, type Verb } from './action.ts'
import { createBell, type Bell } from './bell.ts'
import { followDesired, type DesiredFeed } from './desired.ts'
import type { Outcome } from './failures.ts'
import { createJobs, type Jobs } from './jobs.ts'
import { startLooker, type Looker } from './look.ts'
import { createMemory, type Memory } from './memory.ts'
import { plan, superseded, type PlanLimits } from './plan.ts'
import { reportOf, type Work } from './report.ts'
import { startReporter, type Reporter } from './reporter.ts'
import type { Clock } from './seams.ts'

export interface LoopParts {
  readonly control: AgentControl
  readonly runtime: Runtime
  /** See `Execution`; default: every spec is. */
  readonly lawful?: (spec: WorkspaceSpec) => Promise<WorkspaceSpec>
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

const resyncMs = 30_000
/** Steps of a pull are told at most so often. */
const progressMs = 500

/** Starts the loop; it looks at the runtime at once. */
export function startLoop(parts: LoopParts): Loop {
  return new Reconciler(parts)
}

class Reconciler implements Loop {
  readonly #parts: LoopParts
  readonly #ending = new AbortController()
  readonly #alarm: Bell
  readonly #memory: Memory
  readonly #jobs: Jobs
  readonly #looker: Looker
  #health: Health = { status: 'undetected', message: 'not looked at yet' }
  #wakeAt: EpochMs | null = null
  #toldMs = 0
  #feed: DesiredFeed | null = null
  #reporter: Reporter | null = null

  constructor(parts: LoopParts) {
    const { clock, runtime, log, limits, random } = parts
    const { signal } = this.#ending
    this.#parts = parts
    this.#alarm = createBell(clock, signal)
    this.#memory = createMemory(() => clock.now(), limits)
    this.#jobs = createJobs({
      runtime,
      lawful: parts.lawful ?? ((spec) => Promise.resolve(spec)),
      clock,
      log,
      onEnd: (action, outcome) => this.#ended(action, outcome),
      onProgress: (isNewStep) => {
        if (isNewStep || clock.now() - this.#toldMs >= progressMs) this.#tell()
      },
    })
    this.#looker = startLooker({
      runtime,
      clock,
      log,
      signal,
      resyncMs,
      random,
      onBegin: () => this.#memory.lookBegins(),
      onSeen: (seen, began) => this.#seen(seen, began),
      onHealth: (health) => {
        this.#health = health
        this.#tell()
      },
      heeds: (id) => id === '*' || !this.#jobs.has(id),
    })
    this.#watchTime().catch((err: unknown) => {
      if (!signal.aborted) parts.onEnd(err instanceof Error ? err : new Error(String(err)))
    })
  }

  follow(): void {
    const { signal } = this.#ending
    if (this.#feed !== null || signal.aborted) return
    const { control, clock, random, log, onEnd, heartbeatMs } = this.#parts
    const call = { control, clock, random, log, signal, onEnd }
    this.#reporter = startReporter({ ...call, heartbeatMs })
    this.#feed = followDesired({ ...call, onChange: () => this.#wanted() })
    this.#tell()
  }

  instances(id: WorkspaceId): readonly Instance[] {
    return this.#memory.instances(id)
  }

  async close(): Promise<void> {
    const why = new Error('the agent ends')
    this.#ending.abort(why)
    await this.#jobs.close(why)
  }

  #desired(): Desired | 'unknown' {
    return this.#feed?.current() ?? 'unknown'
  }

  #wanted(): void {
    const desired = this.#desired()
    if (desired !== 'unknown') this.#memory.wanted(desired)
    // What was last seen is good enough to act on at once: verbs ensure, and the look corrects.
    this.#decide()
    this.#looker.request()
  }

  #seen(seen: readonly Instance[] | 'unknown', began: number): void {
    this.#memory.looked(seen, began, this.#desired(), new Set(this.#jobs.actions().keys()))
    this.#decide()
  }

  #ended(action: Action, outcome: Outcome): void {
    const id = subject(action)
    const before = this.#memory.failures.get(id)
    this.#memory.ended(action, outcome)
    if (!outcome.ok && !outcome.cancelled) {
      const { code, message: reason } = outcome
      const fields = { workspaceId: id, action: print(action), code, reason }
      // The same failure again is no news.
      if (before?.code === code && before.message === reason)
        this.#parts.log.debug('an action failed', fields)
      else this.#parts.log.warn('an action failed', fields)
    }
    this.#looker.request()
    this.#decide()
  }

  #decide(): void {
    if (this.#ending.signal.aborted) return
    const { clock, limits } = this.#parts
    const { observed, failures, orphans, unseen } = this.#memory
    const desired = this.#desired()
    const actions = this.#jobs.actions()
    for (const id of superseded(desired, actions)) this.#jobs.cancel(id, new Error('superseded'))
    const inFlight = new Map<WorkspaceId, Verb | 'unseen'>([...unseen.keys()].map((id) => [id, 'unseen']))
    for (const [id, action] of actions) inFlight.set(id, action.do)
    const next = plan({ desired, observed, failures, orphans, inFlight, now: clock.now(), limits })
    for (const action of next.actions) this.#jobs.launch(action)
    if (next.wakeAt !== this.#wakeAt) {
      this.#wakeAt = next.wakeAt
      this.#alarm.ring()
    }
    this.#tell()
  }

  #tell(): void {
    if (this.#reporter === null) return
    const { clock, limits } = this.#parts
    const { observed, failures, runningSince, unseen } = this.#memory
    const desired = this.#desired()
    const inFlight = new Map<WorkspaceId, Work>([...unseen, ...this.#jobs.work()])
    this.#toldMs = clock.now()
    const now = this.#toldMs
    this.#reporter.offer(
      reportOf({ desired, observed, failures, inFlight, runningSince, now, limits }, this.#health),
    )
  }

  /** Decides again when the plan said that something falls due. */
  async #watchTime(): Promise<void> {
    for (;;) {
      const now = this.#parts.clock.now()
      await this.#alarm.wait(this.#wakeAt === null ? resyncMs : Math.max(0, this.#wakeAt - now))
      if (this.#wakeAt === null || this.#wakeAt > this.#parts.clock.now()) continue
      this.#wakeAt = null
      this.#decide()
    }
  }
}
