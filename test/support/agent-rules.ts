/** The promises of a plan, each as a check that any planner can be put to: the real one passes, its mutants must not. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Instance, RuntimeCode } from '@postern/plugin'
import type { Desired, DesiredEntry } from '../../control/wire/index.ts'
import { print, subject, type Action } from '../../agent/action.ts'
import { backoffMs } from '../../agent/backoff.ts'
import { afterObserved, afterOutcome, isTerminal, type Failures, type Outcome } from '../../agent/failures.ts'
import { defaultLimits, orphansAfter, type Plan, type PlanInput } from '../../agent/plan.ts'
import { entryId, goalOf } from '../../agent/step.ts'
import { desiredSets, knownInputs, nowMs, observations } from './agent-arbitraries.ts'

export type Planner = (input: PlanInput) => Plan

export interface Rule {
  readonly name: string
  /** Throws, with a counter-example, when the planner breaks the rule. */
  check(planner: Planner): void
}

/** An input in which both sides are known. */
type Known = PlanInput & { readonly desired: Desired; readonly observed: readonly Instance[] }

function always(name: string, holds: (planner: Planner, input: Known) => void): Rule {
  return {
    name,
    check: (planner) =>
      fc.assert(
        fc.property(knownInputs, (input) => holds(planner, input)),
        { numRuns: 400, seed: 11 },
      ),
  }
}

const entryOf = (input: Known, id: string): DesiredEntry | undefined =>
  input.desired.workspaces.find((entry) => entryId(entry) === id)

/** What a runtime that obeys does with an action. */
export function obeyed(observed: readonly Instance[], action: Action): Instance[] {
  const id = subject(action)
  const others = observed.filter((each) => each.workspaceId !== id)
  const mine = observed.filter((each) => each.workspaceId === id)
  if (action.do === 'start') {
    const { generation } = action.spec
    const made: Instance = {
      workspaceId: id,
      generation,
      incarnation: `${id}-${generation}-new`,
      state: 'running',
      createdAtMs: nowMs,
      reach: { kind: 'none' },
    }
    return [...others, made]
  }
  if (action.do === 'stop') {
    return [
      ...others,
      ...mine.map((each) => (each.state === 'retained' ? each : { ...each, state: 'stopped' as const })),
    ]
  }
  const [first] = mine
  if (!action.keepData || first === undefined) return others
  return [...others, { ...first, generation: 0, incarnation: '', state: 'retained' }]
}

function assertReached(desired: Desired, observed: readonly Instance[]): void {
  for (const entry of desired.workspaces) {
    const made = observed.filter((each) => each.workspaceId === entryId(entry))
    const live = made.filter((each) => each.state === 'running' || each.state === 'starting')
    const generations = live.map((each) => each.generation)
    assert.deepEqual(generations, entry.want === 'running' ? [entry.spec.generation] : [])
    if (entry.want === 'removed') assert.ok(made.every((each) => each.state === 'retained'))
    if (entry.want === 'removed' && entry.data === 'delete') assert.deepEqual(made, [])
  }
}

const converges: Rule = {
  name: 'rounds that succeed end in the desired state, and the plan after that is empty',
  check: (planner) =>
    fc.assert(
      fc.property(desiredSets, observations, (desired, first) => {
        let observed: Instance[] = first
        const orphans = orphansAfter(new Map(), desired, observed, nowMs - defaultLimits.orphanGraceMs)
        const input = { desired, orphans, failures: new Map(), inFlight: new Map(), now: nowMs }
        for (let round = 0; round < 6; round += 1) {
          const { actions } = planner({ ...input, observed, limits: defaultLimits })
          for (const action of actions) observed = obeyed(observed, action)
        }
        const last = planner({ ...input, observed, limits: defaultLimits })
        assert.deepEqual(last.actions.map(print), [])
        assertReached(desired, observed)
      }),
      { numRuns: 300, seed: 11 },
    ),
}

/** What may come of an action: done, refused, done though its answer was lost, or done and then ended by itself. */
type Fate = { readonly kind: 'done' | 'refused' | 'lost' | 'ended'; readonly code: RuntimeCode }

