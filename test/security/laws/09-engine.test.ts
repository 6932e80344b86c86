// Law 9: the engine is undici's dispatch, and http-proxy where a port is lenient; the old library's holes stay shut, and trailers are dropped or passed as written down.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { portDefaults } from '../../../control/wire/index.ts'
import { ask, exchange, OK, rawClient, webSocketBytes } from '../../support/gateway-bytes.ts'
import { type EdgeUnderTest, startEdge } from '../../support/gateway-edge.ts'
import { until } from '../../support/until.ts'

/** A public workspace `shop`. */
function shop(edge: EdgeUnderTest, lenient: boolean): void {
  const { port } = edge.upstream
  edge.workspace('shop', { ports: [{ ...portDefaults, port, visibility: 'public', lenient }] })
}

t.test('a chunked DELETE or OPTIONS is one request, whatever is in its body', async (t) => {
  for (const [method, lenient] of ['DELETE', 'OPTIONS', 'GET'].flatMap((one) => [
    [one, false] as const,
    [one, true] as const,
  ])) {
    const edge = await startEdge(t, {
      script: ({ socket, body }) =>
        void until(() => body().endsWith('0\r\n\r\n')).then(() => socket.write(OK)),
    })
    shop(edge, lenient)
    const inner = 'GET /admin HTTP/1.1\r\nHost: x\r\n\r\n'
    const answer = await exchange(
      edge.port,
      `${method} / HTTP/1.1\r\nHost: shop.ws.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nConnection: close\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\nX-T: 1\r\n\r\n`,
    )
    t.equal(answer.status, 200, method)
    t.equal(edge.upstream.requests.length, 1, method)
    t.equal(
      edge.upstream.requests[0]?.body(),
      `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
      'trailers are dropped',
    )
    t.notMatch(edge.upstream.requests[0]?.head, /trailer/i)
  }
})

for (const lenient of [false, true])
  t.test(
    `control bytes and broken trailers of an app end its answer, not the process${lenient ? ', lenient' : ''}`,
    async (t) => {
      const edge = await startEdge(t, {
        script: ({ head, socket }) => {
          if (head.includes('/byte'))
            socket.write('HTTP/1.1 200 OK\r\nX: a\x07b\r\nContent-Length: 0\r\n\r\n')
          else if (head.includes('/coded'))
            socket.write(
              'HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: gzip\r\n\r\n',
            )
          else if (head.includes('/phrase'))
            socket.write('HTTP/1.1 200 \x1b[31mred\r\nContent-Length: 2\r\n\r\nok')
          else if (head.includes('/trailer'))
            socket.write(
              'HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: postern_session=evil\r\n\r\n',
            )
          else socket.write(OK)
        },
      })
      shop(edge, lenient)
      const get = (path: string, headers: string[] = []) =>
        ask(edge.port, { host: 'shop.ws.localhost', path, headers })
      const byte = await get('/byte')
      t.equal(byte.status, lenient ? 200 : 502)
      t.notMatch(byte.head, /\x07/)
      const phrase = await get('/phrase')
      t.notMatch(phrase.head, /\x1b/)
      t.match((await get('/trailer', ['TE: trailers'])).body, /0\r\nX-T: 1\r\n\r\n$/)
      t.match((await get('/trailer')).body, /ok\r\n0\r\n\r\n$/, 'nobody asked for trailers')
      const coded = await rawClient(edge.port)
      coded.send(webSocketBytes({ host: 'shop.ws.localhost', path: '/coded', headers: [] }))
      await coded.received(/^HTTP\/1\.1 502/)
      coded.socket.destroy()
      t.equal((await get('/')).status, 200)
      t.same(edge.log.lines, [])
    },
  )

/** Each other engine, and the only file that may know it. */
const known: readonly [pattern: RegExp, file: string][] = [
  [/from 'http-proxy'/, 'proxy/http-proxy.ts'],
  [/insecureHTTPParser: true/, 'proxy/compat.ts'],
  // Neither of these moves a workspace's bytes: facts come in by the one, the dashboard's requests leave by the other.
  [/from 'ws'/, 'replica/link.ts'],
  [/import \{[^}]*\b(?:request|get|Agent)\b[^}]*\} from 'node:https'/, 'replica/pass-on.ts'],
]

t.test('no other engine is in the data path', (t) => {
  const files = readdirSync('gateway', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  for (const [pattern, file] of known)
    t.same(
      files.filter((name) => pattern.test(readFileSync(`gateway/${name}`, 'utf8'))),
      [file],
      String(pattern),
    )
  t.end()
})
