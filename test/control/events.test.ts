/** The live stream: what a person may see, from where they left it, as long as they may. */
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { closeCodes } from '../../control/feed/stream.ts'
import { pruneChanges } from '../../control/store/changes.ts'
import type { StreamKind, StreamMessage, UserView } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { controlServer, password } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'
import { until } from '../support/until.ts'

const root = t.testdir({})
let count = 0
async function serve(t: Test, options = {}): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`), ...options })
  t.teardown(() => server.close())
  return server
}

interface Reader {
  readonly ws: WebSocket
  readonly heard: StreamMessage[]
  readonly closed: Promise<number>
  /** The revision up to which it has heard everything. */
  at(): number
  live(): Promise<Reader>
  next(type: StreamKind, check?: (message: StreamMessage) => boolean): Promise<StreamMessage>
}

function listen(server: ControlServer, client: Client, query = ''): Reader {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/events${query}`, {
    headers: { cookie: client.cookie },
  })
  const heard: StreamMessage[] = []
  ws.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString('utf8')) as StreamMessage))
  ws.on('error', () => undefined)
  const self: Reader = {
    ws,
    heard,
    closed: new Promise((resolve) => ws.once('close', resolve)),
    at: () => Math.max(0, ...heard.map((message) => ('revision' in message ? message.revision : 0))),
    async live() {
      await self.next('live')
      return self
    },
    next: (type, check = () => true) =>
      until(() => heard.find((message) => message.type === type && check(message)), { what: type }),
  }
  return self
}

const api = '/api/v1/workspaces'
const phaseOf = (message: StreamMessage): string =>
  message.type === 'workspace' ? message.workspace.phase : ''

await t.test('everything at first, then what changes, in revision order', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  await ada.call('POST', api, { name: 'one', image: 'x' })
  const reader = await listen(server, ada).live()
  t.same(
    reader.heard.map(({ type }) => type),
    ['host', 'workspace', 'limits', 'live'],
  )
  t.match(reader.heard[3], { version: '0.0.0-test' })
  await agent.obey()
  await reader.next('workspace', (message) => phaseOf(message) === 'running')
  await reader.next('timeline', (message) => message.type === 'timeline' && message.event.code === 'running')
  await ada.call('POST', api, { name: 'two', image: 'x' })
  await reader.next('limits', (message) => message.type === 'limits' && message.limits.running.mine === 2)
  await ada.call('DELETE', `${api}/two?purge=true`)
  await agent.obey()
  const { id } = (await ada.call('GET', `${api}/one`)).json
  const gone = await reader.next('workspace-gone')
  t.notMatch(gone, { id })
  const revisions = reader.heard.slice(4).map((message) => ('revision' in message ? message.revision : 0))
  t.same(
    revisions,
    [...revisions].sort((a, b) => a - b),
  )
  reader.ws.close()
})

await t.test(
  'a reader who comes back misses nothing, and is told when it is too late for that',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    await ada.call('POST', api, { name: 'one', image: 'x' })
    await ada.call('POST', api, { name: 'gone', image: 'x' })
    const first = await listen(server, ada).live()
    const since = first.at()
    first.ws.close()
    await agent.obey()
    await ada.call('DELETE', `${api}/gone?purge=true`)
    await agent.obey()
    await ada.call('POST', api, { name: 'two', image: 'x' })
    const second = await listen(server, ada, `?since=${since}`).live()
    const told = second.heard.filter(({ type }) => type.startsWith('workspace'))
    t.match(
      told.map((message) => (message.type === 'workspace' ? message.workspace.name : message.type)).sort(),
      ['one', 'two', 'workspace-gone'],
    )
    t.ok(
      second.heard.some(({ type }) => type === 'timeline'),
      'the lines of the timeline too',
    )
    const again = await listen(server, ada, `?since=${second.at()}`).live()
    t.same(
      again.heard.map(({ type }) => type),
      ['limits', 'live'],
      'who missed nothing is told nothing twice',
    )
    for (const query of [`?since=${second.at() + 1000}`, '?since=1']) {
      if (query === '?since=1') await pruneChanges(server.deployment.feed.db, 0)
      const late = listen(server, ada, query)
      t.equal(await late.closed, closeCodes.resync)
      t.same(late.heard, [{ type: 'resync' }])
    }
    again.ws.close()
    second.ws.close()
  },
)

