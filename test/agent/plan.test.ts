/** The promises of `plan`: held by the real one, each broken by a planted mutant, which its rule must catch. */
import t from 'tap'
import type { Action } from '../../agent/action.ts'
import { print, subject } from '../../agent/action.ts'
import { defaultLimits, plan, superseded, type PlanInput } from '../../agent/plan.ts'
import { instance, nowMs, spec } from '../support/agent-arbitraries.ts'
import { rules, type Planner } from '../support/agent-rules.ts'

const stop = (id: string): Action => ({ do: 'stop', goal: 'stop', id, graceMs: 1, why: 'not-wanted' })

/** One planted mistake a rule, as a programmer might make it. */
const mutants: Readonly<Record<keyof typeof rules, Planner>> = {
  converges: (input) => {
    const replaced = (action: Action): boolean =>
      action.do !== 'remove' || action.why !== 'generation-changed'
    const { actions, wakeAt } = plan(input)
    return { actions: actions.filter(replaced), wakeAt }
  },
  faults: (input) => {
    const final = [...input.failures].map(([id, f]) => [id, { ...f, code: 'ERR_INVALID_SPEC' }] as const)
    return plan({ ...input, failures: new Map(final) })
  },
  single: (input) => {
    const { actions, wakeAt } = plan(input)
    return { actions: actions.flatMap((a) => (a.do === 'remove' ? [stop(a.id), a] : [a])), wakeAt }
  },
  foreign: (input) => {
    const { actions, wakeAt } = plan(input)
    const failed = [...input.failures.keys()].filter((id) => !actions.some((a) => subject(a) === id))
    return { actions: [...failed.map(stop), ...actions], wakeAt }
  },
  unknown: (input) => {
    const desired = input.desired === 'unknown' ? { revision: 0, workspaces: [] } : input.desired
    return plan({ ...input, desired, observed: input.observed === 'unknown' ? [] : input.observed })
  },
  data: (input) => {
    const { actions, wakeAt } = plan(input)
    return { actions: actions.map((a) => (a.do === 'remove' ? { ...a, keepData: false } : a)), wakeAt }
  },
  grace: (input) => plan({ ...input, limits: { ...input.limits, orphanGraceMs: 0 } }),
  order: (input) => {
    const { actions, wakeAt } = plan(input)
    const first = input.observed === 'unknown' ? undefined : input.observed[0]?.workspaceId
    return { actions: actions.toSorted((a) => (subject(a) === first ? -1 : 0)), wakeAt }
  },
  inFlight: (input) => plan({ ...input, inFlight: new Map() }),
  slots: (input) => plan({ ...input, limits: { ...input.limits, maxStarts: 99 } }),
  backoff: (input) => plan({ ...input, failures: new Map() }),
  terminal: (input) => {
    const soon = [...input.failures].map(([id, f]) => [id, { ...f, code: 'ERR_TIMEOUT' }] as const)
    return plan({ ...input, failures: new Map(soon) })
  },
  wake: (input) => ({ ...plan(input), wakeAt: null }),
  undisturbed: (input) => {
    if (input.observed === 'unknown') return plan(input)
    const older = input.observed.map((i) => (i.state === 'running' ? { ...i, generation: 99 } : i))
    return plan({ ...input, observed: older })
  },
  goal: (input) => {
    const { actions, wakeAt } = plan(input)
    return { actions: actions.map((a) => ({ ...a, goal: 'stop' as const })), wakeAt }
  },
}

t.test('promises', async (t) => {
  for (const [key, rule] of Object.entries(rules)) {
    t.doesNotThrow(() => rule.check(plan), rule.name)
    t.throws(
      () => rule.check(mutants[key as keyof typeof rules]),
      /Property failed/,
      `the planted mutant is caught: ${rule.name}`,
    )
  }
})

const input: PlanInput = {
  desired: { revision: 1, workspaces: [] },
  observed: [],
  failures: new Map(),
  orphans: new Map(),
  inFlight: new Map(),
  now: nowMs,
  limits: defaultLimits,
}
const lines = (over: Partial<PlanInput>): string[] => plan({ ...input, ...over }).actions.map(print)

t.test('a new generation replaces over rounds: stop, remove, start', async (t) => {
  const desired = { revision: 2, workspaces: [{ want: 'running' as const, spec: spec('ws000012', 4) }] }
  const old = { generation: 3 }
  t.same(lines({ desired, observed: [instance('ws000012', old)] }), ['. stop ws000012 generation-changed'])
  t.same(lines({ desired, observed: [instance('ws000012', { ...old, state: 'stopped' })] }), [
    '- remove ws000012 keeping its data generation-changed',
  ])
  const retained = instance('ws000012', { state: 'retained', incarnation: '' })
  t.same(lines({ desired, observed: [retained] }), ['+ start ws000012 generation 4 missing'])
  t.same(lines({ desired, observed: [instance('ws000012', { generation: 4 })] }), [])
})

t.test('what never came up and ignores a stop is removed, keeping its data', async (t) => {
  const desired = { revision: 2, workspaces: [{ want: 'stopped' as const, id: 'ws000012', graceMs: 9 }] }
  const observed = [instance('ws000012', { state: 'starting' })]
  t.same(lines({ desired, observed }), ['. stop ws000012 not-wanted'])
  const did = { goal: 'stop', code: 'no_effect', count: 0, atMs: nowMs, message: '', exit: null } as const
  const failures = new Map([['ws000012', { ...did, did: 'stop' as const, settledAtMs: nowMs }]])
  t.same(lines({ desired, observed, failures }), ['- remove ws000012 keeping its data not-wanted'])
})

t.test('a start in flight that nobody wants any more is given up; a stop is not', async (t) => {
  const start: Action = { do: 'start', goal: 'run@1', spec: spec('ws000012', 1) as never, why: 'missing' }
  const flight = new Map([['ws000012', start]])
  const want = (entry: object) => ({ revision: 1, workspaces: [entry as never] })
  t.same(superseded('unknown', flight), [])
  t.same(superseded(want({ want: 'running', spec: spec('ws000012', 1) }), flight), [])
  t.same(superseded(want({ want: 'running', spec: spec('ws000012', 2) }), flight), ['ws000012'])
  t.same(superseded(want({ want: 'stopped', id: 'ws000012', graceMs: 1 }), flight), ['ws000012'])
  t.same(
    superseded(
      want({ want: 'running', spec: spec('ws000012', 1) }),
      new Map([['ws000012', stop('ws000012')]]),
    ),
    [],
  )
})

t.test('10,000 workspaces are planned within a quarter of a second', async (t) => {
  const ids = Array.from({ length: 10_000 }, (_, at) => `ws${String(at).padStart(8, '0')}`)
  const desired = {
    revision: 1,
    workspaces: ids.map((id) => ({ want: 'running' as const, spec: spec(id, 1) })),
  }
  const observed = ids.map((id) => instance(id))
  const tookMs = Array.from({ length: 5 }, () => {
    const began = performance.now()
    plan({ ...input, desired, observed })
    return performance.now() - began
  })
  t.comment(`best of 5: ${Math.min(...tookMs).toFixed(1)} ms`)
  t.ok(Math.min(...tookMs) < 250)
})
