/** Random inputs of a plan, small enough that workspaces meet: desired sets, observations, failures, what is in flight. */
import fc from 'fast-check'
import type { Instance, InstanceState, RuntimeCode } from '@postern/plugin'
import { runtimeCodes } from '@postern/plugin'
import type { Desired, DesiredEntry } from '../../control/wire/index.ts'
import type { Goal, Verb } from '../../agent/action.ts'
import type { Failure, Trouble } from '../../agent/failures.ts'
import { entryId, goalOf } from '../../agent/step.ts'
import { defaultLimits, orphansAfter, type PlanInput } from '../../agent/plan.ts'

export const nowMs = 1_700_000_000_000
const ids = ['alpha001', 'beta0002', 'gamma003', 'delta004', 'epsilon5'] as const
/** Ids that only ever appear among the failures: of nobody's workspace. */
const strangers = ['stranger1', 'stranger2'] as const
const states: readonly InstanceState[] = ['starting', 'running', 'stopped', 'failed', 'retained']
const generation = fc.integer({ min: 1, max: 3 })

export function spec(
  id: string,
  generationNumber: number,
): Extract<DesiredEntry, { want: 'running' }>['spec'] {
  return { id, name: id, generation: generationNumber, env: [], ports: [] }
}

export function instance(workspaceId: string, over: Partial<Instance> = {}): Instance {
  return {
    workspaceId,
    generation: over.state === 'retained' ? 0 : 1,
    incarnation: `${workspaceId}-1`,
    state: 'running',
    createdAtMs: nowMs - 3_600_000,
    reach: { kind: 'none' },
    ...over,
  }
}

function entry(id: string): fc.Arbitrary<DesiredEntry> {
  return fc.oneof(
    generation.map((n): DesiredEntry => ({ want: 'running', spec: spec(id, n) })),
    fc.constant<DesiredEntry>({ want: 'stopped', id, graceMs: 5_000 }),
    fc
      .constantFrom('keep' as const, 'delete' as const)
      .map((data): DesiredEntry => ({ want: 'removed', id, data })),
  )
}

export const desiredSets: fc.Arbitrary<Desired> = fc
  .subarray([...ids])
  .chain((some) => fc.tuple(...some.map(entry)))
  .chain((workspaces) => fc.shuffledSubarray(workspaces, { minLength: workspaces.length }))
  .map((workspaces) => ({ revision: 7, workspaces }))

function observedOf(id: string): fc.Arbitrary<Instance> {
  return fc
    .tuple(fc.constantFrom(...states), generation)
    .map(([state, n]) =>
      instance(
        id,
        state === 'retained' ? { state, generation: 0, incarnation: '' } : { state, generation: n },
      ),
    )
}

/** At times two instances claim one workspace. */
export const observations: fc.Arbitrary<Instance[]> = fc
  .tuple(
    fc.subarray([...ids]).chain((some) => fc.tuple(...some.map(observedOf))),
    fc.array(fc.constantFrom(...ids).chain(observedOf), { maxLength: 1 }),
  )
  .chain(([once, twice]) =>
    fc.shuffledSubarray([...once, ...twice], { minLength: once.length + twice.length }),
  )

const troubles: readonly Trouble[] = [
  ...(Object.keys(runtimeCodes) as RuntimeCode[]),
  'exited',
  'vanished',
  'no_effect',
]
const goals: readonly Goal[] = ['run@1', 'run@2', 'run@3', 'stop', 'keep', 'delete', 'orphan']

const failure: fc.Arbitrary<Failure> = fc.record({
  goal: fc.constantFrom(...goals),
  code: fc.constantFrom(...troubles),
  count: fc.integer({ min: 1, max: 14 }),
  atMs: fc.integer({ min: nowMs - 400_000, max: nowMs }),
  message: fc.constant('it went wrong'),
  exit: fc.constant(null),
  did: fc.constantFrom<Verb | null>(null, 'start', 'stop', 'remove'),
  settledAtMs: fc.option(fc.integer({ min: nowMs - 100_000, max: nowMs }), { freq: 1 }),
})

/** Most failures are of the goal that is wanted now. */
const failures = fc.array(fc.tuple(fc.constantFrom(...ids, ...strangers), failure, fc.nat(3)), {
  maxLength: 6,
})

function fitting(
  pairs: readonly (readonly [string, Failure, number])[],
  desired: Desired,
): Map<string, Failure> {
  const entries = new Map(desired.workspaces.map((each) => [entryId(each), each]))
  return new Map(
    pairs.map(([id, one, fits]) => [id, fits === 0 ? one : { ...one, goal: goalOf(entries.get(id)) }]),
  )
}

const inFlight = fc
  .array(
    fc.tuple(fc.constantFrom(...ids), fc.constantFrom<Verb | 'unseen'>('start', 'stop', 'remove', 'unseen')),
    {
      maxLength: 2,
    },
  )
  .map((pairs) => new Map(pairs))

/** Inputs in which both sides are known. */
export const knownInputs = fc
  .record({
    desired: desiredSets,
    observed: observations,
    failures,
    inFlight,
    orphanAgeMs: fc.integer({ min: 0, max: 600_000 }),
    slots: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ desired, observed, orphanAgeMs, slots, failures: pairs, inFlight: flight }) => ({
    inFlight: flight,
    failures: fitting(pairs, desired),
    desired,
    observed,
    orphans: orphansAfter(new Map(), desired, observed, nowMs - orphanAgeMs),
    now: nowMs,
    limits: { ...defaultLimits, maxStarts: slots, maxEnds: slots },
  })) satisfies fc.Arbitrary<PlanInput>
