// Attacks on the engine of a proxy, and on what it is built of, each with its story; both engines, and both doors, where it matters.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect as connectTls } from 'node:tls'
import { once } from 'node:events'
import t from 'tap'
import { portDefaults } from '../../../control/wire/index.ts'
import {
  always,
  ask,
  exchange,
  OK,
  rawClient,
  type Script,
  webSocketBytes,
} from '../../support/gateway-bytes.ts'
import { type EdgeUnderTest, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'
import { doorsAt, isYes } from '../../support/proof-doors.ts'
import { sourceFiles, withoutComments } from '../../support/repo-files.ts'
import { startTlsEdge } from '../../support/tls-edge.ts'
import { until } from '../../support/until.ts'

const HOST = 'shop.ws.localhost'
const engines = [
  ['the engine', false],
  ['the compatibility engine', true],
] as const

/** A public workspace `shop` behind one of the engines. */
function shop(edge: EdgeUnderTest, lenient: boolean): void {
  const ports = [{ ...portDefaults, port: edge.upstream.port, visibility: 'public' as const, lenient }]
  edge.workspace('shop', { ports })
}

/** Answers 200 when the last chunk has come. */
const afterLastChunk: Script = ({ socket, head, body }) =>
  void (/transfer-encoding/i.test(head) ? until(() => body().endsWith('0\r\n\r\n')) : Promise.resolve()).then(
    () => socket.write(OK),
  )

// For DELETE and OPTIONS the library set `Content-Length: 0` beside `Transfer-Encoding: chunked`: the body was read as
// the next visitor's request.
t.test('http-proxy CVE-2026-29057: a chunked DELETE or OPTIONS is one request', async (t) => {
  for (const [engine, lenient] of engines)
    for (const method of ['DELETE', 'OPTIONS', 'PATCH', 'GET']) {
      const edge = await startEdge(t, { script: afterLastChunk })
      shop(edge, lenient)
      const inner = 'GET /admin HTTP/1.1\r\nHost: x\r\n\r\n'
      const sent = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`
      const answer = await exchange(
        edge.port,
        `${method} / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${sent}`,
      )
      t.equal(answer.status, 200, `${method} by ${engine}`)
      t.equal(edge.upstream.requests.length, 1, `${method} by ${engine}: one request`)
      t.equal(edge.upstream.requests[0]?.body(), sent)
      t.notMatch(edge.upstream.requests[0]?.head, /content-length/i)
    }
})

// A request that announced a trailer made the library set headers after they had been sent, and never ended.
t.test('http-proxy issue 1647: a request with Trailer comes to its end', async (t) => {
  for (const [engine, lenient] of engines) {
    const edge = await startEdge(t, { script: afterLastChunk })
    shop(edge, lenient)
    for (const [fields, body] of [
      ['Trailer: x', ''],
      ['Trailer: x\r\nTransfer-Encoding: chunked', '2\r\nok\r\n0\r\nx: 1\r\n\r\n'],
    ]) {
      const answer = await exchange(
        edge.port,
        `POST / HTTP/1.1\r\nHost: ${HOST}\r\n${fields}\r\nConnection: close\r\n\r\n${body}`,
      )
      t.equal(answer.status, 200, engine)
    }
  }
})

// An upstream that broke while a long body was on its way made the library write headers into an answer that was over.
t.test('http-proxy GHSA-6x33-pw7p-hmpq: a reset in a long body ends one answer only', async (t) => {
  for (const [engine, lenient] of engines) {
    const edge = await startEdge(t, {
      script: ({ head, socket }) => {
        if (head.startsWith('GET /late'))
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf', () =>
            socket.resetAndDestroy(),
          )
        else if (head.startsWith('POST')) socket.resetAndDestroy()
        else socket.write(OK)
      },
    })
    shop(edge, lenient)
    for (let round = 0; round < 5; round++) {
      const client = await rawClient(edge.port)
      client.send(
        `POST /early HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 5000000\r\n\r\n${'x'.repeat(200_000)}`,
      )
      await client.received(/^HTTP\/1\.1 502 /)
      client.socket.destroy()
      const late = await ask(edge.port, { host: HOST, path: '/late' })
      t.ok(late.status === 502 || late.body === 'half', `${engine}: ${late.status}`)
    }
    t.equal((await ask(edge.port, { host: HOST })).body, 'ok', `${engine} goes on`)
  }
})

// A path that was no pattern rejected a promise that nobody held; a body was written twice. Both ended the process.
t.test(
  'http-proxy-middleware CVE-2024-21536, CVE-2025-32996: odd paths and repeated writes end nothing',
  async (t) => {
    const unhandled: unknown[] = []
    const note = (err: unknown): void => void unhandled.push(err)
    process.on('unhandledRejection', note)
    t.teardown(() => process.off('unhandledRejection', note))
    for (const [engine, lenient] of engines) {
      const edge = await startEdge(t, {
        script: ({ head, socket }) =>
          void socket.write(head.includes('/twice') ? `${OK}${OK}HTTP/1.1 103 Early Hints\r\n\r\n` : OK),
      })
      shop(edge, lenient)
      const paths = [
        '/(',
        '/[',
        '/**',
        '/{a,b',
        '/%',
        '/%c3%28',
        '/\xff\xfe',
        '/*',
        '/?(',
        '/+++',
        `/${'a/'.repeat(2000)}`,
        '/:id(',
      ]
      for (const path of [...paths, '/twice', '/twice', '/twice'])
        t.ok((await ask(edge.port, { host: HOST, path })).status > 0, `${path.slice(0, 20)} by ${engine}`)
      t.equal((await ask(edge.port, { host: HOST })).body, 'ok')
    }
    t.same(unhandled, [])
  },
)

// A body was parsed and written anew, with CR and LF of a field's value in it: a second request.
t.test('http-proxy-middleware CVE-2026-55603: a body passes byte for byte', async (t) => {
  const bodies = [
    'a=1%0d%0aX: y&b=\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n',
    '{"a":"\\r\\n\\r\\nGET / HTTP/1.1","b":1e400,"__proto__":{}}',
    '--x\r\nContent-Disposition: form-data; name="a\r\nb"\r\n\r\n\r\n--x--\r\n',
    '\0\xff\xfe\r\n0\r\n\r\n',
  ]
  const types = [
    'application/x-www-form-urlencoded',
    'application/json',
    'multipart/form-data; boundary=x',
    'x',
  ]
  for (const [engine, lenient] of engines) {
    const edge = await startEdge(t, {
      script: ({ socket, head, body }) => {
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
        void until(() => body().length >= length).then(() => socket.write(OK))
      },
    })
    shop(edge, lenient)
    for (const [n, body] of bodies.entries()) {
      const head = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Type: ${types[n]}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`
      t.equal((await exchange(edge.port, head + body)).status, 200)
      t.equal(edge.upstream.requests.at(-1)?.body(), body, `${types[n]} by ${engine}`)
    }
    t.equal(edge.upstream.requests.length, bodies.length)
  }
})

