// How a port says it wants to be reached, Host and scheme: bytes at the program, by both engines, for requests and WebSockets.
import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { Duplex } from 'node:stream'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { createServer as createVite } from 'vite'
import { forwardedOf } from '../../gateway/headers/forwarded.ts'
import { type EdgePort, portDefaults } from '../../control/wire/index.ts'
import {
  ACCEPTED,
  ask,
  OK,
  rawClient,
  type RawUpstream,
  requestBytes,
  type Script,
  webSocketBytes,
} from '../support/gateway-bytes.ts'
import { doorsOf, originOf, startEdge } from '../support/gateway-edge.ts'
import { ask2, readAnswer2 } from '../support/http2-answer.ts'
import { startTlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.localhost:8090'
const ORIGIN = originOf('shop')
const engines = [
  { name: 'strict', lenient: false },
  { name: 'lenient', lenient: true },
]

const folder = mkdtempSync(join(tmpdir(), 'lenient-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') }
// prettier-ignore
execFileSync('openssl', [
  'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
  '-subj', '/CN=wrong.example', '-keyout', files.key, '-out', files.cert,
], { stdio: 'ignore' })

/** A program that speaks TLS with a certificate of its own making; what is inside is the raw upstream's. */
async function behindTls(t: Test, upstream: RawUpstream) {
  const open = new Set<object>()
  const server = createTlsServer(
    { key: readFileSync(files.key), cert: readFileSync(files.cert), ALPNProtocols: ['h2', 'http/1.1'] },
    (outer) => {
      open.add(outer)
      const inner = connect({ port: upstream.port, host: '127.0.0.1' })
      for (const [one, other] of [
        [outer, inner],
        [inner, outer],
      ] as const)
        one.on('error', () => other.destroy()).on('close', () => other.destroy())
      outer.on('close', () => open.delete(outer))
      outer.pipe(inner).pipe(outer)
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { port: (server.address() as AddressInfo).port, open: () => open.size }
}

/** An edge with alice's workspace `shop`, whose one port is as given. */
async function shop(t: Test, options: Partial<EdgePort>, script?: Script) {
  const edge = await startEdge(t, script === undefined ? {} : { script })
  const port = options.port ?? edge.upstream.port
  const route = edge.workspace('shop', { ports: [{ ...portDefaults, ...options, port }], defaultPort: port })
  return { edge, route, port, as: `Cookie: ${edge.cookie('alice', route)}` }
}

const webAndSocket: Script = ({ head, socket }) =>
  void socket.write(/\r\nupgrade: websocket/i.test(head) ? `${ACCEPTED}early` : OK)

for (const { name, lenient } of engines) {
  t.test(`${name}: Forwarded is ours or absent, never the visitor’s`, async (t) => {
    const claims = [
      'Forwarded: for=6.6.6.6;host=evil',
      'X-Forwarded-For: 6.6.6.6, 2001:db8::7',
      'X-Forwarded-Proto: https',
    ]
    for (const forwardedHeader of [true, false]) {
      const trustedProxies = ['127.0.0.0/8']
      const edge = await startEdge(t, { forwardedHeader, trustedProxies, script: webAndSocket })
      const { port } = edge.upstream
      const route = edge.workspace('shop', { ports: [{ ...portDefaults, port, lenient }], defaultPort: port })
      const headers = [`Cookie: ${edge.cookie('alice', route)}`, ORIGIN, ...claims]
      await ask(edge.port, { host: HOST, headers })
      const client = await rawClient(edge.port)
      client.send(webSocketBytes({ host: HOST, headers }))
      await client.received(/early$/)
      client.socket.destroy()
      const said = `Forwarded: for="[2001:db8::7]";host="${HOST}";proto=https, for=127.0.0.1`
      for (const { fields } of edge.upstream.requests)
        t.same(
          fields.filter((field) => /^forwarded:/i.test(field)),
          forwardedHeader ? [said] : [],
        )
      t.equal(edge.upstream.requests.length, 2)
    }
  })

  t.test(`${name}: Host is the public one, or the program’s own`, async (t) => {
    const { edge, as, port } = await shop(
      t,
      { lenient, hostHeader: 'local', visibility: 'public' },
      webAndSocket,
    )
    const local = `localhost:${port}`
    await ask(edge.port, { host: HOST, method: 'POST', headers: [as, ORIGIN], body: 'x' })
    await ask(edge.port, { host: HOST, headers: ['Origin: http://other.example', 'X-Forwarded-Host: evil'] })
    await ask(edge.port, { host: HOST, headers: [originOf('shop-1')] })
    await ask(edge.port, { host: HOST })
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host: HOST, headers: [as, ORIGIN] }))
    await client.received(/early$/)
    client.socket.destroy()
    const origins = [
      `Origin: http://${local}`,
      'Origin: http://other.example',
      originOf('shop-1'),
      undefined,
      `Origin: http://${local}`,
    ]
    edge.upstream.requests.forEach(({ fields }, i) => {
      t.same(
        fields
          .filter((field) => /^(host|x-forwarded-host|origin):/i.test(field))
          .map((field) => field.replace(/^h/, 'H')),
        [
          `Host: ${local}`,
          ...(origins[i] === undefined ? [] : [origins[i]]),
          `X-Forwarded-Host: ${HOST}`,
        ].sort((a, b) => Number(a?.startsWith('X')) - Number(b?.startsWith('X'))),
      )
    })
    t.equal(edge.upstream.requests.length, 5)
    const { edge: other, as: asOther } = await shop(t, { lenient })
    await ask(other.port, { host: HOST, method: 'POST', headers: [asOther, ORIGIN], body: 'x' })
    const fields = other.upstream.requests[0]?.fields.map((field) => field.replace(/^h/, 'H'))
    t.ok(fields?.includes(`Host: ${HOST}`))
    t.ok(fields?.includes(ORIGIN))
  })

  t.test(`${name}: a program that speaks HTTPS, with any certificate`, async (t) => {
    const megabyte = Buffer.alloc(1 << 20, 'x')
    const { edge, route, as } = await shop(t, { lenient, scheme: 'https' }, (request, nth) => {
      if (request.head.startsWith('POST'))
        return void until(() => request.body().length === 1_000_000).then(() => request.socket.write(OK))
      if (!request.head.includes('/big')) return webAndSocket(request, nth)
      request.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${megabyte.length * 50}\r\n\r\n`)
      for (let i = 0; i < 50; i++) request.socket.write(megabyte)
    })
    const { port, open } = await behindTls(t, edge.upstream)
    const secure = {
      ...route,
      ports: [{ ...portDefaults, lenient, scheme: 'https' as const, port }],
      defaultPort: port,
    }
    edge.control.route(secure)
    for (let i = 0; i < 3; i++) t.equal((await ask(edge.port, { host: HOST, headers: [as] })).body, 'ok')
    t.equal(edge.upstream.connections(), 1, 'the connection is kept')
    const big = 'x'.repeat(1_000_000)
    t.equal(
      (await ask(edge.port, { host: HOST, method: 'POST', headers: [as, ORIGIN], body: big })).status,
      200,
    )
    t.equal(edge.upstream.requests.at(-1)?.body().length, big.length)
    const client = await rawClient(edge.port)
    client.send(`${webSocketBytes({ host: HOST, path: '/ws', headers: [as, ORIGIN] })}early from the visitor`)
    await client.received(/early$/)
    const seen = edge.upstream.requests.at(-1)
    await until(() => seen?.body() === 'early from the visitor')
    seen?.socket.end('bye')
    await client.received(/bye$/)
    await client.closed()
    const leaving = await rawClient(edge.port)
    leaving.socket.pause()
    leaving.send(requestBytes({ host: HOST, path: '/big', headers: [as] }))
    await until(() => leaving.socket.bytesRead > 0)
    leaving.socket.destroy()
    await until(() => edge.upstream.open() <= 1, { what: 'the aborted download to be freed' })
    edge.control.route({ ...secure, ports: [{ ...secure.ports[0]!, scheme: 'http' }] })
    await until(() => open() === 0 && edge.upstream.open() === 0, {
      what: 'the old scheme’s connections to end',
    })
    t.same(edge.log.lines, [])
  })

  t.test(`${name}: HTTPS over a stream of a runtime, which is no socket`, async (t) => {
    const edge = await startEdge(t, {
      script: webAndSocket,
      connect: async (_target, port) => {
        const socket = connect({ port, host: '127.0.0.1' })
        await once(socket, 'connect')
        return Duplex.from({ readable: socket, writable: socket })
      },
    })
    const { port } = await behindTls(t, edge.upstream)
    const route = edge.workspace('shop', {
      ports: [{ ...portDefaults, lenient, scheme: 'https', port }],
      defaultPort: port,
      reach: { kind: 'ports', host: '127.0.0.1', ports: {} },
    })
    const as = `Cookie: ${edge.cookie('alice', route)}`
    for (let i = 0; i < 2; i++) t.equal((await ask(edge.port, { host: HOST, headers: [as] })).body, 'ok')
    t.equal(edge.upstream.connections(), 1, 'it is kept')
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host: HOST, headers: [as, ORIGIN] }))
    await client.received(/early$/)
    client.socket.destroy()
    edge.control.route({ ...route, incarnation: 'shop-2' })
    await until(() => edge.upstream.open() === 0, { what: 'all connections to the program to end' })
    t.same(edge.log.lines, [])
  })

  t.test(`${name}: a visitor who speaks HTTP/2`, async (t) => {
    const edge = await startTlsEdge(t, {
      script: ({ head, socket, body }) =>
        void until(() => !head.startsWith('POST') || body().endsWith('\r\n0\r\n\r\n')).then(() =>
          head.includes('/cut')
            ? socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
            : socket.write(
                'HTTP/1.1 200 Fine\r\nX-L: \xe9\r\nConnection: X-Gone\r\nX-Gone: 1\r\nContent-Length: 2\r\n\r\nok',
                'latin1',
              ),
        ),
    })
    const { port } = edge.upstream
    const route = edge.workspace('shop', { ports: [{ ...portDefaults, lenient, port }], defaultPort: port })
    const fields = { ':authority': 'shop.ws.test', cookie: edge.cookie('alice', route) }
    const session = await edge.http2('shop.ws.test')
    const answer = await ask2(session, { ...fields, ':path': '//a' })
    t.equal(answer.status, 200)
    t.equal(answer.body, 'ok')
    t.notOk('x-gone' in answer.headers)
    t.equal((await ask2(session, { ...fields, ':method': 'HEAD' })).status, 200)
    const post = session.request({ ...fields, ':method': 'POST', origin: 'https://shop.ws.test' })
    const posted = readAnswer2(post)
    post.end('hello')
    t.equal((await posted).status, 200)
    t.equal(edge.upstream.requests.at(-1)?.body(), '5\r\nhello\r\n0\r\n\r\n')
    t.ok((await ask2(session, { ...fields, ':path': '/cut' })).reset, 'half an answer is a reset')
    t.same(edge.log.lines, [])
  })

  t.test(`${name}: a port said to speak HTTPS that does not`, async (t) => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const { edge, as } = await shop(t, { lenient, scheme: 'https', port })
    const page = await ask(edge.port, { host: HOST, headers: [as, 'Accept: text/html'] })
    t.equal(page.status, 502)
    t.match(page.body, /said to speak HTTPS/)
    const problem = await ask(edge.port, { host: HOST, headers: [as] })
    t.equal(JSON.parse(problem.body).code, 'upstream_bad_answer')
    t.notMatch(page.body + problem.body, /127\.0\.0\.1|SSL|EPROTO|certificate|wrong\.example/i)
    await until(() => sockets.size === 0, { what: 'its connections to end' })
    t.same(edge.log.lines, [])
  })

  t.test(`${name}: a Vite dev server serves and reloads behind a Host of its own`, async (t) => {
    const root = mkdtempSync(join(folder, 'vite-'))
    writeFileSync(join(root, 'index.html'), '<script type="module" src="/main.js"></script>')
    writeFileSync(join(root, 'main.js'), 'export const n = 1\nimport.meta.hot?.accept()\n')
    const vite = await createVite({
      root,
      configFile: false,
      logLevel: 'silent',
      cacheDir: join(root, '.cache'),
      server: { host: '127.0.0.1', port: 20_000 + (process.pid % 20_000) },
      optimizeDeps: { noDiscovery: true },
    })
    t.teardown(() => vite.close())
    await vite.listen()
    const { port } = (vite.httpServer?.address() ?? { port: 0 }) as AddressInfo
    // Vite takes any *.localhost by itself: this is as it is on a server's own domain.
    const edge = await startEdge(t, { publicUrl: 'http://example.test:8090', baseDomain: 'ws.example.test' })
    const host = 'shop.ws.example.test:8090'
    const origin = `Origin: http://${host}`
    const open = (hostHeader: EdgePort['hostHeader']) =>
      edge.workspace('shop', { ports: [{ ...portDefaults, lenient, port, hostHeader }], defaultPort: port })
    const as = `Cookie: ${edge.cookie('alice', open('public'))}`
    const get = (path: string) => ask(edge.port, { host, path, headers: [as] })
    const refused = await get('/')
    t.equal(refused.status, 403, 'Vite knows localhost only')
    t.match(refused.body, /allowedHosts/)
    open('local')
    t.match((await get('/')).body, /@vite\/client/)
    t.match((await get('/main.js')).body, /n = 1/)
    const token = /wsToken = "([^"]+)"/.exec((await get('/@vite/client')).body)?.[1] ?? ''
    t.not(token, '')
    const hmr = await rawClient(edge.port)
    hmr.send(
      webSocketBytes({
        host,
        path: `/?token=${token}`,
        headers: [as, origin, 'Sec-WebSocket-Protocol: vite-hmr'],
      }),
    )
    await hmr.received(/101[^]*"connected"/, 10_000)
    writeFileSync(join(root, 'main.js'), 'export const n = 2\nimport.meta.hot?.accept()\n')
    await hmr.received(/"type":"update"[^]*main\.js/, 20_000)
    t.match((await get('/main.js')).body, /n = 2/)
    hmr.socket.destroy()
    t.same(edge.log.lines, [])
  })
}

