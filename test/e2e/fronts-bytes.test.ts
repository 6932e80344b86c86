/**
 * The example files of nginx and Caddy, byte for byte: what streams, what a program may steer, what a visitor may claim,
 * and what is said when no program answers. The upstream and the clients are raw sockets.
 */
import t, { type Test } from 'tap'
import { frontFacts, secrets } from '../support/fronts-facts.ts'
import { freePort } from '../support/free-port.ts'
import { type ExampleFront, exampleFronts, ifInstalled, startScene } from '../support/fronts-scene.ts'
import {
  ACCEPTED,
  ask,
  parseAnswer,
  rawClient,
  rawUpstream,
  requestBytes,
  type RawUpstream,
  type SeenRequest,
  webSocketBytes,
} from '../support/gateway-bytes.ts'
import { until } from '../support/until.ts'

const LONG = 15_000

interface Scene {
  readonly front: ExampleFront
  readonly port: number
  readonly upstream: RawUpstream
  /** Host header of the owner's port, and the fields that its owner's browser sends. */
  readonly host: string
  readonly mine: readonly string[]
}

const ok = (body: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`

/** As a program sets them that keeps a whole sign-in in its cookies. */
const manyCookies = Array.from({ length: 6 }, (_, n) => `part${n}=${'x'.repeat(2000)}`)

function answerTo({ head, socket }: SeenRequest): void {
  const path = head.split(' ')[1] ?? ''
  if (/\r\nupgrade: websocket/i.test(head)) socket.write(`${ACCEPTED}early from the program`)
  else if (path === '/events')
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n')
  else if (path === '/steer')
    socket.write(ok('own', 'X-Accel-Redirect: /.postern/decision\r\nX-Accel-Expires: 60\r\n'))
  else if (path === '/cookies')
    socket.write(ok('signed in', manyCookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join('')))
  else if (path !== '/upload') socket.write(ok('ok'))
}

async function scene(t: Test, front: ExampleFront): Promise<Scene> {
  const upstream = await rawUpstream(answerTo)
  t.teardown(() => upstream.close())
  const { port } = await startScene(t, front, frontFacts({ own: upstream.port, open: 1, members: 2 }))
  const host = `web-${upstream.port}.ws.localhost:${port}`
  const mine = [
    `Cookie: theme=dark; postern_workspace=${secrets.adaOnWeb}; postern_session=${secrets.adaDashboard}`,
    `Origin: http://${host}`,
  ]
  return { front, port, upstream, host, mine }
}

const last = (at: Scene): SeenRequest => at.upstream.requests.at(-1)!
const values = (seen: SeenRequest, name: string): string[] => parseAnswer(seen.head).all(name)

async function streams(t: Test, at: Scene): Promise<void> {
  const { host, mine } = at
  const before = at.upstream.requests.length
  const size = 3_000_000
  const upload = await rawClient(at.port)
  upload.send(
    `POST /upload HTTP/1.1\r\nHost: ${host}\r\n${mine.join('\r\n')}\r\nContent-Length: ${size}\r\n\r\nfirst bytes`,
  )
  await until(() => at.upstream.requests.length > before && last(at).body().startsWith('first bytes'), {
    timeoutMs: LONG,
    what: 'the first bytes of an upload that goes on',
  })
  upload.send('x'.repeat(size - 11))
  await until(() => last(at).body().length === size, { timeoutMs: LONG, what: 'all of the upload' })
  last(at).socket.write(ok('taken'))
  await upload.received(/taken$/, LONG)
  upload.socket.destroy()

  const events = await rawClient(at.port)
  events.send(requestBytes({ host, path: '/events', headers: [mine[0]!, 'Connection: keep-alive'] }))
  await events.received(/data: one\n\n/, LONG)
  last(at).socket.write('data: two\n\n')
  await events.received(/data: two\n\n/, LONG)
  events.socket.destroy()
  t.pass('uploads and events pass as they come')
}

async function earlyBytes(t: Test, at: Scene): Promise<void> {
  const socket = await rawClient(at.port)
  // Caddy before 2.8 loses what comes together with the handshake (its issue 6273); RFC 6455 §4.1 forbids it to clients.
  const isKept = at.front.program !== 'caddy'
  const early = isKept ? 'early from the visitor' : ''
  socket.send(`${webSocketBytes({ host: at.host, path: '/socket', headers: at.mine })}${early}`)
  const text = await socket.received(/early from the program$/, LONG)
  t.match(text, /^HTTP\/1\.1 101 /)
  await until(() => at.upstream.bytes().endsWith(`\r\n\r\n${early}`), { timeoutMs: LONG })
  last(at).socket.write('later')
  await socket.received(/later$/, LONG)
  socket.send('and back')
  await until(() => at.upstream.bytes().endsWith('and back'), { timeoutMs: LONG })
  socket.socket.destroy()
}

async function longHeads(t: Test, at: Scene): Promise<void> {
  const answer = await ask(at.port, { host: at.host, path: '/cookies', headers: at.mine })
  t.match(answer, { status: 200, body: /signed in/ })
  t.same(
    answer.all('set-cookie').map((cookie) => cookie.split(';')[0]),
    manyCookies,
  )
}