// Three thousand fields made the WebSocket server read a header that Node had dropped; an expression took minutes for a
// protocol list; a close's bytes were not the peer's; fragments of one byte cost a hundred each.
t.test('ws CVE-2024-37890, CVE-2021-32640, 8.20.1, 8.21.0: hostile handshakes and frames', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const places = [
    [HOST, '/', `Cookie: ${edge.cookie('alice', route)}`, originOf('shop')],
    [
      'localhost:8090',
      '/api/v1/events',
      `Cookie: postern_session=${edge.control.session('alice')}`,
      'Origin: http://localhost:8090',
    ],
  ] as const
  for (const [host, path, cookie, origin] of places) {
    const many = Array.from({ length: 3000 }, (_, n) => `a${n}: b`)
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host, path, headers: [cookie, origin, ...many] }))
    await client.received(/^HTTP\/1\.1 431 /)
    client.socket.destroy()
    const beganMs = performance.now()
    const blanks = await rawClient(edge.port)
    blanks.send(
      webSocketBytes({
        host,
        path,
        headers: [cookie, origin, `Sec-WebSocket-Protocol: a${' '.repeat(12_000)}b`],
      }),
    )
    await blanks.received(/^HTTP\/1\.1 \d{3} /)
    blanks.socket.destroy()
    t.ok(performance.now() - beganMs < 5000, 'no expression takes its time')
  }
  t.equal((await ask(edge.port, { host: 'localhost:8090', path: '/healthz' })).status, 200)
  const version = (createRequire(import.meta.url)('ws/package.json') as { version: string }).version
    .split('.')
    .map(Number)
  t.ok((version[0] ?? 0) > 8 || (version[0] === 8 && (version[1] ?? 0) >= 21), `ws ${version.join('.')}`)
})

