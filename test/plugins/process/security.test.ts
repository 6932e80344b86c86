/**
 * The story: a workspace's owner may open any port of it. On the process runtime its ports are ports of the host, so
 * they ask for 5432, where the host's own database listens on 127.0.0.1 and trusts whoever comes from there.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import type { Runtime, WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-process'
import { openTable } from '@postern/plugin-process/internal/table'
import type { ListenerTable } from '@postern/plugin-process/internal/table'
import t from 'tap'
import { freePort } from '../../support/free-port.ts'
import { testHost } from '../../support/plugins-host.ts'
import { until } from '../../support/until.ts'

const host = await testHost()
const runtime: Runtime = await plugin.open(plugin.config.parse({}), host)
const call = { signal: AbortSignal.timeout(60_000) }
t.teardown(async () => {
  for (const { workspaceId } of await runtime.list(call))
    await runtime.remove(workspaceId, { ...call, keepData: false })
  await runtime.close()
  await host.remove()
})

/** The host's database: counts who comes in. */
async function database(
  t: { teardown(work: () => unknown): void },
  port = 0,
): Promise<{ port: number; visitors(): number; server: Server }> {
  let visitors = 0
  const server = createServer((socket) => {
    visitors++
    socket.on('error', () => undefined)
    socket.end('the database\n')
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { port: (server.address() as AddressInfo).port, visitors: () => visitors, server }
}

/** A workspace whose program greets everybody on the given addresses. */
function greeter(listen: string, ports: number[] = []): WorkspaceSpec {
  const script = `const s = require('net').createServer((c) => c.end('the workspace\\n')); s.listen(${listen})
    setInterval(() => {}, 1000)`
  return {
    id: randomBytes(8).toString('hex'),
    name: 'w',
    generation: 1,
    env: [],
    command: [process.execPath, '-e', script],
    ports: ports.map((port) => ({ port })),
  }
}

async function greeting(id: string, port: number, word = ''): Promise<string> {
  const stream = await runtime.connect!(id, port, call)
  if (word !== '') stream.write(word)
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

async function reachOf(id: string): Promise<Readonly<Record<string, number>>> {
  const reach = (await runtime.list(call)).find((instance) => instance.workspaceId === id)?.reach
  return reach?.kind === 'ports' ? reach.ports : {}
}

t.test('a listener of the host is out of reach, declared as a port or not', async (t) => {
  const db = await database(t)
  const spec = greeter('process.env.PORT', [3000, db.port])
  await runtime.start(spec, call)
  t.equal(await until(() => greeting(spec.id, 3000)), 'the workspace\n')
  await t.rejects(greeting(spec.id, db.port), { code: 'ERR_NOT_FOUND' })
  t.same(Object.keys(await reachOf(spec.id)), ['3000'])
  t.equal(db.visitors(), 0)
})

t.test('an undeclared port of the workspace itself is in reach', async (t) => {
  const port = await freePort()
  const spec = greeter(`${port}, '127.0.0.1'`)
  await runtime.start(spec, call)
  t.equal(await until(() => greeting(spec.id, port)), 'the workspace\n')
  t.same(await reachOf(spec.id), { [port]: port })
})

t.test('a declared port whose number the program took literally is in reach', async (t) => {
  const port = await freePort()
  const spec = greeter(String(port), [port])
  await runtime.start(spec, call)
  t.equal(await until(() => greeting(spec.id, port)), 'the workspace\n')
  t.same(await reachOf(spec.id), { [port]: port })
})

t.test('another workspace’s port is out of reach', async (t) => {
  const port = await freePort()
  const theirs = greeter(`${port}, '127.0.0.1'`)
  const mine = greeter('process.env.PORT', [3000, port])
  await Promise.all([runtime.start(theirs, call), runtime.start(mine, call)])
  t.equal(await until(() => greeting(theirs.id, port)), 'the workspace\n')
  t.equal(await until(() => greeting(mine.id, 3000)), 'the workspace\n')
  await t.rejects(greeting(mine.id, port), { code: 'ERR_NOT_FOUND' })
  t.notOk(port in (await reachOf(mine.id)))
})

t.test('listening on every IPv6 address is no way to what listens on 127.0.0.1', async (t) => {
  const db = await database(t)
  const spec = greeter(`{ port: ${db.port}, host: '::', ipv6Only: true }`)
  await runtime.start(spec, call)
  const text = await until(() => greeting(spec.id, db.port))
  t.equal(text, 'the workspace\n', 'the way in is the workspace’s own')
  t.same(await reachOf(spec.id), {}, 'and 127.0.0.1 is not offered')
  t.equal(db.visitors(), 0)
})

t.test('a port that the host takes over once the workspace lets go of it', async (t) => {
  const port = await freePort()
  const spec = greeter(`${port}, '127.0.0.1'`)
  await runtime.start(spec, call)
  t.equal(await until(() => greeting(spec.id, port)), 'the workspace\n')
  await runtime.stop(spec.id, { ...call, graceMs: 1_000 })
  const db = await database(t, port)
  await t.rejects(greeting(spec.id, port), { code: 'ERR_NOT_FOUND' })
  t.equal(db.visitors(), 0)
})

t.test('a workspace that steps aside for a moment hands nobody on to who listens there then', async (t) => {
  const port = await freePort()
  // It keeps its socket, which looks like its own, but listens no more: the next who comes in meets somebody else.
  const script = `use Socket; socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
    bind(S, sockaddr_in(${port}, INADDR_LOOPBACK)) or die; listen(S, 9);
    while (accept(C, S)) { last if sysread(C, $_, 1); close(C) }
    shutdown(S, 2); syswrite(C, "the workspace\n"); close(C); sleep 1000`
  const spec = { ...greeter(''), command: ['perl', '-e', script] }
  await runtime.start(spec, call)
  t.equal(await until(() => greeting(spec.id, port, 'x')), 'the workspace\n')
  const db = await until(() => database(t, port))
  const heard = await Promise.all(
    Array.from({ length: 8 }, () =>
      greeting(spec.id, port).then(
        (text) => text,
        ({ code }: { code: string }) => code,
      ),
    ),
  )
  t.same(heard, Array(8).fill('ERR_NOT_FOUND'))
  t.comment(`${db.visitors()} connections were made and closed again`)
})

t.test('a program that resets whoever comes in harms nobody', async (t) => {
  const port = await freePort()
  const script = `require('net').createServer((c) => c.resetAndDestroy()).listen(${port}, '127.0.0.1')`
  const spec = { ...greeter(''), command: [process.execPath, '-e', script] }
  await runtime.start(spec, call)
  await until(async () => port in (await reachOf(spec.id)))
  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => greeting(spec.id, port)))
  t.same([...new Set(tries.map(({ status }) => status))], ['rejected'])
})

t.test('a table is from after the ask, and one read serves all who asked before it', async (t) => {
  type Listener = Awaited<ReturnType<ListenerTable['fresh']>>[number]
  const reads: { end: (err?: Error) => void }[] = []
  let now = 0
  const read = (): Promise<readonly Listener[]> =>
    new Promise((resolve, reject) => {
      const rows: Listener[] = [{ family: 4, address: '', port: reads.length, inode: '1' }]
      reads.push({ end: (err) => (err === undefined ? resolve(rows) : reject(err)) })
    })
  const table = openTable(read, () => now)
  /** Which read an answer is of. */
  const of = async (rows: Promise<readonly Listener[]>): Promise<number | undefined> => (await rows)[0]?.port
  const first = of(table.fresh())
  const late = [of(table.fresh()), of(table.recent(1_000)), of(table.fresh())]
  t.equal(reads.length, 1, 'the others wait for the next')
  reads[0]?.end()
  t.equal(await first, 0)
  await until(() => reads.length === 2)
  const later = of(table.fresh())
  reads[1]?.end()
  t.same(await Promise.all(late), [1, 1, 1])
  await until(() => reads.length === 3)
  reads[2]?.end()
  t.equal(await later, 2, 'never the one that ran when it was asked for')
  now = 249
  t.equal(await of(table.recent(250)), 2)
  now = 250
  const failing = of(table.recent(250))
  reads[3]?.end(new Error('no'))
  await t.rejects(failing, { message: 'no' })
  const again = of(table.fresh())
  reads[4]?.end()
  t.equal(await again, 4, 'one that failed keeps nobody')
})

t.test('a program that only listens on [::1] is in reach by connect', async (t) => {
  const port = await freePort()
  const spec = greeter(`${port}, '::1'`)
  await runtime.start(spec, call)
  t.equal(await until(() => greeting(spec.id, port)), 'the workspace\n')
  t.same(await reachOf(spec.id), {})
})

t.test('an abort ends a dial with the very reason', async (t) => {
  const spec = greeter('process.env.PORT', [3000])
  await runtime.start(spec, call)
  await until(() => greeting(spec.id, 3000))
  const reason = new Error('gone')
  await t.rejects(runtime.connect!(spec.id, 3000, { signal: AbortSignal.abort(reason) }), reason)
})
