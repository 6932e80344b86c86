// The compatibility engine on lenient ports: programs that a strict parser refuses are served, and none of http-proxy's own defects is there.
import t from 'tap'
import { connect } from 'node:net'
import { Duplex } from 'node:stream'
import { once } from 'node:events'
import { type EdgeRoute, portDefaults } from '../../control/wire/index.ts'
import {
  ACCEPTED,
  ask,
  exchange,
  OK,
  parseAnswer,
  rawClient,
  requestBytes,
  type Script,
  webSocketBytes,
} from '../support/gateway-bytes.ts'
import { originOf, startEdge } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.localhost:8090'
const ORIGIN = originOf('shop')

const warnings: string[] = []
process.on('warning', (warning) => warnings.push(`${warning.name}: ${warning.message}`))

/** An edge with alice's workspace `shop`, whose port is lenient unless said otherwise. */
async function shop(
  t: Parameters<typeof startEdge>[0],
  script?: Script,
  more: { strict?: boolean; row?: Partial<EdgeRoute> } & Parameters<typeof startEdge>[1] = {},
) {
  const { strict, row, ...options } = more
  const edge = await startEdge(t, { ...options, ...(script === undefined ? {} : { script }) })
  const ports = [{ ...portDefaults, port: edge.upstream.port, lenient: strict !== true }]
  const route = edge.workspace('shop', { ports, ...row })
  const as = `Cookie: ${edge.cookie('alice', route)}`
  const get = (path: string, headers: readonly string[] = []) =>
    ask(edge.port, { host: HOST, path, headers: [as, ...headers] })
  return { edge, route, as, get }
}

/** Answers by path; all else gets 200 `ok`. */
const byPath =
  (answers: Readonly<Record<string, string>>): Script =>
  ({ head, socket }) =>
    void socket.write(answers[head.split(' ')[1] ?? ''] ?? OK, 'latin1')

t.test('what a strict parser refuses is read, and leaves as clean HTTP', async (t) => {
  const answers = {
    '/lf': 'HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nhi',
    '/fold': 'HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 2\r\n\r\nhi',
    '/control': 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 2\r\n\r\nhi',
    '/both':
      'HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    '/continue': `HTTP/1.1 100 Continue\r\n\r\n${OK.replace('ok', 'hi')}`,
    '/204': 'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n',
    '/trailer':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: a\x01b\r\nX-L: \xe9\r\n\r\n',
  }
  const lenient = await shop(t, byPath(answers))
  const strict = await shop(t, byPath(answers), { strict: true })
  const got = Object.fromEntries(
    await Promise.all(
      Object.keys(answers).map(
        async (path) => [path, await lenient.get(path, ['Connection: close', 'TE: trailers'])] as const,
      ),
    ),
  )
  t.equal(got['/lf']?.field('x-a'), '1')
  t.match(got['/fold']?.field('x-a'), /^one +two$/)
  t.equal(got['/control']?.field('x-a'), 'a b')
  t.equal(got['/both']?.field('content-length'), null, 'the coding counts, the length goes')
  for (const path of ['/lf', '/fold', '/control', '/continue']) t.equal(got[path]?.body, 'hi', path)
  t.match(got['/both']?.body, /^2\r\nhi\r\n0\r\n\r\n$/)
  t.equal(got['/204']?.status, 204)
  t.match(got['/trailer']?.body, /hi\r\n0\r\nX-T: a b\r\nX-L: \xe9\r\n\r\n$/)
  for (const path of ['/lf', '/fold', '/control', '/both']) {
    const page = await strict.get(path, ['Accept: text/html'])
    t.equal(page.status, 502, `${path} is refused by the strict engine`)
    const said = JSON.parse((await strict.get(path)).body) as { code: string; detail?: string }
    t.equal(said.code, 'upstream_bad_answer')
    t.match(page.body, /lenient/, `${path}: the page names the option`)
    t.match(said.detail, /lenient/)
  }
  t.same([...lenient.edge.log.lines, ...strict.edge.log.lines], [])
})

