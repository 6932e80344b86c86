/** The whole agent on a fake runtime and a clock that is turned by hand: what it does, when, and what it reports. */
import t from 'tap'
import type { Runtime, RuntimePlugin } from '@postern/plugin'
import { fakeRuntime } from '@postern/plugin/testing'
import { ApiError, type DesiredEntry } from '../../control/wire/index.ts'
import { spec } from '../support/agent-arbitraries.ts'
import { fakeControl } from '../support/agent-control.ts'
import { startStage, type Stage } from '../support/agent-start.ts'
import { testClock } from '../support/clock.ts'
import { until } from '../support/until.ts'

const id = 'ws000012'
const running = (generation = 1, of = id): DesiredEntry => ({ want: 'running', spec: spec(of, generation) })
const stopped: DesiredEntry = { want: 'stopped', id, graceMs: 5_000 }
const states = (stage: Stage): string[] =>
  stage.world.instances().map((each) => `${each.workspaceId} ${each.state} ${each.generation}`)

t.test('create, change, stop, trash and purge', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock } = stage
  t.teardown(() => stage.agent.close())
  t.same(stage.did(), [], 'nothing is done before control has answered')

  control.want(running(1))
  await clock.rest()
  t.same(states(stage), [`${id} running 1`], 'no time had to pass')
  t.match(control.status(id), { state: 'running', generation: 1, startedAtMs: clock.now() })

  control.want(running(2))
  await clock.rest()
  t.same(states(stage), [`${id} running 2`])
  control.want(stopped)
  await clock.rest()
  t.match(control.status(id), { state: 'stopped', generation: 2 })
  control.want(running(2))
  await clock.rest()
  t.match(control.status(id), { state: 'running', generation: 2 })
  t.notOk(control.status(id)?.reason, 'an end that was asked for is no failure')
  control.want({ want: 'removed', id, data: 'keep' })
  await clock.rest()
  t.match(control.status(id), { state: 'retained', generation: 0, incarnation: '' })
  control.want({ want: 'removed', id, data: 'delete' })
  await clock.rest()
  t.same(states(stage), [])
  t.match(control.status(id), { state: 'absent' })
  t.same(stage.did(), [
    `+ start ${id} generation 1 missing`,
    `. stop ${id} generation-changed`,
    `- remove ${id} keeping its data generation-changed`,
    `+ start ${id} generation 2 missing`,
    `. stop ${id} not-wanted`,
    `+ start ${id} generation 2 stopped`,
    `. stop ${id} not-wanted`,
    `- remove ${id} keeping its data not-wanted`,
    `- remove ${id} with its data not-wanted`,
  ])
})

t.test('a program that ends is started again, ever more slowly, until it runs stably', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world } = stage
  t.teardown(() => stage.agent.close())
  control.want(running())
  await clock.rest()
  const waits: number[] = []
  for (let crash = 0; crash < 12; crash += 1) {
    world.end(id, 3)
    await clock.rest()
    const status = control.status(id)
    t.match(status, { state: 'failed', reason: { code: 'exited' }, exit: { code: 3 } })
    waits.push((status?.reason?.nextTryAtMs ?? 0) - clock.now())
    await clock.advance(waits.at(-1) ?? 0)
    t.match(control.status(id), { state: 'running', exit: { code: 3 } }, 'how it ended is told on')
  }
  t.same(waits.slice(0, 4), [500, 1_000, 2_000, 4_000])
  t.equal(waits.at(-1), 300_000)
  await clock.advance(61_000)
  world.end(id, 0)
  await clock.rest()
  t.equal(
    (control.status(id)?.reason?.nextTryAtMs ?? 0) - clock.now(),
    500,
    'stable for a minute: counted anew',
  )
  await clock.advance(500)
  t.match(control.status(id), { state: 'running' })
})

t.test('what was removed from outside is made again', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world } = stage
  t.teardown(() => stage.agent.close())
  control.want(running())
  await clock.rest()
  world.vanish(id)
  await clock.rest()
  t.match(control.status(id), { state: 'failed', reason: { code: 'vanished' } })
  await clock.advance(500)
  t.match(control.status(id), { state: 'running' })
  t.equal(stage.did().at(-1), `+ start ${id} generation 1 vanished`)
})

