/** What went wrong, as data: outcomes and observations in, the next table of failures out. Pure. */
import type { EpochMs, Exit, Instance, RuntimeCode, WorkspaceId } from '@postern/plugin'
import { runtimeCodes } from '@postern/plugin'
import type { Desired, DesiredEntry } from '../control/wire/index.ts'
import { subject, type Action, type Goal, type Verb } from './action.ts'
import { entryId, goalOf, isLive, nextStep } from './step.ts'

/** `exited`, `vanished`: seen on the instance; `no_effect`: a verb succeeded and changed nothing. */
export type Trouble = RuntimeCode | 'exited' | 'vanished' | 'no_effect'

/** What happened for one goal of one workspace. Forgotten when the goal changes, or has held for `stableMs`. */
export interface Failure {
  readonly goal: Goal
  readonly code: Trouble
  /** In a row; 0: nothing failed, only `did` is noted. */
  readonly count: number
  readonly atMs: EpochMs
  readonly message: string
  /** How the program ended last, where that is known. */
  readonly exit: Exit | null
  /** The last verb that succeeded for the goal. */
  readonly did: Verb | null
  /** When that was, if nothing failed since: the trouble is over unless it comes again soon. */
  readonly settledAtMs: EpochMs | null
}

const goneMessage = 'it was removed from outside'

export type Failures = ReadonlyMap<WorkspaceId, Failure>

/** How an executed action ended. */
export type Outcome =
  | { readonly ok: true; readonly instance: Instance | null }
  | { readonly ok: false; readonly cancelled: true }
  | { readonly ok: false; readonly cancelled: false; readonly code: RuntimeCode; readonly message: string }

/** True for codes that don't mend themselves: a new goal must come first. */
export function isTerminal(code: Trouble): boolean {
  return code in runtimeCodes && !runtimeCodes[code as RuntimeCode].retryable
}

/** The table after an action ended; a cancelled one leaves it as it is. */
export function afterOutcome(failures: Failures, action: Action, outcome: Outcome, now: EpochMs): Failures {
  if (!outcome.ok && outcome.cancelled) return failures
  const id = subject(action)
  const had = failures.get(id)
  const prior = had?.goal === action.goal ? had : undefined
  const next = new Map(failures)
  if (outcome.ok) {
    const base = prior ?? blank(action.goal, now)
    next.set(id, { ...base, did: action.do, settledAtMs: now })
    return next
  }
  const goesOn = prior !== undefined && (prior.settledAtMs === null || prior.code === 'exited')
  next.set(id, {
    ...(prior ?? blank(action.goal, now)),
    code: outcome.code,
    count: (goesOn ? prior.count : 0) + 1,
    atMs: now,
    message: outcome.message,
    settledAtMs: null,
  })
  return next
}

/**
 * The table after a new desired set: what failed for another goal is forgotten, so that a new wish is tried at once.
 * Ends that we brought about are kept, since the next look must not take them for the program's own.
 */
export function afterDesired(failures: Failures, desired: Desired): Failures {
  const goals = new Map(desired.workspaces.map((entry) => [entryId(entry), goalOf(entry)]))
  return new Map(
    [...failures].filter(
      ([id, failure]) => failure.goal === (goals.get(id) ?? 'orphan') || isOurEnd(failure),
    ),
  )
}

function isOurEnd(failure: Failure): boolean {
  return failure.settledAtMs !== null && (failure.did === 'stop' || failure.did === 'remove')
}

/** What `afterObserved` looks at; `before` is the observation before this one. */
export interface Sight {
  readonly desired: Desired
  readonly observed: readonly Instance[]
  readonly before: readonly Instance[] | 'unknown'
  /** Workspaces that nothing is inferred for now: an action is at work on them, or ended since the look began. */
  readonly busy: ReadonlySet<WorkspaceId>
  readonly now: EpochMs
  readonly stableMs: number
}

/** The table after a look at the runtime: programs that ended or vanished are noted, what is over is forgotten. */
export function afterObserved(failures: Failures, sight: Sight): Failures {
  const there = byWorkspace(sight.observed)
  const before = sight.before === 'unknown' ? 'unknown' : byWorkspace(sight.before)
  const entries = new Map(sight.desired.workspaces.map((entry) => [entryId(entry), entry]))
  const next = new Map<WorkspaceId, Failure>()
  for (const id of new Set([...failures.keys(), ...entries.keys()])) {
    const entry = entries.get(id)
    const had = failures.get(id)
    const known = had?.goal === goalOf(entry) ? had : undefined
    const was = before === 'unknown' ? 'unknown' : (before.get(id) ?? [])
    // An end that we brought about for another goal is no news for this one.
    const ours = known === undefined && had !== undefined && isOurEnd(had)
    const failure =
      ours || sight.busy.has(id) ? known : noted(id, entry, known, there.get(id) ?? [], was, sight)
    if (failure !== undefined) next.set(id, failure)
  }
  return next
}

