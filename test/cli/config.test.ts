/** Options: who wins, what is read, and that all problems come at once. Pure, but for the file. */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { resolveConfig, type Given } from '../../control/cli/config.ts'
import { loadConfigFile } from '../../control/cli/config-file.ts'
import { lawOf } from '../../control/cli/law-options.ts'
import * as read from '../../control/cli/option-values.ts'
import { agentOptions, standaloneOptions } from '../../control/cli/options.ts'
import { StartupError } from '../../control/cli/startup-error.ts'

const nothing: Given = { flags: {}, env: {}, file: {}, fileName: 'config.yml' }

const problemsOf = (run: () => unknown): readonly string[] => {
  try {
    run()
  } catch (err) {
    if (err instanceof StartupError) return err.problems
    throw err
  }
  return []
}

t.test('flag beats environment, that beats file, that beats default', async (t) => {
  const file = { base_domain: 'file.example' }
  const env = { POSTERN_BASE_DOMAIN: 'env.example' }
  const flags = { 'base-domain': 'flag.example' }
  const baseDomain = (given: Partial<Given>) =>
    resolveConfig(standaloneOptions, { ...nothing, ...given }).baseDomain
  t.equal(baseDomain({}), 'ws.localhost')
  t.equal(baseDomain({ file }), 'file.example')
  t.equal(baseDomain({ file, env }), 'env.example')
  t.equal(baseDomain({ file, env, flags }), 'flag.example')
  t.equal(baseDomain({ file, env: { POSTERN_BASE_DOMAIN: '' } }), 'file.example', 'an empty variable is none')
})

t.test('the defaults are what the documentation pins', async (t) => {
  const config = resolveConfig(standaloneOptions, nothing)
  t.match(config, {
    listen: [
      { host: '127.0.0.1', port: 8090 },
      { host: '::1', port: 8090 },
    ],
    authzListen: { host: '127.0.0.1', port: 8091 },
    publicUrl: null,
    databaseUrl: null,
    runtime: null,
    trashPeriod: 7 * 86_400_000,
    auditRetention: 400 * 86_400_000,
    hookTargets: 'public',
  })
  t.equal(resolveConfig(agentOptions, nothing).serverUrl, 'http://localhost:8090')
  t.ok(Object.isFrozen(config))
})

t.test('every problem is told at once, each with the place where it was written', async (t) => {
  const problems = problemsOf(() =>
    resolveConfig(standaloneOptions, {
      flags: { listen: ['8090'], 'base-domain': ['a.example', 'b.example'] },
      env: { POSTERN_MAX_PIDS: 'many', POSTERN_UNRELATED: 'x' },
      file: { trash_period: 7, 'public-url': 'http://x', frobnicate: true, runtime_config: ['a'] },
      fileName: 'config.yml',
    }),
  )
  t.match(problems.join('\n'), /config\.yml: public-url: there is no such key; did you mean public_url\?/)
  t.match(problems.join('\n'), /config\.yml: frobnicate: there is no such key/)
  t.match(problems.join('\n'), /--listen: "8090" is not host:port/)
  t.match(problems.join('\n'), /--base-domain: is given more than once/)
  t.match(problems.join('\n'), /POSTERN_MAX_PIDS: "many" is not a whole number/)
  t.match(problems.join('\n'), /config\.yml: trash_period: 7 is not a time with its unit/)
  t.match(problems.join('\n'), /config\.yml: runtime_config: needs a mapping/)
  t.equal(problems.length, 7)
})

t.test('one file may serve server and agent: keys of the other are let be', async (t) => {
  const file = { server_url: 'http://server:8090', listen: '0.0.0.0:80' }
  t.same(resolveConfig(standaloneOptions, { ...nothing, file }).listen, [{ host: '0.0.0.0', port: 80 }])
  t.equal(resolveConfig(agentOptions, { ...nothing, file }).serverUrl, 'http://server:8090')
})

t.test('a token is never a flag, and settings of a plugin come from the file alone', async (t) => {
  const given = { ...nothing, flags: { 'join-token': 'psj_flag' }, env: { POSTERN_RUNTIME_CONFIG: 'x' } }
  t.equal(resolveConfig(agentOptions, given).joinToken, null)
  t.equal(resolveConfig(agentOptions, given).runtimeConfig, null)
  t.equal(
    resolveConfig(agentOptions, { ...nothing, env: { POSTERN_JOIN_TOKEN: 'psj_x' } }).joinToken,
    'psj_x',
  )
})

