/** Workspaces from the API to the agent and back: life, caps, trash, names, what is offered. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { z } from 'zod'
import type { ControlOptions } from '../../control/seams.ts'
import {
  desiredSchema,
  hostViewSchema,
  limitsSchema,
  sessionViewSchema,
  templateViewSchema,
  timelineEventSchema,
  userViewSchema,
  workspaceViewSchema,
} from '../../control/wire/index.ts'
import type { Limits, TemplateView, TimelineEvent } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import type { PretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { agentKey, controlServer, password, roomy } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'
import { templates } from '../support/control-templates.ts'
import { until } from '../support/until.ts'

const root = t.testdir({ templates })
const templateDirectories = [join(root, 'templates')]
let count = 0
async function serve(t: Test, options: Partial<ControlOptions> = {}): Promise<ControlServer> {
  const server = await controlServer({
    stateDirectory: join(root, `s${++count}`),
    templateDirectories,
    ...options,
  })
  t.teardown(() => server.close())
  return server
}
const api = '/api/v1/workspaces'
const agentOf = (server: ControlServer, over = {}) =>
  pretendAgent(server.control.embeddedAgent(), server.clock.now, over)
const look = async (client: Client, ref: string) => (await client.call('GET', `${api}/${ref}`)).json

const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())

/** What is given is what the wire's schemas say, nothing more and nothing less. */
async function keepsToTheWire(t: Test, client: Client, agent: PretendAgent): Promise<void> {
  const list = (item: z.ZodType) => z.strictObject({ items: z.array(item), next: z.string().optional() })
  const rows: [string, z.ZodType][] = [
    [`${api}/one`, workspaceViewSchema],
    [`${api}/one/events`, list(timelineEventSchema)],
    [api, list(workspaceViewSchema)],
    ['/api/v1/limits', limitsSchema],
    ['/api/v1/templates', list(templateViewSchema)],
    ['/api/v1/hosts', list(hostViewSchema)],
    ['/api/v1/sessions', list(sessionViewSchema)],
    ['/api/v1/users', list(userViewSchema)],
    ['/api/v1/me', userViewSchema],
  ]
  for (const [path, schema] of rows) {
    const { json } = await client.call('GET', path)
    t.same(schema.parse(json), json, path)
  }
  const desired = await agent.desired()
  t.same(desiredSchema.parse(desired), desired, 'the desired set')
}

async function life(t: Test, server: ControlServer): Promise<void> {
  const ada = await server.setUp()
  const agent = await agentOf(server)
  const made = await ada.call('POST', api, {
    name: 'one',
    template: 'web',
    ports: [{ port: 3000 }, { port: 4000, visibility: 'public' }],
  })
  t.match(made, {
    status: 202,
    json: { phase: 'pending', generation: 1, observedGeneration: 0, want: 'running' },
  })
  t.match(made.json.urls, {
    default: 'http://one.ws.localhost:8090/',
    ports: { '4000': 'http://one-4000.ws.localhost:8090/' },
  })
  const { id } = made.json
  t.match(await agent.obey(), {
    workspaces: [{ want: 'running', spec: { id, image: 'postern/web:1', cpuMillis: 2000 } }],
  })
  t.match(await look(ada, 'one'), { phase: 'running', observedGeneration: 1, startedAtMs: 1 })
  t.match(server.facts.rows.get(`route ${id}`), {
    row: {
      name: 'one',
      phase: 'running',
      incarnation: `${id}.1`,
      reach: { kind: 'address' },
      defaultPort: 3000,
    },
  })
  t.match(await ada.call('PATCH', `${api}/${id}`, { cpu: 1.5 }), {
    status: 202,
    json: { generation: 2, phase: 'starting', observedGeneration: 1 },
  })
  t.match(await agent.obey(), { workspaces: [{ spec: { generation: 2, cpuMillis: 1500 } }] })
  t.match(await look(ada, id), { phase: 'running', observedGeneration: 2 })
  await keepsToTheWire(t, ada, agent)
  t.match(await ada.call('POST', `${api}/${id}/restart`), { status: 202, json: { generation: 3 } })
  await agent.obey()
  t.match(await ada.call('POST', `${api}/${id}/stop`), {
    status: 202,
    json: { phase: 'stopping', want: 'stopped' },
  })
  t.match(await agent.obey(), { workspaces: [{ want: 'stopped', id }] })
  t.match(await look(ada, id), { phase: 'stopped' })
  t.match(server.facts.rows.get(`route ${id}`), { row: { incarnation: '', reach: { kind: 'none' } } })
  await server.control.edge.startWorkspace(id, made.json.owner.id, { ip: '', userAgent: '', requestId: '' })
  await agent.obey()
  t.match(await look(ada, id), { phase: 'running' })
  t.match(await ada.call('DELETE', `${api}/${id}`), {
    status: 202,
    json: { phase: 'removing', purgeAtMs: server.clock.now + roomy.trashMs },
  })
  t.match(await agent.obey(), { workspaces: [{ want: 'removed', data: 'keep' }] })
  t.match(await look(ada, id), { phase: 'trashed', want: 'removed' })
  t.match(await ada.call('POST', `${api}/${id}/restore`), { status: 202, json: { want: 'stopped' } })
  await agent.obey()
  t.match(await look(ada, id), { phase: 'stopped' })
  await ada.call('DELETE', `${api}/${id}`)
  t.match(
    await ada.call('POST', `${api}/${id}/start`),
    { status: 202, json: { want: 'running' } },
    'start brings it back',
  )
  t.match(await ada.call('DELETE', `${api}/${id}?purge=true`), { status: 202, json: { phase: 'removing' } })
  t.match(await ada.call('POST', `${api}/${id}/restore`), { status: 409, json: { code: 'not_trashed' } })
  t.equal((await ada.call('DELETE', `${api}/${id}?purge=true`)).status, 202, 'repeated')
  t.match(await agent.obey(), { workspaces: [{ want: 'removed', data: 'delete' }] })
  t.equal((await ada.call('GET', `${api}/${id}`)).status, 404)
  t.notOk(server.facts.rows.has(`route ${id}`))
  t.same((await agent.desired()).workspaces, [])
}

