/** The state directory's lock and the log: real files, real processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, readdir, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import t from 'tap'
import { openLogFile } from '../../control/cli/log-file.ts'
import { jsonLogger, openLog, plainLine } from '../../control/cli/log.ts'
import { redact } from '../../control/cli/redact.ts'
import { holdStateDirectory, readMachineId } from '../../control/cli/state-directory.ts'
import { productRoot } from '../support/product-process.ts'

t.test('one holder at a time; free again after release, and after a kill', async (t) => {
  const path = join(t.testdir({}), 'deep', 'state')
  const held = await holdStateDirectory(path)
  t.equal((await stat(path)).mode & 0o777, 0o700)
  await t.rejects(holdStateDirectory(path), { code: 'state_in_use' }, 'in this very process')
  await held.release()
  const again = await holdStateDirectory(path)
  await again.release()

  const module = join(productRoot, 'dist', 'control', 'cli', 'state-directory.js')
  const script = `const { holdStateDirectory } = await import(${JSON.stringify(module)})
    await holdStateDirectory(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000)`
  const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => other.kill('SIGKILL'))
  await once(other.stdout, 'data')
  await t.rejects(holdStateDirectory(path), { code: 'state_in_use' }, 'in another process')
  other.kill('SIGKILL')
  await once(other, 'close')
  const afterKill = await holdStateDirectory(path)
  await afterKill.release()
})

t.test('of many that find the lock of a crash at once, one holds it', async (t) => {
  const path = t.testdir({ 'lock.sqlite': '' })
  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => holdStateDirectory(path)))
  const held = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  t.equal(held.length, 1)
  for (const each of tries) if (each.status === 'rejected') t.match(each.reason, { code: 'state_in_use' })
  await held[0]?.release()
  await (await holdStateDirectory(path)).release()
})

t.test('a very long path, and one that is no directory', async (t) => {
  const folder = t.testdir({ file: 'x' })
  const long = join(folder, 'd'.repeat(120), 'e'.repeat(120))
  await (await holdStateDirectory(long)).release()
  await t.rejects(holdStateDirectory(join(folder, 'file')), { code: 'state_unusable' })
  await symlink(join(folder, 'nowhere', 'x'), join(folder, 'dangling'))
  await t.rejects(holdStateDirectory(join(folder, 'dangling', 'x')), { code: 'state_unusable' })
})

t.test('the machine id stays the same', async (t) => {
  const folder = t.testdir({})
  const id = await readMachineId(folder)
  t.match(id, /^[0-9a-f]{32}$/)
  t.equal(await readMachineId(folder), id)
})

const canary = 'pst_CANARY0123456789abcdefghij'
const gatewaysCanary = 'psg_CANARY0123456789abcdefghij'
const jwtCanary = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJDQU5BUlkifQ.CANARY0123456789abcdefghij'

t.test('no secret reaches the log', async (t) => {
  const out: string[] = []
  const log = jsonLogger('debug', { write: (line) => out.push(line) })
  log.info('a request', {
    headers: {
      authorization: `Bearer ${canary}`,
      Cookie: `postern_session=${canary}`,
      'set-cookie': [canary],
    },
    url: `/setup?token=${canary}&x=1`,
    joinToken: canary,
    password: canary,
    env: [{ name: 'A', value: canary }],
    deep: { list: [{ secret: canary }] },
    err: new Error(`failed with ${canary}`, { cause: new Error(`postgres://user:${canary}@host/db`) }),
  })
  log.child({ token: canary }).warn(`said ${canary} and ${gatewaysCanary}, ${jwtCanary}`)
  log.error('database', { url: 'postgres://user:CANARYword@host/db' })
  t.equal(out.length, 3)
  t.notMatch(out.join(''), /CANARY/)
  t.match(JSON.parse(out[0] ?? ''), { level: 'info', msg: 'a request', url: '/setup?token=[redacted]&x=1' })
  t.match(redact({ a: 1n, b: null, tokenId: 'id', c: undefined }), { a: '1', b: null, tokenId: 'id' })
  const loop: Record<string, unknown> = {}
  loop['self'] = loop
  t.doesNotThrow(() => log.info('a loop', loop))
})

t.test('what somebody sends is bounded in the log, however long it is', async (t) => {
  const out: string[] = []
  const log = jsonLogger('debug', { write: (line) => out.push(line) })
  const long = 'u'.repeat(1 << 20)
  log.warn(`a sign-in of ${long}`, { username: long, err: new Error(long, { cause: new Error(long) }) })
  t.equal(out.length, 1)
  t.ok((out[0]?.length ?? 0) < 40_000, `${out[0]?.length} bytes`)
})

t.test('log files turn over, and stay below the size that was given', async (t) => {
  const folder = join(t.testdir({}), 'log')
  const file = openLogFile(folder, 'agent', 10_000)
  for (let i = 0; i < 1000; i++) file.write(`${String(i).padStart(98, '0')}\n`)
  file.close()
  t.same((await readdir(folder)).sort(), ['agent.1.log', 'agent.log'])
  const sizes = await Promise.all(['agent.1.log', 'agent.log'].map((name) => stat(join(folder, name))))
  t.ok(sizes.reduce((sum, { size }) => sum + size, 0) <= 10_000)
  t.match(await readFile(join(folder, 'agent.log'), 'utf8'), /0999\n$/, 'the newest are kept')
  t.equal((await stat(folder)).mode & 0o777, 0o700)
  const again = openLogFile(folder, 'agent', 10_000)
  again.write('after a restart\n')
  again.close()
  t.match(await readFile(join(folder, 'agent.log'), 'utf8'), /0999\nafter a restart\n$/)
})

t.test('a terminal gets plain lines of what needs a person; a pipe gets JSON', async (t) => {
  const sink = (isTTY: boolean) => {
    const lines: string[] = []
    const out = new Writable({ write: (chunk, _, done) => (lines.push(String(chunk)), done()) })
    return { lines, out: Object.assign(out, { isTTY }) as unknown as NodeJS.WriteStream }
  }
  const options = { level: 'info', directory: null, maxBytes: 1000, name: 'x' } as const
  const terminal = sink(true)
  const { log } = openLog(options, terminal.out)
  log.info('a detail')
  log.child({ room: 'agent' }).warn('docker does not answer', { tries: 3, err: new Error('no such file') })
  t.same(terminal.lines, ['warn agent: docker does not answer (no such file, tries=3)\n'])
  const pipe = sink(false)
  openLog(options, pipe.out).log.info('a detail', { a: 1 })
  t.match(JSON.parse(pipe.lines[0] ?? ''), { level: 'info', msg: 'a detail', a: 1 })
  t.equal(plainLine('{"level":"error","msg":"m"}'), 'error m\n')
})

t.test('a log directory that can’t be made is an error', async (t) => {
  const folder = t.testdir({ file: 'x' })
  await mkdir(join(folder, 'ok'))
  t.throws(() => openLogFile(join(folder, 'file', 'log'), 'x', 1000))
})
