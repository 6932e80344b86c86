// Listening: addresses, peers that are dropped unread, health and metrics, a taken port, and a process that no request ends.
import { mkdtempSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ask, exchange, rawClient, requestBytes } from '../support/gateway-bytes.ts'
import { startEdge } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

t.test('a peer from a workspace’s network is dropped before a byte is read', async (t) => {
  const edge = await startEdge(t)
  edge.control.tell({ kind: 'subnets', row: ['127.0.0.0/8', 'fd12::/64'] })
  for (const port of [edge.port, edge.authzPort]) {
    const client = await rawClient(port)
    client.send(requestBytes({ host: 'localhost:8090', path: '/healthz' }))
    await client.closed()
    t.equal(client.text(), '')
  }
  edge.control.tell({ kind: 'subnets', row: ['10.1.0.0/16'] })
  t.equal((await ask(edge.port, { host: 'localhost:8090', path: '/healthz' })).status, 200)
})

t.test(
  'health on any host but a workspace’s, whose own it is; metrics on the listener that no visitor reaches',
  async (t) => {
    const edge = await startEdge(t)
    edge.workspace('shop', {}, 'public')
    for (const host of ['localhost:8090', '10.0.0.1', 'anything.example']) {
      t.equal((await ask(edge.port, { host, path: '/healthz' })).body, 'ok\n', host)
      t.equal((await ask(edge.port, { host, path: '/readyz' })).status, 200, host)
      t.equal((await ask(edge.port, { host, path: '/api/agent/v1/desired' })).body, 'app', host)
    }
    t.equal(
      (await ask(edge.port, { host: 'shop.ws.localhost', path: '/healthz' })).body,
      'ok',
      'the app’s own',
    )
    t.equal((await ask(edge.port, { host: 'localhost:8090', path: '/metrics' })).status, 404)
    t.equal((await ask(edge.port, { host: 'localhost:8090', path: '/api/authz/forward-auth' })).status, 404)
    const metrics = await ask(edge.authzPort, { host: 'x', path: '/metrics' })
    t.match(metrics.body, /postern_gateway_proxied_total 1\n/)
    t.match(metrics.body, /postern_gateway_answers_total\{code="not_found"\} 2\n/)
    t.equal((await ask(edge.authzPort, { host: 'x', path: '/readyz' })).status, 200)
    t.notOk(edge.appCalls.some((call) => !call.includes('/api/agent/')))
  },
)

t.test('a port that is taken is said so, and nothing is left listening', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const first = { host: '127.0.0.1', port: 0 }
  await t.rejects(startEdge(t, { listen: [first, { host: '127.0.0.1', port }] }), {
    code: 'EADDRINUSE',
    message: `cannot listen on 127.0.0.1:${port}: another program listens there; stop it, or choose another address`,
  })
  await t.rejects(startEdge(t, { trustedProxies: ['nonsense'] }), TypeError)
})

t.test('a unix socket, its leftover file taken away', async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'edge-')), 'authz.sock')
  const edge = await startEdge(t, { authzListen: { path } })
  t.same(edge.gateway.authzAddress, { path })
  const socket = connect(path)
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk)))
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await until(() => text.includes('ok'))
  await edge.gateway.close(0)
  await startEdge(t, { authzListen: { path } })
})

t.test('no bytes end the process or are answered with 2xx', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const junk = [
    '\r\n\r\n',
    'GET\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'GET / HTTP/1.1\r\nHost: shop.ws.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nab',
    'GET / HTTP/1.1\r\nHost: shop.ws.localhost\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade\r\n\r\n',
    'POST /.postern/start HTTP/1.1\r\nHost: shop.ws.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'GET /.postern/callback?code=%00 HTTP/1.1\r\nHost: shop.ws.localhost\r\nConnection: close\r\n\r\n',
    'HEAD /.postern/callback?code=x HTTP/1.1\r\nHost: shop.ws.localhost\r\nConnection: close\r\n\r\n',
    'POST /sign-in HTTP/1.1\r\nHost: localhost:8090\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99999999\r\n\r\nx',
    'POST /sign-in HTTP/1.1\r\nHost: localhost:8090\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx',
  ]
  for (const bytes of junk) {
    const client = await rawClient(edge.port)
    client.send(bytes)
    await Promise.race([client.received(/\r\n\r\n/, 2000), client.closed(2000)]).catch(() => undefined)
    client.socket.resetAndDestroy()
    t.notMatch(client.text(), /^HTTP\/1\.1 2/, JSON.stringify(bytes))
  }
  t.equal((await exchange(edge.port, requestBytes({ host: 'localhost:8090', path: '/healthz' }))).status, 200)
  t.same(edge.log.lines, [])
})

t.test('own paths: what no flow takes is refused, and a HEAD spends nothing', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop', {}, 'public')
  const cases: [string, string, string, number][] = [
    ['GET', 'shop.ws.localhost', '/.postern/nothing', 404],
    ['GET', 'shop.ws.localhost', '/.postern/', 404],
    ['GET', 'shop.ws.localhost', '/.postern/authorize', 404],
    ['GET', 'localhost:8090', '/.postern/callback', 404],
    ['POST', 'localhost:8090', '/.postern/start', 404],
    ['HEAD', 'shop.ws.localhost', '/.postern/callback?code=x', 405],
    ['PUT', 'localhost:8090', '/sign-in', 404],
  ]
  for (const [method, host, path, status] of cases)
    t.equal((await ask(edge.port, { method, host, path })).status, status, `${method} ${path}`)
  t.equal(edge.upstream.requests.length, 0)
})
