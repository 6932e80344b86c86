// WebSockets and other upgrades: bytes either way, refusals, early bytes, half-close, revocation.
import t from 'tap'
import {
  ACCEPTED,
  ask,
  OK,
  parseAnswer,
  rawClient,
  requestBytes,
  type SeenRequest,
  webSocketBytes,
} from '../support/gateway-bytes.ts'
import { hashOf, userRow } from '../support/gateway-control.ts'
import { originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.localhost:8090'
const ORIGIN = originOf('shop')

async function shop(
  t: Parameters<typeof startEdge>[0],
  script: (request: SeenRequest, nth: number) => void = webAndSocket,
) {
  const edge = await startEdge(t, { script })
  const route = edge.workspace('shop')
  const parent = edge.control.session('alice')
  const child = edge.control.child(parent, route.workspaceId, 'shop')
  return { edge, route, parent, child, as: `Cookie: postern_workspace=${child}` }
}

t.test('bytes pass both ways, those that came early first', async (t) => {
  const { edge, as } = await shop(t, ({ socket }) => {
    socket.write(`${ACCEPTED}early from the app`)
  })
  const client = await rawClient(edge.port)
  const opening = webSocketBytes({
    host: HOST,
    path: '/ws',
    headers: [as, ORIGIN, 'Sec-WebSocket-Protocol: a', 'Connection: Upgrade'],
  })
  client.send(`${opening}early from the visitor`)
  await client.received(
    /^HTTP\/1\.1 101 Switching Protocols\r\n[^]*Sec-WebSocket-Accept[^]*\r\n\r\nearly from the app$/,
  )
  const [seen] = edge.upstream.requests
  await until(() => seen?.body() === 'early from the visitor')
  t.match(seen?.head, /^GET \/ws HTTP\/1\.1/)
  t.notMatch(seen?.head, /postern_/)
  t.ok(seen?.fields.includes('X-Postern-User: alice'))
  t.equal(seen?.fields.filter((field) => /^upgrade:/i.test(field)).length, 1)
  t.ok(seen?.fields.includes('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='))
  seen?.socket.write('\x81\x05hello', 'latin1')
  await client.received(/\x81\x05hello$/)
  client.send('\x88\x80abcd')
  await until(() => seen?.body().endsWith('\x88\x80abcd'))
  seen?.socket.end()
  await client.closed()
  await until(() => edge.upstream.open() === 0)
  t.same(edge.log.lines, [])
})

t.test('half-close passes: the app still answers after the visitor’s end', async (t) => {
  const { edge, as } = await shop(t)
  const client = await rawClient(edge.port)
  client.send(webSocketBytes({ host: HOST, headers: [as, ORIGIN] }))
  await client.received(/101/)
  const [seen] = edge.upstream.requests
  const ended = new Promise((resolve) => seen?.socket.on('end', resolve))
  client.socket.end()
  await ended
  await client.closed()
})

t.test('a refused upgrade is relayed with its body', async (t) => {
  const { edge, as } = await shop(t, ({ socket }) => {
    socket.write(
      'HTTP/1.1 400 Bad Request\r\nX-Why: no\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwhy?\r\n0\r\n\r\n',
    )
  })
  const client = await rawClient(edge.port)
  client.send(webSocketBytes({ host: HOST, headers: [as, ORIGIN] }))
  await client.closed()
  const answer = parseAnswer(client.text())
  t.equal(answer.status, 400)
  t.equal(answer.field('x-why'), 'no')
  t.match(answer.body, /4\r\nwhy\?\r\n0\r\n\r\n/)
  await until(() => edge.upstream.open() === 0)
})

t.test('denials of a WebSocket are plain answers, and nothing reaches the app', async (t) => {
  const { edge, route, as } = await shop(t)
  const dial = async (headers: string[], host = HOST) => {
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host, headers }))
    await client.closed()
    return parseAnswer(client.text())
  }
  t.equal((await dial([as])).status, 403, 'no Origin')
  t.equal((await dial([as, originOf('other')])).status, 403, 'a sibling’s Origin')
  t.equal(
    (await dial([as, 'Origin: http://shop.ws.localhost:8090.evil.example'])).status,
    403,
    'a longer Origin',
  )
  t.equal((await dial([as, 'Origin: null'])).status, 403, 'a null Origin')
  t.equal((await dial([ORIGIN])).status, 401, 'signed out')
  const bob = `Cookie: ${edge.cookie('bob', route)}`
  const [theirs, absent] = [
    await dial([bob, ORIGIN]),
    await dial([bob, originOf('nix')], 'nix.ws.localhost:8090'),
  ]
  t.equal(theirs.status, 404)
  t.equal(absent.status, 401, 'bob has no session for a host that does not exist')
  t.equal((await dial([as, ORIGIN, ...Array.from({ length: 3000 }, () => 'a: 1')])).status, 431)
  edge.control.route({ ...route, phase: 'stopped', reason: '' })
  const stopped = await dial([as, ORIGIN])
  t.equal(stopped.status, 503)
  t.equal(JSON.parse(stopped.body).code, 'workspace_stopped')
  t.equal(edge.upstream.requests.length, 0)
})

