/** What the process runtime promises beyond the kit: nothing outlives a stop, nothing is lost over a restart. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { chmod, chown, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Instance, Runtime, RuntimePlugin, WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-process'
import t from 'tap'
import { testHost } from '../../support/plugins-host.ts'
import { until } from '../../support/until.ts'

const isRoot = process.getuid?.() === 0
const GRACE = 3_000
t.setTimeout(120_000)

type Opened = Awaited<ReturnType<typeof testHost>> & { runtime: Runtime; call: { signal: AbortSignal } }

/** A runtime on a host of its own; at the end of the test nothing of it is left. */
async function opened(t: { teardown(work: () => unknown): void }, config: unknown = {}): Promise<Opened> {
  const host = await testHost()
  const parsed = (plugin as RuntimePlugin).config.parse(config)
  const runtime = await (plugin as RuntimePlugin).open(parsed, host)
  const call = { signal: AbortSignal.timeout(60_000) }
  t.teardown(async () => {
    const last = await (plugin as RuntimePlugin).open(parsed, host)
    for (const { workspaceId } of await last.list(call))
      await last.remove(workspaceId, { ...call, keepData: false })
    await host.remove()
  })
  return { ...host, runtime, call }
}

function specOf(command: readonly string[], overrides: Partial<WorkspaceSpec> = {}): WorkspaceSpec {
  const id = randomBytes(8).toString('hex')
  return { id, name: 'w', generation: 1, command, env: [], ports: [], ...overrides }
}

const sh = (script: string): string[] => ['/bin/sh', '-c', script]
const node = (script: string): string[] => [process.execPath, '-e', script]

async function find(
  runtime: Runtime,
  id: string,
  call: { signal: AbortSignal },
): Promise<Instance | undefined> {
  return (await runtime.list(call)).find((instance) => instance.workspaceId === id)
}

function environOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}

/** Living processes whose command line holds the word. */
function withWord(word: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const isDead = /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
      return !isDead && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(word)
    } catch {
      return false
    }
  })
}

t.test('stop ends daemons that left the session, and with it their variables', async (t) => {
  const { runtime, call } = await opened(t)
  const word = `daemon${randomBytes(6).toString('hex')}`
  const daemon = `env -i setsid sh -c 'trap : TERM; (sleep 300; : ${word}) & while :; do sleep 1; : ${word}; done' &`
  const spec = specOf(sh(`(${daemon}) & sleep 300; : ${word}`))
  await runtime.start(spec, call)
  await until(() => withWord(word).length >= 4)
  const shed = withWord(word).filter((pid) => !environOf(pid).includes(spec.id))
  t.ok(shed.length >= 2, 'the daemons carry no variable of ours')
  await runtime.stop(spec.id, { ...call, graceMs: 300 })
  t.same(withWord(word), [], 'every one of them is gone')
  t.equal((await find(runtime, spec.id, call))?.state, 'stopped')
})

t.test('what a program leaves running when it ends is ended too', async (t) => {
  const { runtime, call } = await opened(t)
  const word = `left${randomBytes(6).toString('hex')}`
  const controller = new AbortController()
  const watching = (async () => {
    for await (const hint of runtime.watch?.({ signal: controller.signal }) ?? []) void hint
  })()
  const spec = specOf(sh(`setsid sh -c 'sleep 300; : ${word}' & sleep 0.5; exit 4`))
  await runtime.start(spec, call)
  await until(async () => (await find(runtime, spec.id, call))?.state === 'failed')
  await until(() => withWord(word).length === 0, { what: 'the rest to be ended' })
  t.match(await find(runtime, spec.id, call), { state: 'failed', exit: { code: 4 } })
  controller.abort()
  await watching
})