await t.test('a life: created, running, changed, stopped, started, trashed, restored, purged', async (t) =>
  life(t, await serve(t)),
)
await t.test(
  'the same life on PostgreSQL',
  { skip: postgres === null && 'PostgreSQL is not installed' },
  async (t) => life(t, await serve(t, { databaseUrl: (await postgres?.database('life')) ?? '' })),
)

await t.test('its timeline says who did what, and why it is so', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const agent = await agentOf(server)
  const { id } = (await ada.call('POST', api, { name: 'one' })).json
  const reason = {
    code: 'image_unavailable',
    message: 'postern/blank:1 is not here',
    atMs: 5,
    nextTryAtMs: 99,
  } as const
  await agent.obey([{ id, state: 'failed', generation: 0, reason }])
  t.match(await look(ada, id), {
    phase: 'failed',
    reason: { code: 'image_unavailable', message: /postern\/blank/, hint: /npm run images/, nextTryAtMs: 99 },
  })
  t.match((await ada.call('POST', `${api}/${id}/start`)).json, { generation: 2 }, 'tried again at once')
  await agent.obey()
  await ada.call('POST', `${api}/${id}/stop`)
  await agent.obey()
  const { items, next } = (
    await ada.call<{ items: TimelineEvent[]; next?: string }>('GET', `${api}/${id}/events?limit=4`)
  ).json
  t.same(
    items.map(({ phase, code, actor }) => [phase, code, actor]),
    [
      ['stopped', 'requested', null],
      ['stopping', 'requested', 'ada'],
      ['running', 'running', null],
      ['starting', 'requested', 'ada'],
    ],
  )
  const rest = (
    await ada.call<{ items: TimelineEvent[]; next?: string }>('GET', `${api}/${id}/events?after=${next}`)
  ).json
  t.match(rest.items, [
    { phase: 'failed', code: 'image_unavailable', message: 'postern/blank:1 is not here' },
    { phase: 'pending', code: 'created', message: 'ada created it.' },
  ])
  t.equal(rest.next, undefined)
})

async function fifty(
  t: Test,
  servers: readonly ControlServer[],
  client: (n: number) => Client,
): Promise<void> {
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) => client(n).call('POST', api, { name: `w${n}` })),
  )
  t.equal(answers.filter(({ status }) => status === 202).length, 7, 'as many as the cap')
  for (const each of answers.filter(({ status }) => status !== 202))
    t.match(each, { status: 409, json: { code: 'cap_reached' } })
  const [server] = servers
  const rows = (await server?.deployment.feed.db('workspaces')) as { admitted: number }[]
  t.equal(rows.length, 7, 'nothing of the refused ones is stored')
}
const capped = { limits: { ...roomy, maxRunning: 7 } }

