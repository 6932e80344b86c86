/** Access tokens of one workspace: what they may, whose they are, how they end; and that a token makes none that may more. */
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { WebSocket } from 'ws'
import { minted, type Powers, type Wish } from '../../control/credentials/minting.ts'
import { ApiError, scopes as allScopes, type Scope, type TokenView } from '../../control/wire/index.ts'
import { type PretendAgent, pretendAgent } from '../support/control-agent.ts'
import { type ControlServer, controlServer } from '../support/control-server.ts'
import { templates } from '../support/control-templates.ts'
import { until } from '../support/until.ts'

const root = t.testdir({ templates })
const templateDirectories = [join(root, 'templates')]
const api = '/api/v1/workspaces'

// -- A token can't make a broader one. The oracle is every single act that the two allow.

const ports = [80, 443, 3000]
const times = [10, 20, 30]
const acts = (['a', 'b'] as const).flatMap((workspace) =>
  ports.flatMap((port) =>
    allScopes.flatMap((scope) => times.map((atMs) => ({ workspace, port, scope, atMs }))),
  ),
)
type Act = (typeof acts)[number]

const allows = ({ scopes, bounds, expiresAtMs }: Powers, act: Act): boolean =>
  (scopes.includes(act.scope) || scopes.includes('admin')) &&
  (bounds === null ||
    (bounds.workspaceId === act.workspace && (bounds.ports === null || bounds.ports.includes(act.port)))) &&
  (expiresAtMs === null || act.atMs < expiresAtMs)

const somePorts = fc.option(fc.subarray(ports, { minLength: 1 }), { nil: null })
const expiry = fc.option(fc.constantFrom(...times, 40), { nil: null })
const powers: fc.Arbitrary<Powers> = fc
  .record({
    scopes: fc.subarray([...allScopes], { minLength: 1 }),
    bounds: fc.option(fc.record({ workspaceId: fc.constantFrom('a', 'b'), ports: somePorts }), { nil: null }),
    expiresAtMs: expiry,
  })
  // There are no others.
  .filter(({ scopes, bounds }) => bounds === null || !scopes.includes('admin'))
const wish: fc.Arbitrary<Wish> = fc.record(
  {
    scopes: fc.subarray([...allScopes], { minLength: 1 }),
    workspaceId: fc.constantFrom('a', 'b'),
    ports: fc.subarray(ports, { minLength: 1 }),
    expiresAtMs: fc.constantFrom(...times, 40),
  },
  { requiredKeys: [] },
)

function tried(asked: Wish, by: Powers | null, isAuditor = false): Powers | string {
  try {
    return minted(asked, by, isAuditor)
  } catch (err) {
    if (err instanceof ApiError) return err.code
    throw err
  }
}

t.test('whatever a token asks for, what it gets allows no act that it does not', (t) => {
  let made = 0
  fc.assert(
    fc.property(powers, wish, fc.boolean(), (by, asked, isAuditor) => {
      const child = tried(asked, by, isAuditor)
      if (typeof child === 'string') return true
      made++
      const grandchild = tried(asked, child, isAuditor)
      const isWithin = acts.every(
        (act) =>
          (!allows(child, act) || allows(by, act)) &&
          (typeof grandchild === 'string' || !allows(grandchild, act) || allows(child, act)),
      )
      const isRead = !isAuditor || !child.scopes.some((scope) => scope !== 'workspaces:read')
      return isWithin && isRead && (child.bounds === null || !child.scopes.includes('admin'))
    }),
    { numRuns: 5000 },
  )
  t.ok(made > 100, 'and many are made')
  t.end()
})

t.test('the wish and the token that asks, as a table', (t) => {
  const all: Powers = { scopes: ['admin'], bounds: null, expiresAtMs: null }
  const some: Powers = {
    scopes: ['workspaces:read', 'connect'],
    bounds: { workspaceId: 'a', ports: [80, 443] },
    expiresAtMs: 30,
  }
  const read: readonly Scope[] = ['workspaces:read']
  const rows: readonly [Wish, Powers | null, boolean, unknown][] = [
    [
      {},
      null,
      false,
      { scopes: ['workspaces:read', 'workspaces:write', 'connect'], bounds: null, expiresAtMs: null },
    ],
    [{ scopes: ['admin'] }, null, false, { scopes: ['admin'] }],
    [{ workspaceId: 'a' }, null, false, { bounds: { workspaceId: 'a', ports: null } }],
    [{ workspaceId: 'a', ports: [443, 80, 443] }, null, false, { bounds: { ports: [80, 443] } }],
    [{ workspaceId: 'a', scopes: ['admin'] }, null, false, 'invalid_body'],
    [{ ports: [80] }, null, false, 'invalid_body'],
    [{ scopes: ['admin'] }, all, false, { scopes: ['admin'] }],
    [{}, some, false, some],
    [
      { scopes: ['connect'], ports: [80], expiresAtMs: 20 },
      some,
      false,
      { scopes: ['connect'], bounds: { workspaceId: 'a', ports: [80] }, expiresAtMs: 20 },
    ],
    [{ scopes: ['workspaces:write'] }, some, false, 'missing_scope'],
    [{ scopes: ['admin'] }, { ...some, bounds: null }, false, 'missing_scope'],
    [{ ports: [3000] }, some, false, 'missing_scope'],
    [{ workspaceId: 'b' }, some, false, 'not_found'],
    [{ expiresAtMs: 31 }, some, false, 'missing_scope'],
    [{}, null, true, { scopes: read }],
    [{ scopes: ['workspaces:read', 'connect'] }, null, true, 'forbidden'],
    [{}, all, true, { scopes: read }],
    [{}, { ...some, scopes: ['connect'] }, true, 'missing_scope'],
  ]
  for (const [asked, by, isAuditor, expected] of rows) {
    const got = tried(asked, by, isAuditor)
    if (typeof expected === 'string') t.equal(got, expected, JSON.stringify(asked))
    else t.match(got, expected as Powers, JSON.stringify(asked))
  }
  t.end()
})

