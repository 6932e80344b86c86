/** Decides what to do next: desired and observed in, at most one action per workspace and a time to look again out. Pure. */
import type { EpochMs, Instance, WorkspaceId } from '@postern/plugin'
import type { Desired, DesiredEntry } from '../control/wire/index.ts'
import { subject, type Action, type Verb } from './action.ts'
import { backoffMs, retryBounds } from './backoff.ts'
import { byWorkspace, isTerminal, type Failure, type Failures } from './failures.ts'
import { entryId, goalOf, nextStep } from './step.ts'

/** The bounds of a plan. */
export interface PlanLimits {
  /** How long an instance that control doesn't know is left alone, counted from when it was first seen. */
  readonly orphanGraceMs: number
  /** Given to a program that is replaced or orphaned before it is forced. */
  readonly stopGraceMs: number
  /** A program that has run for so long has no failures behind it. */
  readonly stableMs: number
  /** Starts at once; a pull may take minutes, so stops and removals have slots of their own. */
  readonly maxStarts: number
  readonly maxEnds: number
}

export const defaultLimits: PlanLimits = {
  orphanGraceMs: 300_000,
  stopGraceMs: 10_000,
  stableMs: 60_000,
  maxStarts: 8,
  maxEnds: 8,
}

/** When each orphan was first seen as one. */
export type Orphans = ReadonlyMap<WorkspaceId, EpochMs>

export interface PlanInput {
  readonly desired: Desired | 'unknown'
  readonly observed: readonly Instance[] | 'unknown'
  readonly failures: Failures
  readonly orphans: Orphans
  /** What is at work; `unseen`: an action ended, and nobody has looked since. Both are left alone. */
  readonly inFlight: ReadonlyMap<WorkspaceId, Verb | 'unseen'>
  readonly now: EpochMs
  readonly limits: PlanLimits
}

export interface Plan {
  readonly actions: readonly Action[]
  /** When something falls due that no event will tell of; null: nothing does. */
  readonly wakeAt: EpochMs | null
}

const rank: Readonly<Record<Verb, number>> = { stop: 0, remove: 1, start: 2 }

/**
 * The actions that bring observed nearer to desired. When either is unknown, none. Order is stable: stops, removals,
 * starts; then by id. What finds no free slot waits for an action to end.
 */
export function plan(input: PlanInput): Plan {
  const { desired, observed, now, limits } = input
  if (desired === 'unknown' || observed === 'unknown') return { actions: [], wakeAt: null }
  const entries = new Map(desired.workspaces.map((entry) => [entryId(entry), entry]))
  const there = byWorkspace(observed)
  const due: Action[] = []
  let wakeAt: EpochMs | null = null
  for (const id of new Set([...entries.keys(), ...there.keys()])) {
    if (input.inFlight.has(id)) continue
    const entry = entries.get(id)
    const failure = input.failures.get(id)
    const action = nextStep(id, entry, there.get(id) ?? [], failure, limits.stopGraceMs)
    if (action === null) continue
    const at = Math.max(dueAt(action, failure, now), entry === undefined ? orphanDueAt(id, input) : 0)
    if (at <= now) due.push(action)
    else if (at !== Infinity) wakeAt = Math.min(wakeAt ?? at, at)
  }
  return { actions: withinSlots(due.sort(byOrder), input), wakeAt }
}

/** When an action may be tried, given what failed for its goal before; Infinity: not before the goal changes. */
export function dueAt(action: Action, failure: Failure | undefined, now: EpochMs): EpochMs {
  if (failure === undefined || failure.goal !== action.goal || failure.settledAtMs !== null) return now
  if (!isTerminal(failure.code)) return failure.atMs + backoffMs(failure.count)
  // A stop or a removal is never given up: what forbade it may have been mended on the host.
  return action.goal.startsWith('run@') ? Infinity : failure.atMs + retryBounds.maxMs
}

/**
 * The table of orphans after a look or a new set: new ones from `now` on, known ones since when they were, others no
 * more. While the runtime can't be read, it only gets shorter.
 */
export function orphansAfter(
  orphans: Orphans,
  desired: Desired,
  observed: readonly Instance[] | 'unknown',
  now: EpochMs,
): Orphans {
  const wanted = new Set(desired.workspaces.map(entryId))
  if (observed === 'unknown') return new Map([...orphans].filter(([id]) => !wanted.has(id)))
  const next = new Map<WorkspaceId, EpochMs>()
  for (const { workspaceId, state } of observed) {
    if (state === 'retained' || wanted.has(workspaceId)) continue
    next.set(workspaceId, orphans.get(workspaceId) ?? now)
  }
  return next
}

/** Starts in flight that nobody wants any more: a stop must not wait for a long pull. */
export function superseded(
  desired: Desired | 'unknown',
  inFlight: ReadonlyMap<WorkspaceId, Action>,
): WorkspaceId[] {
  if (desired === 'unknown') return []
  const entries = new Map<WorkspaceId, DesiredEntry>(desired.workspaces.map((e) => [entryId(e), e]))
  return [...inFlight]
    .filter(([id, action]) => action.do === 'start' && goalOf(entries.get(id)) !== action.goal)
    .map(([id]) => id)
}

function orphanDueAt(id: WorkspaceId, input: PlanInput): EpochMs {
  return (input.orphans.get(id) ?? input.now) + input.limits.orphanGraceMs
}

function byOrder(a: Action, b: Action): number {
  const byVerb = rank[a.do] - rank[b.do]
  if (byVerb !== 0) return byVerb
  return subject(a) < subject(b) ? -1 : 1
}

function withinSlots(due: readonly Action[], input: PlanInput): Action[] {
  const verbs = [...input.inFlight.values()]
  let starts = input.limits.maxStarts - verbs.filter((verb) => verb === 'start').length
  let ends = input.limits.maxEnds - verbs.filter((verb) => verb === 'stop' || verb === 'remove').length
  return due.filter((action) => (action.do === 'start' ? starts-- > 0 : ends-- > 0))
}
