// The same requests by HTTP/1.1 and by HTTP/2 to one edge, by both engines: the same bytes at the program, the same answer to the visitor.
import type { ClientHttp2Session } from 'node:http2'
import t from 'tap'
import { portDefaults } from '../../control/wire/index.ts'
import { parseAnswer, rawClient, type Script, type SeenRequest } from '../support/gateway-bytes.ts'
import { readAnswer2 } from '../support/http2-answer.ts'
import { startTlsEdge, type TlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

type Pair = readonly [string, string]
interface Asked {
  readonly name: string
  readonly method?: string
  readonly path?: string
  /** The workspace's own unless given. */
  readonly host?: string
  readonly fields?: readonly Pair[]
  readonly body?: string
  /** What the program says; `ok` unless given. */
  readonly says?: string
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const says = (fields: string, body = 'ok', line = '200 OK'): string =>
  `HTTP/1.1 ${line}\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`

const asked: readonly Asked[] = [
  {
    name: 'who it claims to be',
    fields: [
      ['x-postern-user', 'root'],
      ['x_postern_user', 'root'],
      ['x.postern.groups', 'admins'],
      ['x-postern-assertion', 'e30.e30.x'],
      ['x-forwarded-for', '6.6.6.6'],
      ['x_forwarded_for', '6.6.6.6'],
      ['x-forwarded-host', 'evil'],
      ['x-forwarded-proto', 'http'],
      ['forwarded', 'for=6.6.6.6'],
      ['x-real-ip', '6.6.6.6'],
      ['cf-connecting-ip', '6.6.6.6'],
      ['true-client-ip', '6.6.6.6'],
      ['remote-user', 'root'],
      ['x-original-url', '/admin'],
      ['x-auth-request-user', 'root'],
      ['content_length', '5'],
      ['transfer_encoding', 'chunked'],
      ['x-kept', '1'],
      ['x-kept', '2'],
    ],
  },
  {
    name: 'credentials',
    fields: [
      ['authorization', 'Basic YTpi'],
      ['cookie', 'a=1; postern_workspace=x; __Host-postern_session=y; b=2'],
      ['proxy-authorization', 'Basic YTpi'],
      ['sec-websocket-protocol', 'postern.token.pst_aaaaaaaaaaaaaaaaaaaa, chat'],
    ],
  },
  { name: 'a token of ours that is none', fields: [['authorization', `Bearer pst_${'a'.repeat(20)}`]] },
  { name: 'a token in its own field', fields: [['x-postern-token', `pst_${'a'.repeat(20)}`]] },
  {
    name: 'odd fields',
    fields: [
      ['x-empty', ''],
      ['x-latin', 'caf\xe9'],
      ['__proto__', 'a'],
      ['constructor', 'b'],
      ['x!#$%&*+.^_`|~', 'c'],
      ['range', 'bytes=0-1'],
      ['if-none-match', 'W/"x"'],
    ],
  },
  { name: 'a loop', fields: [['via', '1.1 postern, 1.1 postern, 1.1 postern, 2.0 postern']] },
  { name: 'too many fields', fields: Array.from({ length: 520 }, (_, i): Pair => [`x-${i}`, '']) },
  { name: 'another expectation', fields: [['expect', 'tea']], method: 'POST', body: 'x' },
  { name: 'a body of known length', method: 'POST', body: 'hello', fields: [['content-length', '5']] },
  { name: 'a body of length nought', method: 'POST', body: '', fields: [['content-length', '0']] },
  { name: 'DELETE with a body', method: 'DELETE', body: 'hello', fields: [['content-length', '5']] },
  ...['//a//b', '/%2F%2e%2E/', '/a?b=/c?d', "/a;b@c'(d)", '/a|b^c`{d}"<e>', '/api/v1/x'].map(
    (path): Asked => ({ name: `target ${path}`, path }),
  ),
  ...['/a#b', '/a\\b', '/a%', '/.postern/x'].map((path): Asked => ({ name: `target ${path}`, path })),
  ...['HEAD', 'OPTIONS', 'TRACE', 'PURGE', 'PROPFIND'].map((method): Asked => ({
    name: method,
    method,
    says: method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n' : OK,
  })),
  ...[
    'SHOP.WS.TEST',
    'shop.ws.test.',
    'shop.ws.test:443',
    'evil.example',
    'shop-0.ws.test',
    'no.ws.test',
  ].map((host): Asked => ({ name: `host ${host}`, host })),
  {
    name: 'an answer of many fields',
    says: says(
      'Set-Cookie: a=1; Domain=ws.test; Path=/\r\nSet-Cookie: __Host-postern_session=evil\r\nSet-Cookie: b=2\r\nX-Accel-Redirect: /etc\r\nX-Postern-User: root\r\nVary: a\r\nVary: b\r\nX-A: 1\r\nX-A: 2\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nX-Latin: caf\xe9\r\n__proto__: 1\r\nLocation: http://localhost/x\r\n',
    ),
  },
  { name: 'a line of its own', says: says('', 'gone', '410 Gone Fishing') },
  { name: '204', says: 'HTTP/1.1 204 No Content\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n' },
  { name: '304', says: 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n' },
  {
    name: 'events',
    says: 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  },
  {
    name: 'trailers for nobody',
    says: 'HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n',
  },
  { name: 'a coding', says: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n' },
  { name: 'two lengths', says: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok' },
  { name: 'no HTTP', says: 'hello\r\n\r\n' },
  { name: 'a control byte', says: says('X-A: a\x7fb\r\n') },
]

/** What differs by right: names' case, the version in Via, an id, the order in which the edge adds its own. */
const normal = (lines: readonly string[]): string[] =>
  lines
    .map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase()))
    .map((line) => line.replace(/^(via: )(?:1\.1|2\.0) postern$/, '$1postern'))
    .map((line) => line.replace(/^(x-request-id: ).*/, '$1id'))
    .filter((line) => !/^(connection|date|transfer-encoding|keep-alive):/.test(line))
    .sort()

const HOST = 'shop.ws.test'

function shownRequests(requests: readonly SeenRequest[]): unknown {
  return requests.map(({ head, fields, body }) => [head.split('\r\n')[0], normal(fields), body()])
}

/** The edge's own answers name their request. */
const shownBody = (text: string): string => text.replace(/"requestId":"[^"]*"/, '"requestId":"id"')

async function byHttp1(edge: TlsEdge, host: string, one: Asked) {
  const client = await rawClient(edge.port)
  const lines = (one.fields ?? []).map(([name, value]) => `${name}: ${value}\r\n`).join('')
  client.send(
    `${one.method ?? 'GET'} ${one.path ?? '/'} HTTP/1.1\r\nHost: ${host}\r\n${lines}Connection: close\r\n\r\n${one.body ?? ''}`,
  )
  await client.closed()
  const answer = parseAnswer(client.text())
  const isChunked = answer.all('transfer-encoding').length > 0
  const body = isChunked ? answer.body.replace(/^2\r\n(ok)\r\n0\r\n\r\n$/, '$1') : answer.body
  return [answer.status, normal(answer.fields), shownBody(body)]
}

async function byHttp2(session: ClientHttp2Session, host: string, one: Asked) {
  const headers: Record<string, string | string[]> = Object.create(null) as Record<string, string[]>
  for (const [name, value] of one.fields ?? [])
    headers[name] = name in headers ? [headers[name] ?? '', value].flat() : value
  const stream = session.request(
    { ':method': one.method ?? 'GET', ':path': one.path ?? '/', ':authority': host, ...headers },
    { endStream: one.body === undefined },
  )
  const raw = new Promise<readonly string[]>((resolve) =>
    stream.on('response', (_fields, _flags, rawFields?: readonly string[]) => resolve(rawFields ?? [])),
  )
  const read = readAnswer2(stream)
  if (one.body !== undefined) stream.end(one.body)
  const answer = await read
  const flat = answer.status === 0 ? [] : await raw
  const lines: string[] = []
  for (let i = 0; i + 1 < flat.length; i += 2)
    if (!(flat[i] as string).startsWith(':')) lines.push(`${flat[i]}: ${flat[i + 1]}`)
  return [answer.status, normal(lines), shownBody(answer.body)]
}

for (const lenient of [false, true])
  t.test(`alike, lenient ${lenient}`, async (t) => {
    let answer = OK
    const script: Script = ({ socket }) => void socket.write(answer, 'latin1')
    const edge = await startTlsEdge(t, { script })
    const ports = [{ ...portDefaults, port: edge.upstream.port, visibility: 'public' as const, lenient }]
    edge.workspace('shop', { ports })
    const session = await edge.http2(HOST)
    for (const one of asked) {
      answer = one.says ?? OK
      const host = one.host ?? HOST
      const { requests } = edge.upstream
      const begun = requests.length
      const first = await byHttp1(edge, host, one)
      const middle = requests.length
      const second = await byHttp2(session, host, one)
      t.same(second, first, `${one.name}: the answer`)
      await until(() => requests.length - middle === middle - begun || requests.length > middle + 1)
      t.same(
        shownRequests(requests.slice(middle)),
        shownRequests(requests.slice(begun, middle)),
        `${one.name}: the request`,
      )
    }
    t.same(edge.log.lines, [])
  })