t.test('what can’t be mended is 502, and the process lives', async (t) => {
  const answers = {
    '/garbage': 'hello there\r\n\r\n',
    '/lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok',
    '/tab': 'HTTP/1.1 200 OK\r\nTransfer-Encoding:\x0bchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
    '/coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    '/status': 'HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok',
    '/large': `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`,
    '/switch': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    '/switch-bare': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  }
  const { edge, get } = await shop(t, byPath(answers))
  for (const path of Object.keys(answers)) {
    const answer = await get(path)
    t.equal(answer.status, 502, path)
    t.notMatch(answer.body, /127\.0\.0\.1|lenient/)
  }
  t.equal((await get('/')).body, 'ok')
  await until(() => edge.upstream.open() <= 1, { what: 'their connections to end' })
  t.same(edge.log.lines, [])
})

t.test(
  'the request: target byte for byte, fields as they are, nothing of ours, nothing doubled',
  async (t) => {
    const { edge, get } = await shop(t)
    for (const path of ['//a///b/http:/x//y?z=//1&http:/w', '/%7e/..%2f//', '/a?b?c', '/x;y=1//?'])
      await get(path)
    t.same(
      edge.upstream.requests.map(({ head }) => head.split(' ')[1]),
      ['//a///b/http:/x//y?z=//1&http:/w', '/%7e/..%2f//', '/a?b?c', '/x;y=1//?'],
    )
    await get('/', [
      'X-Forwarded-For: 6.6.6.6',
      'X-Forwarded-Proto: https',
      'X-Postern-User: root',
      'Connection: close, X-Gone',
      'X-Gone: 1',
      'Keep-Alive: timeout=9',
      'X-Twice: 1',
      'x-twice: 2',
      'Authorization: Basic YTpi',
    ])
    const fields = edge.upstream.requests.at(-1)?.fields ?? []
    t.same(
      fields.filter((field) => /^(x-(?!request-id)|host|connection|keep|te|via|auth|cookie)/i.test(field)),
      [
        `Host: ${HOST}`,
        'X-Twice: 1',
        'x-twice: 2',
        'Authorization: Basic YTpi',
        'X-Forwarded-For: 127.0.0.1',
        'X-Forwarded-Proto: http',
        `X-Forwarded-Host: ${HOST}`,
        'X-Forwarded-Port: 8090',
        'Via: 1.1 postern',
        'X-Postern-User: alice',
        'X-Postern-Email: alice@example.com',
        'X-Postern-Groups: ',
        'X-Postern-Assertion: ',
        'Connection: keep-alive',
      ],
    )
    t.equal(edge.upstream.connections(), 1, 'all of it on one kept connection')
  },
)

t.test('a chunked DELETE or OPTIONS stays one request', async (t) => {
  const { edge, as } = await shop(t, ({ head, socket, body }) => {
    if (!/transfer-encoding/i.test(head)) return void socket.write(OK)
    void until(() => body().endsWith('0\r\n\r\n')).then(() => socket.write(OK))
  })
  const inner = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  for (const method of ['DELETE', 'OPTIONS', 'POST', 'GET']) {
    const before = edge.upstream.requests.length
    const answer = await exchange(
      edge.port,
      `${method} /one HTTP/1.1\r\nHost: ${HOST}\r\n${as}\r\n${ORIGIN}\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nConnection: close\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\nX-T: 1\r\n\r\n`,
    )
    t.equal(answer.status, 200, method)
    t.equal(edge.upstream.requests.length, before + 1, `${method}: one request`)
    const seen = edge.upstream.requests.at(-1)
    t.match(seen?.head, /\r\ntransfer-encoding: chunked/i)
    t.notMatch(seen?.head, /content-length|trailer/i)
    t.equal(seen?.body(), `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`)
  }
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'GET']) {
    await ask(edge.port, { host: HOST, method, headers: [as, ORIGIN] })
    const seen = edge.upstream.requests.at(-1)
    t.equal(/content-length: 0/i.test(seen?.head ?? ''), method.startsWith('P'), `${method} without a body`)
    t.notMatch(seen?.head, /transfer-encoding/i)
  }
})

