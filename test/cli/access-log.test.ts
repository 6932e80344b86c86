/** The access log as files, pipes and a product: batches, size, rotation, what is full or stuck, the end. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { readFile, rename, stat, rm, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AccessLog, openAccessLog, type AccessLogOptions } from '../../control/cli/access-log.ts'
import { ask } from '../support/gateway-bytes.ts'
import { memoryLog } from '../support/gateway-edge.ts'
import { freePorts } from '../support/free-port.ts'
import { CliProcess, productRoot } from '../support/product-process.ts'
import { until } from '../support/until.ts'

/** A log, its troubles, and lines of 100 bytes. */
function opened(t: Test, to: string, more: Partial<AccessLogOptions> = {}) {
  const troubles: unknown[] = []
  const log = new AccessLog({ to, maxBytes: 1e9, onTrouble: (err) => troubles.push(err), ...more })
  t.teardown(() => log.close())
  return { log, troubles }
}
const lineOf = (nth: number): string => `${String(nth).padStart(99, '0')}\n`
const linesIn = (text: string): number => text.split('\n').length - 1

t.test('lines come in order, after a moment or at the end, and only their owner reads them', async (t) => {
  const file = join(t.testdir({}), 'deep', 'access.log')
  const { log } = opened(t, file)
  for (let i = 0; i < 3; i++) log.write(lineOf(i))
  t.equal(readFileSync(file, 'utf8'), '', 'nothing is written while a request waits')
  await until(() => readFileSync(file, 'utf8') === lineOf(0) + lineOf(1) + lineOf(2))
  t.equal((await stat(file)).mode & 0o777, 0o600)
  for (let i = 3; i < 5000; i++) log.write(lineOf(i))
  await log.close()
  t.equal(readFileSync(file, 'utf8'), Array.from({ length: 5000 }, (_, i) => lineOf(i)).join(''))
  log.write(lineOf(0))
  t.equal(log.dropped, 1, 'after its end')
})

t.test('the size holds: the file and the one before it', async (t) => {
  const file = join(t.testdir({}), 'access.log')
  const { log } = opened(t, file, { maxBytes: 20_000 })
  for (let i = 0; i < 1000; i++) {
    log.write(lineOf(i))
    if (i % 50 !== 49) continue
    log.flush()
    await until(() => readFileSync(file, 'utf8').endsWith(lineOf(i)))
  }
  await log.close()
  const [now, before] = await Promise.all([stat(file), stat(`${file}.1`)])
  t.ok(now.size + before.size <= 20_000, `${now.size} + ${before.size} bytes`)
  t.equal(linesIn(readFileSync(`${file}.1`, 'utf8')) * 100, before.size, 'whole lines')
})

t.test('a file that was moved, or taken away, is made anew; at once where that is asked for', async (t) => {
  const file = join(t.testdir({}), 'access.log')
  const { log } = opened(t, file)
  const arrives = async (nth: number): Promise<void> => {
    log.write(lineOf(nth))
    log.flush()
    await until(async () => (await readFile(file, 'utf8').catch(() => '')).includes(lineOf(nth)))
  }
  await arrives(1)
  await rename(file, `${file}.old`)
  log.reopen()
  await arrives(2)
  t.equal(readFileSync(`${file}.old`, 'utf8'), lineOf(1), 'nothing more in the old one')
  await rm(file)
  await until(
    async () => {
      log.write(lineOf(3))
      return (await readFile(file, 'utf8').catch(() => '')) !== ''
    },
    { what: 'the file to be seen missing' },
  )
})

t.test('two processes’ logs in one file stay whole lines through rotation', async (t) => {
  const file = join(t.testdir({}), 'access.log')
  const both = [opened(t, file, { maxBytes: 40_000 }).log, opened(t, file, { maxBytes: 40_000 }).log]
  let [turns, before] = [0, 0]
  await until(
    () => {
      for (const log of both) {
        for (let i = 0; i < 100; i++) log.write(lineOf(i))
        log.flush()
      }
      const ino = statSync(`${file}.1`, { throwIfNoEntry: false })?.ino ?? before
      if (ino !== before) turns++
      before = ino
      return turns >= 3
    },
    { everyMs: 5, what: 'the file to turn over again and again' },
  )
  for (const log of both) await log.close()
  for (const name of [file, `${file}.1`]) t.match(readFileSync(name, 'utf8'), /^(\d{99}\n)*$/)
})

t.test(
  'a full disk: lines are dropped and counted, said once, and it goes on when there is room',
  async (t) => {
    const folder = t.testdir({})
    const file = join(folder, 'access.log')
    execFileSync('ln', ['-s', '/dev/full', file])
    const { log, troubles } = opened(t, file)
    for (let round = 1; round <= 2; round++) {
      for (let i = 0; i < 10; i++) log.write(lineOf(i))
      log.flush()
      await until(() => log.dropped === round * 10)
    }
    t.match(troubles, [{ code: 'ENOSPC' }])
    await rm(file)
    log.reopen()
    log.write(lineOf(7))
    await log.close()
    t.equal(readFileSync(file, 'utf8'), lineOf(7))
    t.same(troubles.length, 2)
    t.equal(troubles[1], null, 'it is said that it goes again')
  },
)