// -- Over REST.

interface Scene {
  readonly server: ControlServer
  readonly agent: PretendAgent
  readonly ada: Awaited<ReturnType<ControlServer['setUp']>>
  readonly bob: Awaited<ReturnType<ControlServer['setUp']>>
  /** Ada's. */
  readonly ids: Readonly<Record<'one' | 'two', string>>
}

async function scene(name: string): Promise<Scene> {
  const server = await controlServer({ stateDirectory: join(root, name), templateDirectories })
  const boss = await server.setUp('boss')
  const ada = await server.member(boss, 'ada')
  const bob = await server.member(boss, 'bob')
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  const make = async (workspace: string) => {
    const answer = await ada.call('POST', api, { name: workspace })
    if (answer.status !== 202) throw new Error(answer.text)
    return answer.json.id
  }
  return { server, agent, ada, bob, ids: { one: await make('one'), two: await make('two') } }
}
const plain = (text: string): string => text.replace(/"requestId":"[^"]*"/, '')
const viewsOf = async (client: Scene['ada']): Promise<readonly TokenView[]> =>
  (await client.call<{ items: TokenView[] }>('GET', '/api/v1/tokens')).json.items

await t.test('a token of a workspace sees, starts and stops it, and nothing else', async (t) => {
  const { server, ada, ids } = await scene('life')
  const made = await ada.call('POST', '/api/v1/tokens', { name: 'ci', workspace: 'one', ports: [3000, 80] })
  t.equal(made.status, 201)
  const by = server.client(made.json.token)
  t.match(await viewsOf(ada), [
    { workspace: { id: ids.one, name: 'one' }, ports: [80, 3000], expiresAtMs: null, lastUsedAtMs: null },
  ])
  for (const ref of [ids.one, 'one'])
    t.match(await by.call('GET', `${api}/${ref}`), { status: 200, json: { name: 'one' } })
  t.equal((await by.call('GET', `${api}/one/events`)).status, 200)
  for (const verb of ['stop', 'start', 'restart'])
    t.equal((await by.call('POST', `${api}/one/${verb}`)).status, 202, verb)
  t.same(
    (await by.call('GET', api)).json.items.map(({ name }) => name),
    ['one'],
  )
  const absent = await by.call('GET', `${api}/nothing`)
  const other = await by.call('GET', `${api}/two`)
  t.equal(other.status, 404)
  t.equal(plain(other.text), plain(absent.text), 'byte for byte as if it were not there')
  for (const verb of ['start', 'stop', 'restart'])
    t.equal((await by.call('POST', `${api}/two/${verb}`)).status, 404)
  const refused: [string, string, unknown?][] = [
    ['PATCH', `${api}/one`, { ports: [{ port: 80, visibility: 'public' }] }],
    ['DELETE', `${api}/one`],
    ['DELETE', `${api}/one?purge=true`],
    ['POST', `${api}/one/restore`],
    ['POST', api, { name: 'three' }],
    ['GET', '/api/v1/tokens'],
    ['DELETE', `/api/v1/tokens/${made.json.id}`],
    ['GET', '/api/v1/sessions'],
    ['GET', '/api/v1/templates'],
    ['GET', '/api/v1/grants'],
    ['POST', '/api/v1/grants', { workspace: ids.one }],
    ['GET', '/api/v1/users'],
  ]
  for (const [method, path, body] of refused)
    t.match(
      await by.call(method, path, body),
      { status: 403, json: { code: 'missing_scope' } },
      `${method} ${path}`,
    )
  await server.sweep()
  t.equal((await viewsOf(ada))[0]?.lastUsedAtMs, server.clock.now, 'its last use is kept')
  server.clock.now += 5000
  await server.control.edge.tokenUsed(made.json.id)
  await server.sweep()
  t.equal((await viewsOf(ada))[0]?.lastUsedAtMs, server.clock.now, 'also at a gateway')
  const read = await ada.call('POST', '/api/v1/tokens', {
    name: 'r',
    workspace: ids.one,
    scopes: ['workspaces:read'],
  })
  t.equal((await server.client(read.json.token).call('POST', `${api}/one/stop`)).status, 403)
  await server.close()
})