t.test('the answer: duplicates, case and order; hop-by-hop fields and odd framing gone', async (t) => {
  const { get } = await shop(
    t,
    byPath({
      '/':
        'HTTP/1.1 299 Odd\r\nX-A: 1\r\nx-a: 2\r\nConnection: keep-alive, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=9\r\n' +
        'Set-Cookie: a=1; Domain=ws.localhost; Path=/\r\nSet-Cookie: postern_session=evil\r\nContent-Length: 2\r\n\r\nhi',
      '/304': 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nTransfer-Encoding: chunked\r\n\r\n',
      '/204': 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n',
      '/trailers':
        'HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 7\r\nSet-Cookie: a=1\r\n\r\n',
      '/hints': `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${OK}`,
    }),
  )
  const answer = await get('/')
  t.match(
    answer.head,
    /^HTTP\/1\.1 299 Odd\r\nX-A: 1\r\nx-a: 2\r\nSet-Cookie: a=1; Path=\/\r\nContent-Length: 2\r\n/,
  )
  t.notMatch(answer.head, /gone|timeout=9|evil/i)
  for (const path of ['/304', '/204']) {
    const none = await get(path)
    t.notMatch(none.head, /transfer-encoding|content-length: [1-9]/i, path)
    t.equal(none.body, '')
  }
  t.match((await get('/trailers', ['TE: trailers'])).body, /2\r\nhi\r\n0\r\nX-T: 7\r\n\r\n$/)
  t.match((await get('/hints')).head, /^HTTP\/1\.1 103 Early Hints\r\nLink: /)
})

t.test('what comes unasked on a kept connection answers nobody', async (t) => {
  const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
  const { edge, get } = await shop(t, ({ head, socket }) => {
    socket.write(head.includes('/twice') ? OK + poison : OK)
  })
  for (const path of ['/late', '/twice']) {
    t.equal((await get(path)).body, 'ok')
    if (path === '/late') edge.upstream.requests.at(-1)?.socket.write(poison)
    // Well before it would have been ended for being idle.
    await until(() => edge.upstream.open() === 0, {
      what: `the end of the connection of ${path}`,
      timeoutMs: 2500,
    })
    t.equal((await get('/')).body, 'ok')
  }
})