await t.test('a person sees their own; administrators all, if they ask', async (t) => {
  const server = await serve(t, { pathUrl: 'http://paths.localhost:8090' })
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  await ada.call('POST', api, { name: 'adas', image: 'x' })
  const readers = {
    bob: listen(server, bob),
    ada: listen(server, ada),
    all: listen(server, ada, '?owner=all'),
  }
  for (const reader of Object.values(readers)) await reader.live()
  await bob.call('POST', api, { name: 'bobs', image: 'x' })
  await ada.call('POST', api, { name: 'adas2', image: 'x' })
  await bob.call('DELETE', `${api}/bobs`)
  await readers.bob.next('workspace', (message) => phaseOf(message) === 'removing')
  await readers.all.next('workspace', (message) => phaseOf(message) === 'removing')
  await readers.ada.next(
    'workspace',
    (message) => message.type === 'workspace' && message.workspace.name === 'adas2',
  )
  const text = (reader: Reader): string => JSON.stringify(reader.heard)
  t.notMatch(text(readers.bob), /adas|"type":"host"|10\.99/)
  t.notMatch(text(readers.ada), /bobs/)
  t.match(text(readers.ada), /"type":"host"/)
  t.match(text(readers.all), /bobs/)
  t.match(text(readers.all), /adas2/)
  const byPath = (reader: Reader): Set<string> =>
    new Set([...text(reader).matchAll(/"path":"([^"]+)"/g)].map(([, url]) => url!))
  const own = (name: string): string => `http://paths.localhost:8090/dev/${name}/ide/`
  t.same(byPath(readers.bob), new Set([own('bobs')]), 'by path each is told of their own')
  t.same(byPath(readers.all), new Set([own('adas'), own('adas2')]), 'and of nobody else’s')
  for (const reader of Object.values(readers)) reader.ws.close()
})

await t.test('who may not is refused before anything is said', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const { token } = (await ada.call('POST', '/api/v1/tokens', { name: 'c', scopes: ['connect'] })).json
  const raw = (path: string, headers: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(server.port, '127.0.0.1')
      let text = ''
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
      socket.once('close', () => resolve(text))
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`,
      )
    })
  t.match(await raw('/api/v1/events', ''), /^HTTP\/1\.1 401 .*"code":"unauthenticated"/s)
  t.match(
    await raw('/api/v1/events', `Authorization: Bearer ${token}\r\n`),
    /^HTTP\/1\.1 403 .*missing_scope/s,
  )
  t.match(await raw('/api/v1/events?owner=all', `Cookie: ${bob.cookie}\r\n`), /^HTTP\/1\.1 403 .*forbidden/s)
  t.match(await raw('/api/v1/events?since=-1', `Cookie: ${bob.cookie}\r\n`), /^HTTP\/1\.1 422 /)
  t.match(await raw('/api/v1/other', `Cookie: ${bob.cookie}\r\n`), /^HTTP\/1\.1 404 /)
})

await t.test('a stream ends with what it stands on', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const { id } = (await bob.call<UserView>('GET', '/api/v1/me')).json
  const ends: [string, () => Promise<unknown>][] = [
    ['signing out', () => bob.call('DELETE', '/api/v1/sessions/current')],
    ['a new role', () => ada.call('PATCH', `/api/v1/users/${id}`, { role: 'administrator' })],
    ['being disabled', () => ada.call('PATCH', `/api/v1/users/${id}`, { disabled: true })],
  ]
  for (const [name, end] of ends) {
    await bob.call('POST', '/api/v1/sessions', { username: 'bob', password }, { 'x-test-ip': name })
    const reader = await listen(server, bob).live()
    await end()
    t.equal(await reader.closed, closeCodes.signedOut, name)
  }
})

await t.test('what ends between the knock and the first word ends the stream', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const { id } = (await bob.call<UserView>('GET', '/api/v1/me')).json
  const { feed } = server.deployment
  const { subscribe } = feed
  const ends: [string, () => Promise<unknown>][] = [
    ['the session', () => ada.call('DELETE', `/api/v1/users/${id}/sessions`)],
    ['the role', () => feed.db('users').where({ id }).update({ role: 'auditor' })],
  ]
  for (const [name, end] of ends) {
    await bob.call('POST', '/api/v1/sessions', { username: 'bob', password }, { 'x-test-ip': name })
    feed.subscribe = async (...given) => {
      feed.subscribe = subscribe
      await end()
      return subscribe.apply(feed, given)
    }
    const reader = listen(server, bob)
    t.equal(await reader.closed, closeCodes.signedOut, name)
    t.same(reader.heard, [], 'and nothing was said')
  }
})

await t.test('a stream goes on while its session is used, and ends with it', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const reader = await listen(server, ada).live()
  for (const name of ['one', 'two']) {
    server.clock.now += 5 * 60_000
    t.equal((await ada.call('POST', api, { name, image: 'x' })).status, 202, 'which moves its end')
    const isTold = () =>
      reader.heard.some((each) => each.type === 'workspace' && each.workspace.name === name)
    await until(isTold, { timeoutMs: 20_000, what: `${name} to be told` })
  }
  await ada.call('DELETE', '/api/v1/sessions/current')
  t.equal(await reader.closed, closeCodes.signedOut)
})

await t.test('a reader that does not read is cut off and holds up nobody', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const reader = await listen(server, ada).live()
  ;(reader.ws as unknown as { _socket: { pause(): void } })._socket.pause()
  const value = 'x'.repeat(32_000)
  const env = Array.from({ length: 28 }, (_, n) => ({ name: `A${n}`, value }))
  const made = await ada.call('POST', api, { name: 'big', image: 'x', env })
  t.equal(made.status, 202)
  let n = 0
  await until(
    async () => {
      t.equal((await ada.call('PATCH', `${api}/big`, { cpu: null, command: [`c${++n}`] })).status, 202)
      return server.streams.readers() === 0
    },
    { timeoutMs: 20_000, what: 'the slow reader to be cut off' },
  )
  t.ok(n < 60)
  reader.ws.terminate()
})

await t.test('the audit is told of to who asks and may read it, as long as they ask', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const [bob, eve] = [await server.member(ada, 'bob'), await server.member(ada, 'eve')]
  const { id } = (await eve.call<UserView>('GET', '/api/v1/me')).json
  await ada.call('PATCH', `/api/v1/users/${id}`, { role: 'auditor' })
  await eve.call('POST', '/api/v1/sessions', { username: 'eve', password })
  const readers = {
    asked: await listen(server, ada).live(),
    auditor: await listen(server, eve).live(),
    member: await listen(server, bob).live(),
    silent: await listen(server, ada).live(),
  }
  const told = (reader: Reader): number => reader.heard.filter(({ type }) => type === 'audit').length
  for (const text of ['', '{', '{"watch":"audit"}', '{"watch":["workspaces"]}']) readers.silent.ws.send(text)
  for (const name of ['asked', 'auditor', 'member'] as const) readers[name].ws.send('{"watch":["audit"]}')
  await readers.asked.next('audit')
  await readers.auditor.next('audit')
  for (const name of ['one', 'two']) {
    const before = [told(readers.asked), told(readers.auditor)] as const
    await ada.call('POST', '/api/v1/groups', { name })
    await until(() => told(readers.asked) > before[0] && told(readers.auditor) > before[1], {
      timeoutMs: 30_000,
      what: name,
    })
  }
  readers.auditor.ws.send('{"watch":[]}')
  readers.auditor.ws.ping()
  await new Promise((heard) => readers.auditor.ws.once('pong', heard))
  const [before, last] = [told(readers.asked), told(readers.auditor)]
  await ada.call('POST', '/api/v1/groups', { name: 'three' })
  await until(() => told(readers.asked) > before, { timeoutMs: 30_000, what: 'the third' })
  t.equal(told(readers.auditor), last, 'who asks no more is told no more')
  t.same([told(readers.member), told(readers.silent)], [0, 0], 'nor is a member, nor who asked for nothing')
  for (const { ws } of Object.values(readers)) ws.close()
})