t.test('a fork bomb is ended', async (t) => {
  const { runtime, call } = await opened(t)
  const word = `bomb${randomBytes(6).toString('hex')}`
  // Of those that are cut off from this test no machine dies: there are few of them, for two minutes at most.
  const bomb = `ulimit -p 400; b() { : ${word}; trap : TERM; while :; do sleep 0.05; (b) & sleep 2; done; }; b`
  const spec = specOf(sh(`exec timeout --signal=KILL 120 /bin/sh -c '${bomb}'`))
  await runtime.start(spec, call)
  await until(() => withWord(word).length > 20)
  await runtime.remove(spec.id, { ...call, keepData: false })
  t.same(withWord(word), [])
})

t.test('the exit code of a program that ended while Postern was away is known', async (t) => {
  const { runtime, call, ...host } = await opened(t)
  const flag = join(tmpdir(), `postern-flag-${randomBytes(6).toString('hex')}`)
  t.teardown(() => rm(flag, { force: true }))
  const waiting = specOf(sh(`until [ -e ${flag} ]; do sleep 0.05; done; exit 42`))
  const living = specOf(sh('sleep 300'))
  const { incarnation } = await runtime.start(waiting, call)
  const before = await runtime.start(living, call)
  await runtime.close()
  await writeFile(flag, '')
  await until(() => withWord(flag).length === 0)
  const again = await (plugin as RuntimePlugin).open(plugin.config.parse({}), host)
  t.match(await find(again, waiting.id, call), {
    state: 'failed',
    incarnation,
    exit: { code: 42, oom: false },
  })
  t.match(await find(again, living.id, call), { state: 'running', incarnation: before.incarnation })
})

t.test('a Postern that was killed between a start and its record finds the program again', async (t) => {
  const { runtime, call, stateDirectory } = await opened(t)
  const spec = specOf(sh('sleep 300'))
  const { incarnation } = await runtime.start(spec, call)
  const path = join(stateDirectory, 'workspaces', spec.id, 'meta.json')
  const meta = JSON.parse(await readFile(path, 'utf8')) as { leader: { pid: number } }
  await writeFile(path, JSON.stringify({ ...meta, leader: null }))
  t.match(await find(runtime, spec.id, call), { state: 'running', incarnation })
  t.equal((await runtime.start(spec, call)).incarnation, incarnation, 'and does not start it twice')
})

t.test('a pid that somebody else has now is not taken for ours', async (t) => {
  const { runtime, call, stateDirectory } = await opened(t)
  const spec = specOf(sh('exit 0'))
  await runtime.start(spec, call)
  await until(async () => (await find(runtime, spec.id, call))?.state === 'stopped')
  const other = spawn('sleep', ['300'])
  t.teardown(() => other.kill('SIGKILL'))
  await once(other, 'spawn')
  const path = join(stateDirectory, 'workspaces', spec.id, 'meta.json')
  const meta = JSON.parse(await readFile(path, 'utf8')) as { leader: object }
  await writeFile(path, JSON.stringify({ ...meta, leader: { ...meta.leader, pid: other.pid } }))
  t.equal((await find(runtime, spec.id, call))?.state, 'stopped')
  await runtime.remove(spec.id, { ...call, keepData: false })
  t.equal(other.exitCode ?? other.signalCode, null, 'it was not touched')
})