await t.test('its live stream tells of that workspace alone', async (t) => {
  const { server, ada } = await scene('stream')
  const made = await ada.call('POST', '/api/v1/tokens', { name: 's', workspace: 'one' })
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/events`, {
    headers: { authorization: `Bearer ${made.json.token}` },
  })
  t.teardown(() => socket.terminate())
  const heard: string[] = []
  socket.on('message', (data) => heard.push(String(data as Buffer)))
  await until(() => heard.some((text) => text.includes('"live"')), { timeoutMs: 20_000 })
  await ada.call('POST', `${api}/two/stop`)
  await ada.call('POST', `${api}/one/stop`)
  await until(() => heard.some((text) => text.includes('"timeline"')), { timeoutMs: 20_000 })
  t.ok(heard.some((text) => text.includes('"name":"one"')))
  t.notMatch(heard.join(), /"name":"two"/)
  await ada.call('DELETE', `/api/v1/tokens/${made.json.id}`)
  await until(() => socket.readyState === WebSocket.CLOSED, { timeoutMs: 20_000 })
  await server.close()
})

await t.test('it is whose may open the workspace, and dies with that right', async (t) => {
  const { server, ada, bob, ids, agent } = await scene('right')
  const wished = { name: 'b', workspace: 'one' }
  const refused = await bob.call('POST', '/api/v1/tokens', wished)
  const absent = await bob.call('POST', '/api/v1/tokens', { ...wished, workspace: 'nothing' })
  t.equal(refused.status, 404)
  t.equal(plain(refused.text), plain(absent.text))
  const bobId = (await bob.call('GET', '/api/v1/me')).json.id
  const granted = await ada.call('POST', '/api/v1/grants', {
    subject: { kind: 'user', id: bobId },
    object: { kind: 'workspace', id: ids.one },
    role: 'editor',
  })
  t.equal(granted.status, 201, granted.text)
  const made = await bob.call('POST', '/api/v1/tokens', wished)
  t.equal(made.status, 201)
  const by = server.client(made.json.token)
  t.equal((await by.call('POST', `${api}/one/stop`)).status, 202)
  t.match(await viewsOf(bob), [{ workspace: { id: ids.one, name: 'one' } }])
  t.equal((await ada.call('DELETE', `/api/v1/grants/${granted.json.id}`)).status, 204)
  t.equal((await by.call('POST', `${api}/one/start`)).status, 404)
  t.same((await by.call('GET', api)).json.items, [])
  t.match(
    await viewsOf(bob),
    [{ workspace: { id: ids.one, name: null } }],
    'its name is no longer theirs to know',
  )
  await ada.call('DELETE', `${api}/one?purge=true`)
  await agent.obey()
  t.same(await viewsOf(bob), [])
  t.equal((await by.call('GET', '/api/v1/me')).status, 401, 'purged with its workspace')
  await server.close()
})

await t.test('tokens that a token made end with it', async (t) => {
  const { server, ada } = await scene('family')
  const parent = await ada.call('POST', '/api/v1/tokens', { name: 'p', workspace: 'one', ports: [80] })
  const ask = (token: string, body: object) => server.client(token).call('POST', '/api/v1/tokens', body)
  const child = await ask(parent.json.token, { name: 'c' })
  t.equal(child.status, 201)
  const grandchild = await ask(child.json.token, { name: 'g', scopes: ['workspaces:read'] })
  t.equal(grandchild.status, 201)
  t.match(await ask(child.json.token, { name: 'x', ports: [81] }), { status: 403 })
  t.match(await ask(child.json.token, { name: 'x', scopes: ['admin'] }), { status: 422 })
  t.match(await ask(grandchild.json.token, { name: 'x', scopes: ['connect'] }), { status: 403 })
  t.match(await ask(child.json.token, { name: 'x', workspace: 'two' }), { status: 404 })
  const ended = await ada.call('POST', '/api/v1/tokens', {
    name: 'e',
    expiresAt: new Date(server.clock.now + 60_000).toISOString(),
  })
  t.match(
    await ask(ended.json.token, { name: 'x', expiresAt: new Date(server.clock.now + 61_000).toISOString() }),
    {
      status: 403,
    },
  )
  const short = await ask(ended.json.token, { name: 'short' })
  t.equal(short.status, 201)
  t.equal((await viewsOf(ada)).find(({ name }) => name === 'short')?.expiresAtMs, server.clock.now + 60_000)
  t.equal((await ada.call('DELETE', `/api/v1/tokens/${parent.json.id}`)).status, 204)
  for (const { json } of [parent, child, grandchild])
    t.equal((await server.client(json.token).call('GET', '/api/v1/me')).status, 401)
  t.same((await viewsOf(ada)).map(({ name }) => name).sort(), ['e', 'short'])
  await server.close()
})
