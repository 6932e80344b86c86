/**
 * nginx's decision cache, as the example file has it: what is asked anew and what is not, that nobody gets another's yes or
 * another's headers, that a refusal is never kept, and how soon a revocation is felt.
 */
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { EdgeFact } from '../../control/wire/index.ts'
import { hashOf } from '../support/gateway-control.ts'
import { frontFacts, secrets } from '../support/fronts-facts.ts'
import { startEdge } from '../support/fronts-edge.ts'
import { freePort } from '../support/free-port.ts'
import { exampleFronts, ifInstalled, startScene } from '../support/fronts-scene.ts'
import { keepingConnections, startNginx } from '../support/fronts-start.ts'
import { always, OK, rawUpstream } from '../support/gateway-bytes.ts'
import { startUpstream, valuesOf, type Seen, type Upstream } from '../support/fronts-upstream.ts'
import { ask, type Answer } from '../support/fronts-visitor.ts'
import { until } from '../support/until.ts'

type Headers = Readonly<Record<string, string>>

interface Scene {
  readonly port: number
  readonly own: Upstream
  readonly open: Upstream
  /** Every question that reached Postern, raw headers as sent. */
  readonly questions: Seen[]
  apply(facts: readonly EdgeFact[]): void
  visit(
    host: string,
    headers?: Headers,
    about?: { method?: string; path?: string; body?: string },
  ): Promise<Answer>
}