t.test('a program gets its own home and ports, and nothing of the environment of Postern', async (t) => {
  const { runtime, call, stateDirectory } = await opened(t)
  process.env['POSTERN_TEST_SECRET'] = 'leak'
  t.teardown(() => delete process.env['POSTERN_TEST_SECRET'])
  const script = `const { writeFileSync, readFileSync } = require('fs')
    const limit = /Max file locks.*/.exec(readFileSync('/proc/self/limits', 'utf8'))[0]
    writeFileSync('seen', JSON.stringify({ env: process.env, cwd: process.cwd(), limit, uid: process.getuid(),
      groups: process.getgroups(), fds: require('fs').readdirSync('/proc/self/fd').length }))
    require('http').createServer((q, s) => s.end('x')).listen(process.env.PORT_81)`
  const files = [
    { path: 'a/b.txt', content: 'žluť\n' },
    { path: '-dash', content: '' },
  ]
  const spec = specOf(node(script), {
    ports: [{ port: 80 }, { port: 81 }],
    files,
    env: [{ name: 'OPTIND', value: 'x' }],
  })
  await runtime.start(spec, call)
  const home = join(stateDirectory, 'workspaces', spec.id, 'home')
  const text = await until(() => readFileSync(join(home, 'workspace/seen'), 'utf8'))
  const seen = JSON.parse(text) as { env: Record<string, string>; cwd: string; uid: number; groups: number[] }
  t.equal(seen.env['POSTERN_TEST_SECRET'], undefined)
  t.equal(seen.env['HOME'], home)
  t.equal(seen.cwd, join(home, 'workspace'))
  t.equal(seen.env['PORT'], seen.env['PORT_80'])
  t.equal(readFileSync(join(home, 'workspace/a/b.txt'), 'utf8'), 'žluť\n')
  const known =
    /^(HOME|PATH|SHELL|LANG|PWD|OLDPWD|PORT|PORT_8[01]|POSTERN_(DEPLOYMENT|HOST|WORKSPACE|INCARNATION))$/
  t.same(
    Object.keys(seen.env).filter((name) => !known.test(name)),
    [],
  )
  t.equal(statSync(home).mode & 0o777, 0o700)
  if (isRoot) {
    t.ok(seen.uid >= 70_000, 'a uid of its own')
    t.same(seen.groups, [seen.uid], 'and no other group')
  }
  const reach = await until(async () => {
    const found = (await find(runtime, spec.id, call))?.reach
    return found?.kind === 'ports' && Object.keys(found.ports).length > 0 && found
  })
  t.same(reach, { kind: 'ports', host: '127.0.0.1', ports: { 81: Number(seen.env['PORT_81']) } })
})

t.test('seed files are put where nothing is, and never through a link', async (t) => {
  const { runtime, call, stateDirectory } = await opened(t)
  const outside = await mkdtemp(join(tmpdir(), 'postern-outside-'))
  t.teardown(() => rm(outside, { recursive: true, force: true }))
  const spec = specOf(sh('sleep 300'), { files: [{ path: 'app.js', content: 'one' }] })
  await runtime.start(spec, call)
  const home = join(stateDirectory, 'workspaces', spec.id, 'home')
  await writeFile(join(home, 'workspace/app.js'), 'edited')
  await runtime.remove(spec.id, { ...call, keepData: true })
  await runtime.start({ ...spec, generation: 2 }, call)
  t.equal(readFileSync(join(home, 'workspace/app.js'), 'utf8'), 'edited')
  await runtime.remove(spec.id, { ...call, keepData: true })
  await rm(join(home, 'workspace'), { recursive: true })
  await symlink(outside, join(home, 'workspace'))
  const again = await runtime.start({ ...spec, generation: 3 }, call).catch((err: unknown) => err)
  if (isRoot) {
    t.same(readdirSync(outside), [], 'root did not write where the workspace may not')
    t.match(again, { code: 'ERR_INTERNAL' })
  }
})

t.test('data outlives everything but its removal; homes elsewhere too', async (t) => {
  const homes = await mkdtemp(join(tmpdir(), 'postern-homes-'))
  t.teardown(() => rm(homes, { recursive: true, force: true }))
  if (isRoot) {
    const settings = plugin.config.parse({ homes_directory: join(homes, 'x') })
    const host = await testHost()
    t.teardown(host.remove)
    await t.rejects(plugin.open(settings, host), { code: 'ERR_PERMISSION', fix: /chmod/ })
    await chmod(homes, 0o711)
  }
  const { runtime, call, stateDirectory } = await opened(
    t,
    isRoot ? { homes_directory: join(homes, 'x') } : {},
  )
  const spec = specOf(sh('echo kept > note; sleep 300'))
  await runtime.start(spec, call)
  const { home } = JSON.parse(
    await readFile(join(stateDirectory, 'workspaces', spec.id, 'meta.json'), 'utf8'),
  ) as { home: string }
  if (isRoot) t.equal(dirname(dirname(home)), join(homes, 'x'))
  await until(() => existsSync(join(home, 'workspace/note')))
  await runtime.remove(spec.id, { ...call, keepData: true })
  t.equal(readFileSync(join(home, 'workspace/note'), 'utf8'), 'kept\n')
  await runtime.remove(spec.id, { ...call, keepData: false })
  t.notOk(existsSync(home))
  t.notOk(existsSync(join(stateDirectory, 'workspaces', spec.id)))
})