const fates: fc.Arbitrary<Fate[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('done' as const, 'refused' as const, 'lost' as const, 'ended' as const),
    code: fc.constantFrom<RuntimeCode>('ERR_UNAVAILABLE', 'ERR_TIMEOUT', 'ERR_INTERNAL', 'ERR_CONFLICT'),
  }),
  { maxLength: 12 },
)

/** Runs rounds in virtual time until the planner has nothing more to do or wait for. */
function rounds(planner: Planner, desired: Desired, first: readonly Instance[], coming: Fate[]): Instance[] {
  const limits = defaultLimits
  let observed = [...first]
  let failures: Failures = new Map()
  let now = nowMs
  for (let round = 0; round < 200; round += 1) {
    const orphans = orphansAfter(new Map(), desired, observed, nowMs)
    const next = planner({ desired, observed, failures, orphans, inFlight: new Map(), now, limits })
    if (next.actions.length === 0 && next.wakeAt === null) return observed
    if (next.actions.length === 0) now = next.wakeAt ?? now
    const before = observed
    for (const action of next.actions) {
      const fate = coming.shift() ?? { kind: 'done', code: 'ERR_INTERNAL' }
      if (fate.kind !== 'refused') observed = obeyed(observed, action)
      const fails = fate.kind === 'refused' || fate.kind === 'lost'
      const outcome: Outcome = fails
        ? { ok: false, cancelled: false, code: fate.code, message: fate.kind }
        : { ok: true, instance: null }
      failures = afterOutcome(failures, action, outcome, now)
      if (fate.kind !== 'ended' || action.do !== 'start') continue
      const id = action.spec.id
      observed = observed.map((each) =>
        each.workspaceId === id ? { ...each, state: 'failed' as const } : each,
      )
    }
    failures = afterObserved(failures, { desired, observed, before, busy: new Set(), now, stableMs: 60_000 })
  }
  throw new Error('it never comes to rest')
}

const faults: Rule = {
  name: 'after any finite sequence of faults the desired state is reached',
  check: (planner) =>
    fc.assert(
      fc.property(desiredSets, observations, fates, (desired, first, coming) => {
        assertReached(desired, rounds(planner, desired, first, [...coming]))
      }),
      { numRuns: 400, seed: 11 },
    ),
}

const unknown: Rule = {
  name: 'unknown in, nothing out',
  check: (planner) =>
    fc.assert(
      fc.property(knownInputs, fc.constantFrom('desired', 'observed', 'both'), (input, which) => {
        const blind = {
          ...input,
          ...(which === 'observed' ? {} : { desired: 'unknown' as const }),
          ...(which === 'desired' ? {} : { observed: 'unknown' as const }),
        }
        assert.deepEqual(planner(blind), { actions: [], wakeAt: null })
      }),
      { numRuns: 200, seed: 11 },
    ),
}

const order: Rule = {
  name: 'the order of the input does not matter, and stops come before removals before starts',
  check: (planner) =>
    fc.assert(
      fc.property(knownInputs, (input) => {
        const { desired, observed } = input
        const turned = {
          ...input,
          desired: { ...desired, workspaces: desired.workspaces.toReversed() },
          failures: new Map([...input.failures].toReversed()),
          observed: observed.toReversed(),
        }
        const one = planner(input)
        const other = planner(turned)
        assert.deepEqual(one.actions.map(print), other.actions.map(print))
        assert.equal(one.wakeAt, other.wakeAt)
        const keys = one.actions.map((a) => `${['stop', 'remove', 'start'].indexOf(a.do)} ${subject(a)}`)
        assert.deepEqual(keys, keys.toSorted())
      }),
      { numRuns: 400, seed: 11 },
    ),
}

