// The path of a request to an app and back: bytes at the upstream, bytes at the visitor.
import t from 'tap'
import { connect } from 'node:net'
import {
  always,
  ask,
  exchange,
  OK,
  parseAnswer,
  rawClient,
  requestBytes,
  type SeenRequest,
} from '../support/gateway-bytes.ts'
import { type EdgeUnderTest, originOf, startEdge } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.localhost:8090'
const ORIGIN = originOf('shop')

/** An edge with alice's workspace `shop`; `as` is the field that signs her in. */
async function shop(
  t: Parameters<typeof startEdge>[0],
  script?: (request: SeenRequest, nth: number) => void,
) {
  const edge = await startEdge(t, script === undefined ? {} : { script })
  const route = edge.workspace('shop')
  return { edge, route, as: `Cookie: ${edge.cookie('alice', route)}` }
}

const quiet = (t: Parameters<typeof startEdge>[0], edge: EdgeUnderTest): void =>
  void t.same(edge.log.lines, [], 'nothing was logged')

t.test('a signed-in owner reaches the app, and only the app’s own fields reach it', async (t) => {
  const { edge, as } = await shop(t)
  const answer = await ask(edge.port, {
    host: HOST,
    path: '//a?b',
    headers: [
      `${as}; y=2`,
      'Cookie: x=1',
      'X-Postern-User: root',
      'x.postern.groups: admins',
      'X_Forwarded_For: 6.6.6.6',
      'X-Forwarded-Host: evil',
      'Remote-User: root',
      'Connection: close, X-Hop, X-Forwarded-For, Cookie',
      'X-Hop: 1',
      'X-Kept: 1',
      'X-Kept: 2',
      'Authorization: Basic YTpi',
    ],
  })
  t.equal(answer.status, 200)
  t.equal(answer.body, 'ok')
  const [seen] = edge.upstream.requests
  t.match(seen?.head, /^GET \/\/a\?b HTTP\/1\.1\r\n/)
  t.notMatch(seen?.head, /postern_|root|admins|evil|6\.6\.6\.6|X-Hop/i)
  for (const field of [
    `host: ${HOST}`,
    'Cookie: y=2; x=1',
    'X-Kept: 1',
    'X-Kept: 2',
    'Authorization: Basic YTpi',
    'X-Postern-User: alice',
    'X-Postern-Email: alice@example.com',
    'X-Postern-Groups: ',
    'X-Forwarded-For: 127.0.0.1',
    'X-Forwarded-Proto: http',
    `X-Forwarded-Host: ${HOST}`,
    'Via: 1.1 postern',
  ])
    t.ok(seen?.fields.includes(field), field)
  quiet(t, edge)
})

t.test('forwarded fields are believed from trusted proxies only, from right to left', async (t) => {
  const edge = await startEdge(t, { trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] })
  const route = edge.workspace('shop')
  await ask(edge.port, {
    host: HOST,
    headers: [
      `Cookie: ${edge.cookie('alice', route)}`,
      'X-Forwarded-For: 6.6.6.6, 192.0.2.7',
      'X-Forwarded-For: 10.1.1.1',
      'X-Forwarded-Proto: https',
    ],
  })
  const fields = edge.upstream.requests[0]?.fields ?? []
  t.ok(fields.includes('X-Forwarded-For: 192.0.2.7, 10.1.1.1, 127.0.0.1'), fields.join('\n'))
  t.ok(fields.includes('X-Forwarded-Proto: https'))
})

t.test('bodies keep their framing, and one request stays one request', async (t) => {
  const { edge, as } = await shop(t, ({ head, socket, body }) => {
    const isChunked = /transfer-encoding/i.test(head)
    if (!isChunked) return void socket.write(OK)
    const look = setInterval(() => {
      if (!body().endsWith('0\r\n\r\n')) return
      clearInterval(look)
      socket.write(OK)
    }, 2)
  })
  const plain = await ask(edge.port, { host: HOST, method: 'POST', headers: [as, ORIGIN], body: 'hello' })
  t.equal(plain.status, 200)
  t.equal(edge.upstream.requests[0]?.body(), 'hello')
  t.match(edge.upstream.requests[0]?.head, /\r\ncontent-length: 5/i)
  const inner = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  for (const method of ['DELETE', 'OPTIONS', 'POST']) {
    const before = edge.upstream.requests.length
    const answer = await exchange(
      edge.port,
      `${method} /one HTTP/1.1\r\nHost: ${HOST}\r\n${as}\r\n${ORIGIN}\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nConnection: close\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\nX-T: 1\r\n\r\n`,
    )
    t.equal(answer.status, 200, method)
    t.equal(edge.upstream.requests.length, before + 1, `${method}: one request`)
    const seen = edge.upstream.requests.at(-1)
    t.match(seen?.body(), /\r\n\r\n/)
    t.notMatch(seen?.head, /trailer/i, 'request trailers are dropped with their field')
  }
  const empty = await ask(edge.port, { host: HOST, method: 'POST', headers: [as, ORIGIN], body: '' })
  t.equal(empty.status, 200)
  t.match(edge.upstream.requests.at(-1)?.head, /\r\ncontent-length: 0/i)
  quiet(t, edge)
})

