/** The kit has teeth: a runtime that breaks one promise fails the case of that promise. */
import type { Runtime, RuntimePlugin } from '@postern/plugin'
import { conformance, fakeRuntime } from '@postern/plugin/testing'
import t from 'tap'

/** A plugin whose runtimes are the fake's, with some verbs replaced. */
function spoiled(
  spoil: (runtime: Runtime, host: Parameters<RuntimePlugin['open']>[1]) => Partial<Runtime>,
): RuntimePlugin {
  const { plugin } = fakeRuntime({ capabilities: { images: true, limits: { disk: true } } })
  return {
    ...plugin,
    open: async (config, host) => {
      const runtime = await plugin.open(config as Record<string, never>, host)
      return { ...runtime, ...spoil(runtime, host) }
    },
  }
}

type Mutant = Parameters<typeof spoiled>[0]
const mutants: Record<string, [failing: string, Mutant]> = {
  'a size of a disk is ignored': [
    'a disk has the size that was asked for, or the start is refused',
    (runtime) => ({
      start({ diskBytes: _ignored, ...spec }, call) {
        return runtime.start(spec, call)
      },
    }),
  ],
  'start always makes a new one': [
    'start twice, and twice at once, leaves one',
    (runtime) => ({
      async start(spec, call) {
        await runtime.remove(spec.id, { ...call, keepData: true })
        return runtime.start(spec, call)
      },
    }),
  ],
  'start ignores the generation that is there': [
    'start at another generation is refused with ERR_CONFLICT',
    (runtime) => ({
      start: (spec, call) =>
        runtime.start(spec, call).catch(async (err: unknown) => {
          const [there] = await runtime.list(call)
          if (there === undefined || spec.ports.some(({ port }) => port < 0)) throw err
          return there
        }),
    }),
  ],
  'stop does nothing': [
    'stop twice, start again: a new incarnation',
    () => ({ stop: () => Promise.resolve() }),
  ],
  'stop uses force at once': [
    'force follows the grace period',
    (runtime) => ({ stop: (id, call) => runtime.stop(id, { ...call, graceMs: 0 }) }),
  ],
  'remove always keeps the data': [
    'remove while running, twice, and of something absent',
    (runtime) => ({ remove: (id, call) => runtime.remove(id, { ...call, keepData: true }) }),
  ],
  'remove never keeps the data': [
    'remove with keepData leaves it retained, without leaves nothing',
    (runtime) => ({ remove: (id, call) => runtime.remove(id, { ...call, keepData: false }) }),
  ],
  'an abort rejects with an error of its own': [
    'an abort before a call rejects with the very reason',
    (runtime) => ({
      list: (call) => (call.signal.aborted ? Promise.reject(new Error('aborted')) : runtime.list(call)),
    }),
  ],
  'a closed runtime goes on': [
    'close twice; use after close is ERR_CLOSED',
    () => ({ list: () => Promise.resolve([]) }),
  ],
  'watch is silent': [
    'watch hints within 5 s of a change from outside',
    (runtime) => ({
      async *watch(call) {
        for await (const hint of runtime.watch?.(call) ?? []) if (hint === 'never') yield hint
      },
    }),
  ],
  'logs give nothing': ['logs give what was printed, in order, and follow', () => ({ async *logs() {} })],
  'the environment is logged': [
    'a secret in the environment is in no error and no log',
    (runtime, host) => ({
      start(spec, call) {
        host.log.debug('starting', { spec })
        return runtime.start(spec, call)
      },
    }),
  ],
  'list has a method that was not declared beside it': [
    'what is declared is implemented, and nothing else',
    (runtime) => ({ ...runtime, health: undefined as never }),
  ],
}

for (const [name, [failing, mutant]] of Object.entries(mutants)) {
  t.test(name, async (t) => {
    const wanted = conformance({ plugin: spoiled(mutant), program: {}, deadlineMs: 8_000 })
    const run = wanted.find((one) => one.name === failing)?.run
    t.ok(run, `there is a case: ${failing}`)
    await t.rejects(run?.() ?? Promise.resolve(), 'the case of that promise fails')
  })
}

t.test('a plugin that sees what another host made is caught', async (t) => {
  const { plugin } = fakeRuntime()
  const blind: RuntimePlugin = {
    ...plugin,
    open: (config, host) =>
      plugin.open(config as Record<string, never>, { ...host, hostId: 'one', deploymentId: 'one' }),
  }
  const cases = conformance({ plugin: blind, program: {} })
  const run = cases.find((one) => one.name.startsWith('what another host'))?.run
  await t.rejects(run?.() ?? Promise.resolve(), /not listed/)
})
