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

async function greeting(id: string, port: number): Promise<string> {
  const stream = await runtime.connect!(id, port, call)
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
