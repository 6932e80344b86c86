/** Reasons not to start: the built command is run, and must end with 2, a code, a cause and a next step, without a stack. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { chmod, chown, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { copyProduct, nobodysUid, notRoot } from '../support/product-copy.ts'
import { Client } from '../support/product-client.ts'
import { freePorts } from '../support/free-port.ts'
import { CliProcess, type CliOptions } from '../support/product-process.ts'
import { startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

interface Refusal extends Partial<CliOptions> {
  readonly code: string
  readonly says?: RegExp
}

/** Runs standalone on free ports with the process runtime, unless `args` say otherwise; expects the refusal. */
async function refused(t: Test, name: string, refusal: Refusal): Promise<CliProcess> {
  const [port, authz] = await freePorts(2)
  const { code, says, args = [], ...rest } = refusal
  const home = rest.home ?? scratch(t)
  const own = [`--listen=127.0.0.1:${port}`, `--authz-listen=127.0.0.1:${authz}`, '--runtime=process']
  const isSet = (word: string) => args.some((arg) => arg.split('=')[0] === word.split('=')[0])
  const cli = new CliProcess({
    ...rest,
    home,
    args: [...own.filter((word) => !isSet(word)), `--state-directory=${join(home, 'state')}`, ...args].filter(
      (word, i, all) => all.findLastIndex((other) => other.split('=')[0] === word.split('=')[0]) === i,
    ),
  })
  t.teardown(() => cli.end('SIGKILL'))
  const { code: exit } = await cli.ended
  t.equal(exit, 2, `${name}: exit code`)
  t.match(cli.stderr, new RegExp(`^  code:  ${code}$`, 'm'), `${name}: code`)
  t.match(cli.stderr, /^ {2}next: {2}\S/m, `${name}: next step`)
  t.notMatch(cli.stderr, /\n\s+at /, `${name}: no stack`)
  if (says) t.match(cli.stderr, says, name)
  t.notMatch(cli.stdout, /Set up Postern/, `${name}: not said to be up`)
  return cli
}

/** A folder of its own for each call, where `testdir` has one for each test. */
function scratch(t: Test, files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

t.test('configuration', async (t) => {
  const folder = scratch(t, {
    'bad.yml': 'listen: 8090\nfrobnicate: 1\nbase-domain: x.example\n',
    'broken.yml': '[',
  })
  const cli = await refused(t, 'unknown keys and wrong values, all at once', {
    code: 'config_invalid',
    home: folder,
    args: [`--config=${join(folder, 'bad.yml')}`, '--max-pids=many'],
    says: /frobnicate: there is no such key/,
  })
  t.match(cli.stderr, /did you mean base_domain\?/)
  t.match(cli.stderr, /--max-pids: "many"/)
  await refused(t, 'broken YAML', {
    code: 'config_invalid',
    args: [`--config=${join(folder, 'broken.yml')}`],
  })
  const paths = (pathUrl: string) => [
    '--public-url=https://p.example',
    '--base-domain=ws.example',
    `--path-url=${pathUrl}`,
  ]
  for (const [url, says] of [
    ['https://p.example', /path-url: .*own origin/],
    ['http://q.example', /path-url: the scheme/],
    ['https://q.ws.example', /path-url: .*base domain/],
  ] as const)
    await refused(t, `path mode at ${url}`, { code: 'config_invalid', args: paths(url), says })
  await refused(t, 'absent', { code: 'config_unreadable', args: [`--config=${join(folder, 'absent.yml')}`] })
})

t.test('addresses', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`
  await refused(t, 'taken', { code: 'address_in_use', args: [`--listen=${taken}`], says: new RegExp(taken) })
  await refused(t, 'taken for forward auth', { code: 'address_in_use', args: [`--authz-listen=${taken}`] })
  await refused(t, 'not of this machine', { code: 'address_unusable', args: ['--listen=192.0.2.1:8090'] })
})

t.test('the state directory: in use, not a directory', async (t) => {
  const product = await startProduct(t, { runtime: 'process', setup: false })
  await refused(t, 'in use', { code: 'state_in_use', args: [`--state-directory=${product.stateDirectory}`] })
  const folder = scratch(t, { file: 'x' })
  const state = `--state-directory=${join(folder, 'file')}`
  await refused(t, 'a file', { code: 'state_unusable', args: [state] })
})

t.test('the database: of a newer version, broken, locked, away', async (t) => {
  const product = await startProduct(t, { runtime: 'process', setup: false })
  await product.server.end()
  const file = join(product.stateDirectory, 'postern.sqlite')
  const sql = (text: string) =>
    execFileSync('python3', ['-c', `import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); ${text}`, file])
  const args = [`--state-directory=${product.stateDirectory}`]
  const lock = new CliPython(file)
  t.teardown(() => lock.end())
  await lock.held
  await refused(t, 'locked', { code: 'database_locked', args })
  await lock.end()
  sql(`c.execute("insert into migrations values ('9999-later')"); c.commit()`)
  await refused(t, 'newer', { code: 'database_newer', args })
  await writeFile(file, 'this is no database, and never was one'.repeat(200))
  await refused(t, 'broken', { code: 'database_broken', args })
  const [port] = await freePorts(1)
  const secret = 'CANARYword'
  const away = await refused(t, 'away', {
    code: 'database_unreachable',
    env: { POSTERN_DATABASE_URL: `postgres://user:${secret}@127.0.0.1:${port}/db` },
  })
  t.notMatch(away.stderr + away.stdout, secret, 'the password is not shown')
})