/** Instances grouped by workspace. */
export function byWorkspace(instances: readonly Instance[]): Map<WorkspaceId, Instance[]> {
  const groups = new Map<WorkspaceId, Instance[]>()
  for (const instance of instances) {
    const group = groups.get(instance.workspaceId)
    if (group === undefined) groups.set(instance.workspaceId, [instance])
    else group.push(instance)
  }
  return groups
}

function noted(
  id: WorkspaceId,
  entry: DesiredEntry | undefined,
  known: Failure | undefined,
  there: readonly Instance[],
  was: readonly Instance[] | 'unknown',
  sight: Sight,
): Failure | undefined {
  const step = nextStep(id, entry, there, known, 0)
  if (entry?.want === 'running') {
    if (step === null) return steady(known, sight)
    const end = endOf(step, known, endedOf(there, entry.spec.generation), was, sight)
    if (end !== null) return end
  } else if (step === null) return undefined
  if (known === undefined || known.settledAtMs === null || known.did !== step.do) return known
  return again(known, 'no_effect', `${step.do} succeeded and changed nothing`, sight)
}

/** The end of a program that should run, if it is one that we had not noted and did not bring about; else null. */
function endOf(
  step: Action,
  known: Failure | undefined,
  ended: Instance | null,
  was: readonly Instance[] | 'unknown',
  sight: Sight,
): Failure | null {
  const isNoted = known !== undefined && known.settledAtMs === null
  if (isNoted) {
    const isGone = known.code === 'exited' && ended === null
    return isGone ? { ...known, code: 'vanished', message: goneMessage } : null
  }
  if (known !== undefined && known.did !== 'start') return null
  if (ended !== null) return isNews(known, ended, was) ? exited(step.goal, known, ended, sight) : null
  if (step.do !== 'start') return null
  // Helpers may be left of what ran, which then looks like a start that was cut short.
  const ran = was !== 'unknown' && was.some((each) => each.state === 'running')
  if (!ran && (known === undefined || step.why === 'unfinished')) return null
  return again(known ?? blank(step.goal, sight.now), 'vanished', goneMessage, sight)
}

/** A program that runs as wanted: its failures are kept until it has run for long enough. */
function steady(known: Failure | undefined, sight: Sight): Failure | undefined {
  if (known === undefined) return undefined
  const since = known.settledAtMs ?? sight.now
  if (sight.now - since >= sight.stableMs) return undefined
  return known.settledAtMs === null ? { ...known, did: 'start', settledAtMs: since } : known
}

function endedOf(there: readonly Instance[], generation: number): Instance | null {
  const made = there.filter((instance) => instance.state !== 'retained')
  const one = made.length === 1 ? made[0] : undefined
  if (one === undefined || one.generation !== generation) return null
  return one.state === 'stopped' || one.state === 'failed' ? one : null
}

/** An end counts when we started it, saw it live before, or meet it failed for the first time; not after our own stop. */
function isNews(known: Failure | undefined, ended: Instance, was: readonly Instance[] | 'unknown'): boolean {
  if (known !== undefined) return true
  if (was === 'unknown' || was.length === 0) return ended.state === 'failed'
  return was.some(isLive)
}

function exited(goal: Goal, known: Failure | undefined, ended: Instance, sight: Sight): Failure {
  const base = { ...(known ?? blank(goal, sight.now)), exit: ended.exit ?? null }
  return again(base, 'exited', exitMessage(ended.exit), sight)
}

/** One sentence on how a program ended. */
export function exitMessage(exit: Exit | undefined | null): string {
  if (exit === undefined || exit === null || exit.code === null) return 'the program ended'
  return exit.oom ? 'the program ran out of memory' : `the program ended with code ${exit.code}`
}

/** Counts on, unless it had held for `stableMs` before. */
function again(known: Failure, code: Trouble, message: string, sight: Sight): Failure {
  const endedAtMs = code === 'exited' ? Math.min(known.exit?.atMs ?? sight.now, sight.now) : sight.now
  const held = known.settledAtMs !== null && endedAtMs - known.settledAtMs >= sight.stableMs
  return { ...known, code, message, count: (held ? 0 : known.count) + 1, atMs: sight.now, settledAtMs: null }
}

function blank(goal: Goal, now: EpochMs): Failure {
  return {
    goal,
    code: 'no_effect',
    count: 0,
    atMs: now,
    message: '',
    exit: null,
    did: null,
    settledAtMs: null,
  }
}