t.test('100 Continue is said only to who may send', async (t) => {
  const { edge, as } = await shop(t)
  const client = await rawClient(edge.port)
  client.send(
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\n${as}\r\n${ORIGIN}\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n`,
  )
  await client.received(/^HTTP\/1\.1 100 Continue\r\n\r\n/)
  client.send('hello')
  await client.received(/HTTP\/1\.1 200/)
  t.equal(edge.upstream.requests[0]?.body(), 'hello')
  t.notMatch(edge.upstream.requests[0]?.head, /expect/i)
  const denied = await exchange(
    edge.port,
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
  )
  t.equal(denied.status, 401)
  t.notMatch(denied.head, /100 Continue/)
  const odd = await ask(edge.port, { host: HOST, headers: [as, 'Expect: the-unexpected'] })
  t.equal(odd.status, 417)
})

t.test('answers keep status, duplicates, order and case; HEAD, 204 and 304 have no body', async (t) => {
  const { edge, as } = await shop(t, ({ head, socket }) => {
    if (head.startsWith('HEAD')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n')
    else if (head.includes('/204')) socket.write('HTTP/1.1 204 No Content\r\n\r\n')
    else if (head.includes('/304'))
      socket.write('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 7\r\n\r\n')
    else
      socket.write(
        'HTTP/1.1 299 Odd\r\nX-A: 1\r\nx-a: 2\r\nConnection: keep-alive, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=9\r\n' +
          'Set-Cookie: a=1; Domain=ws.localhost; Path=/\r\nSet-Cookie: postern_session=evil\r\nSet-Cookie:  __HOST-postern_workspace=evil\r\nSet-Cookie: b=2; Domain=shop.ws.localhost\r\nContent-Length: 2\r\n\r\nhi',
      )
  })
  const answer = await ask(edge.port, { host: HOST, headers: [as] })
  t.match(answer.head, /^HTTP\/1\.1 299 Odd\r\nX-A: 1\r\nx-a: 2\r\n/)
  t.notMatch(answer.head, /X-Gone|timeout=9|evil/)
  t.same(answer.all('set-cookie'), ['a=1; Path=/', 'b=2; Domain=shop.ws.localhost'])
  const head = await ask(edge.port, { host: HOST, method: 'HEAD', headers: [as] })
  t.equal(head.field('content-length'), '99')
  t.equal(head.body, '')
  t.equal((await ask(edge.port, { host: HOST, path: '/204', headers: [as] })).status, 204)
  const unchanged = await ask(edge.port, { host: HOST, path: '/304', headers: [as] })
  t.equal(unchanged.status, 304)
  t.equal(unchanged.field('etag'), '"x"')
})

t.test(
  'events leave at once, hints and trailers pass, half an answer looks like half an answer',
  async (t) => {
    const { edge, as } = await shop(t, ({ head, socket }) => {
      if (head.includes('/events'))
        socket.write(
          'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
        )
      else if (head.includes('/hints'))
        socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${OK}`)
      else if (head.includes('/trailers'))
        socket.write(
          'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=1\r\n\r\n',
        )
      else if (head.includes('/short')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
      else socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    })
    const events = await rawClient(edge.port)
    events.send(requestBytes({ host: HOST, path: '/events', headers: [as, 'Connection: keep-alive'] }))
    await events.received(/X-Accel-Buffering: no\r\n[^]*\r\n\r\n/, 2000)
    edge.upstream.requests[0]?.socket.write('7\r\ndata: 1\r\n')
    await events.received(/data: 1/, 2000)
    events.socket.destroy()
    const hints = await ask(edge.port, { host: HOST, path: '/hints', headers: [as] })
    t.match(hints.head, /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload$/)
    t.match(hints.body, /^HTTP\/1\.1 200 OK/)
    const trailers = await ask(edge.port, { host: HOST, path: '/trailers', headers: [as, 'TE: trailers'] })
    t.match(trailers.body, /2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n$/)
    const short = await ask(edge.port, { host: HOST, path: '/short', headers: [as] })
    t.equal(short.field('content-length'), '10')
    t.equal(short.body, 'half')
    const cut = await ask(edge.port, { host: HOST, path: '/cut', headers: [as] })
    t.notMatch(cut.body, /0\r\n\r\n$/)
    await until(() => edge.upstream.open() === 0 || edge.upstream.open() <= 2)
  },
)