/** Holds an exclusive lock on a SQLite file. */
class CliPython {
  readonly #child
  readonly held: Promise<unknown>
  constructor(file: string) {
    const text = `import sqlite3,sys; c=sqlite3.connect(sys.argv[1],isolation_level=None); c.execute('pragma locking_mode=exclusive'); c.execute('begin exclusive'); print('held',flush=True); sys.stdin.read()`
    this.#child = spawn('python3', ['-c', text, file], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.held = once(this.#child.stdout, 'data')
  }
  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.stdin.end()
    await closed
  }
}

t.test('runtimes', async (t) => {
  const folder = scratch(t, { 'plugin.mjs': 'throw new Error("boom")', 'empty.mjs': 'export default {}' })
  await refused(t, 'no such package', { code: 'plugin_unloadable', args: ['--runtime=nosuch-plugin'] })
  await refused(t, 'fails', {
    code: 'plugin_unloadable',
    args: [`--runtime=${join(folder, 'plugin.mjs')}`],
    says: /boom/,
  })
  await refused(t, 'no plugin', {
    code: 'plugin_unloadable',
    args: [`--runtime=${join(folder, 'empty.mjs')}`],
  })
  await refused(t, 'a stub', { code: 'runtime_unsupported', args: ['--runtime=kubernetes'] })
  await refused(t, 'no Docker there', {
    code: 'runtime_unavailable',
    args: ['--runtime=docker'],
    env: { DOCKER_HOST: `unix://${join(folder, 'no.sock')}` },
    says: /Install Docker.*--runtime process/,
  })
  await writeFile(join(folder, 'config.yml'), 'runtime_config: { nonsense: true }\n')
  await refused(t, 'settings that the plugin refuses', {
    code: 'config_invalid',
    args: [`--config=${join(folder, 'config.yml')}`],
    says: /runtime_config: .*nonsense/,
  })
})

t.test('without Docker, processes are taken, and the warning says all of it', async (t) => {
  const product = await startProduct(t, { env: { DOCKER_HOST: 'unix:///nowhere/docker.sock' } })
  t.match(
    product.server.stderr,
    /Warning: Docker is not used: there is no Docker socket at \/nowhere.*Install Docker/,
  )
  t.match(product.server.stderr, /Warning: The runtime "process" isolates nothing/)
  t.match(product.server.stdout, /^Set up Postern: http:\/\/localhost:\d+\/setup\?token=\S+$/m)
  await product.restart()
  t.notMatch(product.server.stdout, /Set up Postern/, 'not once there is a user')
})

t.test('an agent without token, or with a wrong one, is refused', async (t) => {
  const product = await startProduct(t, { mode: 'split', setup: false, runtime: 'process' })
  const folder = scratch(t, { token: 'psj_wrong\n' })
  const args = [
    'agent',
    `--server-url=http://127.0.0.1:${product.port}`,
    `--state-directory=${join(folder, 's')}`,
  ]
  for (const more of [[], [`--join-token-file=${join(folder, 'token')}`]]) {
    const cli = new CliProcess({ home: folder, args: [...args, '--runtime=process', ...more] })
    t.teardown(() => cli.end('SIGKILL'))
    t.equal((await cli.ended).code, 2)
    t.match(cli.stderr, /^ {2}code: {2}join_refused$/m)
    t.match(cli.stderr, /join token/)
  }
})