t.test(
  'a pipe whose reader is stuck: nothing waits, memory is bounded, what arrives later is whole lines',
  async (t) => {
    const pipe = join(t.testdir({}), 'pipe')
    execFileSync('mkfifo', [pipe])
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
    t.teardown(() => closeSync(reader))
    const { log } = opened(t, pipe)
    let slowestMs = 0
    for (let i = 0; i < 60_000; i++) {
      const began = performance.now()
      log.write(lineOf(i))
      slowestMs = Math.max(slowestMs, performance.now() - began)
      if (i % 1000 === 0) await new Promise(setImmediate)
    }
    t.ok(slowestMs < 500, `a line took ${slowestMs.toFixed(1)} ms at most`)
    await until(() => log.dropped > 20_000)
    const chunks: Buffer[] = []
    const drain = (): void => {
      const chunk = Buffer.alloc(1 << 20)
      try {
        const length = readSync(reader, chunk, 0, chunk.length, null)
        chunks.push(chunk.subarray(0, length))
      } catch (err) {
        t.match(err, { code: 'EAGAIN' })
      }
    }
    await until(() => {
      drain()
      log.write(lineOf(99_999))
      return Buffer.concat(chunks).toString().endsWith(lineOf(99_999))
    })
    const odd = Buffer.concat(chunks)
      .toString()
      .split('\n')
      .filter((line) => line.length !== 99 && line !== '')
    t.ok(odd.length <= 1 && odd.every((line) => line.length < 99), 'but the one in which it was full')
  },
)

t.test(
  'where it goes: the log directory, the state directory, a path, standard output, nowhere',
  async (t) => {
    const folder = t.testdir({ file: 'x' })
    const choice = {
      accessLog: null,
      logDirectory: null,
      stateDirectory: join(folder, 'state'),
      logMaxSize: 1e6,
    }
    const place = async (more: Partial<Parameters<typeof openAccessLog>[0]>, path: string): Promise<void> => {
      await openAccessLog({ ...choice, ...more }, memoryLog())?.close()
      t.ok((await stat(join(folder, path))).isFile(), path)
    }
    await place({}, 'state/access.log')
    await place({ logDirectory: '-' }, 'state/access.log')
    await place({ logDirectory: join(folder, 'logs') }, 'logs/access.log')
    await place({ accessLog: join(folder, 'own', 'a.log') }, 'own/a.log')
    t.equal(openAccessLog({ ...choice, accessLog: 'off' }, memoryLog()), null)
    for (const bad of ['file/access.log', '.'])
      t.throws(() => openAccessLog({ ...choice, accessLog: join(folder, bad) }, memoryLog()), {
        code: 'access_log_unusable',
        next: /--access-log/,
      })
  },
)

t.test(
  'standard output, beside other lines on it; and a process that ends by itself loses nothing',
  async (t) => {
    const module = JSON.stringify(join(productRoot, 'dist', 'control', 'cli', 'access-log.js'))
    const script = `const { AccessLog } = await import(${module})
    const log = new AccessLog({ to: process.argv[1], maxBytes: 1e9, onTrouble: () => {} })
    for (let i = 0; i < 500; i++) { log.write('{"a":"' + 'x'.repeat(80) + '"}\\n'); if (i % 5 === 0) process.stdout.write('{"b":1}\\n') }
    if (process.argv[1] === '-') await log.close()
    else process.exit(3)`
    const run = async (to: string): Promise<string> => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, to], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let text = ''
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
      await once(child, 'close')
      return text
    }
    const text = await run('-')
    t.equal(linesIn(text), 600)
    t.match(text, /^(\{"a":"x{80}"\}\n|\{"b":1\}\n)+$/)
    const file = join(t.testdir({}), 'access.log')
    await run(file)
    t.equal(linesIn(readFileSync(file, 'utf8')), 500)
  },
)

t.test(
  'the product: on by default in its state directory, opened anew at SIGHUP, off when it is switched off',
  async (t) => {
    const home = t.testdir({})
    const start = async (
      name: string,
      args: readonly string[],
    ): Promise<{ cli: CliProcess; port: number; state: string }> => {
      const [port = 0, authz] = await freePorts(2)
      const state = join(home, name)
      await mkdir(state, { mode: 0o700 })
      const cli = new CliProcess({
        home,
        args: [
          'server',
          `--listen=127.0.0.1:${port}`,
          `--authz-listen=127.0.0.1:${authz}`,
          `--state-directory=${state}`,
          ...args,
        ],
      })
      t.teardown(() => cli.end('SIGKILL'))
      await cli.printed(/answers on/)
      return { cli, port, state }
    }
    const { cli, port, state } = await start('on', [])
    const file = join(state, 'access.log')
    const said = async (path: string): Promise<string> => {
      await ask(port, { host: `localhost:${port}`, path })
      return until(async () => {
        const text = await readFile(file, 'utf8').catch(() => '')
        return text.includes(`"path":"${path}"`) ? text : null
      })
    }
    await said('/api/v1/limits')
    await rename(file, join(state, 'older.log'))
    cli.child.kill('SIGHUP')
    t.notMatch(await said('/healthz'), '/api/v1/limits', 'a new file')
    t.ok(cli.running)
    await ask(port, { host: `localhost:${port}`, path: '/the-last' })
    await cli.end()
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    t.match(
      JSON.parse(lines.at(-1) ?? ''),
      { path: '/the-last', class: 'dashboard', client: '127.0.0.1' },
      'written at the end',
    )
    const off = await start('off', ['--access-log=off'])
    await ask(off.port, { host: `localhost:${off.port}`, path: '/healthz' })
    await off.cli.end()
    await t.rejects(stat(join(off.state, 'access.log')), { code: 'ENOENT' })
  },
)