t.test('a token opens a WebSocket without Origin; without the scope it does not', async (t) => {
  const { edge } = await shop(t)
  const dial = async (token: string, field: string) => {
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host: HOST, headers: [field.replace('$', token)] }))
    await client.received(/\r\n\r\n/)
    client.socket.destroy()
    return parseAnswer(client.text()).status
  }
  t.equal(await dial(edge.control.token('alice', ['connect']), 'Authorization: Bearer $'), 101)
  t.equal(await dial(edge.control.token('alice', ['admin']), 'X-Postern-Token: $'), 101)
  t.equal(await dial(edge.control.token('alice', ['workspaces:read']), 'Authorization: Bearer $'), 403)
  t.equal(await dial(edge.control.token('bob', ['connect']), 'Authorization: Bearer $'), 404)
  t.equal(await dial(edge.control.token('alice', ['connect'], 1), 'Authorization: Bearer $'), 401, 'expired')
  t.notMatch(edge.upstream.bytes(), /pst_/, 'no token of ours reaches the app')
})

t.test('Upgrade that is no WebSocket is a plain request, body and following requests too', async (t) => {
  const { edge, as } = await shop(t, ({ socket }) => void socket.write(OK))
  const client = await rawClient(edge.port)
  const h2c = [
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AAMAAABkAAQAAP__',
    as,
    ORIGIN,
  ]
  client.send(requestBytes({ host: HOST, method: 'POST', path: '/one', headers: h2c, body: 'hello' }))
  await client.received(/HTTP\/1\.1 200/)
  client.send(requestBytes({ host: HOST, path: '/two', headers: [as] }))
  await client.closed()
  t.same(client.text().match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200'])
  const [first, second] = edge.upstream.requests
  t.match(first?.head, /^POST \/one/)
  t.notMatch(first?.head, /h2c|HTTP2-Settings/i)
  t.equal(first?.body(), 'hello')
  t.match(second?.head, /^GET \/two/)
  const own = await rawClient(edge.port)
  own.send(webSocketBytes({ host: HOST, path: '/.postern/nothing', headers: [as, ORIGIN] }))
  await own.received(/404/)
  own.socket.destroy()
  t.equal(edge.upstream.requests.length, 2, 'our own paths never reach the app')
})

t.test('losing the right closes what is open within a second', async (t) => {
  const { edge, route } = await shop(t, ({ head, socket }) => {
    if (/upgrade/i.test(head)) socket.write(ACCEPTED)
    else socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n')
  })
  const open = async (fields: string[], path: string) => {
    const client = await rawClient(edge.port)
    const isSocket = path === '/ws'
    client.send((isSocket ? webSocketBytes : requestBytes)({ host: HOST, path, headers: fields }))
    await client.received(isSocket ? /101/ : /first/)
    return client
  }
  const cases: [string, (secret: { parent: string; child: string }) => void][] = [
    ['the session ends', ({ child }) => edge.control.gone('session', hashOf(child))],
    ['the dashboard session ends', ({ parent }) => edge.control.gone('session', hashOf(parent))],
    ['the owner changes', () => edge.control.route({ ...route, ownerId: 'bob' })],
    ['the incarnation changes', () => edge.control.route({ ...route, incarnation: 'shop-2' })],
    ['the route goes', () => edge.control.gone('route', route.workspaceId)],
    ['the user goes', () => edge.control.gone('user', 'alice')],
  ]
  for (const [name, lose] of cases) {
    edge.control.user(userRow('alice'))
    edge.control.route(route)
    const parent = edge.control.session('alice')
    const child = edge.control.child(parent, route.workspaceId, 'shop')
    const fields = [`Cookie: postern_workspace=${child}`, ORIGIN]
    const clients = await Promise.all([open(fields, '/ws'), open(fields, '/events')])
    const fromMs = performance.now()
    lose({ parent, child })
    await Promise.all(clients.map((client) => client.closed(1000)))
    t.ok(performance.now() - fromMs < 1000, name)
    await until(() => edge.upstream.open() === 0, { what: `no connection to the app after: ${name}` })
  }
})

t.test('an unrelated change closes nothing; the end of time closes what it ends', async (t) => {
  const { edge, route } = await shop(t)
  let nowMs = Date.now()
  edge.control.nowMs = () => nowMs
  const parent = edge.control.session('alice')
  const child = edge.control.child(parent, route.workspaceId, 'shop', nowMs + 10_000)
  const client = await rawClient(edge.port)
  client.send(webSocketBytes({ host: HOST, headers: [`Cookie: postern_workspace=${child}`, ORIGIN] }))
  await client.received(/101/)
  edge.control.session('bob')
  edge.control.route({ ...route, reason: 'It runs.' })
  edge.workspace('other')
  edge.upstream.requests[0]?.socket.write('still there')
  await client.received(/still there/)
  nowMs += 11_000
  await client.closed(3000)
  const token = edge.control.token('alice', ['connect'], nowMs + 5000)
  const other = await rawClient(edge.port)
  other.send(webSocketBytes({ host: HOST, headers: [`X-Postern-Token: ${token}`] }))
  await other.received(/101/)
  edge.control.gone('token', hashOf(token))
  await other.closed(1000)
})

t.test('the dashboard’s own WebSockets: session, Origin, and the same end', async (t) => {
  const edge = await startEdge(t)
  const session = edge.control.session('alice')
  const dial = async (headers: string[]) => {
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host: 'localhost:8090', path: '/api/v1/events', headers }))
    await client.received(/\r\n\r\n/)
    return client
  }
  const cookie = `Cookie: postern_session=${session}`
  const good = await dial([cookie, 'Origin: http://localhost:8090'])
  t.match(good.text(), /^HTTP\/1\.1 101/)
  t.match((await dial([cookie, originOf('shop')])).text(), /^HTTP\/1\.1 403/)
  t.match((await dial([cookie])).text(), /^HTTP\/1\.1 403/)
  t.same(edge.appCalls, ['UPGRADE /api/v1/events alice'])
  edge.control.gone('session', hashOf(session))
  await good.closed(1000)
})

t.test('closing the gateway waits for requests longer than for idle WebSockets', async (t) => {
  const { edge, as } = await shop(t, ({ head, socket }) => {
    if (/upgrade/i.test(head)) socket.write(ACCEPTED)
  })
  const client = await rawClient(edge.port)
  client.send(webSocketBytes({ host: HOST, headers: [as, ORIGIN] }))
  await client.received(/101/)
  const answer = ask(edge.port, { host: HOST, headers: [as] })
  await until(() => edge.upstream.requests.length === 2)
  const fromMs = performance.now()
  const closed = edge.gateway.close(20_000)
  await until(() =>
    rawClient(edge.port).then(
      () => false,
      () => true,
    ),
  )
  edge.upstream.requests[1]?.socket.write(OK)
  t.equal((await answer).body, 'ok')
  await closed
  await client.closed()
  t.ok(performance.now() - fromMs < 10_000)
})
