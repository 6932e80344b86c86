// HTTP/2 to the visitor: the same decisions and the same bytes at the upstream as by HTTP/1.1, each stream on its own.
import { once } from 'node:events'
import { constants } from 'node:http2'
import t from 'tap'
import { OK, type Script } from '../support/gateway-bytes.ts'
import { hashOf } from '../support/gateway-control.ts'
import {
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  Frame,
  frame,
  framesOf,
  PREFACE,
  requestHead,
  resetFrame,
} from '../support/http2-frames.ts'
import { ask2, readAnswer2 } from '../support/http2-answer.ts'
import { startTlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.test'

t.test('a request reaches the program as one of HTTP/1.1, and the answer comes back', async (t) => {
  const script: Script = ({ socket }) =>
    void socket.write(
      'HTTP/1.1 200 Fine Indeed\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Thing: One\r\nX-Thing: Two\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\n\r\nok',
    )
  const edge = await startTlsEdge(t, { script })
  const route = edge.workspace('shop')
  const session = await edge.http2(HOST)
  const answer = await ask2(session, {
    ':authority': HOST,
    ':path': '/a//b?x=%2F',
    cookie: [edge.cookie('alice', route), 'mine=1', 'yours=2'],
    'x-forwarded-for': '6.6.6.6',
    'x-app': 'Value',
    te: 'trailers',
  })
  t.equal(answer.status, 200)
  t.equal(answer.body, 'ok')
  t.same(answer.headers['set-cookie'], ['a=1', 'b=2'])
  t.equal(answer.headers['x-thing'], 'One, Two')
  for (const gone of ['connection', 'keep-alive', 'x-gone', 'transfer-encoding'])
    t.notOk(gone in answer.headers, gone)
  const [request] = edge.upstream.requests
  t.equal(request?.head.split('\r\n')[0], 'GET /a//b?x=%2F HTTP/1.1')
  const fields = request?.fields.map((line) => line.toLowerCase()) ?? []
  for (const line of [
    `host: ${HOST}`,
    'cookie: mine=1; yours=2',
    'x-app: value',
    'te: trailers',
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-proto: https',
    `x-forwarded-host: ${HOST}`,
    'via: 2.0 postern',
    'x-postern-user: alice',
  ])
    t.ok(fields.includes(line), line)
  t.notOk(fields.some((line) => line.startsWith(':') || line.startsWith('transfer-encoding')))
  t.equal(fields.filter((line) => line.startsWith('host:')).length, 1)
  t.same(edge.log.lines, [])
})

t.test('bodies: framed anew, whole or not at all', async (t) => {
  const edge = await startTlsEdge(t, {
    script: ({ head, socket }) => void (/^(?:GET|HEAD)/.test(head) && socket.write(OK)),
  })
  const route = edge.workspace('shop')
  const session = await edge.http2(HOST)
  const fields = {
    ':authority': HOST,
    ':method': 'POST',
    cookie: edge.cookie('alice', route),
    origin: `https://${HOST}`,
  }
  const sent = async (
    more: object,
    send: (stream: ReturnType<typeof session.request>) => void,
    body: RegExp,
  ) => {
    const before = edge.upstream.requests.length
    const stream = session.request({ ...fields, ...more })
    const answer = readAnswer2(stream)
    send(stream)
    const request = await until(() => edge.upstream.requests[before])
    await until(() => body.test(request.body()), { what: `${body} in ${JSON.stringify(request.body())}` })
    return { request, answer, stream }
  }
  const unknown = await sent({}, (stream) => stream.end('hello'), /^5\r\nhello\r\n0\r\n\r\n$/)
  t.match(unknown.request.head, /\r\ntransfer-encoding: chunked/i)
  t.notMatch(unknown.request.head, /content-length/i)
  unknown.request.socket.write(OK)
  t.equal((await unknown.answer).status, 200)
  const known = await sent({ 'content-length': '5' }, (stream) => stream.end('hello'), /^hello$/)
  t.match(known.request.head, /\r\ncontent-length: 5/i)
  t.notMatch(known.request.head, /transfer-encoding/i)
  known.request.socket.write(OK)
  t.equal((await known.answer).body, 'ok')
  // By hand: Node's client ends a stream that it resets.
  for (const code of [constants.NGHTTP2_CANCEL, constants.NGHTTP2_NO_ERROR]) {
    const before = edge.upstream.requests.length
    const socket = await edge.tls(HOST, ['h2'])
    const head = requestHead(1, Object.entries({ ':scheme': 'https', ':path': '/', ...fields }), END_HEADERS)
    socket.write(Buffer.concat([PREFACE, head, frame(Frame.data, 0, 1, Buffer.from('half'))]))
    const request = await until(() => edge.upstream.requests[before])
    await until(() => /half/.test(request.body()))
    const more = frame(Frame.data, 0, 1, Buffer.alloc(16_000, 'x'))
    socket.write(Buffer.concat([more, more, more, resetFrame(1, code)]))
    await until(() => request.socket.destroyed)
    t.notMatch(request.body(), /0\r\n\r\n$/, `half a body does not pass for a whole one: ${code}`)
    socket.destroy()
  }
  const early = await sent({}, (stream) => stream.write('half'), /half/)
  early.request.socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig')
  const refused = await early.answer
  t.same([refused.status, refused.body, refused.reset], [413, 'big', constants.NGHTTP2_NO_ERROR])
  t.equal((await ask2(session, { ...fields, ':method': 'GET' })).status, 200, 'the connection goes on')
  const waiting = session.request({ ...fields, expect: '100-continue' })
  const answer = readAnswer2(waiting)
  await new Promise((resolve) => waiting.on('continue', resolve))
  waiting.end('now')
  const last = await until(() => edge.upstream.requests.find((request) => /now/.test(request.body())))
  t.notMatch(last.head, /\r\nexpect:/i)
  last.socket.write(OK)
  t.equal((await answer).status, 200)
  t.equal((await ask2(session, { ...fields, expect: 'wonders' })).status, 417)
  t.same(edge.log.lines, [])
})

t.test('answers: hints, trailers, none of a body, half a body, fields that come twice', async (t) => {
  const answers: Readonly<Record<string, string>> = {
    '/hints': `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${OK}`,
    '/trailers':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 0\r\nSet-Cookie: no=1\r\n\r\n',
    '/204': 'HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n',
    '/304': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    '/head': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    '/short': 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf',
    '/cut': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    '/garbage': 'what\r\n\r\n',
    '/twice':
      'HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\nX-Content-Type-Options: nosniff\r\nETag: "a"\r\nETag: "b"\r\nVary: A\r\nVary: B\r\nX-Latin: caf\xe9\r\nContent-Length: 0\r\n\r\n',
    '/close': 'HTTP/1.1 200 OK\r\n\r\nto the end',
  }
  const edge = await startTlsEdge(t, {
    script({ head, socket }) {
      const path = head.split(' ')[1] ?? ''
      socket.write(Buffer.from(answers[path] ?? OK, 'latin1'))
      if (/short|cut|garbage|close/.test(path)) socket.end()
    },
  })
  edge.workspace('shop', {}, 'public')
  const session = await edge.http2(HOST)
  const get = (path: string, more: object = {}) =>
    ask2(session, { ':authority': HOST, ':path': path, ...more })
  const hinted = await get('/hints')
  t.match(hinted.hints, [{ ':status': 103, link: '</a.css>; rel=preload' }])
  t.equal(hinted.body, 'ok')
  const trailed = await get('/trailers', { te: 'trailers' })
  t.match(trailed.trailers, { 'grpc-status': '0' })
  t.notOk('set-cookie' in trailed.trailers)
  t.notOk('grpc-status' in (await get('/trailers')).trailers, 'only to who asked for them')
  for (const [path, status] of [
    ['/204', 204],
    ['/304', 304],
  ] as const)
    t.match(await get(path), { status, body: '', reset: 0 }, path)
  t.match(await get('/head', { ':method': 'HEAD' }), {
    status: 200,
    body: '',
    reset: 0,
    headers: { 'content-length': '5' },
  })
  for (const path of ['/short', '/cut']) {
    const half = await get(path)
    t.same([half.status, half.body], [200, 'half'], path)
    t.not(half.reset, constants.NGHTTP2_NO_ERROR, 'half an answer is no whole one')
  }
  t.equal((await get('/garbage')).status, 502)
  const twice = await get('/twice')
  t.match(twice.headers, {
    'x-content-type-options': 'nosniff',
    etag: '"a"',
    vary: 'A, B',
    'x-latin': 'caf\xe9',
  })
  t.equal((await get('/close')).body, 'to the end')
  t.match(await ask2(session, { ':authority': HOST, ':method': 'OPTIONS', ':path': '*' }), {
    status: 204,
    reset: 0,
  })
  t.equal(
    (await ask2(session, { ':authority': HOST, ':path': '/.postern/nothing', ':method': 'HEAD' })).status,
    405,
  )
  t.same(edge.log.lines, [])
})

t.test('one connection, many hosts: each request is judged by itself', async (t) => {
  const edge = await startTlsEdge(t)
  const shop = edge.workspace('shop')
  edge.workspace('other', { ownerId: 'bob' })
  const session = await edge.http2(HOST)
  const cookie = edge.cookie('alice', shop)
  const statusOf = async (fields: Record<string, string>) =>
    (await ask2(session, { cookie, ...fields })).status
  t.equal(await statusOf({ ':authority': HOST }), 200)
  t.equal(await statusOf({ ':authority': 'other.ws.test' }), 401, 'a cookie of one host is none of another')
  t.equal(await statusOf({ ':authority': 'postern.test', ':path': '/api/v1/workspaces' }), 200)
  t.same(edge.appCalls, ['GET /api/v1/workspaces -'])
  t.equal(await statusOf({ ':authority': 'elsewhere.example' }), 421)
  t.equal(await statusOf({ ':authority': HOST, host: 'other.ws.test' }), 400, 'two hosts')
  t.equal(await statusOf({ ':authority': HOST, host: 'SHOP.ws.test' }), 200, 'the same host twice')
  t.equal(await statusOf({ ':authority': 'a b' }), 0, 'no answer at all')
  t.equal(await statusOf({ ':authority': HOST, ':path': '/a#b' }), 400)
  t.equal(
    await statusOf({ ':authority': HOST, ':method': 'CONNECT', ':path': '', ':scheme': '' }).catch(() => 405),
    405,
  )
  t.equal(edge.upstream.requests.length, 2)
})

t.test('what is taken away ends its own streams, and nobody else’s on that connection', async (t) => {
  const edge = await startTlsEdge(t, {
    script: ({ socket }) =>
      void socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n'),
  })
  const route = edge.workspace('shop', {}, 'members')
  const session = await edge.http2(HOST)
  const open = async (userId: string) => {
    const parent = edge.control.session(userId)
    const cookie = `__Host-postern_workspace=${edge.control.child(parent, route.workspaceId, 'shop')}`
    const stream = session.request({ ':authority': HOST, cookie })
    const answer = readAnswer2(stream)
    await once(stream, 'data')
    return { parent, stream, answer }
  }
  const [alice, bob] = [await open('alice'), await open('bob')]
  await edge.control.signOut(hashOf(alice.parent))
  t.equal((await alice.answer).reset, constants.NGHTTP2_CANCEL)
  t.notOk(bob.stream.closed)
  t.notOk(session.closed)
  edge.upstream.requests[1]?.socket.write('data: 2\n\n')
  await once(bob.stream, 'data')
  bob.stream.close(constants.NGHTTP2_CANCEL)
  await until(() => edge.upstream.open() === 0, { what: 'the program’s connections to end' })
})

t.test('a slow reader slows nobody on its connection, and its program waits', async (t) => {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  let written = 0
  const edge = await startTlsEdge(t, {
    script({ head, socket }) {
      if (!head.startsWith('GET /big')) return void socket.write(OK)
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n')
      const pour = (): void => {
        while (written < 268_435_456 && !socket.destroyed) {
          written += chunk.length
          if (!socket.write(chunk)) return void socket.once('drain', pour)
        }
      }
      pour()
    },
  })
  edge.workspace('shop', {}, 'public')
  const session = await edge.http2(HOST)
  const big = session.request({ ':authority': HOST, ':path': '/big' })
  big.on('error', () => undefined)
  await once(big, 'response')
  let before = -1
  await until(() => before === (before = written), { everyMs: 300, what: 'the program to stand still' })
  t.ok(written < 64 * 1024 * 1024, `${written} bytes were taken from the program`)
  for (let i = 0; i < 20; i++) t.equal((await ask2(session, { ':authority': HOST })).body, 'ok')
  let read = 0
  big.on('data', (part: Buffer) => (read += part.length))
  await until(() => read > 8 * 1024 * 1024, { what: 'the answer to go on' })
  big.close(constants.NGHTTP2_CANCEL)
  await until(() => edge.upstream.requests[0]?.socket.destroyed === true)
})

t.test(
  'limits: streams at once, rapid resets, big heads, an idle handshake; others never notice',
  async (t) => {
    const edge = await startTlsEdge(t, {
      script: ({ head, socket }) => void (/\/wait/.test(head) || socket.write(OK)),
    })
    edge.workspace('shop', {}, 'public')
    const calm = await edge.http2(HOST)
    t.equal((await ask2(calm, { ':authority': HOST })).status, 200)
    t.equal(calm.remoteSettings.maxConcurrentStreams, 128)
    const flood = await edge.tls(HOST, ['h2'])
    let isEnded = false
    flood.on('close', () => (isEnded = true)).resume()
    const fields = Object.entries({
      ':method': 'GET',
      ':scheme': 'https',
      ':path': '/wait',
      ':authority': HOST,
    })
    flood.write(PREFACE)
    for (let id = 1; id < 40_000 && !isEnded;) {
      const burst: Buffer[] = []
      for (let i = 0; i < 100; i++, id += 2)
        burst.push(requestHead(id, fields), resetFrame(id, constants.NGHTTP2_CANCEL))
      flood.write(Buffer.concat(burst))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => isEnded, { what: 'the flood to be ended' })
    t.ok(
      edge.upstream.requests.length < 1500,
      `${edge.upstream.requests.length} requests reached the program`,
    )
    t.equal((await ask2(calm, { ':authority': HOST })).status, 200)
    await until(() =>
      edge.upstream.requests.every(({ head, socket }) => !/\/wait/.test(head) || socket.destroyed),
    )
    const wide = await ask2(calm, {
      ':authority': HOST,
      ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, 'v'.repeat(1000)])),
    })
    t.not(wide.status, 200)
    t.equal((await ask2(calm, { ':authority': HOST })).status, 200)
    t.same(edge.log.lines, [])
  },
)