await t.test('the cap on running workspaces holds under 50 parallel creates', async (t) => {
  const server = await serve(t, capped)
  const ada = await server.setUp()
  await fifty(t, [server], () => ada)
  t.match((await ada.call<Limits>('GET', '/api/v1/limits')).json, {
    running: { total: 7, mine: 7 },
    maxRunning: { total: 7 },
  })
})

await t.test(
  'and from two servers on one PostgreSQL',
  { skip: postgres === null && 'PostgreSQL is not installed' },
  async (t) => {
    const databaseUrl = (await postgres?.database('caps')) ?? ''
    const one = await serve(t, { ...capped, databaseUrl })
    const two = await serve(t, { ...capped, databaseUrl })
    const ada = await one.setUp()
    const there = two.client()
    t.equal((await there.call('POST', '/api/v1/sessions', { username: 'ada', password })).status, 201)
    await fifty(t, [one, two], (n) => (n % 2 === 0 ? ada : there))
  },
)

await t.test(
  'what one server stores, agents and gateways at the other hear of',
  { skip: postgres === null && 'PostgreSQL is not installed' },
  async (t) => {
    const databaseUrl = (await postgres?.database('apart')) ?? ''
    const one = await serve(t, { databaseUrl })
    const two = await serve(t, { databaseUrl })
    const ada = await one.setUp()
    const control = two.control.embeddedAgent()
    await control.register(agentKey().registration(two.clock.now), { signal: AbortSignal.timeout(20_000) })
    const first = await control.desired(0, { signal: AbortSignal.timeout(20_000) })
    const woken = control.desired(first?.revision ?? 0, { signal: AbortSignal.timeout(20_000) })
    const { id } = (await ada.call('POST', api, { name: 'one' })).json
    t.match(await woken, { workspaces: [{ want: 'running', spec: { id } }] })
    await until(() => two.facts.rows.has(`route ${id}`))
    const there = two.client()
    there.cookie = ada.cookie
    t.equal((await there.call('GET', `${api}/one`)).status, 200)
    const begun = Date.now()
    await ada.call('DELETE', '/api/v1/sessions/current')
    await until(async () => (await there.call('GET', '/api/v1/me')).status === 401)
    t.ok(Date.now() - begun < 2000, 'a revocation is heard by looking, four times a second')
    const sealed = await ada.call('POST', '/api/v1/sessions', { username: 'ada', password })
    t.equal(sealed.status, 201)
    there.cookie = ada.cookie
    await until(async () => (await there.call('GET', '/api/v1/me')).status === 200)
    const env = [{ name: 'S', value: 'x', secret: true }]
    t.equal((await ada.call('POST', api, { name: 'two', env })).status, 202)
    const other = await there.call('POST', api, { name: 'three', env })
    t.match(
      other,
      { status: 503, json: { detail: /secrets\.key/ } },
      'a server with another key seals nothing',
    )
  },
)

await t.test('who starts beyond the cap waits, and starts by itself when there is a place', async (t) => {
  const server = await serve(t, { limits: { ...roomy, maxRunningPerUser: 2 } })
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const agent = await agentOf(server)
  await ada.call('POST', api, { name: 'one' })
  await ada.call('POST', api, { name: 'two' })
  await ada.call('POST', `${api}/two/stop`)
  await ada.call('POST', api, { name: 'three' })
  await agent.obey()
  t.match(await ada.call('POST', api, { name: 'four' }), { status: 409, json: { code: 'cap_reached' } })
  t.equal(
    (await bob.call('POST', api, { name: 'bobs' })).status,
    202,
    'the cap of one is not that of another',
  )
  const waiting = await ada.call('POST', `${api}/two/start`)
  t.match(waiting, {
    status: 202,
    json: { phase: 'pending', want: 'running', reason: { code: 'cap_reached' } },
  })
  t.match((await agent.obey()).workspaces.filter(({ want }) => want === 'stopped').length, 1)
  await ada.call('DELETE', `${api}/one`)
  t.match(await look(ada, 'two'), { phase: 'starting' })
  await agent.obey()
  t.match(await look(ada, 'two'), { phase: 'running' })
})