t.test('values: what is taken and what is refused', async (t) => {
  const taken: readonly (readonly [(raw: unknown) => unknown, unknown, unknown])[] = [
    [read.readAddress, '[::1]:8090', { host: '::1', port: 8090 }],
    [read.readAddress, '/run/postern.sock', { path: '/run/postern.sock' }],
    [read.readAddress, 'unix:/run/postern.sock', { path: '/run/postern.sock' }],
    [read.readAddressOrOff, 'off', null],
    [read.readAddressOrOff, false, null],
    [
      read.readAddresses,
      ['127.0.0.1:1', '127.0.0.1:2,127.0.0.1:3'],
      [1, 2, 3].map((port) => ({ host: '127.0.0.1', port })),
    ],
    [read.readBytes, '512M', 512 * 1024 ** 2],
    [read.readBytes, '2 GiB', 2 * 1024 ** 3],
    [read.readBytes, 4096, 4096],
    [read.readDuration, '90s', 90_000],
    [read.readDuration, '7d', 604_800_000],
    [read.readAmount, '0.5', 0.5],
    [read.readOrigin, 'https://postern.example.com/', 'https://postern.example.com'],
    [read.readDomain, 'WS.Example.com', 'ws.example.com'],
    [read.readBlocks, '10.0.0.0/8, ::1,192.0.2.7', ['10.0.0.0/8', '::1/128', '192.0.2.7/32']],
    [read.readDatabaseUrl, 'postgres://u:p@h/d', 'postgres://u:p@h/d'],
  ]
  for (const [reader, raw, value] of taken)
    t.same(reader(raw), value, `${reader.name} ${JSON.stringify(raw)}`)
  const refused: readonly (readonly [(raw: unknown) => unknown, unknown])[] = [
    [read.readAddress, '127.0.0.1'],
    [read.readAddress, '127.0.0.1:0'],
    [read.readAddress, '127.0.0.1:65536'],
    [read.readAddress, '::1:8090'],
    [read.readAddresses, ''],
    [read.readBytes, '-1'],
    [read.readBytes, '1.5G'],
    [read.readDuration, '10'],
    [read.readAmount, '0'],
    [read.readCount, '1e3'],
    [read.readOrigin, 'https://x.example/path'],
    [read.readOrigin, 'ftp://x.example'],
    [read.readOrigin, 'https://u:p@x.example'],
    [read.readDomain, 'localhost'],
    [read.readDomain, 'a..b'],
    [read.readDomain, '-a.example'],
    [read.readDomain, '127.0.0.1'],
    [read.readBlocks, '10.0.0.0/33'],
    [read.readBlocks, '10'],
    [read.readText, {}],
    [read.readText, '  '],
  ]
  for (const [reader, raw] of refused)
    t.throws(() => reader(raw), Error, `${reader.name} ${JSON.stringify(raw)}`)
  t.throws(
    () => read.readDatabaseUrl('mysql://u:secret@h/d'),
    { message: 'is not a postgres:// URL' },
    'a database URL is never repeated, since it holds a password',
  )
})

t.test('the file: absent, unreadable, broken, empty, no mapping', async (t) => {
  const folder = t.testdir({
    'good.yml': 'listen:\n  - 127.0.0.1:1\nmax_cpu: 2\n',
    'broken.yml': 'a: [1\nb: }',
    'twice.yml': 'listen: a\nlisten: b\n',
    'list.yml': '- a\n',
    'empty.yml': '# nothing\n',
  })
  const at = (name: string) => loadConfigFile(join(folder, name), {})
  t.same((await at('good.yml')).file, { listen: ['127.0.0.1:1'], max_cpu: 2 })
  t.same((await at('empty.yml')).file, {})
  await t.rejects(at('broken.yml'), { code: 'config_invalid' })
  await t.rejects(at('twice.yml'), { code: 'config_invalid', problems: [/unique/] })
  await t.rejects(at('list.yml'), { code: 'config_invalid', problems: [/needs keys and values/] })
  await t.rejects(at('absent.yml'), { code: 'config_unreadable' })
  await t.rejects(loadConfigFile(folder, {}), { code: 'config_unreadable' })
  const byDefault = await loadConfigFile(undefined, { XDG_CONFIG_HOME: join(folder, 'nowhere') })
  t.same(byDefault.file, {}, 'the default file may be absent')
  const byEnv = await loadConfigFile(undefined, { POSTERN_CONFIG: join(folder, 'good.yml') })
  t.equal(byEnv.fileName, join(folder, 'good.yml'))
})

t.test('what a host gives away is named by real, whole paths, and nothing by default', async (t) => {
  const folder = realpathSync(t.testdir({ real: {}, link: t.fixture('symlink', 'real') }))
  const given = (flags: object) => resolveConfig(agentOptions, { ...nothing, flags: { ...flags } })
  t.match(given({}), { allowMounts: null, allowHostNetwork: false })
  t.match(given({ 'allow-mounts': ['/srv/data/,/srv/more'], 'allow-host-network': '' }), {
    allowMounts: ['/srv/data', '/srv/more'],
    allowHostNetwork: true,
  })
  for (const path of ['/', 'srv', './srv', '/srv/../etc', '/srv//data', '~'])
    t.throws(() => given({ 'allow-mounts': [path] }), { code: 'config_invalid' }, path)
  t.throws(() => given({ 'allow-host-network': 'perhaps' }), { code: 'config_invalid' })
  const law = (path: string) => lawOf({ allowMounts: [path], allowHostNetwork: false }, ['/state'])
  t.match(await law(join(folder, 'real')), { mounts: [join(folder, 'real')], guarded: ['/state'] })
  await t.rejects(law(join(folder, 'link')), {
    code: 'config_invalid',
    problems: [/is a link to .*real; name that/],
  })
})
