/** Every way in which a plugin can't be loaded has a code, a sentence and a next step. */
import { join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { Host } from '@postern/plugin'
import t from 'tap'
import { builtInPlugins, loadPlugin, locatePlugin } from '../../agent/load-plugin.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }
const host = (stateDirectory: string): Host => ({
  deploymentId: 'd1',
  hostId: 'h1',
  stateDirectory,
  log: silent,
  now: () => 0,
})

const good = `{ apiVersion: 1, name: 'good', capabilities: {},
  config: { parse(input) { if (input.x) throw new Error('x is not known'); return {} } },
  async open() { const f = async () => []; return { health: f, list: f, start: f, stop: f, remove: f, close: f } } }`

async function refusal(work: Promise<unknown>): Promise<RuntimeError> {
  const err: unknown = await work.then(
    () => undefined,
    (err: unknown) => err,
  )
  if (!RuntimeError.is(err)) throw new Error('it was not refused by a RuntimeError', { cause: err })
  return err
}

t.test('built-in names lead to their packages', async (t) => {
  for (const name of Object.keys(builtInPlugins)) {
    const plugin = await loadPlugin(name)
    t.equal(plugin.name, name)
  }
})

t.test('a path is a file, or a folder with a package.json', async (t) => {
  const dir = t.testdir({
    'one.mjs': `export default ${good}`,
    plain: { 'index.js': `export default ${good}` },
    fancy: {
      'package.json': JSON.stringify({
        type: 'module',
        exports: { '.': { types: './x.d.ts', import: './lib.js' }, './conformance': './kit.js' },
      }),
      'lib.js': `export default ${good}`,
    },
    short: {
      'package.json': '{ "type": "module", "exports": "./lib.js" }',
      'lib.js': `export default ${good}`,
    },
    main: { 'package.json': '{ "type": "module", "main": "lib.js" }', 'lib.js': `export default ${good}` },
    node_modules: {
      '@some': {
        thing: {
          'package.json': '{ "type": "module", "main": "lib.js" }',
          'lib.js': `export default ${good}`,
        },
      },
    },
  })
  for (const path of [
    './one.mjs',
    join(dir, 'one.mjs'),
    './plain',
    './fancy',
    './short',
    './main',
    '@some/thing',
  ])
    t.equal((await loadPlugin(path, dir)).name, 'good', path)
  t.match(locatePlugin('./fancy', dir).conformance, /kit\.js$/)
  t.equal(locatePlugin('./main', dir).conformance, null)
})

t.test('what is not a plugin is refused with a code, a sentence and a fix', async (t) => {
  const dir = t.testdir({
    'nothing.mjs': 'export const x = 1',
    'old.mjs': `export default { ...${good}, apiVersion: 99 }`,
    'bare.mjs': 'export default { apiVersion: 1, name: "No Name" }',
    'throws.mjs': 'throw new Error("at import")',
    'needs.mjs': 'import "not-installed-anywhere"',
    broken: { 'package.json': '{' },
    unbuilt: { 'package.json': '{ "exports": "./dist/index.js" }' },
  })
  const cases: [string, string, RegExp][] = [
    ['no-such-package', 'ERR_NOT_FOUND', /cannot be found/],
    ['./nowhere', 'ERR_NOT_FOUND', /there is nothing at/],
    ['not a name', 'ERR_NOT_FOUND', /neither the name of a package nor a path/],
    ['./broken', 'ERR_NOT_FOUND', /cannot be read/],
    ['./unbuilt', 'ERR_NOT_FOUND', /build it/],
    ['./nothing.mjs', 'ERR_UNSUPPORTED', /no default export/],
    ['./old.mjs', 'ERR_UNSUPPORTED', /apiVersion is 99, and this Postern speaks 1/],
    ['./bare.mjs', 'ERR_UNSUPPORTED', /name is .*capabilities .*config\.parse .*open/],
    ['./throws.mjs', 'ERR_INTERNAL', /failed while it was loaded/],
    ['./needs.mjs', 'ERR_INTERNAL', /failed while it was loaded/],
  ]
  for (const [specifier, code, sentence] of cases) {
    const err = await refusal(loadPlugin(specifier, dir))
    t.equal(err.code, code, specifier)
    t.match(err.message, sentence, specifier)
    t.ok(err.fix, `${specifier} has a fix`)
  }
  t.match((await refusal(loadPlugin('./needs.mjs', dir))).fix, /npm install/)
})

t.test('settings that are not usable, and a runtime that is not what was declared', async (t) => {
  const dir = t.testdir({
    'good.mjs': `export default ${good}`,
    'boasts.mjs': `export default { ...${good}, capabilities: { logs: true } }`,
    'hides.mjs': `let closed = 0; export const count = () => closed
      export default { ...${good}, async open() { const f = async () => []
      return { health: f, list: f, start: f, stop: f, remove: f, close: async () => { closed++ }, connect: f } } }`,
  })
  const plugin = await loadPlugin('./good.mjs', dir)
  t.same(plugin.config.parse({}), {})
  t.throws(() => plugin.config.parse({ x: 1 }), { code: 'ERR_INVALID_SPEC', message: 'x is not known' })
  t.ok(await plugin.open({}, host(dir)))
  const boasts = await loadPlugin('./boasts.mjs', dir)
  t.match(await refusal(boasts.open({}, host(dir))), { code: 'ERR_UNSUPPORTED', message: /logs is declared/ })
  const hides = await loadPlugin('./hides.mjs', dir)
  t.match(await refusal(hides.open({}, host(dir))), {
    code: 'ERR_UNSUPPORTED',
    message: /connect that is not declared/,
  })
  const { count } = (await import(join(dir, 'hides.mjs'))) as { count(): number }
  t.equal(count(), 1, 'what was opened in vain is closed')
})

t.test('kubernetes names itself, declares nothing and refuses to open', async (t) => {
  const plugin = await loadPlugin('kubernetes')
  t.same(plugin.capabilities, {})
  t.throws(() => plugin.config.parse({ a: 1 }), /knows no settings yet: a/)
  const err = await refusal(plugin.open(plugin.config.parse({}), host(t.testdir())))
  t.equal(err.code, 'ERR_UNSUPPORTED')
  t.match(err.fix, /--runtime docker/)
})
