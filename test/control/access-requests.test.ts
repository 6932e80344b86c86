/** Requests for access: asked about what is there and what isn't alike, answered by owners and managers, told live. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { AccessRequests, AccessRequestView, StreamMessage } from '../../control/wire/index.ts'
import { type Client, controlServer, type ControlServer } from '../support/control-server.ts'
import { until } from '../support/until.ts'

const root = t.testdir({})
let count = 0
async function serve(t: Test): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`) })
  t.teardown(() => server.close())
  return server
}

const origin = { ip: '127.0.0.1', userAgent: 'test', requestId: 'r' }
const idOf = async (who: Client): Promise<string> =>
  (await who.call<{ id: string }>('GET', '/api/v1/me')).json.id
const requests = async (who: Client): Promise<AccessRequests> =>
  (await who.call<AccessRequests>('GET', '/api/v1/access-requests')).json
const answer = (who: Client, id: string, how: string, body?: object) =>
  who.call('POST', `/api/v1/access-requests/${id}/${how}`, body)
const shop = { name: 'shop', image: 'x:1', ports: [{ port: 3000, visibility: 'shared' }, { port: 3001 }] }

/** Asks, and waits until it is written down. */
async function ask(server: ControlServer, who: Client, label: string): Promise<void> {
  const before = JSON.stringify((await requests(who)).mine)
  await server.control.edge.requestAccess(await idOf(who), label, origin)
  await until(async () => JSON.stringify((await requests(who)).mine) !== before)
}