t.test('an app that answers early is heard, though the visitor still sends', async (t) => {
  const { edge, as } = await shop(
    t,
    ({ socket }) =>
      void socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge'),
  )
  const client = await rawClient(edge.port)
  client.send(
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\n${as}\r\n${ORIGIN}\r\nContent-Length: 10000000\r\n\r\n${'x'.repeat(1000)}`,
  )
  await client.received(/413 Too Large[^]*connection: close[^]*large$/i)
  await client.closed()
  await until(() => edge.upstream.open() === 0)
})

t.test('a connection that died while idle is mended once, and never for a request with a body', async (t) => {
  const { edge, as } = await shop(t, ({ head, socket }, nth) => {
    if (head.includes('/die') && nth === 2) socket.resetAndDestroy()
    else socket.write(OK)
  })
  t.equal((await ask(edge.port, { host: HOST, headers: [as] })).status, 200)
  const mended = await ask(edge.port, { host: HOST, path: '/die', headers: [as] })
  t.equal(mended.status, 200, 'GET is tried again on a fresh connection')
  t.equal(edge.upstream.requests.filter(({ head }) => head.includes('/die')).length, 2)
  const { edge: other, as: asOther } = await shop(t, ({ head, socket }) => {
    if (head.startsWith('POST')) socket.resetAndDestroy()
    else socket.write(OK)
  })
  await ask(other.port, { host: HOST, headers: [asOther] })
  const once = await ask(other.port, { host: HOST, method: 'POST', headers: [asOther, ORIGIN], body: 'x' })
  t.equal(once.status, 502)
  t.equal(
    other.upstream.requests.filter(({ head }) => head.startsWith('POST')).length,
    1,
    'POST is sent once',
  )
})

t.test(
  '200 aborted downloads leave no connection to the app, and the next request is answered',
  async (t) => {
    const megabyte = Buffer.alloc(1 << 20, 'x')
    const { edge, as } = await shop(t, ({ head, socket }) => {
      if (!head.includes('/big')) return void socket.write(OK)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${megabyte.length * 50}\r\n\r\n`)
      for (let i = 0; i < 50; i++) socket.write(megabyte)
    })
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const client = await rawClient(edge.port)
          client.socket.pause()
          client.send(requestBytes({ host: HOST, path: '/big', headers: [as] }))
          await until(() => client.socket.bytesRead > 0, { everyMs: 5 })
          client.socket.destroy()
        }),
      )
    }
    await until(() => edge.upstream.open() === 0, { what: 'all connections to the app to end' })
    t.equal((await ask(edge.port, { host: HOST, headers: [as] })).status, 200)
    quiet(t, edge)
  },
)

t.test('a visitor who does not read slows the app down', async (t) => {
  const total = 64 << 20
  let upstreamSocket: import('node:net').Socket | null = null
  const { edge, as } = await shop(t, ({ socket }) => {
    upstreamSocket = socket
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
    socket.write(Buffer.alloc(total, 'y'))
  })
  const socket = connect({ port: edge.port, host: '127.0.0.1' })
  socket.pause()
  socket.write(requestBytes({ host: HOST, headers: [as] }))
  const pending = (): number => upstreamSocket?.writableLength ?? 0
  await until(() => pending() > 0)
  let before = -1
  await until(
    () => {
      const same = pending() === before
      before = pending()
      return same
    },
    { everyMs: 150 },
  )
  t.ok(pending() > total / 2, `${pending()} bytes wait at the app, not in the gateway`)
  let got = 0
  socket.on('data', (chunk) => (got += chunk.length))
  socket.resume()
  await until(() => got > total, { timeoutMs: 20_000 })
  socket.destroy()
})