t.test('a hint that comes before the list shows the change is looked after once more', async (t) => {
  const clock = testClock()
  const world = fakeRuntime({ sleep: clock.sleep })
  let lagsUntilMs = 0
  const plugin: RuntimePlugin = {
    ...world.plugin,
    open: async (_config, host) => {
      const runtime = await world.plugin.open({}, host)
      let shown = await runtime.list({ signal: new AbortController().signal })
      const list: Runtime['list'] = async (call) => {
        if (clock.now() >= lagsUntilMs) shown = await runtime.list(call)
        return shown
      }
      return { ...runtime, list }
    },
  }
  const stage = await startStage({ stateDirectory: t.testdir(), clock, world, over: { plugin } })
  t.teardown(() => stage.agent.close())
  stage.control.want(running())
  await clock.advance(10_000)
  lagsUntilMs = clock.now() + 1_000
  world.end(id, 7)
  await clock.advance(1_500)
  t.match(stage.control.status(id), { exit: { code: 7 } })
})

t.test('a terminal failure waits for a new goal; others are tried again', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world } = stage
  t.teardown(() => stage.agent.close())
  world.inject({ verb: 'start', kind: 'fail', code: 'ERR_INVALID_SPEC' })
  control.want(running(1))
  await clock.advance(3_600_000)
  const refused = control.status(id)
  t.match(refused, { state: 'failed', reason: { code: 'invalid_spec' } })
  t.notOk(refused?.reason?.nextTryAtMs)
  control.want(stopped)
  await clock.rest()
  control.want(running(1))
  await clock.rest()
  t.match(control.status(id), { state: 'running' }, 'stop and start is an explicit retry')
  world.inject({ verb: 'start', kind: 'fail', code: 'ERR_IMAGE_UNAVAILABLE' })
  control.want(running(2))
  await clock.rest()
  const waits = control.status(id)
  t.match(waits, { state: 'failed', reason: { code: 'image_unavailable', nextTryAtMs: clock.now() + 500 } })
  await clock.advance(500)
  t.match(control.status(id), { state: 'running', generation: 2 })
})

t.test('an orphan is removed after its grace, keeping its data; retained data is left alone', async (t) => {
  const world = fakeRuntime()
  const stage = await startStage({ stateDirectory: t.testdir(), world })
  const { control, clock } = stage
  t.teardown(() => stage.agent.close())
  control.want(running())
  await clock.rest()
  control.want()
  await clock.advance(299_000)
  t.same(states(stage), [`${id} running 1`])
  await clock.advance(2_000)
  t.same(states(stage), [`${id} retained 0`])
  await clock.advance(3_600_000)
  t.same(states(stage), [`${id} retained 0`])
})

t.test('a stop does not wait for a long pull', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world } = stage
  t.teardown(() => stage.agent.close())
  world.inject({ verb: 'start', kind: 'hang' })
  control.want(running())
  await clock.rest()
  t.match(control.status(id), { state: 'starting' })
  control.want(stopped)
  await clock.rest()
  t.match(control.status(id), { state: 'absent' })
  control.want(running())
  await clock.rest()
  t.match(control.status(id), { state: 'running' }, 'what was given up is no failure')
})

t.test('nothing is told as gone before the runtime was looked at', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world } = stage
  t.teardown(() => stage.agent.close())
  for (const kind of ['hang', 'fail'] as const) {
    world.inject(kind === 'hang' ? { verb: 'start', kind } : { verb: 'start', kind, code: 'ERR_TIMEOUT' })
    control.want(running())
    if (kind === 'hang') await clock.rest()
    world.inject({ verb: 'list', kind: 'hang' })
    await clock.rest()
    control.want({ want: 'removed', id, data: 'delete' })
    await clock.rest()
    t.not(control.status(id)?.state, 'absent', `the start that did ${kind} may have made something`)
    await clock.advance(60_000)
    t.equal(control.status(id)?.state, 'absent')
    control.want()
    await clock.rest()
  }
})

t.test('while control is away, workspaces live on and are repaired', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world, told } = stage
  t.teardown(() => stage.agent.close())
  control.want(running())
  await clock.rest()
  control.away(new Error('gone'))
  await clock.advance(600_000)
  t.same(states(stage), [`${id} running 1`])
  world.end(id, 9)
  await clock.advance(1_000)
  t.same(states(stage), [`${id} running 1`])
  control.away(null)
  const before = control.reports.length
  await clock.advance(6_000)
  t.ok(control.reports.length > before)
  t.match(control.status(id), { state: 'running', exit: { code: 9 } })
  const complaints = told.filter((each) => each.level === 'warn').map((each) => each.message)
  t.same(complaints, [...new Set(complaints)], 'repeated failures are logged once')
})