t.test('a program that says nothing to a TLS handshake is given up', async (t) => {
  // The raw upstream waits for the end of a head, which no handshake has.
  const { edge, as } = await shop(t, { scheme: 'https' })
  const client = await rawClient(edge.port)
  client.send(requestBytes({ host: HOST, headers: [as] }))
  await client.received(/^HTTP\/1\.1 504 [^]*upstream_timeout/, 20_000)
  await until(() => edge.upstream.open() === 0, { what: 'the connection to end' })
  t.same(edge.log.lines, [])
})

t.test('a front is sent to Postern for a port that it could not serve as it is', async (t) => {
  const { edge, route, as, port } = await shop(t, {})
  const upstreamFor = async (options: Partial<EdgePort>) => {
    edge.control.route({ ...route, ports: [{ ...portDefaults, ...options, port }] })
    const door = doorsOf(edge).find(({ name }) => name === 'forward-auth')
    const answer = await door?.try({ host: HOST, headers: [as] })
    t.equal(answer?.status, 200)
    return [answer?.field('x-postern-upstream'), answer?.field('cookie') !== '']
  }
  t.same(await upstreamFor({}), [`127.0.0.1:${port}`, false])
  for (const options of [{ lenient: true }, { scheme: 'https' }, { hostHeader: 'local' }] as const)
    t.same(await upstreamFor(options), [`127.0.0.1:${edge.port}`, true], JSON.stringify(options))
})

t.test('Forwarded: a client of each family, hops after it, nobody known', async (t) => {
  const said = (hops: string) => forwardedOf(hops, 'a.ws.localhost:8090', 'https')
  const rest = 'host="a.ws.localhost:8090";proto=https'
  t.equal(said('192.0.2.1'), `for=192.0.2.1;${rest}`)
  t.equal(said('2001:db8::1, 192.0.2.1, ::1'), `for="[2001:db8::1]";${rest}, for=192.0.2.1, for="[::1]"`)
  t.equal(said(''), `for=unknown;${rest}`)
})