t.test('a visitor who leaves while sending frees the connection to the app', async (t) => {
  const { edge, as } = await shop(t, () => undefined)
  const client = await rawClient(edge.port)
  client.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${as}\r\n${ORIGIN}\r\nContent-Length: 1000000\r\n\r\nsome`)
  await until(() => edge.upstream.requests.length === 1)
  client.socket.destroy()
  await until(() => edge.upstream.open() === 0)
  quiet(t, edge)
})

t.test('what Node lets in and we don’t', async (t) => {
  const { edge, as } = await shop(t)
  const head = `Host: ${HOST}\r\n${as}\r\nConnection: close\r\n`
  const cases: [string, string, number][] = [
    ['two Hosts', `GET / HTTP/1.1\r\nHost: evil\r\n${head}\r\n`, 400],
    ['user info in Host', `GET / HTTP/1.1\r\nHost: a:b@shop.ws.localhost\r\nConnection: close\r\n\r\n`, 421],
    ['a foreign Host', `GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n`, 421],
    ['# in the target', `GET /a#b HTTP/1.1\r\n${head}\r\n`, 400],
    ['\\ in the target', `GET /a\\b HTTP/1.1\r\n${head}\r\n`, 400],
    ['the target of another host', `GET http://evil/ HTTP/1.1\r\n${head}\r\n`, 400],
    [
      'a coding before chunked',
      `POST / HTTP/1.1\r\n${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      501,
    ],
    ['chunked on HTTP/1.0', `POST / HTTP/1.0\r\n${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    [
      'both framings',
      `POST / HTTP/1.1\r\n${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['600 fields', `GET / HTTP/1.1\r\n${head}${'a: 1\r\n'.repeat(600)}\r\n`, 431],
    ['too long a head', `GET / HTTP/1.1\r\n${head}X: ${'a'.repeat(40_000)}\r\n\r\n`, 431],
    ['CONNECT', `CONNECT shop.ws.localhost:80 HTTP/1.1\r\n${head}\r\n`, 405],
    ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${head}\r\n`, 204],
    [
      'a loop',
      `GET / HTTP/1.1\r\n${head}Via: 1.1 postern, 1.1 postern\r\nVia: 1.1 postern, 1.1 postern\r\n\r\n`,
      508,
    ],
  ]
  for (const [name, bytes, status] of cases) t.equal((await exchange(edge.port, bytes)).status, status, name)
  t.equal(edge.upstream.requests.length, 0, 'nothing of it reached the app')
  const absolute = await exchange(edge.port, `GET http://SHOP.ws.localhost:8090/x?y HTTP/1.1\r\n${head}\r\n`)
  t.equal(absolute.status, 200)
  t.match(edge.upstream.requests[0]?.head, /^GET \/x\?y HTTP/)
  t.match(
    (await exchange(edge.port, `GET http://shop.ws.localhost HTTP/1.1\r\n${head}__proto__: x\r\n\r\n`))
      .status,
    200,
  )
  quiet(t, edge)
})

t.test('a hostile app: its broken answers are 502, and the process lives', async (t) => {
  const answers: Record<string, string> = {
    '/garbage': 'hello there\r\n\r\n',
    '/control': 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 2\r\n\r\nok',
    '/lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok',
    '/status': 'HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok',
    '/large': `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`,
    '/switch': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    '/continue': `HTTP/1.1 100 Continue\r\n\r\n${OK}`,
  }
  const { edge, as } = await shop(t, ({ head, socket }) => {
    const path = head.split(' ')[1] ?? ''
    if (path === '/nothing') return void socket.destroy()
    if (path === '/twice') return void socket.write(OK + OK.replace('ok', 'no'))
    socket.write(answers[path] ?? OK)
  })
  for (const path of [...Object.keys(answers), '/nothing'])
    t.equal((await ask(edge.port, { host: HOST, path, headers: [as] })).status, 502, path)
  t.equal((await ask(edge.port, { host: HOST, path: '/twice', headers: [as] })).body, 'ok')
  t.equal((await ask(edge.port, { host: HOST, headers: [as] })).body, 'ok', 'a surplus answer is nobody’s')
  const reason = await ask(edge.port, {
    host: HOST,
    path: '/garbage',
    headers: [as, 'Accept: application/json'],
  })
  t.equal(JSON.parse(reason.body).code, 'upstream_bad_answer')
  t.notMatch(reason.body, /127\.0\.0\.1/)
  quiet(t, edge)
})

t.test('a new incarnation is dialled anew; nothing is kept of the old one', async (t) => {
  const { edge, route, as } = await shop(t)
  t.equal((await ask(edge.port, { host: HOST, headers: [as] })).status, 200)
  edge.control.route({ ...route, incarnation: 'shop-2' })
  await until(() => edge.upstream.open() === 0, { what: 'the old pool to end' })
  t.equal((await ask(edge.port, { host: HOST, headers: [as] })).status, 200)
  t.equal(edge.upstream.connections(), 2)
  edge.control.route({ ...route, incarnation: 'shop-2', reach: { kind: 'none' } })
  const away = await ask(edge.port, { host: HOST, headers: [as] })
  t.equal(JSON.parse(away.body).code, 'not_reachable_directly')
})

t.test('a port that nothing listens on: waking up at first, then said plainly', async (t) => {
  const { edge, route, as } = await shop(t)
  let nowMs = Date.now()
  edge.control.nowMs = () => nowMs
  const host = 'shop-9.ws.localhost:8090'
  const cookie = `Cookie: ${edge.cookie('alice', route, 'shop-9')}`
  const waking = await ask(edge.port, {
    host,
    path: '/cart?id=7',
    headers: [cookie, 'Sec-Fetch-Mode: navigate'],
  })
  t.equal(waking.status, 503)
  t.match(waking.body, /shop is waking up[^]*\/cart\?id=7/)
  t.match(waking.body, /http-equiv="refresh" content="1"/)
  nowMs += 61_000
  const silent = await ask(edge.port, { host, headers: [cookie, 'Sec-Fetch-Mode: navigate'] })
  t.equal(silent.status, 502)
  t.match(silent.body, /Nothing answers on port 9/)
  t.notMatch(silent.body, /refresh|127\.0\.0\.1/)
  t.equal(as.length > 0, true)
})

t.test('`ports` reach goes through the runtime where there is one, else by the listed port', async (t) => {
  const dialled: string[] = []
  const edge = await startEdge(t, {
    connect: (target, port) => {
      dialled.push(`${target.workspaceId} ${target.incarnation} ${port}`)
      return Promise.resolve(connect({ host: '127.0.0.1', port: edge.upstream.port }))
    },
  })
  const route = edge.workspace('shop', { reach: { kind: 'ports', host: '127.0.0.1', ports: {} } })
  const as = `Cookie: ${edge.cookie('alice', route)}`
  t.equal((await ask(edge.port, { host: HOST, headers: [as] })).body, 'ok')
  t.same(dialled, [`${route.workspaceId} shop-1 ${edge.upstream.port}`])
  const plain = await startEdge(t)
  const reach = { kind: 'ports', host: '127.0.0.1', ports: { '3000': plain.upstream.port } } as const
  const other = plain.workspace('shop', { reach, defaultPort: 3000, ports: [] })
  const asOther = `Cookie: ${plain.cookie('alice', other)}`
  t.equal((await ask(plain.port, { host: HOST, headers: [asOther] })).body, 'ok')
})

t.test('a request under way outlives a program that begins to listen on one port more', async (t) => {
  const held: SeenRequest[] = []
  const edge = await startEdge(t, {
    script: (request) => void held.push(request),
    connect: () => Promise.resolve(connect({ host: '127.0.0.1', port: edge.upstream.port })),
  })
  const reach = { kind: 'ports', host: '127.0.0.1', ports: {} } as const
  const route = edge.workspace('shop', { reach })
  const answer = ask(edge.port, { host: HOST, headers: [`Cookie: ${edge.cookie('alice', route)}`] })
  const request = await until(() => held[0])
  edge.control.route({ ...route, reach: { ...reach, ports: { '3000': 40_000, '5173': 5_173 } } })
  request.socket.write(OK)
  t.match(await answer, { status: 200, body: 'ok' })
})

t.test('requests on one connection are answered in order, each by its own decision', async (t) => {
  const { edge, as } = await shop(t)
  const client = await rawClient(edge.port)
  client.send(
    requestBytes({ host: HOST, headers: [as, 'Connection: keep-alive'] }) +
      requestBytes({ host: HOST, headers: ['Connection: keep-alive'] }) +
      requestBytes({ host: HOST, headers: [as] }),
  )
  await client.closed()
  t.same(client.text().match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200'])
  t.equal(parseAnswer(client.text()).body.startsWith('ok'), true)
  t.equal(always(OK).length, 1)
})