t.test('half an answer looks like half an answer', async (t) => {
  const { edge, as, get } = await shop(t, ({ head, socket }) => {
    if (head.includes('/short')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    else if (head.includes('/cut'))
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    else if (head.includes('/until-end')) socket.end('HTTP/1.1 200 OK\r\n\r\nwhole')
    else
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
  })
  t.equal((await get('/short')).body, 'half')
  t.notMatch((await get('/cut')).body, /0\r\n\r\n$/)
  t.match((await get('/until-end')).body, /whole/)
  const events = await rawClient(edge.port)
  events.send(requestBytes({ host: HOST, path: '/events', headers: [as] }))
  await events.received(/X-Accel-Buffering: no[^]*\r\n\r\n/)
  const [, , , stream] = edge.upstream.requests
  stream?.socket.write('7\r\ndata: 1\r\n')
  await events.received(/data: 1/)
  stream?.socket.resetAndDestroy()
  await events.closed()
  await until(() => edge.upstream.open() === 0)
})

t.test('whoever leaves frees the connection to the app', async (t) => {
  const megabyte = Buffer.alloc(1 << 20, 'x')
  const { edge, as, get } = await shop(t, ({ head, socket }) => {
    if (head.includes('/big')) {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${megabyte.length * 50}\r\n\r\n`)
      for (let i = 0; i < 50; i++) socket.write(megabyte)
    } else if (head.includes('/early'))
      socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge')
    else if (!head.includes('/silent')) socket.write(OK)
  })
  const leave = async (bytes: string, whenReached: () => boolean): Promise<void> => {
    const client = await rawClient(edge.port)
    client.socket.pause()
    client.send(bytes)
    await until(whenReached, { everyMs: 5 })
    client.socket.destroy()
  }
  const reached = (n: number) => () => edge.upstream.requests.length >= n
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      const client = await rawClient(edge.port)
      client.socket.pause()
      client.send(requestBytes({ host: HOST, path: '/big', headers: [as] }))
      await until(() => client.socket.bytesRead > 0, { everyMs: 5 })
      client.socket.destroy()
    }),
  )
  await until(() => edge.upstream.open() === 0, { what: 'aborted downloads to be freed' })
  await leave(requestBytes({ host: HOST, path: '/silent', headers: [as] }), reached(51))
  await until(() => edge.upstream.open() === 0, { what: 'an unanswered request to be freed' })
  await leave(
    `POST /silent HTTP/1.1\r\nHost: ${HOST}\r\n${as}\r\n${ORIGIN}\r\nContent-Length: 1000000\r\n\r\nsome`,
    reached(52),
  )
  await until(() => edge.upstream.open() === 0, { what: 'an aborted upload to be freed' })
  const client = await rawClient(edge.port)
  client.send(
    `POST /early HTTP/1.1\r\nHost: ${HOST}\r\n${as}\r\n${ORIGIN}\r\nContent-Length: 10000000\r\n\r\n${'x'.repeat(1000)}`,
  )
  await client.received(/413 Too Large[^]*connection: close[^]*large$/i)
  await client.closed()
  await until(() => edge.upstream.open() === 0)
  t.equal((await get('/')).body, 'ok')
  t.same(edge.log.lines, [])
})

t.test('the keep-alive race is mended once, and never for a request with a body', async (t) => {
  const { edge, as, get } = await shop(t, ({ head, socket }, nth) => {
    if (head.startsWith('POST') || (head.includes('/die') && nth === 2)) socket.resetAndDestroy()
    else socket.write(OK)
  })
  await get('/')
  t.equal((await get('/die')).status, 200)
  t.equal(edge.upstream.requests.filter(({ head }) => head.includes('/die')).length, 2)
  const { edge: other, get: getOther } = await shop(t, ({ socket }) => void socket.resetAndDestroy())
  t.equal((await getOther('/')).status, 502)
  t.equal(other.upstream.requests.length, 1, 'not on a fresh connection: that was no race')
  await get('/')
  const post = await ask(edge.port, { host: HOST, method: 'POST', headers: [as, ORIGIN], body: 'x' })
  t.equal(post.status, 502)
  t.equal(edge.upstream.requests.filter(({ head }) => head.startsWith('POST')).length, 1)
})

t.test('WebSockets: early bytes, refusals, failures before the answer; nothing stays open', async (t) => {
  const { edge, as } = await shop(t, ({ head, socket }) => {
    if (head.includes('/refuse'))
      socket.write('HTTP/1.1 400 No\r\nX-Why: no\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwhy?\r\n0\r\n\r\n')
    else if (head.includes('/reset')) socket.resetAndDestroy()
    else if (head.includes('/control')) socket.write(ACCEPTED.replace('Sec', 'X-A: a\x01b\r\nSec'))
    else if (!head.includes('/silent')) socket.write(`${ACCEPTED}early from the app`)
  })
  const opening = (path: string) => webSocketBytes({ host: HOST, path, headers: [as, ORIGIN] })
  const client = await rawClient(edge.port)
  client.send(`${opening('/ws')}early from the visitor`)
  await client.received(/^HTTP\/1\.1 101 [^]*Sec-WebSocket-Accept[^]*\r\n\r\nearly from the app$/)
  const [seen] = edge.upstream.requests
  await until(() => seen?.body() === 'early from the visitor')
  t.equal(seen?.fields.filter((field) => /^(upgrade|connection):/i.test(field)).length, 2)
  seen?.socket.end('bye')
  await client.received(/bye$/)
  await client.closed()
  for (const [path, pattern] of [
    ['/refuse', /^HTTP\/1\.1 400 No\r\nX-Why: no[^]*why\?/],
    ['/reset', /^HTTP\/1\.1 502/],
  ] as const) {
    const refused = await rawClient(edge.port)
    refused.send(opening(path))
    await refused.received(pattern)
    await refused.closed()
  }
  const odd = await rawClient(edge.port)
  odd.send(opening('/control'))
  t.match(parseAnswer(await odd.received(/\r\n\r\n/)).field('x-a'), 'a b')
  odd.socket.destroy()
  const gone = await rawClient(edge.port)
  gone.send(opening('/silent'))
  await until(() => edge.upstream.requests.length === 5)
  gone.socket.resetAndDestroy()
  await until(() => edge.upstream.open() === 0, { what: 'every connection to the app to end' })
  t.same(edge.log.lines, [])
})

t.test('what is lost is closed: a right, an incarnation, an idle connection of an old one', async (t) => {
  const { edge, as, route, get } = await shop(t, ({ head, socket }) => {
    if (/upgrade/i.test(head)) socket.write(ACCEPTED)
    else socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n')
  })
  const open = async (bytes: string, pattern: RegExp) => {
    const client = await rawClient(edge.port)
    client.send(bytes)
    await client.received(pattern)
    return client
  }
  const clients = await Promise.all([
    open(webSocketBytes({ host: HOST, path: '/ws', headers: [as, ORIGIN] }), /101/),
    open(requestBytes({ host: HOST, headers: [as] }), /first/),
  ])
  edge.control.route({ ...route, ownerId: 'bob' })
  await Promise.all(clients.map((client) => client.closed()))
  await until(() => edge.upstream.open() === 0)
  edge.control.route(route)
  const { edge: other, get: getOther, route: otherRoute } = await shop(t)
  await getOther('/')
  t.equal(other.upstream.open(), 1)
  other.control.route({ ...otherRoute, incarnation: 'shop-2' })
  await until(() => other.upstream.open() === 0, { what: 'the idle connection of the old one to end' })
  t.equal((await getOther('/')).body, 'ok')
  void get
})

t.test('a stream of a runtime, which is no socket, serves too', async (t) => {
  let dialled = 0
  const { edge, get, as } = await shop(
    t,
    ({ head, socket }) => void socket.write(/upgrade/i.test(head) ? `${ACCEPTED}hello` : OK),
    {
      row: { reach: { kind: 'ports', host: '127.0.0.1', ports: {} } },
      connect: async (_target, port) => {
        dialled++
        const socket = connect({ port, host: '127.0.0.1' })
        await once(socket, 'connect')
        return Duplex.from({ readable: socket, writable: socket })
      },
    },
  )
  for (let i = 0; i < 3; i++) t.equal((await get('/')).body, 'ok')
  t.equal(dialled, 1, 'it is kept')
  const client = await rawClient(edge.port)
  client.send(webSocketBytes({ host: HOST, path: '/ws', headers: [as, ORIGIN] }))
  await client.received(/hello$/)
  client.socket.destroy()
  t.same(edge.log.lines, [])
})

t.test('a port on which nothing listens yet is said to be so', async (t) => {
  const { get } = await shop(t, undefined, {
    row: { ports: [{ ...portDefaults, port: 1, lenient: true }], defaultPort: 1 },
  })
  t.equal(JSON.parse((await get('/')).body).code, 'workspace_starting')
})

t.test('nothing was called that Node has deprecated', (t) => {
  t.same(warnings, [])
  t.end()
})
