/** The faults of the fake: each hits what its row says, as often as it says, and nothing else. */
import type { RuntimePlugin, WorkspaceSpec } from '@postern/plugin'
import { fakeRuntime } from '@postern/plugin/testing'
import type { Fault, FakeOptions } from '@postern/plugin/testing'
import t from 'tap'
import { checkPlugin } from '../../../control/cli/plugin-check.ts'
import { testHost } from '../../support/plugins-host.ts'

const call = { signal: AbortSignal.timeout(20_000) }
const spec: WorkspaceSpec = { id: 'faulty001', name: 'x', generation: 1, env: [], ports: [{ port: 80 }] }

async function opened(
  t: { teardown(work: () => unknown): void },
  faults: Fault[],
  options: FakeOptions = {},
) {
  const fake = fakeRuntime({ ...options, faults })
  const host = await testHost()
  t.teardown(host.remove)
  return { fake, runtime: await (fake.plugin as RuntimePlugin).open({}, host) }
}

t.test('hang settles only by the abort, and has done nothing', async (t) => {
  const { fake, runtime } = await opened(t, [{ verb: 'start', kind: 'hang' }])
  const controller = new AbortController()
  const reason = new Error('enough')
  const started = runtime.start(spec, { signal: controller.signal })
  controller.abort(reason)
  await t.rejects(started, reason)
  t.same(fake.instances(), [])
  t.match(await runtime.start(spec, call), { state: 'running' }, 'the next one is not hit')
})

t.test('fail rejects with the code, as often as it says, for the workspace that it says', async (t) => {
  const { fake, runtime } = await opened(t, [
    { verb: 'start', kind: 'fail', code: 'ERR_NO_CAPACITY', times: 2, id: spec.id },
  ])
  t.match(await runtime.start({ ...spec, id: 'another01' }, call), { state: 'running' })
  for (let round = 0; round < 2; round++)
    await t.rejects(runtime.start(spec, call), { code: 'ERR_NO_CAPACITY' })
  t.match(await runtime.start(spec, call), { state: 'running' })
  fake.inject({ verb: 'list', kind: 'fail', code: 'ERR_UNAVAILABLE', times: Infinity })
  for (let round = 0; round < 3; round++) await t.rejects(runtime.list(call), { code: 'ERR_UNAVAILABLE' })
  fake.clear()
  t.equal((await runtime.list(call)).length, 2)
  t.same(fake.calls.at(-1), { verb: 'list' })
})

t.test('reply-lost does the work', async (t) => {
  const { fake, runtime } = await opened(t, [
    { verb: 'start', kind: 'reply-lost' },
    { verb: 'remove', kind: 'reply-lost', code: 'ERR_TIMEOUT' },
  ])
  await t.rejects(runtime.start(spec, call), { code: 'ERR_UNAVAILABLE' })
  t.match(fake.instances(), [{ state: 'running' }])
  await t.rejects(runtime.remove(spec.id, { ...call, keepData: false }), { code: 'ERR_TIMEOUT' })
  t.same(fake.instances(), [])
})

t.test('late waits by the given sleep', async (t) => {
  const slept: number[] = []
  const sleep = (ms: number): Promise<void> => Promise.resolve(void slept.push(ms))
  const { runtime } = await opened(t, [{ verb: 'list', kind: 'late', ms: 60_000 }], { sleep })
  t.same(await runtime.list(call), [])
  t.same(slept, [60_000])
})

t.test('the world changes from outside', async (t) => {
  const { fake, runtime } = await opened(t, [])
  await runtime.start(spec, call)
  const controller = new AbortController()
  const hints: string[] = []
  const watching = (async () => {
    for await (const hint of runtime.watch?.({ signal: controller.signal }) ?? []) {
      hints.push(hint)
      if (hint === '*') controller.abort()
    }
  })()
  fake.end(spec.id, 9)
  t.match(await runtime.list(call), [{ state: 'failed', exit: { code: 9 } }])
  fake.vanish(spec.id)
  fake.vanish('nothing01')
  t.same(await runtime.list(call), [])
  fake.hint('*')
  await watching
  t.same(hints, [spec.id, spec.id, '*'])
})

t.test('plugin check says what failed, and who can’t be checked', async (t) => {
  const dir = t.testdir({
    'broken.mjs': `import { fakeRuntime } from '@postern/plugin/testing'
      const { plugin } = fakeRuntime({ faults: [{ verb: 'stop', kind: 'fail', code: 'ERR_INTERNAL', times: Infinity }] })
      export default plugin
      export const conformance = { plugin, program: {}, deadlineMs: 5000 }`,
    'silent.mjs': `import { fakeRuntime } from '@postern/plugin/testing'
      export default fakeRuntime().plugin`,
  })
  const lines: string[] = []
  const before = process.exitCode
  const summary = await checkPlugin('./broken.mjs', (text) => lines.push(text), dir)
  const after = process.exitCode
  process.exitCode = before
  t.equal(after, 1)
  t.ok(summary.failed > 0)
  t.ok(summary.passed > 0)
  t.match(lines[0], 'fake, as ./broken.mjs')
  t.match(
    lines.find((line) => line.startsWith('FAIL')),
    /A fault was put on stop/,
  )
  const write = (): void => undefined
  await t.rejects(checkPlugin('./silent.mjs', write, dir), { code: 'ERR_UNSUPPORTED', fix: /conformance/ })
  await t.rejects(checkPlugin('kubernetes', write), { code: 'ERR_UNSUPPORTED' })
})
