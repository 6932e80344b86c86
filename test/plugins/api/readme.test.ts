/** What the README tells a stranger is what is there: the codes, the capabilities, the example. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  RuntimeError,
  assertSpec,
  pluginProblems,
  runtimeCodes,
  runtimeProblems,
  specProblems,
} from '@postern/plugin'
import type { RuntimeCode, WorkspaceSpec } from '@postern/plugin'
import t from 'tap'
import { testHost } from '../../support/plugins-host.ts'
import { pluginFor } from './example.ts'
import type { Machine } from './example.ts'

const repository = join(dirname(fileURLToPath(import.meta.url)), '../../../..')
const readme = readFileSync(join(repository, 'plugins/api/README.md'), 'utf8')
const spec: WorkspaceSpec = {
  id: 'example01',
  name: 'x',
  generation: 1,
  env: [],
  ports: [],
  command: ['true'],
}

t.test('the table of codes is the one in the code', async (t) => {
  const rows = [...readme.matchAll(/^\| `(ERR_\w+)` *\| (yes|no) *\| (.+?) *\|$/gm)]
  t.same(
    rows.map(([, code, again, summary]) => [code, again, summary]),
    Object.entries(runtimeCodes).map(([code, row]) => [code, row.retryable ? 'yes' : 'no', row.summary]),
  )
})

t.test('the example is the one that compiles', async (t) => {
  const source = readFileSync(join(repository, 'test/plugins/api/example.ts'), 'utf8')
  const [, example] = /```ts\n([\s\S]+?)\n```/.exec(readme) ?? []
  t.equal(example, source.slice(source.indexOf('\n') + 1).trim())
})

t.test('the example works', async (t) => {
  const machines: Machine[] = []
  const matches = (machine: Machine, labels: Record<string, string>): boolean =>
    Object.entries(labels).every(([name, value]) => machine.labels[name] === value)
  const plugin = pluginFor({
    list: (labels) => Promise.resolve(machines.filter((machine) => matches(machine, labels))),
    create: (machine) =>
      Promise.resolve(void machines.push({ ...machine, isUp: true, bootId: 'b', address: '::1' })),
    halt: () => Promise.resolve(),
    destroy: (machine) => Promise.resolve(void machines.splice(machines.indexOf(machine), 1)),
  })
  const host = await testHost()
  t.teardown(host.remove)
  t.same(pluginProblems(plugin), [])
  t.throws(() => plugin.config.parse({ a: 1 }), /a is not known; zone must be text/)
  const runtime = await plugin.open(plugin.config.parse({ zone: 'z' }), host)
  t.same(runtimeProblems(plugin.capabilities, runtime), [])
  const call = { signal: AbortSignal.timeout(5_000) }
  t.match(await runtime.start(spec, call), { state: 'running', generation: 1 })
  await t.rejects(runtime.start({ ...spec, generation: 2 }, call), { code: 'ERR_CONFLICT' })
  t.equal((await runtime.list(call)).length, 1)
  await runtime.remove(spec.id, { ...call, keepData: false })
  t.same(await runtime.list(call), [])
  await runtime.close()
  await t.rejects(runtime.list(call), { code: 'ERR_CLOSED' })
})

t.test(
  'a code says whether it is worth another try; another copy of the package is recognised',
  async (t) => {
    for (const code of Object.keys(runtimeCodes) as RuntimeCode[])
      t.equal(new RuntimeError(code, 'x').retryable, runtimeCodes[code].retryable)
    const stranger = Object.defineProperty(new Error('x'), Symbol.for('postern.RuntimeError'), {
      value: true,
    })
    t.ok(RuntimeError.is(stranger))
    for (const other of [new Error('x'), null, 'x', {}]) t.notOk(RuntimeError.is(other))
    const cause = new Error('why')
    t.match(new RuntimeError('ERR_TIMEOUT', 'x', { cause, fix: 'wait' }), { cause, fix: 'wait' })
  },
)

t.test('a spec is refused with every problem and no value of its environment', async (t) => {
  t.same(specProblems(spec), [])
  const bad: WorkspaceSpec = {
    id: 'X',
    name: '',
    generation: 0.5,
    command: [],
    ports: [{ port: 0 }],
    memoryBytes: 0,
    cpuMillis: 9,
    env: [
      { name: '1X', value: 'secret' },
      { name: 'OK', value: 'secret\0' },
    ],
    files: [{ path: 'a/../b', content: '' }],
  }
  t.equal(specProblems(bad).length, 9)
  t.throws(() => assertSpec(bad), { code: 'ERR_INVALID_SPEC' })
  t.notMatch(specProblems(bad).join(), /secret/)
  for (const path of ['', '/a', '..', 'a//b', './a', 'a\0b'])
    t.equal(specProblems({ ...spec, files: [{ path, content: '' }] }).length, 1, JSON.stringify(path))
  t.same(specProblems({ ...spec, files: [{ path: 'a/b..c', content: '' }] }), [])
  t.same(specProblems({ ...spec, command: ['', 'x'] }), ['command must name a program'])
  t.same(specProblems({ ...spec, command: ['a\0'] }), ['command must not hold a zero byte'])
})

t.test('what is not a plugin, or not what it declares', async (t) => {
  for (const value of [undefined, null, 'x'])
    t.same(pluginProblems(value), ['the default export is not an object'])
  t.match(pluginProblems({}), [/apiVersion is absent/])
  t.equal(pluginProblems({ apiVersion: 1, config: null }).length, 4)
  t.match(
    runtimeProblems({ watch: true }, { connect() {} }).join('; '),
    /no method health.*watch is declared.*connect that is not/,
  )
})