t.test('an agent that waits for its server ends at a signal', async (t) => {
  const [port] = await freePorts(1)
  const folder = scratch(t)
  const cli = new CliProcess({
    home: folder,
    args: [
      'agent',
      `-S=http://127.0.0.1:${port}`,
      '--runtime=process',
      `--state-directory=${join(folder, 's')}`,
    ],
    env: { POSTERN_JOIN_TOKEN: 'psj_whatever' },
  })
  t.teardown(() => cli.end('SIGKILL'))
  await cli.printed(/Joining/)
  t.same(await cli.end(), { code: 0, signal: null })
})

t.test('signals: the first ends gracefully, a later one at once', async (t) => {
  const product = await startProduct(t, { runtime: 'process', args: ['--drain-period=60s'] })
  const open = new Client(product.url, product.port)
  t.same(await product.server.end('SIGINT'), { code: 0, signal: null })
  await product.startServer()
  await open.ask('/healthz')
  const slow = slowRequest(product.port)
  await slow.begun
  product.server.child.kill('SIGTERM')
  await until(async () => !(await accepts(product.port)), { what: 'the listener to close' })
  t.ok(product.server.running, 'an open request holds it')
  await until(() => {
    product.server.child.kill('SIGTERM')
    return !product.server.running
  })
  t.equal((await product.server.ended).code, 1)
  slow.end()
})

/** A request whose body never ends. */
function slowRequest(port: number): { begun: Promise<unknown>; end(): void } {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined) // it is cut at the end
  const head = `POST /api/v1/sessions HTTP/1.1\r\nHost: localhost:${port}\r\nOrigin: http://localhost:${port}\r\n`
  socket.write(
    `${head}Content-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n`,
  )
  return { begun: once(socket, 'data'), end: () => socket.destroy() }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => (socket.destroy(), done(true)))
    socket.once('error', () => done(false))
  })
}

t.test('as a user without permissions, from a copy that anybody can read', { skip: notRoot }, async (t) => {
  const copy = await copyProduct()
  t.teardown(() => rm(dirname(copy), { recursive: true, force: true }))
  const cli = join(copy, 'dist', 'control', 'cli', 'main.js')
  const as = { uid: nobodysUid, gid: nobodysUid, cli }
  const ownHome = async (name: string) => {
    const path = join(dirname(copy), name)
    await mkdir(path)
    await chown(path, nobodysUid, nobodysUid)
    return path
  }

  const folder = await ownHome('home')
  const start = join(copy, 'control', 'cli', 'start.mjs')
  const [port = 0, authz = 0] = await freePorts(2)
  const words = [`--listen=127.0.0.1:${port}`, `--authz-listen=127.0.0.1:${authz}`]
  const running = new CliProcess({ ...as, cli: start, home: folder, args: words })
  t.teardown(() => running.end('SIGKILL'))
  await running.printed(/Set up Postern: (\S+)/)
  t.notMatch(running.stderr, /Building/, 'nothing is built again')
  const client = new Client(`http://localhost:${port}`, port)
  t.equal((await client.ask('/healthz')).status, 200)
  t.match(running.stderr, /Warning: Docker is not used/, 'its socket is not for this user')
  t.equal((await running.end()).code, 0)

  const closed = join(folder, 'closed.yml')
  await writeFile(closed, 'max_pids: 5\n', { mode: 0o600 })
  await refused(t, 'an unreadable file', {
    ...as,
    home: folder,
    code: 'config_unreadable',
    args: [`--config=${closed}`],
  })
  await refused(t, 'a port below 1024', {
    ...as,
    home: folder,
    code: 'address_unusable',
    args: ['--listen=127.0.0.1:97'],
  })
  const foreign = join(dirname(copy), 'foreign')
  await mkdir(foreign, { mode: 0o755 })
  const inForeign = [`--state-directory=${join(foreign, 'state')}`]
  await refused(t, 'no place for state', { ...as, home: folder, code: 'state_unusable', args: inForeign })
  const socket = { DOCKER_HOST: 'unix:///var/run/docker.sock' }
  const denied = { ...as, home: folder, env: socket, code: 'runtime_permission', args: ['--runtime=docker'] }
  if (await hasDockerSocket()) await refused(t, 'Docker’s socket', { ...denied, says: /usermod -aG docker/ })

  const state = join(folder, '.local', 'state', 'postern')
  await chown(join(state, 'postern.sqlite'), 0, 0)
  await chmod(join(state, 'postern.sqlite'), 0o444)
  const readOnly = { ...as, home: folder, code: 'database_read_only', args: [`--state-directory=${state}`] }
  await refused(t, 'a database that may only be read', readOnly)
})

async function hasDockerSocket(): Promise<boolean> {
  const found = await stat('/var/run/docker.sock').catch(() => null) // absent
  return found?.isSocket() === true && (found.mode & 0o006) === 0
}
