/**
 * The story: an idle host's agent took 2 % of a core, nearly all of it for reading the kernel's table of sockets. It is
 * read when processes of workspaces may have changed theirs; and a program that listens late is found all the same.
 */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { Runtime, WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-process'
import t from 'tap'
import { testHost } from '../../support/plugins-host.ts'
import { until } from '../../support/until.ts'

t.setTimeout(240_000)

/** What the runtime asked the kernel and the disk for, from now on. */
const asked = { tables: 0, processes: 0, looks: 0 }
const { openSync, readdirSync } = fs
fs.openSync = (path, ...rest) => {
  if (path === '/proc/net/tcp') asked.tables++
  return openSync(path, ...rest)
}
fs.readdirSync = ((path: string, ...rest: []) => {
  if (path === '/proc') asked.processes++
  if (path === join(host.stateDirectory, 'workspaces')) asked.looks++
  return readdirSync(path, ...rest)
}) as typeof readdirSync
syncBuiltinESMExports()

const host = await testHost()
const runtime: Runtime = await plugin.open(plugin.config.parse({}), host)
const call = { signal: AbortSignal.timeout(200_000) }
const hints = new Set<string>()
const leave = new AbortController()
const watching = (async () => {
  for await (const id of runtime.watch?.({ signal: leave.signal }) ?? []) hints.add(id)
})()
t.teardown(async () => {
  leave.abort()
  await watching
  for (const { workspaceId } of await runtime.list(call))
    await runtime.remove(workspaceId, { ...call, keepData: false })
  await runtime.close()
  await host.remove()
})

/** A program that does nothing until there is a file of that name in its directory. */
function once(name: string, act: string): WorkspaceSpec {
  const script = `const { existsSync, watch } = require('fs')
    let done = false
    const look = () => {
      if (done || !existsSync('${name}')) return
      done = true
      ${act}
    }
    watch('.', look)
    look()`
  const command = [process.execPath, '-e', script]
  return {
    id: randomBytes(8).toString('hex'),
    ...{ name: 'w', generation: 1, env: [], command, ports: [{ port: 3000 }] },
  }
}

const looked = async (times: number): Promise<void> => {
  const end = asked.looks + times
  await until(() => asked.looks >= end, { what: `${times} looks`, timeoutMs: 60_000 })
}

async function portsOf(id: string): Promise<readonly string[]> {
  const reach = (await runtime.list(call)).find(({ workspaceId }) => workspaceId === id)?.reach
  return reach?.kind === 'ports' ? Object.keys(reach.ports) : []
}

t.test('a host without workspaces looks at no process and no socket', async (t) => {
  await looked(3)
  t.match(asked, { tables: 0, processes: 0 })
})

t.test('an idle workspace’s sockets are not read again and again', async (t) => {
  const spec = once('now', `require('net').createServer().listen(process.env.PORT)`)
  await runtime.start(spec, call)
  const home = join(host.stateDirectory, 'workspaces', spec.id, 'home', 'workspace')
  const calm = async (): Promise<boolean> => {
    const before = asked.tables
    await looked(10)
    return asked.tables - before <= 2
  }
  // Others use the machine: while a process of it is still coming up, the table is rightly read.
  t.ok(await until(calm, { what: 'ten looks that read the table at most twice', timeoutMs: 120_000 }))

  // No process comes or goes, and it takes next to no processor time.
  hints.clear()
  fs.writeFileSync(join(home, 'now'), '')
  await until(() => hints.has(spec.id), { what: 'a hint at the new port', timeoutMs: 60_000 })
  t.same(await portsOf(spec.id), ['3000'])
})

t.test('a program that ends is told of by the next looks, idle as it was', async (t) => {
  const spec = once('end', 'process.exit(3)')
  await runtime.start(spec, call)
  await until(() => hints.has(spec.id), { what: 'the hint at its start' })
  await looked(10)
  hints.clear()
  const from = asked.looks
  fs.writeFileSync(join(host.stateDirectory, 'workspaces', spec.id, 'home', 'workspace', 'end'), '')
  await until(() => hints.has(spec.id), { what: 'a hint at its end', timeoutMs: 60_000, everyMs: 5 })
  t.comment(`${asked.looks - from} looks later`)
  t.match(
    (await runtime.list(call)).find(({ workspaceId }) => workspaceId === spec.id),
    { state: 'failed', exit: { code: 3 } },
  )
})
