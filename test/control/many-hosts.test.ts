/** The story: with a thousand hosts, one host's word on its health read all of them, once for each reader and each gateway. */
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { HostMemory } from '../../control/service/host-memory.ts'
import type { StreamMessage } from '../../control/wire/index.ts'
import { madeReal, pretendAgent } from '../support/control-agent.ts'
import type { PretendAgent } from '../support/control-agent.ts'
import { agentKey, controlServer } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)
const root = t.testdir({})
const HOSTS = 30

interface World {
  readonly server: ControlServer
  readonly ada: Client
  readonly agents: readonly PretendAgent[]
  /** Rows of hosts that were read from the database, and questions that were put to it, since it was asked last. */
  asked(): { readonly rows: number; readonly queries: number }
}

async function world(t: Test, name: string): Promise<World> {
  const server = await controlServer({ stateDirectory: join(root, name) })
  t.teardown(() => server.close())
  const ada = await server.setUp()
  const agents: PretendAgent[] = []
  for (let n = 0; n < HOSTS; n++)
    agents.push(
      await pretendAgent(server.control.embeddedAgent(), server.clock.now, {
        machineId: `m${n}`,
        name: `h${n}`,
      }),
    )
  let count = { rows: 0, queries: 0 }
  server.deployment.feed.db.on('query-response', (response: unknown, { sql }: { sql: string }) => {
    const isOfHosts = /^select .* from [`"]hosts[`"]/.test(sql) && Array.isArray(response)
    count = { rows: count.rows + (isOfHosts ? response.length : 0), queries: count.queries + 1 }
  })
  const asked = (): typeof count => {
    const before = count
    count = { rows: 0, queries: 0 }
    return before
  }
  return { server, ada, agents, asked }
}

async function reader(t: Test, { server, ada }: World): Promise<StreamMessage[]> {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/events`, { headers: { cookie: ada.cookie } })
  t.teardown(() => ws.terminate())
  const heard: StreamMessage[] = []
  ws.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString('utf8')) as StreamMessage))
  await once(ws, 'open')
  await until(() => heard.some(({ type }) => type === 'live'))
  return heard
}

const saying = (message: string) => ({
  health: { status: 'unhealthy' as const, message, warnings: [] as string[] },
})

await t.test(
  'what one host says of its health costs as much with thirty hosts and four readers',
  async (t) => {
    const here = await world(t, 'health')
    const { agents, asked } = here
    const costs: ReturnType<typeof asked>[] = []
    const readers: StreamMessage[][] = []
    for (const count of [1, 4]) {
      while (readers.length < count) readers.push(await reader(t, here))
      await agents[0]?.report(saying(`warm for ${count}`))
      asked()
      await agents[1]?.report(saying(`low disk ${count}`))
      for (const heard of readers)
        await until(() =>
          heard.some((each) => each.type === 'host' && each.host.health.message === `low disk ${count}`),
        )
      costs.push(asked())
    }
    const [one, four] = costs
    t.ok((one?.rows ?? HOSTS) < HOSTS / 3, `${one?.rows} rows of hosts are read, not all ${HOSTS}`)
    t.same(four, one, 'what is behind a change is read once for all readers')
  },
)

await t.test('a host’s report without news asks nothing, whatever the others do meanwhile', async (t) => {
  const { agents, asked, server } = await world(t, 'quiet')
  const control = server.control.embeddedAgent()
  const call = { signal: AbortSignal.timeout(60_000) }
  await control.register(
    agentKey('quiet one').registration(server.clock.now, { machineId: 'quiet one' }),
    call,
  )
  const revision = (await control.desired(0, call))?.revision ?? 0
  const health = { status: 'healthy', message: '', warnings: [] as string[] } as const
  const quiet = () =>
    control.report({ revision, observed: true, health: { ...health, warnings: [] }, workspaces: [] }, call)
  await quiet()
  await agents[3]?.report(saying('low disk'))
  asked()
  await quiet()
  t.equal(asked().queries, 0)
})

await t.test('a report that says again what it said before the last one is news', async (t) => {
  const server = await controlServer({ stateDirectory: join(root, 'again') })
  t.teardown(() => server.close())
  const ada = await server.setUp()
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  await ada.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'x:1' })
  const set = await agent.desired()
  const workspaces = set.workspaces.map(madeReal)
  const failed = workspaces.map((each) => ({ ...each, state: 'failed' }) as const)
  const phase = async (): Promise<string> =>
    (await ada.call<{ phase: string }>('GET', '/api/v1/workspaces/shop')).json.phase
  for (const [said, shown] of [
    [workspaces, 'running'],
    [workspaces, 'running'],
    [failed, 'failed'],
    [workspaces, 'running'],
  ] as const) {
    await agent.report({ revision: set.revision, workspaces: [...said] })
    t.equal(await phase(), shown)
  }
})

await t.test(
  'what is kept of a host is forgotten with its workspaces’ rows, and those of others stay',
  (t) => {
    const memory = new HostMemory({} as never)
    const note = (id: string, ...workspaceIds: string[]): void =>
      memory.noteQuiet(id, `${id} says`, workspaceIds, memory.changes)
    const quiet = (): string[] => ['a', 'b'].filter((id) => memory.isQuiet(id, `${id} says`))
    const changed = (kind: 'workspace' | 'desired' | 'health' | 'host' | 'session', subject: string): void =>
      memory.changed({
        revision: 1,
        missed: false,
        changes: [{ revision: 1, kind, subject, audience: null }],
      })
    for (const [kind, subject] of [
      ['workspace', 'w1'],
      ['desired', 'a'],
      ['health', 'a'],
      ['host', 'a'],
    ] as const) {
      note('a', 'w1', 'w2')
      note('b', 'w3')
      t.same(quiet(), ['a', 'b'])
      changed(kind, subject)
      t.same(quiet(), ['b'], `${kind} ${subject}`)
    }
    const before = memory.changes
    changed('session', 's')
    note('a', 'w1')
    changed('workspace', 'w9')
    t.same(quiet(), ['a', 'b'], 'a workspace of no host that is kept')
    memory.noteQuiet('a', 'another', [], before)
    t.notOk(memory.isQuiet('a', 'another'), 'compared with what has changed since')
    memory.changed({ revision: 2, missed: true, changes: [] })
    t.same(quiet(), [])
    t.end()
  },
)