/** All that a person's live stream says. */
async function listen(t: Test, server: ControlServer, who: Client): Promise<StreamMessage[]> {
  const said: StreamMessage[] = []
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/events`, {
    headers: { cookie: who.cookie },
  })
  t.teardown(() => socket.terminate())
  socket.on('message', (data: Buffer) => void said.push(JSON.parse(data.toString()) as StreamMessage))
  await until(() => said.some(({ type }) => type === 'live'))
  return said
}

const isToAnswer = (message: StreamMessage): boolean => message.type.startsWith('access-request')
const isMine = (message: StreamMessage): boolean => message.type === 'my-access-request'

await t.test('an owner and a manager see it live, grant it for an hour, and it opens', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const [bob, eve, mia] = [
    await server.member(ada, 'bob'),
    await server.member(ada, 'eve'),
    await server.member(ada, 'mia'),
  ]
  const { id: workspaceId } = (await bob.call('POST', '/api/v1/workspaces', shop)).json
  await bob.call('POST', '/api/v1/grants', {
    object: { kind: 'workspace', id: workspaceId },
    subject: { kind: 'user', id: 'mia' },
    role: 'manager',
  })
  const [toBob, toEve, toMia, toAda] = [
    await listen(t, server, bob),
    await listen(t, server, eve),
    await listen(t, server, mia),
    await listen(t, server, ada),
  ]
  await ask(server, eve, 'shop-3000')
  await until(() => toBob.some(isToAnswer) && toMia.some(isToAnswer) && toEve.some(isMine))
  const { toAnswer } = await requests(bob)
  t.match(toAnswer, [
    { user: { username: 'eve' }, name: 'shop', port: 3000, workspace: { id: workspaceId }, isShared: true },
  ])
  t.same(await requests(mia), { toAnswer, mine: [] })
  t.same((await requests(ada)).toAnswer, [], 'an administrator administers')
  t.notOk(toEve.some(isToAnswer), 'who asks is shown no workspace')
  t.notOk(toAda.some((message) => isToAnswer(message) || isMine(message)))
  const { id = '' } = toAnswer[0] ?? {}
  for (const who of [eve, ada]) t.equal((await answer(who, id, 'grant')).status, 404, 'not theirs to answer')
  t.equal((await answer(bob, 'nothing', 'grant')).status, 404)
  t.equal((await answer(bob, id, 'grant', { forHours: 7 })).status, 422)
  t.equal((await answer(mia, id, 'grant', { forHours: 1, ports: [3000] })).status, 204)
  await until(() => toBob.some(({ type }) => type === 'access-request-gone'))
  const row = server.facts.rows.get(`route ${workspaceId}`)
  t.match(row?.kind === 'route' ? row.row.grants.find(({ role }) => role === 'viewer') : null, {
    subjectId: await idOf(eve),
    ports: [3000],
    expiresAtMs: server.clock.now + 3_600_000,
  })
  t.match((await requests(eve)).mine, [{ state: 'granted', workspace: null }])
  t.same((await requests(bob)).toAnswer, [])
  t.equal((await answer(bob, id, 'decline')).status, 404, 'answered once')
  t.match((await eve.call('GET', '/api/v1/workspaces/shop')).status, 200)
  const audit = (await ada.call('GET', '/api/v1/audit')).text
  t.match(audit, /access\.request/)
  t.match(audit, /access\.answer/)
})

await t.test('asking about nothing, a declined and an unanswered one look the same', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const [bob, eve] = [await server.member(ada, 'bob'), await server.member(ada, 'eve')]
  await bob.call('POST', '/api/v1/workspaces', shop)
  const said = await listen(t, server, eve)
  for (const label of ['shop', 'absent']) await ask(server, eve, label)
  const [request] = (await requests(bob)).toAnswer
  t.equal((await answer(bob, request?.id ?? '', 'decline')).status, 204)
  const shown = (view: AccessRequestView): object => ({ ...view, id: '', name: '' })
  const [first, second] = (await requests(eve)).mine.map(shown)
  t.same(first, second)
  const live = said.flatMap((message) =>
    message.type === 'my-access-request' && message.request !== null ? [shown(message.request)] : [],
  )
  t.ok(live.length >= 2)
  t.equal(new Set(live.map((each) => JSON.stringify(each))).size, 1)
  // Neither nags: a second one changes nothing until the first is over.
  for (const label of ['shop', 'absent', 'other'])
    await server.control.edge.requestAccess(await idOf(eve), label, origin)
  await until(async () => (await requests(eve)).mine.length === 3)
  t.same((await requests(bob)).toAnswer, [])
  // In steps, as sessions that nobody uses end as well.
  for (let day = 0; day < 14; day += 7) {
    server.clock.now += 7 * 86_400_000 + 1
    for (const who of [bob, eve]) await who.call('GET', '/api/v1/me')
  }
  t.same((await requests(eve)).mine, [], 'over after 14 days')
  const later = await listen(t, server, eve)
  await server.sweep()
  await until(() => later.some((message) => message.type === 'my-access-request' && message.request === null))
  await ask(server, eve, 'shop')
  t.match((await requests(bob)).toAnswer, [{ name: 'shop' }], 'and then it may be asked again')
  // A workspace made later hears of who asked before, when they ask again.
  await bob.call('POST', '/api/v1/workspaces', { ...shop, name: 'absent' })
  await ask(server, eve, 'absent')
  await until(async () => (await requests(bob)).toAnswer.length === 2)
})

await t.test('how much one person may ask', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const [bob, eve] = [await server.member(ada, 'bob'), await server.member(ada, 'eve')]
  await bob.call('POST', '/api/v1/workspaces', shop)
  const id = await idOf(eve)
  const tries: string[] = []
  for (let n = 0; n < 12; n++)
    await server.control.edge.requestAccess(id, n % 2 === 0 ? 'shop' : `absent${n}`, origin).then(
      () => tries.push('ok'),
      (err: { code: string; retryAfterSeconds: number }) =>
        tries.push(`${err.code} ${err.retryAfterSeconds}`),
    )
  t.same(tries, [...Array.from({ length: 10 }, () => 'ok'), 'rate_limited 360', 'rate_limited 360'])
  await server.control.edge.requestAccess(await idOf(bob), 'absent', origin)
  await t.rejects(server.control.edge.requestAccess(id, 'no such/label', origin), { code: 'not_found' })
  for (let n = 0; n < 60; n++) {
    server.clock.now += 6 * 60_000
    await server.control.edge.requestAccess(id, `more${n}`, origin)
  }
  await until(async () => (await requests(eve)).mine.length === 50)
  t.equal((await requests(eve)).mine.length, 50, 'and no more than that is kept')
})