/** Stands between nginx and Postern's forward auth and counts. */
async function counter(t: Test, authz: number, questions: Seen[]): Promise<number> {
  const agent = new Agent({ keepAlive: true })
  const server = createServer((req, res) => {
    questions.push({
      name: 'authz',
      method: req.method!,
      url: req.url!,
      rawHeaders: req.rawHeaders,
      body: '',
    })
    const target = {
      host: '127.0.0.1',
      port: authz,
      path: req.url,
      method: req.method,
      headers: req.rawHeaders,
    }
    request({ ...target, agent }, (answer) => {
      res.writeHead(answer.statusCode!, answer.rawHeaders)
      answer.pipe(res)
    }).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    agent.destroy()
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function scene(t: Test): Promise<Scene> {
  const [own, open, members] = [
    await startUpstream('own'),
    await startUpstream('open'),
    await startUpstream('m'),
  ]
  for (const upstream of [own, open, members]) t.teardown(() => upstream.close())
  const questions: Seen[] = []
  const front = exampleFronts.find(({ file }) => file === 'nginx/decide.conf')!
  const facts = frontFacts({ own: own.port, open: open.port, members: members.port })
  const { port, edge } = await startScene(t, front, facts, (authz) => counter(t, authz, questions))
  return {
    port,
    own,
    open,
    questions,
    apply: edge.apply,
    visit: (host, headers = {}, about = {}) => ask({ port, host: `${host}.ws.localhost`, headers, ...about }),
  }
}

const seenBy = (answer: Answer): Seen => JSON.parse(answer.body) as Seen
const mine: Headers = {
  Cookie: `theme=dark; postern_workspace=${secrets.adaOnWeb}`,
  'Sec-Fetch-Site': 'none',
}

/** Does it again until all of it fell into one second of the clock, which is how long a decision is kept. */
async function inOneSecond<T>(act: (attempt: number) => Promise<T>): Promise<T> {
  let attempt = 0
  return until(
    async () => {
      const second = Math.floor(Date.now() / 1000)
      const value = { of: await act(++attempt) }
      return Math.floor(Date.now() / 1000) === second ? value : null
    },
    { timeoutMs: 30_000, what: 'a second in which all of it happens' },
  ).then(({ of }) => of)
}

async function keeps(t: Test, at: Scene): Promise<void> {
  const host = `web-${at.own.port}`
  const asked = await inOneSecond(async () => {
    await at.visit(host, mine)
    const before = at.questions.length
    for (const path of ['/', '/a?b=c', '/a/b%20c', '/x/../y']) await at.visit(host, mine, { path })
    for (const method of ['HEAD', 'GET']) await at.visit(host, mine, { method })
    for (const dest of ['image', 'script', 'empty'])
      await at.visit(host, { ...mine, 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': dest })
    return at.questions.length - before
  })
  t.equal(asked, 0, 'one question a second, whatever of its own a page asks for')
  const unusual = await inOneSecond(async () => {
    await at.visit(host, mine)
    const before = at.questions.length
    for (const path of ['/.postern/../x', '/a\\b', '/\u00e9']) {
      await at.visit(host, mine, { path })
      await at.visit(host, mine, { path })
    }
    return at.questions.slice(before).map(({ rawHeaders }) => valuesOf({ rawHeaders }, 'x-original-url')[0])
  })
  t.ok(unusual.length >= 3, `unusual paths are asked for themselves: ${unusual.join(' ')}`)
  const bare = await inOneSecond(async (attempt) => {
    const headers = { 'X-Postern-Token': secrets.adaToken, 'Sec-Fetch-Dest': `attempt-${attempt}` }
    const before = at.questions.length
    for (const path of ['/', '/api', '/api?x=1', '/api/x', '/api?x=2'])
      await at.visit('web', headers, { path })
    return at.questions.slice(before).map(({ rawHeaders }) => valuesOf({ rawHeaders }, 'x-original-url')[0])
  })
  const base = `http://web.ws.localhost:${at.port}`
  t.same(bare, [`${base}/`, `${base}/api`, `${base}/api/x`], 'on a default host, paths may lead elsewhere')
}

/** Each differs from an allowed request, just now kept, by one thing; `status` is what it is worth by itself. */
function variations(at: Scene): [string, number, string, Headers, string?][] {
  const host = `web-${at.own.port}`
  const other = `http://mapped-3000.ws.localhost:${at.port}`
  const origin = `http://${host}.ws.localhost:${at.port}`
  const { Cookie, ...rest } = mine
  return [
    ['no cookie', 401, host, rest],
    ['another’s cookie', 404, host, { ...mine, Cookie: `theme=dark; postern_workspace=${secrets.bobOnWeb}` }],
    ['a cookie in other letters', 401, host, { ...mine, Cookie: Cookie!.toUpperCase() }],
    ['the cookie twice', 401, host, { ...mine, Cookie: `${Cookie}; postern_workspace=x` }],
    [
      'the cookie’s end in the next header',
      401,
      host,
      { ...mine, Cookie: Cookie!.slice(0, -4), Authorization: Cookie!.slice(-4) },
    ],
    ['another workspace’s Origin', 403, host, { ...mine, Origin: other }],
    ['an Origin of no place', 403, host, { ...mine, Origin: 'null' }],
    ['made by a sibling', 403, host, { ...mine, 'Sec-Fetch-Site': 'same-site' }],
    [
      'a frame of another site',
      403,
      host,
      { ...mine, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' },
    ],
    ['a POST without Origin', 403, host, mine, 'POST'],
    ['a method without Origin', 403, host, mine, 'PROPFIND'],
    ['another’s token', 404, host, { ...mine, 'X-Postern-Token': secrets.bobToken }],
    ['a broken token', 401, host, { ...mine, 'X-Postern-Token': 'pst_' }],
    ['another’s token in Authorization', 404, host, { ...mine, Authorization: `Bearer ${secrets.bobToken}` }],
    ['a host that isn’t there', 401, `nothing-${at.own.port}`, mine],
    ['another port', 401, `web-${at.own.port + 1}`, mine],
    ['the default host', 401, 'web', mine],
    ['its own Origin', 200, host, { ...mine, Origin: origin }],
  ]
}

async function nobodysYes(t: Test, at: Scene): Promise<void> {
  for (const [what, status, host, headers, method = 'GET'] of variations(at)) {
    const got = await inOneSecond(async () => {
      const first = await at.visit(`web-${at.own.port}`, mine)
      const before = at.questions.length
      const other = await at.visit(host, headers, { method })
      const asked = at.questions.length - before
      const again = await at.visit(`web-${at.own.port}`, mine)
      return [first.status, other.status, asked >= 1, again.status]
    })
    t.same(got, [200, status, true, 200], what)
  }
  const link = {
    ...mine,
    'Sec-Fetch-Site': 'cross-site',
    'Sec-Fetch-Mode': 'navigate',
    'Sec-Fetch-Dest': 'document',
  }
  const links = await inOneSecond(async () => {
    const host = `web-${at.own.port}`
    const yes = await at.visit(host, link)
    const frame = await at.visit(host, { ...link, 'Sec-Fetch-Dest': 'iframe' })
    return [yes.status, frame.status, (await at.visit(host, { ...link, 'Sec-Fetch-Mode': 'no-cors' })).status]
  })
  t.same(links, [200, 403, 403], 'a link of another site opens neither frames nor requests of scripts')
  const posts = await inOneSecond(async () => {
    const origin = { ...mine, Origin: `http://web-${at.own.port}.ws.localhost:${at.port}` }
    const yes = await at.visit(`web-${at.own.port}`, origin, { method: 'POST' })
    return [yes.status, (await at.visit(`web-${at.own.port}`, mine, { method: 'POST' })).status]
  })
  t.same(posts, [200, 403], 'a POST of its own opens none of another’s')
}

/** Whatever asks for another protocol is Postern's own: nginx doesn't ask about it, and hands nothing of it to the program. */
async function otherProtocols(t: Test, at: Scene): Promise<void> {
  const host = `web-${at.own.port}`
  const handshake = { 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' }
  const socket = { ...mine, ...handshake, Connection: 'Upgrade', Upgrade: 'websocket' }
  const undecided = await inOneSecond(async () => {
    const before = at.questions.length
    const { status } = await at.visit(host, socket)
    return [status, at.questions.length - before]
  })
  t.same(undecided, [403, 0], 'a WebSocket without Origin')
  const offer = { 'Sec-WebSocket-Protocol': `postern.token.${secrets.adaToken}` }
  const halves: Headers[] = [handshake, { Upgrade: '0', Connection: 'Upgrade' }, offer]
  for (const half of halves) {
    const got = await at.visit(host, { ...mine, ...half })
    t.equal(got.status, 200)
    for (const name of ['upgrade', 'sec-websocket-protocol']) t.same(valuesOf(seenBy(got), name), [])
  }
  const other = {
    ...mine,
    Origin: `http://${host}.ws.localhost:${at.port}`,
    Connection: 'Upgrade',
    Upgrade: 'h2c',
  }
  const posted = seenBy(await at.visit(host, other, { method: 'POST', body: 'z'.repeat(100_000) }))
  t.same([posted.body.length, valuesOf(posted, 'upgrade')], [100_000, []])
}

/** On a public port everybody is let in; what goes to the program is each visitor's own. */
async function ownHeaders(t: Test, at: Scene): Promise<void> {
  const host = `web-${at.open.port}`
  const visitors: Headers[] = [
    { Cookie: 'cart=1' },
    { Cookie: 'cart=2' },
    { Cookie: 'cart=1; cart=2' },
    { Authorization: 'Basic MQ==' },
    { Authorization: 'Basic Mg==', Cookie: 'cart=1' },
    { Cookie: `cart=1; postern_workspace=${secrets.adaOnOpen}` },
    { Cookie: `cart=1; postern_workspace=nobody` },
    {},
  ]
  const got = await inOneSecond(async () => {
    const seen: Seen[] = []
    for (const headers of [...visitors, ...visitors]) seen.push(seenBy(await at.visit(host, headers)))
    return seen
  })
  got.forEach((seen, i) => {
    const { Cookie: cookie, Authorization: authorization } = visitors[i % visitors.length]!
    const own = (cookie ?? '').replace(/; postern_workspace=.*/, '')
    t.equal(valuesOf(seen, 'cookie').join(), own)
    t.equal(valuesOf(seen, 'authorization').join(), authorization ?? '')
    t.equal(valuesOf(seen, 'x-postern-user').join(), cookie?.includes(secrets.adaOnOpen) ? 'ada' : '')
  })
}

async function revocation(t: Test, at: Scene): Promise<void> {
  const host = `web-${at.own.port}`
  const bobs: Headers = { 'X-Postern-Token': 'pst_a-token-that-is-made-later-0000000' }
  const made = hashOf(bobs['X-Postern-Token']!)
  t.equal((await at.visit(host, bobs)).status, 401)
  at.apply([
    {
      kind: 'token',
      key: made,
      row: { hash: made, id: 'later', userId: 'u-ada', scopes: ['connect'], bounds: null, expiresAtMs: null },
    },
  ])
  t.equal((await at.visit(host, bobs)).status, 200, 'a refusal is not kept')
  const lasted: number[] = []
  for (let round = 0; round < 3; round++) {
    const facts = frontFacts().filter(({ kind }) => kind === 'session')
    at.apply(facts)
    const own = facts.find((fact) => fact.kind === 'session' && fact.key === hashOf(secrets.adaOnMapped))!
    if (own.kind !== 'session') return void t.fail('no such session')
    const key = hashOf(secrets.adaOnWeb)
    const label = host
    at.apply([
      {
        kind: 'session',
        key,
        row: { ...own.row, hash: key, workspace: { ...own.row.workspace!, workspaceId: 'w-web', label } },
      },
    ])
    await until(async () => (await at.visit(host, mine)).status === 200, { what: 'the owner to be let in' })
    const atMs = performance.now()
    at.apply([{ kind: 'gone', of: 'session', key }])
    await until(async () => (await at.visit(host, mine)).status === 401, { everyMs: 5, what: 'the refusal' })
    lasted.push(performance.now() - atMs)
  }
  t.comment(`refused after ${lasted.map((ms) => ms.toFixed(0)).join(', ')} ms`)
  t.ok(Math.max(...lasted) < 1500, 'about a second')
}

const nginx = exampleFronts.find(({ file }) => file === 'nginx/decide.conf')!
t.test('the decision cache', ifInstalled(nginx), async (t) => {
  const at = await scene(t)
  await t.test('one question a second', (t) => keeps(t, at))
  await t.test('nobody gets another’s yes', (t) => nobodysYes(t, at))
  await t.test('other protocols', (t) => otherProtocols(t, at))
  await t.test('nobody gets another’s headers', (t) => ownHeaders(t, at))
  await t.test('a refusal is not kept, and a yes not for long', (t) => revocation(t, at))
})

t.test(
  'connections to an address that the file names are kept, and open nothing',
  ifInstalled(nginx),
  async (t) => {
    const upstream = await rawUpstream(always(OK))
    t.teardown(() => upstream.close())
    const port = await freePort()
    const facts = frontFacts({ own: upstream.port, open: 1, members: 2 })
    const edge = await startEdge(facts, { publicUrl: `http://localhost:${port}` })
    t.teardown(() => edge.gateway.close(0))
    const ports = { front: port, postern: edge.main, authz: edge.authz }
    const running = await startNginx(nginx.file, ports, t.testdir(), (text) =>
      keepingConnections(text, `127.0.0.1:${upstream.port}`),
    )
    t.teardown(() => running.stop())
    const host = `web-${upstream.port}.ws.localhost`
    for (let i = 0; i < 5; i++) t.equal((await ask({ port, host, headers: mine })).status, 200)
    t.equal(upstream.connections(), 1)
    t.equal((await ask({ port, host })).status, 401)
    t.equal(upstream.requests.length, 5)
  },
)