/** Every promise, in the order of the reference. */
export const rules = {
  converges,
  faults,
  single: always('never two actions for one workspace', (planner, input) => {
    const subjects = planner(input).actions.map(subject)
    assert.equal(new Set(subjects).size, subjects.length)
  }),
  foreign: always('never an action on what is neither desired nor ours', (planner, input) => {
    const ours = new Set([
      ...input.desired.workspaces.map(entryId),
      ...input.observed.map((each) => each.workspaceId),
    ])
    for (const action of planner(input).actions) assert.ok(ours.has(subject(action)), print(action))
  }),
  unknown,
  data: always('no data is deleted without an explicit removed and delete', (planner, input) => {
    for (const action of planner(input).actions) {
      if (action.do !== 'remove' || action.keepData) continue
      const entry = entryOf(input, subject(action))
      assert.ok(entry?.want === 'removed' && entry.data === 'delete', print(action))
    }
  }),
  grace: always(
    'an orphan is left alone within its grace, and what it retains for ever',
    (planner, input) => {
      for (const action of planner(input).actions) {
        const id = subject(action)
        if (entryOf(input, id) !== undefined) continue
        const since = input.orphans.get(id) ?? input.now
        assert.ok(input.now - since >= input.limits.orphanGraceMs, print(action))
        assert.ok(input.observed.some((each) => each.workspaceId === id && each.state !== 'retained'))
      }
    },
  ),
  order,
  inFlight: always('what is in flight is left alone', (planner, input) => {
    for (const action of planner(input).actions)
      assert.ok(!input.inFlight.has(subject(action)), print(action))
  }),
  slots: always('no more is at work than there are slots', (planner, input) => {
    const verbs = [...input.inFlight.values(), ...planner(input).actions.map((action) => action.do)]
    const before = [...input.inFlight.values()].filter((verb) => verb === 'start').length
    const starts = verbs.filter((verb) => verb === 'start').length
    assert.ok(starts <= Math.max(before, input.limits.maxStarts))
  }),
  backoff: always('nothing is tried again before its time', (planner, input) => {
    for (const action of planner(input).actions) {
      const failure = input.failures.get(subject(action))
      if (failure === undefined || failure.goal !== action.goal || failure.settledAtMs !== null) continue
      assert.ok(input.now - failure.atMs >= backoffMs(failure.count), print(action))
    }
  }),
  terminal: always('a terminal failure waits for a new goal', (planner, input) => {
    for (const action of planner(input).actions) {
      const failure = input.failures.get(subject(action))
      if (failure?.settledAtMs !== null || failure.goal !== action.goal) continue
      assert.ok(!(isTerminal(failure.code) && failure.goal.startsWith('run@')), print(action))
    }
  }),
  wake: always('wakeAt is in the future, and something is due then', (planner, input) => {
    const { wakeAt } = planner(input)
    if (wakeAt === null) {
      const muchLater = { ...input, now: input.now + 10_000_000 }
      const free = { maxStarts: 99, maxEnds: 99 }
      const later = planner({ ...muchLater, limits: { ...input.limits, ...free } }).actions.map(subject)
      const now = planner({ ...input, limits: { ...input.limits, ...free } }).actions.map(subject)
      assert.deepEqual(new Set(later), new Set(now), 'something falls due, and nobody will wake for it')
      return
    }
    assert.ok(wakeAt > input.now)
    const limits = { ...input.limits, maxStarts: 99, maxEnds: 99 }
    const before = planner({ ...input, limits }).actions.length
    assert.ok(planner({ ...input, limits, now: wakeAt }).actions.length > before)
  }),
  undisturbed: always('what is as wanted is not disturbed', (planner, input) => {
    for (const action of planner(input).actions) {
      const id = subject(action)
      const entry = entryOf(input, id)
      const made = input.observed.filter((each) => each.workspaceId === id)
      const [one] = made
      if (entry?.want !== 'running' || made.length !== 1 || one === undefined) continue
      const isAsWanted = one.state === 'running' && one.generation === entry.spec.generation
      assert.ok(!isAsWanted, print(action))
    }
  }),
  goal: always('an action serves what is wanted now', (planner, input) => {
    for (const action of planner(input).actions) {
      assert.equal(action.goal, goalOf(entryOf(input, subject(action))))
    }
  }),
} satisfies Record<string, Rule>
