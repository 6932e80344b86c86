// HTTP/2 to the visitor: the same decisions and the same bytes at the upstream as by HTTP/1.1, each stream on its own.
import t from 'tap'
import { type Script } from '../support/gateway-bytes.ts'
import { ask2, startTlsEdge } from '../support/tls-edge.ts'

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
