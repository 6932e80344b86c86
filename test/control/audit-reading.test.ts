/** The audit is read: by whom, filtered, whole as JSON lines in flat memory; it is pruned, and never holds a secret. */
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { insertAudit, listAudit } from '../../control/store/audit.ts'
import type { AuditRow } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer, password } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'
import { collectGarbage } from '../support/garbage.ts'

const root = t.testdir({})
const DAY = 86_400_000
let count = 0
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
const databases = postgres === null ? (['sqlite'] as const) : (['sqlite', 'postgres'] as const)

async function serve(t: Test, database: 'sqlite' | 'postgres', options = {}): Promise<ControlServer> {
  const name = `r${++count}`
  const databaseUrl = database === 'postgres' ? ((await postgres?.database(name)) ?? null) : null
  const server = await controlServer({ stateDirectory: join(root, name), databaseUrl, ...options })
  t.teardown(() => server.close())
  return server
}

interface List {
  readonly items: readonly AuditRow[]
  readonly next?: string
}
const read = async (client: Client, query = ''): Promise<readonly AuditRow[]> => {
  const answer = await client.call<List>('GET', `/api/v1/audit${query}`)
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.json.items
}
const actionsOf = (rows: readonly AuditRow[]): string[] => rows.map(({ action }) => action)

for (const database of databases)
  await t.test(`${database}: administrators read all of it, others what is theirs`, async (t) => {
    const server = await serve(t, database)
    const ada = await server.setUp()
    await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    const bob = await server.member(ada, 'bob')
    const eve = await server.member(ada, 'eve')
    await bob.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'alpine:3' })
    await ada.call('POST', '/api/v1/workspaces/shop/stop')
    server.clock.now += 1000
    await eve.call('POST', '/api/v1/tokens', { name: 'eves' })
    await eve.call('DELETE', '/api/v1/workspaces/shop')

    t.equal((await server.client().call('GET', '/api/v1/audit')).status, 401, 'this is told, too')
    const all = await read(ada)
    t.equal(all.length, 11, actionsOf(all).join())
    t.same(
      all.map(({ id }) => id),
      all.map(({ id }) => id).sort((a, b) => b - a),
      'newest first',
    )
    const bobs = await read(bob)
    t.same(actionsOf(bobs), ['workspace.stop', 'workspace.create', 'session.begin', 'user.create'])
    t.equal(bobs[0]?.actor.name, 'ada', 'an owner sees who stopped it')
    t.same([bobs[0]?.ip, bobs[0]?.userAgent, bobs[0]?.requestId, bobs[0]?.actor.via], ['', '', '', null])
    t.equal(bobs[2]?.ip, 'bob', 'and where oneself came from')
    t.notMatch(JSON.stringify(await read(eve)), /shop|ada.*stop/)

    const queries: Record<string, string[]> = {
      '?actor=bob': ['workspace.create', 'session.begin'],
      '?action=workspace.*': ['workspace.stop', 'workspace.create'],
      '?action=token.create': ['token.create'],
      '?object=shop&actor=ada': ['workspace.stop'],
      '?workspace=shop': ['workspace.stop', 'workspace.create'],
      '?outcome=refused': ['access.denied', 'access.denied'],
      '?outcome=not_found': ['access.denied'],
      [`?since=${new Date(server.clock.now).toISOString()}`]: [
        'access.denied',
        'access.denied',
        'token.create',
      ],
      [`?until=${server.clock.now}&action=workspace.stop`]: ['workspace.stop'],
      '?actor=nobody': [],
    }
    for (const [query, expected] of Object.entries(queries))
      t.same(actionsOf(await read(ada, query)), expected, query)
    for (const wrong of ['?action=a.b', '?outcome=maybe', '?since=noon', '?limit=0', '?after=Zm9v'])
      t.equal((await ada.call('GET', `/api/v1/audit${wrong}`)).status, 422, wrong)
    t.same(await read(eve, '?workspace=shop'), [])
    t.same(actionsOf(await read(eve, '?actor=bob')), [])

    const first = await ada.call<List>('GET', '/api/v1/audit?limit=4')
    const second = await ada.call<List>('GET', `/api/v1/audit?limit=100&after=${first.json.next}`)
    t.same([...first.json.items, ...second.json.items], all, 'pages join')

    const lines = await bob.call('GET', '/api/v1/audit/export')
    t.match(lines.headers['content-type'], /ndjson/)
    const exported = lines.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditRow)
    t.same(exported, [...bobs].reverse())
    await ada.call('GET', '/api/v1/audit/export')
    t.equal((await read(ada))[0]?.action, 'audit.export', 'a copy of what others did is told')
  })