t.test('while the runtime cannot be read, nothing is inferred', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world } = stage
  t.teardown(() => stage.agent.close())
  control.want(running())
  await clock.rest()
  world.inject({ verb: 'list', kind: 'fail', code: 'ERR_UNAVAILABLE', times: Infinity })
  world.hint('*')
  await clock.rest()
  t.match(control.reports.at(-1), { observed: false, workspaces: [] })
  control.want(stopped)
  await clock.advance(60_000)
  t.same(states(stage), [`${id} running 1`])
  world.clear()
  await clock.advance(5_000)
  t.match(control.status(id), { state: 'stopped' })
})

t.test('a newer process took over: the loop ends for good, workspaces live on', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  const { control, clock, world, agent } = stage
  control.want(running())
  await clock.rest()
  control.away(new ApiError('stale_epoch'))
  const why = await agent.ended
  t.match(why, { code: 'stale_epoch' })
  t.same(states(stage), [`${id} running 1`])
  const calls = world.calls.length
  await clock.advance(600_000)
  t.equal(world.calls.length, calls, 'it touches nothing any more')
  await agent.close()
  t.same(states(stage), [`${id} running 1`])
})

t.test('a second agent on the same state knows what the first made, without control', async (t) => {
  const stateDirectory = t.testdir()
  const first = await startStage({ stateDirectory })
  first.control.want(running())
  await first.clock.rest()
  await first.agent.close()
  const control = fakeControl()
  control.away(new Error('gone'))
  const second = await startStage({ stateDirectory, world: first.world, control, clock: testClock() })
  t.teardown(() => second.agent.close())
  t.equal(second.agent.hostId, 'host0001')
  await second.clock.advance(600_000)
  t.same(states(second), [`${id} running 1`])
  t.same(second.did(), [], 'unknown is not empty')
  control.want(running())
  control.away(null)
  await second.clock.advance(31_000)
  t.match(control.status(id), { state: 'running' })
  t.same(second.did(), [], 'nothing is doubled')
})

t.test(
  'a server that knows the agent by other ids gets a runtime under those; what was before is not touched',
  async (t) => {
    const stateDirectory = t.testdir()
    const first = await startStage({ stateDirectory })
    first.control.want(running())
    await first.clock.rest()
    await first.agent.close()
    const control = fakeControl({ deploymentId: 'deployment2', hostId: 'host0002' })
    const second = await startStage({ stateDirectory, world: first.world, control })
    t.teardown(() => second.agent.close())
    control.want(running(1, 'ws000099'))
    await until(() => control.status('ws000099')?.state === 'running')
    t.equal(second.agent.hostId, 'host0002')
    t.equal(control.status(id), undefined, 'instances of another deployment are not ours')
    await second.clock.advance(3_600_000)
    t.same(states(second).sort(), [`${id} running 1`, 'ws000099 running 1'])
  },
)

t.test('a start can be given up while it waits for control', async (t) => {
  const control = fakeControl()
  control.away(new Error('gone'))
  const stop = new AbortController()
  const starting = startStage({ stateDirectory: t.testdir(), control, over: { signal: stop.signal } })
  const reason = new Error('enough')
  stop.abort(reason)
  t.equal(await starting.catch((err: unknown) => err), reason)
})

t.test('from a new desired revision to the start of the plugin: milliseconds', async (t) => {
  const stage = await startStage({ stateDirectory: t.testdir() })
  t.teardown(() => stage.agent.close())
  const tookMs: number[] = []
  for (let at = 0; at < 20; at += 1) {
    const began = performance.now()
    stage.control.want(running(1, `latency${at}`))
    while (!stage.world.calls.some((call) => call.verb === 'start' && call.id === `latency${at}`)) {
      await new Promise(setImmediate)
    }
    tookMs.push(performance.now() - began)
    await stage.clock.rest()
  }
  const [best = Infinity] = tookMs.toSorted((a, b) => a - b)
  t.comment(`best ${best.toFixed(2)} ms, median ${(tookMs.toSorted((a, b) => a - b)[10] ?? 0).toFixed(2)} ms`)
  t.ok(best < 5, 'the best of 20: a busy machine may be slow, a tick in the path would slow all')
})
