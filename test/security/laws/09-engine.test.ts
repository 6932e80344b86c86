// Law 9: the engine is undici's dispatch; the old proxy library's holes stay shut, and trailers are dropped or passed as written down.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { ask, exchange, OK } from '../../support/gateway-bytes.ts'
import { startEdge } from '../../support/gateway-edge.ts'
import { until } from '../../support/until.ts'

t.test('a chunked DELETE or OPTIONS is one request, whatever is in its body', async (t) => {
  for (const method of ['DELETE', 'OPTIONS', 'GET']) {
    const edge = await startEdge(t, {
      script: ({ socket, body }) =>
        void until(() => body().endsWith('0\r\n\r\n')).then(() => socket.write(OK)),
    })
    edge.workspace('shop', {}, 'public')
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

t.test('control bytes and broken trailers of an app end its answer, not the process', async (t) => {
  const edge = await startEdge(t, {
    script: ({ head, socket }) => {
      if (head.includes('/byte')) socket.write('HTTP/1.1 200 OK\r\nX: a\x07b\r\nContent-Length: 0\r\n\r\n')
      else if (head.includes('/phrase'))
        socket.write('HTTP/1.1 200 \x1b[31mred\r\nContent-Length: 2\r\n\r\nok')
      else if (head.includes('/trailer'))
        socket.write(
          'HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: postern_session=evil\r\n\r\n',
        )
      else socket.write(OK)
    },
  })
  edge.workspace('shop', {}, 'public')
  const get = (path: string, headers: string[] = []) =>
    ask(edge.port, { host: 'shop.ws.localhost', path, headers })
  t.equal((await get('/byte')).status, 502)
  const phrase = await get('/phrase')
  t.notMatch(phrase.head, /\x1b/)
  t.match((await get('/trailer', ['TE: trailers'])).body, /0\r\nX-T: 1\r\n\r\n$/)
  t.match((await get('/trailer')).body, /ok\r\n0\r\n\r\n$/, 'nobody asked for trailers')
  t.equal((await get('/')).status, 200)
  t.same(edge.log.lines, [])
})

t.test('no other engine is in the data path', (t) => {
  const files = readdirSync('gateway', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  for (const name of files)
    t.notMatch(
      readFileSync(`gateway/${name}`, 'utf8'),
      /from '(?:http-proxy|ws)'|import \{[^}]*\b(?:request|get|Agent)\b[^}]*\} from 'node:https'|insecureHTTPParser: true/,
      name,
    )
  t.end()
})