t.test('frames that no client sends: heads without end, wrong streams, names of objects', async (t) => {
  const edge = await startTlsEdge(t)
  edge.workspace('shop', {}, 'public')
  const calm = await edge.http2(HOST)
  const fields: [string, string][] = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/'],
    [':authority', HOST],
  ]
  const head = fieldBlock(fields)
  const endless = Buffer.concat(
    Array.from({ length: 200 }, (_, i) =>
      frame(Frame.continuation, 0, 1, fieldBlock([[`x-${i}`, 'v'.repeat(200)]])),
    ),
  )
  const floods: [string, Buffer][] = [
    ['a head without end', Buffer.concat([frame(Frame.headers, 1, 1, head), endless])],
    ['a stream number of the server', frame(Frame.headers, END_HEADERS | END_STREAM, 2, head)],
    ['data for no stream', frame(Frame.data, 0, 1, Buffer.from('x'))],
    ['a frame too large', frame(Frame.data, 0, 1, Buffer.alloc(100_000))],
    ['a head that is no HPACK', frame(Frame.headers, END_HEADERS | END_STREAM, 1, Buffer.alloc(40, 0xff))],
  ]
  for (const [what, bytes] of floods) {
    const socket = await edge.tls(HOST, ['h2'])
    const frames = framesOf(socket)
    socket.write(Buffer.concat([PREFACE, bytes]))
    await until(() => socket.destroyed || frames.some(({ type }) => type === Frame.goaway), { what })
    socket.destroy()
  }
  const odd = await edge.tls(HOST, ['h2'])
  const frames = framesOf(odd)
  odd.write(Buffer.concat([PREFACE, requestHead(1, [...fields, ['__proto__', 'x'], ['constructor', 'y']])]))
  await until(() => frames.some(({ type, stream }) => type === Frame.headers && stream === 1))
  t.same(
    edge.upstream.requests.at(-1)?.fields.filter((line) => /__proto__|constructor/.test(line)),
    ['__proto__: x', 'constructor: y'],
  )
  t.equal((await ask2(calm, { ':authority': HOST })).status, 200)
  t.same(edge.log.lines, [])
})