/** Collects what is garbage, and gives the bytes that are not. */
function held(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

for (const database of databases) {
  // The database's own process holds its part there: fewer show what is to be seen.
  const many = database === 'sqlite' ? 100_000 : 20_000
  await t.test(`${database}: ${many} rows are exported in flat memory, and pruned by age`, async (t) => {
    const server = await serve(t, database, { auditRetentionMs: 30 * DAY })
    const ada = await server.setUp()
    const { db } = server.deployment.feed
    const actor = { kind: 'user', id: 'u', name: 'u' } as const
    await insertAudit(
      db,
      { action: 'user.change', actor, details: { text: 'x'.repeat(200) } },
      server.clock.now,
    )
    const [template] = await db('audit').orderBy('id', 'desc').limit(1)
    const { id: _, ...row } = template as Record<string, unknown>
    await db.batchInsert(
      'audit',
      Array.from({ length: many }, () => row),
      500,
    )
    const before = held()
    let [most, lines, bytes] = [0, 0, 0]
    await new Promise<void>((resolve, reject) => {
      const headers = { cookie: ada.cookie }
      const asked = get(`${server.url}/api/v1/audit/export`, { headers }, (res) => {
        let next = many / 10
        res.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          for (const byte of chunk) if (byte === 10) lines++
          if (lines < next) return
          next += many / 10
          most = Math.max(most, held() - before)
        })
        res.on('end', resolve)
      })
      asked.on('error', reject)
    })
    t.equal(lines, many + 4)
    t.ok(bytes > many * 400, `${bytes} bytes`)
    t.ok(most < 20_000_000, `${Math.round(most / 1e6)} MB held of ${Math.round(bytes / 1e6)} MB`)

    const eve = await server.member(ada, 'eve')
    const { id } = (await eve.call<{ id: string }>('GET', '/api/v1/me')).json
    await ada.call('PATCH', `/api/v1/users/${id}`, { role: 'auditor' })
    await eve.call('POST', '/api/v1/sessions', { username: 'eve', password }, { 'x-test-ip': 'eve' })
    const asked = get(`${server.url}/api/v1/audit/export`, { headers: { cookie: eve.cookie } })
    const [slow] = (await once(asked, 'response')) as [IncomingMessage]
    await once(slow, 'readable')
    await ada.call('DELETE', `/api/v1/users/${id}/sessions`)
    lines = 0
    slow.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 10) lines++
    })
    await t.rejects(once(slow, 'end'), { code: 'ECONNRESET' }, 'a slow reader is cut off with their session')
    t.ok(lines < many, `${lines} lines`)

    server.clock.now += 31 * DAY
    await server.sweep()
    const rest = await listAudit(db, {}, { limit: 100 })
    t.ok(rest.length > 0)
    t.same([...new Set(actionsOf(rest))], ['audit.prune'], 'what was pruned is told')
    t.equal(
      rest.reduce((sum, { details }) => sum + Number(details['count']), 0),
      many + 10,
    )
    await server.sweep()
    t.equal((await listAudit(db, {}, { limit: 100 })).length, rest.length, 'once a day')
  })
}

await t.test('an act whose server ended reads unknown', async (t) => {
  const server = await serve(t, 'sqlite')
  await server.setUp()
  const actor = { kind: 'user', id: 'u', name: 'u' } as const
  await server.deployment.audit.begin({ action: 'user.delete', actor, object: { id: 'x' } })
  await server.sweep()
  const last = async () => (await listAudit(server.deployment.feed.db, {}, { limit: 1 }))[0]?.outcome
  t.equal(await last(), 'begun')
  server.clock.now += 11 * 60_000
  await server.sweep()
  t.equal(await last(), 'unknown')
  t.ok(server.log.lines.some((line) => line.startsWith('warn acts have no known end')))
})

await t.test('gateways tell who came to whose workspace, and owners see it', async (t) => {
  const server = await serve(t, 'sqlite')
  const ada = await server.setUp()
  await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  const bob = await server.member(ada, 'bob')
  const eve = await server.member(ada, 'eve')
  const made = await bob.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'alpine:3' })
  const asked = await ada.call('POST', '/api/v1/gateways/tokens', { name: 'edge' })
  const joined = await server
    .client(asked.json.token)
    .call<{ credential: string }>('POST', '/api/gateway/v1/join', {
      name: 'edge',
      machineId: 'm',
      version: '0',
    })
  const exchanged = await server
    .client(joined.json.credential)
    .call<{ token: string }>('POST', '/api/gateway/v1/token')
  const edge = server.client(exchanged.json.token)
  const userId = (await eve.call('GET', '/api/v1/me')).json.id
  const note = (kind: string, count: number) => ({
    kind,
    count,
    atMs: server.clock.now,
    userId,
    linkId: '',
    sessionHash: '',
    tokenId: '',
    workspaceId: made.json.id,
    port: 3000,
    origin: { ip: '192.0.2.9', userAgent: 'curl', requestId: 'r' },
  })
  const notes = [note('connected', 1), note('not-found', 7), note('connected', 1)]
  t.equal((await edge.call('POST', '/api/gateway/v1/activity', { notes })).status, 204)
  t.equal((await eve.call('POST', '/api/gateway/v1/activity', { notes })).status, 401)
  await server.sweep()
  const bobs = await read(bob, '?action=access.*')
  t.match(bobs, [
    {
      action: 'access.denied',
      outcome: 'not_found',
      count: 7,
      actor: { name: 'eve' },
      object: { name: 'shop' },
    },
    { action: 'access.connect', outcome: 'ok', count: 2, details: { port: 3000 }, ip: '' },
  ])
  t.equal((await read(ada, '?action=access.connect'))[0]?.ip, '192.0.2.9')
  t.same(actionsOf(await read(ada, '?action=gateway.*')), ['gateway.join', 'gateway.invite'])
})
