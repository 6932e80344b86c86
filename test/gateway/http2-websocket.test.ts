// WebSockets over HTTP/2 (RFC 8441), where they are turned on: the program sees an upgrade of HTTP/1.1, the laws hold.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type ClientHttp2Session, constants } from 'node:http2'
import t from 'tap'
import { OK, type Script } from '../support/gateway-bytes.ts'
import { hashOf } from '../support/gateway-control.ts'
import { ask2, readAnswer2 } from '../support/http2-answer.ts'
import { launch, noBrowser } from '../support/product-browser.ts'
import { startTlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.test'
const origin = `https://${HOST}`

function acceptOf(head: string): string {
  const key = /\r\nsec-websocket-key: (\S+)/i.exec(head)?.[1] ?? ''
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
const accepted = (accept: string): string =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: chat\r\nX-App: 1\r\n\r\n`

/** Accepts, says `early` at once and echoes; other paths do what they are named for. */
const program: Script = ({ head, socket }) => {
  const path = head.split(' ')[1]
  if (!/\r\nupgrade: websocket/i.test(head)) return void socket.write(OK)
  if (path === '/wrong') return void socket.write(accepted('s3pPLMBiTxaQ9kYGzzhZRbK+xOo='))
  if (path === '/refused') return void socket.write('HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno')
  socket.write(`${accepted(acceptOf(head))}early `)
  socket.on('data', (chunk: string) => void socket.write(chunk, 'latin1'))
}

const ask = (session: ClientHttp2Session, fields: Readonly<Record<string, string>>) =>
  session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':authority': HOST,
      ':path': '/ws',
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'chat',
      ...fields,
    },
    { endStream: false },
  )

t.test('it is an upgrade for the program, bytes both ways, and ends with the right to it', async (t) => {
  const edge = await startTlsEdge(t, { http2: 'websockets', script: program })
  const route = edge.workspace('shop')
  const session = await edge.http2(HOST)
  if (session.remoteSettings.enableConnectProtocol !== true) await once(session, 'remoteSettings')
  t.equal(session.remoteSettings.enableConnectProtocol, true)
  const parent = edge.control.session('alice')
  const cookie = `__Host-postern_workspace=${edge.control.child(parent, route.workspaceId, 'shop')}`
  const stream = ask(session, { cookie, origin, 'sec-websocket-key': 'of no meaning here' })
  let text = ''
  stream.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  stream.on('error', () => undefined)
  const [head] = (await once(stream, 'response')) as [Record<string, unknown>]
  t.match(head, { ':status': 200, 'sec-websocket-protocol': 'chat', 'x-app': '1' })
  for (const gone of ['upgrade', 'connection', 'sec-websocket-accept']) t.notOk(gone in head, gone)
  const big = 'x'.repeat(300_000)
  stream.write(`hello ${big}`)
  await until(() => text.length === 'early hello '.length + big.length, { what: 'the echo' })
  t.ok(text.startsWith('early hello xxx'))
  const [seen] = edge.upstream.requests
  const fields = seen?.fields.map((line) => line.toLowerCase()) ?? []
  t.equal(seen?.head.split('\r\n')[0], 'GET /ws HTTP/1.1')
  for (const line of [
    'upgrade: websocket',
    'sec-websocket-version: 13',
    `origin: ${origin}`,
    'via: 2.0 postern',
  ])
    t.ok(fields.includes(line), line)
  t.equal(fields.filter((line) => line.startsWith('sec-websocket-key:')).length, 1)
  t.notOk(fields.some((line) => line.startsWith('cookie') || line.startsWith(':')))
  const other = ask(session, { cookie: edge.cookie('alice', route), origin })
  other.on('error', () => undefined)
  await once(other, 'response')
  await edge.control.signOut(hashOf(parent))
  await until(() => stream.closed)
  t.not(stream.rstCode, constants.NGHTTP2_NO_ERROR)
  t.notOk(other.closed, 'another session’s goes on')
  other.end()
  await until(() => edge.upstream.requests.every(({ socket }) => socket.destroyed), { what: 'both ends' })
  t.same(edge.log.lines, [])
})

t.test('refused as elsewhere: no session, a wrong Origin, another’s, a program that says no', async (t) => {
  const edge = await startTlsEdge(t, { http2: 'websockets', script: program })
  const route = edge.workspace('shop')
  edge.workspace('theirs', { ownerId: 'bob' })
  const session = await edge.http2(HOST)
  const cookie = edge.cookie('alice', route)
  const cases: [string, Record<string, string>, number][] = [
    ['nobody', { origin }, 401],
    ['another site', { cookie, origin: 'https://evil.ws.test' }, 403],
    ['no Origin', { cookie }, 403],
    ['another’s', { cookie, ':authority': 'theirs.ws.test', origin: 'https://theirs.ws.test' }, 401],
    ['nowhere of ours', { cookie, ':authority': 'x.example' }, 421],
    ['an own path', { cookie, origin, ':path': '/.postern/callback' }, 404],
    ['another protocol', { cookie, origin, ':protocol': 'connect-udp' }, 405],
    ['a program that refuses', { cookie, origin, ':path': '/refused' }, 409],
    ['a program that accepts another key', { cookie, origin, ':path': '/wrong' }, 502],
  ]
  for (const [what, fields, status] of cases)
    t.equal((await readAnswer2(ask(session, fields))).status, status, what)
  t.equal((await ask2(session, { ':authority': HOST, cookie })).status, 200, 'the connection goes on')
  t.same(edge.log.lines, [])
})

t.test('the dashboard’s own sockets too', async (t) => {
  const edge = await startTlsEdge(t, { http2: 'websockets' })
  const session = await edge.http2()
  const cookie = `__Host-postern_session=${edge.control.session('alice')}`
  const fields = {
    ':authority': 'postern.test',
    ':path': '/api/v1/events',
    origin: 'https://postern.test',
    cookie,
  }
  const stream = ask(session, fields)
  let text = ''
  stream.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  stream.on('error', () => undefined)
  const [head] = (await once(stream, 'response')) as [Record<string, unknown>]
  t.equal(head[':status'], 200)
  await until(() => text.includes('hello'))
  t.same(edge.appCalls, ['UPGRADE /api/v1/events alice'])
  stream.close(constants.NGHTTP2_CANCEL)
})

t.test('off by default: not offered, and not taken', async (t) => {
  const edge = await startTlsEdge(t, { script: program })
  edge.workspace('shop', {}, 'public')
  const session = await edge.http2(HOST)
  await ask2(session, { ':authority': HOST })
  t.not(session.remoteSettings.enableConnectProtocol, true)
})

const missing = (await noBrowser()) ?? false
t.test('a browser does so', { skip: missing, timeout: 60_000 }, async (t) => {
  const edge = await startTlsEdge(t, {
    http2: 'websockets',
    script(request, nth) {
      if (/upgrade: websocket/i.test(request.head)) return program(request, nth)
      request.socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\npage')
    },
  })
  edge.workspace('shop', {}, 'public')
  const browser = await launch(['--host-resolver-rules=MAP *.test 127.0.0.1'])
  t.teardown(() => browser.close())
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage()
  await page.goto(`https://${HOST}:${edge.tlsPort}/`)
  // The program’s first bytes are no frame: what counts is how the request came.
  await page.evaluate("void new WebSocket('wss://' + location.host + '/ws', 'chat')")
  const request = await until(() =>
    edge.upstream.requests.find(({ head }) => /upgrade: websocket/i.test(head)),
  )
  t.match(request.head, /\r\nVia: 2\.0 postern/)
})