await t.test('workspaces of one user are bounded; those in the trash don’t count', async (t) => {
  const server = await serve(t, { limits: { ...roomy, maxWorkspacesPerUser: 1 } })
  const ada = await server.setUp()
  await ada.call('POST', api, { name: 'one' })
  t.match(await ada.call('POST', api, { name: 'two' }), {
    status: 409,
    json: { code: 'cap_reached', detail: /1 workspaces/ },
  })
  await ada.call('DELETE', `${api}/one`)
  t.equal((await ada.call('POST', api, { name: 'two' })).status, 202)
})

await t.test('the trash is emptied in time; names stay with their former owners', async (t) => {
  const server = await serve(t, { limits: { ...roomy, trashMs: 1000 } })
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const agent = await agentOf(server)
  const { id } = (await bob.call('POST', api, { name: 'mine' })).json
  t.match(await ada.call('POST', api, { name: 'mine' }), { status: 409, json: { code: 'name_taken' } })
  await bob.call('DELETE', `${api}/${id}`)
  await agent.obey()
  server.clock.now += 999
  await server.sweep()
  t.match(await look(bob, id), { phase: 'trashed' })
  server.clock.now += 1
  await server.sweep()
  t.match(await agent.obey(), { workspaces: [{ want: 'removed', data: 'delete' }] })
  t.equal((await bob.call('GET', `${api}/${id}`)).status, 404)
  t.match(await ada.call('POST', api, { name: 'mine' }), { status: 409, json: { code: 'name_taken' } })
  t.equal((await bob.call('POST', api, { name: 'mine' })).status, 202)
  const unplaced = await serve(t)
  const eve = await unplaced.setUp('eve')
  t.match(await eve.call('POST', api, { name: 'never' }), {
    json: { reason: { code: 'waiting_for_host', message: /No host/ } },
  })
  await eve.call('DELETE', `${api}/never?purge=true`)
  t.equal((await eve.call('GET', `${api}/never`)).status, 404, 'what was never placed is gone at once')
  t.match(await eve.call('POST', api, { name: 'later' }), { status: 202 })
  await agentOf(unplaced)
  t.match(await look(eve, 'later'), { phase: 'pending', reason: { code: 'placed' } }, 'a host came')
})

await t.test('what is offered depends on the runtime', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  await agentOf(server, { runtime: 'process', capabilities: {} })
  const { items } = (await ada.call<{ items: TemplateView[] }>('GET', '/api/v1/templates')).json
  t.same(
    items.map(({ name, available, lacks }) => [name, available, lacks]),
    [
      ['blank', true, null],
      ['ide', false, 'the IDE needs a container'],
      ['web', true, null],
    ],
  )
  t.match(await ada.call('POST', api, { name: 'x', template: 'ide' }), {
    status: 422,
    json: { code: 'unsupported', detail: 'the IDE needs a container' },
  })
  t.match(await ada.call('POST', api, { name: 'x', image: 'debian' }), {
    status: 422,
    json: { code: 'unsupported' },
  })
  t.match(await ada.call('POST', api, { name: 'x', cpu: 1 }), {
    status: 422,
    json: { code: 'unsupported', errors: [{ path: 'cpu' }] },
  })
  const limits = (await bob.call<Limits>('GET', '/api/v1/limits')).json
  t.match(limits, { images: false, mayCreate: false, isolation: false, runtime: 'process' })
  t.same([limits.cpu, limits.memoryBytes, limits.pids], [undefined, undefined, undefined])
  t.match(await bob.call('POST', api, { name: 'x' }), { status: 403, json: { code: 'forbidden' } })
  const made = await ada.call('POST', api, { name: 'x', template: 'web' })
  t.match(made, { status: 202, json: { spec: { image: null, cpu: null } } })
  const isolated = await serve(t)
  const eve = await isolated.setUp('eve')
  const guest = await isolated.member(eve, 'guest')
  const agent = await agentOf(isolated, { capabilities: { workspaceUsers: true } })
  t.equal((await guest.call('POST', api, { name: 'x', template: 'web' })).status, 202)
  t.match(await agent.desired(), {
    workspaces: [{ spec: { command: ['node', 'app.js'], files: [{ path: 'app.js', content: 'alive()' }] } }],
  })
})
