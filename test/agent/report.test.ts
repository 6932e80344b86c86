/** Statuses and failures in small: each code has its reason, the README says the same, ends are counted once. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { runtimeCodes, type RuntimeCode } from '@postern/plugin'
import { backoffMs, jittered } from '../../agent/backoff.ts'
import { afterObserved, afterOutcome, isTerminal, type Failure, type Trouble } from '../../agent/failures.ts'
import { defaultLimits } from '../../agent/plan.ts'
import { reasonFor, reportOf, statuses, type ReportInput } from '../../agent/report.ts'
import { reasonCodes, reportSchema, type Desired } from '../../control/wire/index.ts'
import { instance, nowMs, spec } from '../support/agent-arbitraries.ts'

const id = 'ws000012'
const desired: Desired = { revision: 3, workspaces: [{ want: 'running', spec: spec(id, 1) }] }
const failure = (over: Partial<Failure>): Failure => ({
  goal: 'run@1',
  code: 'ERR_INTERNAL',
  count: 1,
  atMs: nowMs,
  message: 'no',
  exit: null,
  did: null,
  settledAtMs: null,
  ...over,
})
const input: ReportInput = {
  desired,
  observed: [],
  failures: new Map(),
  inFlight: new Map(),
  runningSince: new Map(),
  now: nowMs,
  limits: defaultLimits,
}

t.test('each runtime code has a reason that people are told, and the README lists it', async (t) => {
  const readme = readFileSync(new URL('../../../agent/README.md', import.meta.url), 'utf8')
  for (const code of Object.keys(runtimeCodes) as RuntimeCode[]) {
    const reason = reasonFor({ code, exit: null })
    t.ok(reason in reasonCodes)
    const row = readme.split('\n').find((line) => line.includes(`| \`${code}\``))
    t.match(row, new RegExp(`\\| \`${reason}\``), `${code} is in the table`)
    const [status] = statuses({ ...input, failures: new Map([[id, failure({ code })]]) })
    t.match(status, { state: 'failed', reason: { code: reason, atMs: nowMs } })
    t.equal(status?.reason?.nextTryAtMs === undefined, isTerminal(code))
  }
  for (const code of ['exited', 'vanished'] satisfies Trouble[]) t.match(readme, `\`${code}\``)
  const exit = { code: 137, oom: true, atMs: nowMs }
  t.equal(reasonFor({ code: 'exited', exit }), 'oom')
})

t.test('states: in flight over failed over what is there', async (t) => {
  const state = (over: Partial<ReportInput>): string | undefined => statuses({ ...input, ...over })[0]?.state
  const failures = new Map([[id, failure({})]])
  const work = (
    verb: 'start' | 'stop' | 'remove',
    progress: 'pulling' | null = null,
  ): Partial<ReportInput> => ({
    failures,
    inFlight: new Map([
      [id, { verb, progress: progress && { step: progress, message: 'a'.repeat(900) }, hasFailed: false }],
    ]),
  })
  t.equal(state({}), 'absent')
  t.equal(state({ failures }), 'failed')
  t.equal(state(work('start')), 'starting')
  t.equal(state(work('start', 'pulling')), 'pulling')
  t.equal(state(work('stop')), 'stopping')
  t.equal(state(work('remove')), 'stopping')
  t.equal(state({ observed: [instance(id)] }), 'running')
  t.equal(state({ observed: [instance(id, { state: 'retained' })], desired: 'unknown' }), 'retained')
  t.same(statuses({ ...input, observed: 'unknown' }), [], 'what cannot be read is not told as gone')
  const long = reportOf(
    { ...input, ...work('start', 'pulling') },
    { status: 'healthy', message: 'b'.repeat(900) },
  )
  t.ok(reportSchema.safeParse(long).success, 'long texts are cut to what the wire takes')
})

t.test('an end is counted once, however often it is looked at', async (t) => {
  const exit = { code: 3, oom: false, atMs: nowMs }
  const sight = { desired, busy: new Set<string>(), stableMs: 60_000 }
  const ended = [instance(id, { state: 'failed', exit })]
  const first = afterObserved(new Map(), { ...sight, observed: ended, before: [instance(id)], now: nowMs })
  t.match(first.get(id), { code: 'exited', count: 1, exit })
  const again = afterObserved(first, { ...sight, observed: ended, before: ended, now: nowMs + 5 })
  t.same(again.get(id), first.get(id))
  const busy = afterObserved(first, {
    ...sight,
    observed: [],
    before: ended,
    busy: new Set([id]),
    now: nowMs,
  })
  t.same(busy.get(id), first.get(id), 'nothing is inferred while an action is at work')
  const start = { do: 'start', goal: 'run@1', spec: { ...spec(id, 1) } as never, why: 'exited' } as const
  const started = afterOutcome(again, start, { ok: true, instance: null }, nowMs + 500)
  const twice = afterObserved(started, { ...sight, observed: ended, before: [], now: nowMs + 600 })
  t.match(twice.get(id), { code: 'exited', count: 2 })
})

t.test('waits double up to five minutes, and jitter only shortens them', async (t) => {
  t.same(
    [0, 1, 2, 3, 11, 99].map((n) => backoffMs(n)),
    [0, 500, 1_000, 2_000, 300_000, 300_000],
  )
  t.same(
    [0, 0.5, 1].map((chance) => jittered(1_000, chance)),
    [1_000, 750, 500],
  )
})