/** A program may not make the front do anything, nor leave HTTP for a protocol in which nobody decides. */
async function steering(t: Test, at: Scene): Promise<void> {
  const { host, mine } = at
  const answer = await ask(at.port, { host, path: '/steer', headers: mine })
  t.match(answer, { status: 200, body: /^own$|own/ }, 'X-Accel-Redirect leads nowhere')
  t.notOk(answer.field('x-postern-upstream'))
  for (const upgrade of ['h2c', 'h2c, websocket', 'TLS/1.0']) {
    const headers = [
      ...mine,
      'Connection: Upgrade, HTTP2-Settings',
      `Upgrade: ${upgrade}`,
      'HTTP2-Settings: AAMA',
    ]
    const client = await rawClient(at.port)
    client.send(requestBytes({ host, path: '/plain', headers }))
    await client.received(/\r\n\r\nok/, LONG)
    client.socket.destroy()
    t.same(values(last(at), 'upgrade'), [], upgrade)
    t.notMatch(last(at).head, /\r\nconnection:[^\r]*upgrade/i)
  }
}

const claimed = [
  'X-Postern-User',
  'x-postern-user',
  'X-POSTERN-USER',
  'X_Postern_User',
  'X-Postern_User',
  'X.Postern.User',
  'X_POSTERN_EMAIL',
  'X-Postern-Groups',
  'X-Postern-Upstream',
  'X_Postern_Upstream',
  'X-Forwarded-User',
  'X-Forwarded-Email',
  'X-Forwarded-Groups',
  'X-Forwarded-Preferred-Username',
  'X-Forwarded-Access-Token',
  'X_Forwarded_User',
  'X-Forwarded-Host',
  'X-Forwarded-Proto',
  'X-Forwarded-Port',
  'X-Forwarded-Prefix',
  'X-Forwarded-Server',
  'X-Forwarded-Uri',
  'X-Forwarded-Method',
  'X-Original-URL',
  'X-Original-URI',
  'X-Original-Method',
  'X-Original-Host',
  'X-Auth-Request-User',
  'X-Auth-Request-Email',
  'X-Auth-Request-Groups',
  'Remote-User',
  'Remote_User',
  'Remote-Groups',
  'X-Real-IP',
  'X-Client-IP',
  'X-Cluster-Client-IP',
  'True-Client-IP',
  'CF-Connecting-IP',
  'Forwarded',
]

async function claims(t: Test, at: Scene): Promise<void> {
  const { host, mine } = at
  const headers = [...mine, ...claimed.map((name) => `${name}: forged`), 'X-Forwarded-For: 203.0.113.66']
  t.equal((await ask(at.port, { host, headers })).status, 200)
  t.notMatch(last(at).head, /forged|203\.0\.113|session-of|dashboard-session/)
  const told = (): void => {
    t.same(values(last(at), 'x-postern-user'), ['ada'])
    t.same(values(last(at), 'x-postern-email'), ['ada@example.test'])
    t.same(values(last(at), 'x-postern-groups'), ['crew,ops'])
    t.same(values(last(at), 'cookie'), ['theme=dark'])
    t.same(values(last(at), 'host'), [host])
    t.same(values(last(at), 'x-forwarded-host'), [host])
    t.same(values(last(at), 'x-forwarded-proto'), ['http'])
    t.match(values(last(at), 'x-forwarded-for').join(), /^127\.0\.0\.1(, ?127\.0\.0\.1)*$/)
  }
  told()
  // Caddy takes what it is told to out of what it passes on: the visitor's own loss.
  const more = at.front.file === 'caddy/pass-on.Caddyfile' ? '' : ', Cookie, Origin'
  const nominating = [
    ...mine,
    `Connection: close, X-Postern-User, X-Postern-Groups, X-Postern-Email, X-Forwarded-Host, X-Forwarded-For, X-Forwarded-Proto${more}`,
  ]
  t.equal((await ask(at.port, { host, headers: nominating })).status, 200)
  told()
  const big = `b=${'x'.repeat(12_000)}`
  t.equal((await ask(at.port, { host, headers: [mine[0]!, `Cookie: ${big}`] })).status, 200)
  t.equal(values(last(at), 'cookie').join('; ').replace('theme=dark; ', '').length, big.length)
}

/** Nothing listens: a page from Postern for a person, an error for a program, and no request is made twice. */
async function nobodyHome(t: Test, at: Scene): Promise<void> {
  const host = `web-${await freePort()}.ws.localhost:${at.port}`
  const token = `X-Postern-Token: ${secrets.adaToken}`
  const page = await ask(at.port, { host, headers: [token, 'Accept: text/html', 'Sec-Fetch-Mode: navigate'] })
  t.ok([502, 503].includes(page.status), String(page.status))
  t.match(page.body, /<title>/)
  t.match(page.body, /web/)
  const program = await ask(at.port, { host, headers: [token] })
  t.ok([502, 503].includes(program.status))
  t.match(program.body, /"code"/)
  const post = await ask(at.port, { host, method: 'POST', headers: [token], body: 'x=1' })
  t.ok([502, 503].includes(post.status), String(post.status))
  const before = at.upstream.requests.length
  const client = await rawClient(at.port)
  client.send(
    requestBytes({ host: at.host, method: 'POST', path: '/upload', headers: at.mine, body: 'once' }),
  )
  await until(() => at.upstream.requests.length === before + 1, { timeoutMs: LONG })
  last(at).socket.destroy()
  await client.closed(LONG)
  t.equal(parseAnswer(client.text()).status, 502)
  t.equal(at.upstream.requests.length, before + 1, 'a POST is made once')
}

for (const front of exampleFronts)
  t.test(front.name, ifInstalled(front), async (t) => {
    const at = await scene(t, front)
    await t.test('streams', (t) => streams(t, at))
    await t.test('early bytes', (t) => earlyBytes(t, at))
    await t.test('long heads', (t) => longHeads(t, at))
    await t.test('steering', (t) => steering(t, at))
    await t.test('claims', (t) => claims(t, at))
    await t.test('nobody home', (t) => nobodyHome(t, at))
  })
