/**
 * What the agent remembers between rounds: looks, desired sets and outcomes in; the inputs of the next plan out.
 * All of it may be lost: a new process reads the truth from the runtime again.
 */
import type { EpochMs, Instance, WorkspaceId } from '@postern/plugin'
import type { Desired } from '../control/wire/index.ts'
import { subject, type Action } from './action.ts'
import { afterDesired, afterObserved, afterOutcome, type Failures, type Outcome } from './failures.ts'
import type { Work } from './report.ts'
import { orphansAfter, type Orphans, type PlanLimits } from './plan.ts'

type Seen = readonly Instance[] | 'unknown'

export interface Memory {
  /** `unknown` while the runtime can't be read. */
  readonly observed: Seen
  readonly failures: Failures
  readonly orphans: Orphans
  /** Workspaces whose last action has ended and was not looked at since: told as if it were at work still. */
  readonly unseen: ReadonlyMap<WorkspaceId, Work>
  /** Incarnation → since when it runs, as far as this process knows. */
  readonly runningSince: ReadonlyMap<string, EpochMs>
  /** What was there at the last look that succeeded. */
  instances(id: WorkspaceId): readonly Instance[]
  /** Numbers the looks, so that one that began before an action ended is not believed about its workspace. */
  lookBegins(): number
  looked(seen: Seen, began: number, desired: Desired | 'unknown', inFlight: ReadonlySet<WorkspaceId>): void
  wanted(desired: Desired): void
  ended(action: Action, outcome: Outcome): void
}

/** An empty memory: nothing has been seen. */
export function createMemory(now: () => EpochMs, limits: PlanLimits): Memory {
  let observed: Seen = 'unknown'
  let last: Seen = 'unknown'
  let failures: Failures = new Map()
  let orphans: Orphans = new Map()
  let looks = 0
  const unseen = new Map<WorkspaceId, Work>()
  const endedDuring = new Map<WorkspaceId, number>()
  let runningSince: ReadonlyMap<string, EpochMs> = new Map()

  return {
    get observed() {
      return observed
    },
    get failures() {
      return failures
    },
    get orphans() {
      return orphans
    },
    get runningSince() {
      return runningSince
    },
    unseen,
    instances: (id) => (last === 'unknown' ? [] : last.filter((each) => each.workspaceId === id)),
    lookBegins: () => (looks += 1),

    looked(seen, began, desired, inFlight) {
      if (seen === 'unknown') {
        observed = 'unknown'
        return
      }
      for (const [id, during] of endedDuring) {
        if (during >= began) continue
        endedDuring.delete(id)
        unseen.delete(id)
      }
      const busy = new Set([...inFlight, ...endedDuring.keys()])
      const before = last
      const kept = before === 'unknown' ? seen : before
      last = [
        ...seen.filter((each) => !busy.has(each.workspaceId)),
        ...kept.filter((each) => busy.has(each.workspaceId)),
      ]
      runningSince = since(runningSince, last, before === 'unknown' ? null : now())
      observed = last
      if (desired === 'unknown') return
      const sight = { desired, observed, before, busy, now: now(), stableMs: limits.stableMs }
      failures = afterObserved(failures, sight)
      orphans = orphansAfter(orphans, desired, observed, now())
    },

    wanted(desired) {
      failures = afterDesired(failures, desired)
      orphans = orphansAfter(orphans, desired, observed, now())
    },

    ended(action, outcome) {
      const id = subject(action)
      failures = afterOutcome(failures, action, outcome, now())
      endedDuring.set(id, looks)
      const hasFailed = !outcome.ok && !outcome.cancelled
      unseen.set(id, { verb: action.do, progress: null, hasFailed })
      if (!outcome.ok || outcome.instance === null || last === 'unknown') return
      // The runtime's own answer is as good as a look, so that nobody waits for one.
      last = [...last.filter((each) => each.workspaceId !== id), outcome.instance]
      runningSince = since(runningSince, last, now())
      if (observed === 'unknown') return
      observed = last
      if (outcome.instance.state === 'running') unseen.delete(id)
    },
  }
}

/** Since when each incarnation runs: known ones as they were, new ones `now`, or since they were made when met at first. */
function since(
  known: ReadonlyMap<string, EpochMs>,
  instances: readonly Instance[],
  now: EpochMs | null,
): ReadonlyMap<string, EpochMs> {
  const running = instances.filter((each) => each.state === 'running')
  return new Map(
    running.map((each) => [each.incarnation, known.get(each.incarnation) ?? now ?? each.createdAtMs]),
  )
}