t.test('no field of HTTP/2 makes two requests of one for the program', async (t) => {
  const edge = await startTlsEdge(t)
  edge.workspace('shop', {}, 'public')
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  const cases: [string, [string, string][]][] = [
    ['a coding', [['transfer-encoding', 'chunked']]],
    ['a length too short', [['content-length', '3']]],
    ['no length', [['content-length', '0']]],
    [
      'two lengths',
      [
        ['content-length', '3'],
        ['content-length', String(smuggled.length)],
      ],
    ],
    ['a line end in a value', [['x-a', `b\r\n\r\n${smuggled}`]]],
    ['a line end in a name', [[`x-a: b\r\n\r\n${smuggled}x`, 'y']]],
    ['a line end in the method', [[':method', `POST / HTTP/1.1\r\n\r\n${smuggled}`]]],
    ['a line end in the path', [[':path', `/ HTTP/1.1\r\n\r\n${smuggled}`]]],
    ['a space in the path', [[':path', '/a HTTP/1.1']]],
    ['a line end in the authority', [[':authority', `${HOST}\r\nX: y`]]],
    ['capitals', [['X-Upper', 'y']]],
    ['a connection', [['connection', 'x-forwarded-for']]],
    [
      'a pseudo field late',
      [
        ['x-a', 'b'],
        [':path', '/late'],
      ],
    ],
  ]
  for (const [what, extra] of cases) {
    const pseudo = new Map([
      [':method', 'POST'],
      [':scheme', 'https'],
      [':path', '/'],
      [':authority', HOST],
    ])
    const rest = extra.filter(([name], i) => i > 0 || !pseudo.has(name))
    for (const [name, value] of extra.slice(0, 1)) if (pseudo.has(name)) pseudo.set(name, value)
    const socket = await edge.tls(HOST, ['h2'])
    const frames = framesOf(socket)
    const head = requestHead(1, [...pseudo, ...rest], END_HEADERS)
    socket.write(Buffer.concat([PREFACE, head, frame(Frame.data, END_STREAM, 1, Buffer.from(smuggled))]))
    const isOver = ({ type, stream }: (typeof frames)[number]): boolean =>
      type === Frame.goaway || (stream === 1 && (type === Frame.reset || type === Frame.headers))
    await until(() => socket.destroyed || frames.some(isOver), { what })
    socket.destroy()
  }
  for (const { head } of edge.upstream.requests) t.match(head, /^POST \/ HTTP\/1\.1\r\n/)
  t.notMatch(edge.upstream.bytes(), /\r\n\r\nGET \/smuggled/, 'only ever inside of a chunk')
  t.same(edge.log.lines, [])
})

t.test('an end in good order: GOAWAY, what is open may finish, new ones go elsewhere', async (t) => {
  const edge = await startTlsEdge(t, { script: () => undefined })
  edge.workspace('shop', {}, 'public')
  const session = await edge.http2(HOST)
  const answer = ask2(session, { ':authority': HOST })
  const request = await until(() => edge.upstream.requests[0])
  const closed = edge.gateway.close(10_000)
  await until(() => session.closed, { what: 'GOAWAY' })
  request.socket.write(OK)
  t.match(await answer, { status: 200, body: 'ok', reset: 0 })
  await closed
})