// `Content-Length` and `content-length`, both sent, both passed on: two readers, two lengths.
t.test('undici CVE-2026-1525: two lengths in any case are refused', async (t) => {
  for (const [engine, lenient] of engines) {
    const edge = await startEdge(t)
    shop(edge, lenient)
    for (const second of ['content-length: 1', 'CONTENT-LENGTH: 0', 'Content-Length: 1', 'content-length: 2'])
      t.equal(
        (
          await exchange(
            edge.port,
            `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 1\r\n${second}\r\nConnection: close\r\n\r\nx`,
          )
        ).status,
        400,
        `${second} by ${engine}`,
      )
    t.same(edge.upstream.requests, [])
  }
})

// Interceptors that unpack answers had no end to their chain; one that joins requests of a kind kept them all; the
// library's own WebSocket believed any window. None of them is used here.
t.test(
  'undici CVE-2026-22036, CVE-2026-2229, CVE-2026-2581: nothing of that is in the data path',
  async (t) => {
    const files = sourceFiles(/^(gateway|agent|control)\/.*\.ts$/)
    const used =
      /\binterceptors?\b|\.compose\(|\bEventSource\b|new WebSocket\(.*undici|createDecompress|zlib|BrotliDecompress|Gunzip/
    t.same(
      files
        .filter(({ path, text }) => path.startsWith('gateway/') && used.test(withoutComments(text)))
        .map(({ path }) => path),
      [],
    )
    t.same(
      files
        .filter(({ text }) => /import[^;]*\b(WebSocket|interceptors)\b[^;]*from 'undici'/.test(text))
        .map(({ path }) => path),
      [],
    )
    // An answer in a coding passes as it is, however often it says that it was packed.
    for (const [engine, lenient] of engines) {
      const coding = Array.from({ length: 500 }, () => 'gzip').join(', ')
      const edge = await startEdge(t, {
        script: always(`HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: 3\r\n\r\nbad`),
      })
      shop(edge, lenient)
      const answer = await ask(edge.port, { host: HOST })
      t.match([answer.status, answer.body, answer.field('content-encoding')], [200, 'bad', coding], engine)
    }
  },
)

// A second answer that an upstream wrote on an idle connection was given to the next visitor who got that connection.
t.test('Node CVE-2026-48931: an answer too many is nobody’s', async (t) => {
  for (const [engine, lenient] of engines) {
    const edge = await startEdge(t, {
      script: ({ head, socket }) => {
        const mine = `mine ${/path-(\d+)/.exec(head)?.[1]}`
        const answer = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        socket.write(answer(mine), () => socket.write(answer('poison')))
      },
    })
    shop(edge, lenient)
    for (let n = 0; n < 20; n++)
      t.equal((await ask(edge.port, { host: HOST, path: `/path-${n}` })).body, `mine ${n}`, engine)
  }
})

// `__proto__: x` threw in `headersDistinct`; a name that no certificate fits threw in the SNI callback; window updates and
// sessions after GOAWAY were kept.
t.test(
  'Node CVE-2026-21710, CVE-2026-21637, CVE-2026-21714, CVE-2026-48937: its own parser’s traps',
  async (t) => {
    const edge = await startTlsEdge(t)
    edge.workspace('shop', {}, 'public')
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'prototype']
    for (const host of ['shop.ws.test', 'postern.test'])
      for (const path of ['/', '/api/v1/me']) {
        const headers = names.map((name) => `${name}: x`)
        t.equal((await ask(edge.port, { host, path, headers })).status, 200, `${host}${path}`)
      }
    for (const servername of [
      'x',
      'a.b.c.d.e',
      'nix.ws.test',
      'xn--',
      `${'a'.repeat(60)}.${'b'.repeat(60)}`,
      '_.ws.test',
      '__proto__',
    ]) {
      const socket = connectTls({
        port: edge.tlsPort,
        host: '127.0.0.1',
        servername,
        rejectUnauthorized: false,
      })
      socket.on('error', () => undefined)
      await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')])
      socket.destroy()
    }
    const session = await edge.http2('postern.test')
    session.goaway()
    session.destroy()
    t.equal((await ask(edge.port, { host: 'shop.ws.test' })).status, 200, 'it goes on')
    const files = sourceFiles(/^(gateway|control|agent)\/.*\.ts$/)
    t.same(
      files
        .filter(({ text }) => /headersDistinct|trailersDistinct/.test(withoutComments(text)))
        .map(({ path }) => path),
      [],
    )
    const engine = (JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } }).engines
      .node
    t.match(engine, /20/)
  },
)

