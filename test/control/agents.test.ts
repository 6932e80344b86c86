/** Hosts: how they join, what fences them, what they are told at once, what is believed of what they say. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { HostView, Register, Registered } from '../../control/wire/index.ts'
import { madeReal, pretendAgent } from '../support/control-agent.ts'
import { agentKey, controlServer } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
let count = 0
async function serve(t: Test): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`) })
  t.teardown(() => server.close())
  return server
}
const call = () => ({ signal: AbortSignal.timeout(20_000) })
const healthy = { status: 'healthy', message: '', warnings: [] } as const
const hosts = async (ada: Client) =>
  (await ada.call<{ items: HostView[] }>('GET', '/api/v1/hosts')).json.items
const join_ = async (server: ControlServer, body: Register, token: string) =>
  server.client(token).call<Registered & { code: string }>('POST', '/api/agent/v1/register', body)
const newToken = async (ada: Client) =>
  (await ada.call('POST', '/api/v1/hosts/tokens', { name: 'gpu box' })).json.token

await t.test('a host joins by a token, once, and comes back by its credential', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  t.equal((await bob.call('POST', '/api/v1/hosts/tokens', { name: 'x' })).status, 403)
  const token = await newToken(ada)
  const key = agentKey('machine-two')
  const body = key.registration(server.clock.now)
  t.match(
    await join_(server, { ...body, machineId: 'other' }, token),
    { status: 403 },
    'a proof of another machine',
  )
  t.match(
    await join_(server, agentKey('machine-two').registration(server.clock.now, { proof: body.proof }), token),
    { status: 403 },
  )
  t.match(await join_(server, key.registration(server.clock.now - 6 * 60_000), token), {
    status: 403,
    json: { detail: /clocks/ },
  })
  const joined = await join_(server, body, token)
  t.match(joined, { status: 200, json: { epoch: 1, heartbeatMs: 60_000, credential: /^psa_/ } })
  t.match(await join_(server, agentKey().registration(server.clock.now), token), { status: 401 }, 'used')
  const credential = joined.json.credential ?? ''
  const back = await join_(server, key.registration(server.clock.now), credential)
  t.match(back.json, { hostId: joined.json.hostId, epoch: 2, credential: undefined })
  t.match(
    await join_(server, agentKey().registration(server.clock.now), credential),
    { status: 403 },
    'of another key',
  )
  t.match(await join_(server, body, 'psa_' + 'x'.repeat(43)), { status: 401 })
  const agent = server.client(credential)
  const epoch = (n: number) => ({ 'x-postern-epoch': String(n) })
  t.match(await agent.call('GET', '/api/agent/v1/desired?since=0', undefined, epoch(2)), {
    status: 200,
    json: { workspaces: [] },
  })
  for (const [method, path, sent] of [
    ['GET', 'desired?since=0', undefined],
    ['POST', 'report', { revision: 1, observed: true, health: healthy, workspaces: [] }],
  ] as const)
    t.match(await agent.call(method, `/api/agent/v1/${path}`, sent, epoch(1)), {
      status: 409,
      json: { code: 'stale_epoch' },
    })
  t.match(await agent.call('GET', '/api/agent/v1/desired?since=0'), { status: 422 }, 'no epoch')
  t.equal(
    (await ada.call('GET', '/api/agent/v1/desired?since=0', undefined, epoch(2))).status,
    401,
    'people are no agents',
  )
  t.equal((await agent.call('GET', '/api/v1/workspaces')).status, 401, 'agents are no people')
  const late = await newToken(ada)
  server.clock.now += 86_400_001
  t.equal((await join_(server, agentKey().registration(server.clock.now), late)).status, 401, 'too old')
  t.match(await hosts(ada), [{ name: 'here', runtime: 'fake', workspaces: 0 }])
})

await t.test('a waiting agent is answered at once when its own host’s set changes', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const control = server.control.embeddedAgent()
  const { epoch } = await control.register(agentKey().registration(server.clock.now), call())
  t.equal(epoch, 1)
  const first = await control.desired(0, call())
  t.same(first?.workspaces, [])
  const revision = first?.revision ?? 0
  const waiting = control.desired(revision, call())
  await ada.call('POST', '/api/v1/tokens', { name: 'something else' })
  t.equal(await Promise.race([waiting, Promise.resolve('waits')]), 'waits')
  await ada.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x' })
  t.match(await waiting, { workspaces: [{ want: 'running' }] })
  const leave = new AbortController()
  const left = control.desired((await waiting)?.revision ?? 0, { signal: leave.signal })
  const reason = new Error('enough')
  leave.abort(reason)
  t.equal(await left.catch((err: unknown) => err), reason)
  const fenced = server.control.embeddedAgent()
  await fenced.register(agentKey().registration(server.clock.now), call())
  await t.rejects(control.desired(0, call()), { code: 'stale_epoch' })
  t.ok(await fenced.desired(0, call()), 'the newer process goes on')
  t.equal((await hosts(ada)).length, 1, 'the same host, by its machine')
  const remote = await server.client().call('GET', '/api/agent/v1/desired?since=1&wait=0')
  t.equal(remote.status, 401)
})

await t.test('over HTTP, nothing new is 204 when the wait is over', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const joined = await join_(server, agentKey().registration(server.clock.now), await newToken(ada))
  const agent = server.client(joined.json.credential)
  const epoch = { 'x-postern-epoch': '1' }
  const { json } = await agent.call('GET', '/api/agent/v1/desired?since=0', undefined, epoch)
  const { revision } = json
  t.equal(
    (await agent.call('GET', `/api/agent/v1/desired?since=${revision}&wait=0`, undefined, epoch)).status,
    204,
  )
})

await t.test(
  'what could not be observed changes nothing; what is missing from a whole set is gone',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    const { id } = (await ada.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x' })).json
    await agent.report({ revision: 0, workspaces: [] })
    t.match(
      (await ada.call('GET', `/api/v1/workspaces/${id}`)).json,
      { phase: 'pending' },
      'it had not heard of it',
    )
    await agent.obey()
    await agent.report({
      observed: false,
      workspaces: [],
      health: { status: 'unhealthy', message: 'no answer', warnings: [] },
    })
    t.match((await ada.call('GET', `/api/v1/workspaces/${id}`)).json, { phase: 'running' })
    t.match(await hosts(ada), [{ health: { status: 'unhealthy', message: 'no answer' } }])
    await agent.report({ workspaces: [] })
    t.match((await ada.call('GET', `/api/v1/workspaces/${id}`)).json, {
      phase: 'starting',
      observedGeneration: 0,
    })
    await ada.call('DELETE', `/api/v1/workspaces/${id}?purge=true`)
    await agent.report({ revision: 1, workspaces: [] })
    t.equal(
      (await ada.call('GET', `/api/v1/workspaces/${id}`)).status,
      200,
      'a report from before the purge ends nothing',
    )
    await agent.report({ workspaces: [{ ...madeReal({ want: 'removed', id, data: 'keep' }) }] })
    t.equal((await ada.call('GET', `/api/v1/workspaces/${id}`)).status, 200, 'its data is still there')
    await agent.report({ workspaces: [] })
    t.equal((await ada.call('GET', `/api/v1/workspaces/${id}`)).status, 404)
  },
)

await t.test('a host that falls silent is away, and its workspaces stay what they were', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  const { id } = (await ada.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x' })).json
  await agent.obey()
  server.clock.now += 29_000
  await server.sweep()
  t.match(await hosts(ada), [{ connected: true }])
  server.clock.now += 2_000
  await server.sweep()
  t.match(await hosts(ada), [{ connected: false }])
  t.match((await ada.call('GET', `/api/v1/workspaces/${id}`)).json, {
    phase: 'running',
    reason: { code: 'host_away' },
  })
  t.match(
    server.facts.rows.get(`route ${id}`),
    { row: { phase: 'running', reach: { kind: 'address' } } },
    'it may well run',
  )
  t.match(
    await ada.call('DELETE', `/api/v1/workspaces/${id}`),
    { status: 202, json: { phase: 'removing' } },
    'accepted all the same',
  )
  t.match((await ada.call('POST', '/api/v1/workspaces', { name: 'two', image: 'x' })).json, {
    reason: { code: 'waiting_for_host', message: /does not report/ },
  })
  await agent.obey()
  t.match(await hosts(ada), [{ connected: true }])
  t.match((await ada.call('GET', `/api/v1/workspaces/${id}`)).json, { phase: 'trashed' })
  await agent.obey()
  t.match((await ada.call('GET', '/api/v1/workspaces/two')).json, { phase: 'running' })
})

await t.test(
  'a workspace on another machine has no direct reach; subnets of all hosts are told',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const far = await pretendAgent(server.control.embeddedAgent(), server.clock.now, {
      machineId: 'machine-far',
      workspaceSubnets: ['10.1.0.0/16'],
    })
    const { id } = (await ada.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x' })).json
    await far.obey()
    t.match(server.facts.rows.get(`route ${id}`), { row: { phase: 'running', reach: { kind: 'none' } } })
    await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    t.same(server.facts.rows.get('subnets'), { kind: 'subnets', row: ['10.1.0.0/16', '10.99.0.0/16'] })
  },
)

await t.test('many reports of one thing are one change', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  await ada.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x' })
  await agent.obey()
  const before = server.facts.said.length
  for (let n = 0; n < 5; n++) await agent.obey()
  t.equal(server.facts.said.length, before)
})

await t.test(
  'an idle host costs no query; that it was heard is written down with the next round',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const token = await newToken(ada)
    const joined = (await join_(server, agentKey('quiet').registration(server.clock.now), token)).json
    const agent = server.client(joined.credential)
    const headers = { 'x-postern-epoch': String(joined.epoch) }
    const body = { revision: 1, observed: true, health: healthy, workspaces: [] }
    const tell = async () =>
      t.equal((await agent.call('POST', '/api/agent/v1/report', body, headers)).status, 204)
    const set = await agent.call('GET', '/api/agent/v1/desired?since=-1', undefined, headers)
    const { revision } = set.json as unknown as { revision: number }
    await tell()
    const queries: string[] = []
    server.deployment.feed.db.on('query', ({ sql }: { sql: string }) => void queries.push(sql))
    server.clock.now += 9000
    await tell()
    t.equal(
      (await agent.call('GET', `/api/agent/v1/desired?since=${revision}&wait=0`, undefined, headers)).status,
      204,
    )
    t.same(queries, [])
    await server.sweep()
    t.equal((await hosts(ada))[0]?.lastSeenAtMs, server.clock.now)
    // A change of anything is looked at again.
    await ada.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'x' })
    const next = await agent.call('GET', `/api/agent/v1/desired?since=${revision}&wait=0`, undefined, headers)
    t.match(next, { status: 200, json: { workspaces: [{ want: 'running' }] } })
  },
)

await t.test('a poll is a host’s heartbeat: held for a third of the time that makes it away', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const token = await newToken(ada)
  const joined = (await join_(server, agentKey('waiter').registration(server.clock.now), token)).json
  const control = server.client(joined.credential)
  const headers = { 'x-postern-epoch': String(joined.epoch) }
  const poll = (since: number, wait: number) =>
    control.call('GET', `/api/agent/v1/desired?since=${since}&wait=${wait}`, undefined, headers)
  const { revision } = (await poll(-1, 0)).json as unknown as { revision: number }
  const isConnected = async () => {
    await server.sweep()
    return (await hosts(ada))[0]?.connected
  }
  for (let n = 0; n < 4; n++) {
    server.clock.now += 10_500
    await poll(revision, 0)
    t.ok(await isConnected(), 'without any report')
  }
  const waits: number[] = []
  const { setTimeout: real } = globalThis
  globalThis.setTimeout = ((act: () => void, ms?: number) => {
    waits.push(ms ?? 0)
    return real(act, ms === 10_000 ? 10 : ms)
  }) as typeof setTimeout
  t.teardown(() => (globalThis.setTimeout = real))
  t.equal((await poll(revision, 25)).status, 204)
  t.ok(waits.includes(10_000) && !waits.includes(25_000), 'an agent that would wait longer is answered')
  server.clock.now += 29_000
  t.ok(await isConnected())
  server.clock.now += 2000
  t.notOk(await isConnected(), 'away after three missed polls')
})

await t.test(
  'a server about to end answers who waits; an agent in its process waits on, and does not ask in a loop',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const control = server.control.embeddedAgent()
    await control.register(agentKey().registration(server.clock.now), call())
    const revision = (await control.desired(-1, call()))?.revision ?? 0
    const waiting = control.desired(revision, call())
    for (let n = 0; n < 5; n++) await ada.call('GET', '/api/v1/limits')
    server.control.release()
    t.equal(await waiting, null)
    const leave = new AbortController()
    const again = control.desired(revision, { signal: leave.signal })
    again.catch(() => undefined)
    for (let n = 0; n < 5; n++) await ada.call('GET', '/api/v1/limits')
    const reason = new Error('the agent is closed')
    leave.abort(reason)
    t.equal(await again.catch((err: unknown) => err), reason, 'nothing else ended its wait')
  },
)

await t.test('after a pause of the server, hosts have their time to come back', async (t) => {
  const stateDirectory = join(root, 'pause')
  const before = await controlServer({ stateDirectory })
  const ada = await before.setUp()
  await pretendAgent(before.control.embeddedAgent(), before.clock.now)
  const after = before.clock.now + 3_600_000
  await before.close()
  let now = after
  const server = await controlServer({ stateDirectory, now: () => now })
  t.teardown(() => server.close())
  server.clock.now = now
  const client = server.client()
  client.cookie = ada.cookie
  await server.sweep()
  t.match(await hosts(client), [{ connected: true }])
  now += 31_000
  await server.sweep()
  t.match(await hosts(client), [{ connected: false }])
})