t.test('a log is bounded, keeps its lines whole, and both streams in order', async (t) => {
  const { runtime, call, stateDirectory } = await opened(t, { log_bytes: 4096 })
  const spec = specOf(
    sh('i=0; while [ $i -lt 300 ]; do echo "line $i 0123456789"; i=$((i+1)); done; echo ž >&2; sleep 300'),
  )
  await runtime.start(spec, call)
  const lines = async (tail: number): Promise<string[]> => {
    const texts: string[] = []
    for await (const line of runtime.logs?.(spec.id, { ...call, tail }) ?? []) texts.push(line.text)
    return texts
  }
  await until(async () => (await lines(1))[0] === 'ž')
  t.same(await lines(3), ['line 298 0123456789', 'line 299 0123456789', 'ž'])
  t.equal((await lines(1000)).length, 301)
  await runtime.stop(spec.id, { ...call, graceMs: GRACE })
  await runtime.start({ ...spec }, call)
  const log = join(stateDirectory, 'workspaces', spec.id, 'log')
  t.ok(existsSync(join(log, 'output.log.1')), 'the old log is put aside')
})

t.test('bad settings are refused, all problems at once', async (t) => {
  const parse = (input: unknown): unknown => plugin.config.parse(input)
  t.throws(() => parse([]), /must be a mapping/)
  t.throws(() => parse({ colour: 1, first_uid: -1, path: '', homes_directory: 'x', log_bytes: 1 }), {
    message: /colour is not known.*first_uid must.*path must.*homes_directory must.*log_bytes must/,
  })
  t.throws(() => parse({ first_uid: 5000, last_uid: 4000 }), /first_uid is above last_uid/)
  t.match(parse(undefined), { firstUid: 70_000, homesDirectory: null })
})

t.test('a workspace without a command is refused with what to do', async (t) => {
  const { runtime, call } = await opened(t)
  const { command: _, ...spec } = specOf([])
  await t.rejects(runtime.start({ ...spec, image: 'x' }, call), { code: 'ERR_INVALID_SPEC', fix: /command/ })
  const health = await runtime.health(call)
  t.match(health.warnings?.[0], /isolates nothing/)
})

t.test('as an unprivileged user', { skip: !isRoot && 'this is one already' }, async (t) => {
  const here = fileURLToPath(import.meta.url)
  const root = await mkdtemp(join(tmpdir(), 'postern-nobody-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  await chown(root, 65534, 65534)
  const kit = `import { runConformance } from '@postern/plugin/testing'
    import { conformance } from '@postern/plugin-process/conformance'
    const factory = { ...conformance, stateRoot: ${JSON.stringify(root)} }
    const summary = await runConformance(factory, (text) => process.stdout.write(text))
    process.exitCode = summary.failed > 0 ? 1 : 0`
  const runs = { 'the kit': ['--input-type=module', '-e', kit], 'the cases above': [here] }
  const attempt = async ([name, args]: [string, string[]]): Promise<void> => {
    const child = spawn(process.execPath, args, {
      cwd: join(dirname(here), '../../../..'),
      uid: 65534,
      gid: 65534,
      env: { PATH: process.env['PATH'], HOME: root, TAP: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    const [code] = (await once(child, 'close')) as [number]
    const text = Buffer.concat(chunks).toString()
    t.equal(
      code,
      0,
      `${name}: ${text
        .split('\n')
        .filter((line) => !/^ *(ok|#)/.test(line))
        .join('\n')}`,
    )
    t.match(text, /[2-9]\d passed, 0 failed|# \{ total: \d+, pass: \d+, skip: \d+ \}/)
  }
  await Promise.all(Object.entries(runs).map(attempt))
})