// The handler of upgrades had no part of what the handler of requests checks: routes that were private opened by `Upgrade`.
t.test('Next.js GHSA-c4j6-fc7j-m34r: an Upgrade is asked what a request is', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const shopRoute = edge.workspace('shop')
  edge.workspace('members', {}, 'members')
  edge.workspace('stopped', { phase: 'stopped' }, 'public')
  edge.workspace('trashed', { phase: 'trashed' }, 'public')
  const child = (label: string) => edge.cookie('alice', shopRoute, label)
  const denials: readonly (readonly [host: string, path: string, headers: readonly string[]])[] = [
    ['shop.ws.localhost', '/', []],
    ['shop.ws.localhost', '/', ['X-Postern-Token: pst_wrongwrongwrongwrong']],
    ['shop.ws.localhost', '/', [`X-Postern-Token: ${edge.control.token('bob', ['connect'])}`]],
    ['shop.ws.localhost', '/', [`X-Postern-Token: ${edge.control.token('root', ['connect'])}`]],
    ['shop.ws.localhost', '/', [`X-Postern-Token: ${edge.control.token('alice', ['workspaces:read'])}`]],
    ['shop.ws.localhost', '/', [`Cookie: ${child('shop-3000')}`, originOf('shop')]],
    ['shop.ws.localhost', '/', [`Cookie: ${child('shop')}`, originOf('evil')]],
    ['members.ws.localhost', '/', []],
    ['stopped.ws.localhost', '/', []],
    ['trashed.ws.localhost', '/', []],
    ['nix.ws.localhost', '/', []],
    ['shop.ws.localhost', '/.postern/x', [`Cookie: ${child('shop')}`, originOf('shop')]],
    ['evil.example', '/', []],
    ['shop-0.ws.localhost', '/', []],
    ['shop.ws.localhost', '/a#b', []],
    [
      'localhost:8090',
      '/api/v1/events',
      [`Cookie: postern_session=${edge.control.session('alice')}`, originOf('evil')],
    ],
  ]
  const [http, upgrade] = doorsAt(edge)
  for (const [host, path, headers] of denials) {
    const [plain, socket] = [
      await http?.try({ host, path, headers: ['Accept: */*', ...headers] }),
      await upgrade?.try({ host, path, headers: ['Accept: */*', ...headers] }),
    ]
    t.notOk(isYes(plain?.status ?? 200), `${host}${path} by HTTP: ${plain?.status}`)
    t.equal(socket?.status, plain?.status, `${host}${path} ${headers.join(' ')}`)
  }
  t.same(edge.upstream.requests, [])
  t.same(edge.appCalls, [])
  const asUpgradeOf = ['h2c', 'websocket, h2c', 'WebSocket', 'x', '']
  for (const value of asUpgradeOf) {
    const headers = ['Connection: Upgrade, close', `Upgrade: ${value}`, 'Accept: */*']
    t.equal((await ask(edge.port, { host: 'shop.ws.localhost', headers })).status, 401, `Upgrade: ${value}`)
  }
})
