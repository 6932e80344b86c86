// What costs its sender little and must not cost the edge much: answers that never come, names without end, upgrades out of turn.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { type AddressInfo, connect, createServer } from 'node:net'
import t from 'tap'
import { portDefaults } from '../../control/wire/index.ts'
import { placeFor } from '../../gateway/place.ts'
import type { Edge } from '../../gateway/edge.ts'
import { type Http2Handlers, Http2Sessions } from '../../gateway/http2/server.ts'
import { siteOf } from '../../gateway/host/site.ts'
import { ask, OK, rawClient, requestBytes, type Script } from '../support/gateway-bytes.ts'
import { startEdge } from '../support/gateway-edge.ts'
import { Frame, frame, framesOf, PREFACE, requestHead, resetFrame } from '../support/http2-frames.ts'
import { ask2 } from '../support/http2-answer.ts'
import { memoryAccessLog, metric } from '../support/seen-edge.ts'
import { startTlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.localhost:8090'
const HINT = `HTTP/1.1 103 Early Hints\r\nLink: </${'a'.repeat(8000)}>; rel=preload\r\n\r\n`
const PROCESSING = 'HTTP/1.1 102 Processing\r\n\r\n'

/** Says the same again for as long as it is read; `written` is what it got rid of, in bytes. */
function endless(): { script: Script; written: number } {
  const flood = {
    written: 0,
    script: (({ head, socket }) => {
      if (!head.includes(' /flood')) return void socket.write(OK)
      const piece = (head.includes('/flood-hints') ? HINT : PROCESSING).repeat(20)
      const more = (): void => {
        if (socket.destroyed) return
        flood.written += piece.length
        if (socket.write(piece)) setImmediate(more)
        else socket.once('drain', more)
      }
      more()
    }) satisfies Script,
  }
  return flood
}

/** Far less than a flood is, more than lies in the buffers of sockets. */
const FLOOD_BYTES = 64 << 20

for (const lenient of [false, true])
  for (const path of ['/flood-hints', '/flood-processing'])
    t.test(`an app that never comes to its answer: ${path}, lenient ${lenient}`, async (t) => {
      const flood = endless()
      const edge = await startEdge(t, { script: flood.script })
      const ports = [{ ...portDefaults, port: edge.upstream.port, visibility: 'public' as const, lenient }]
      edge.workspace('shop', { ports })
      // It reads nothing, so that whatever is passed on stays in the edge.
      const client = await rawClient(edge.port)
      client.socket.pause()
      client.send(requestBytes({ host: HOST, path, headers: ['Connection: keep-alive'] }))
      await until(() => flood.written > 0 && edge.upstream.open() === 0, {
        what: 'the end of the flood',
        timeoutMs: 20_000,
      })
      t.ok(flood.written < FLOOD_BYTES, `${flood.written} bytes were taken`)
      client.socket.resume()
      await client.received(/HTTP\/1\.1 502 /)
      t.match(client.text(), /upstream_bad_answer/)
      t.ok(client.text().split(' 103 ').length <= 11, 'few hints are passed on')
      client.socket.destroy()
      t.same(edge.log.lines, [])
    })

t.test('the same over HTTP/2', async (t) => {
  const flood = endless()
  const edge = await startTlsEdge(t, { script: flood.script })
  edge.workspace('shop', {}, 'public')
  const session = await edge.http2('shop.ws.test')
  const answer = await ask2(session, { ':authority': 'shop.ws.test', ':path': '/flood-hints' })
  t.match(answer, { status: 502, reset: 0 })
  t.ok(answer.hints.length <= 10)
  await until(() => edge.upstream.open() === 0)
  t.ok(flood.written < FLOOD_BYTES)
})

t.test('hosts that are nobody’s are not remembered, however many come', (t) => {
  const site = siteOf('http://localhost:8090', 'ws.localhost')
  const edge = { site } as Edge
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 6000; i++) {
    const host = Buffer.alloc(30_000, 'h').toString('latin1') + String(i)
    placeFor(edge, host)
  }
  t.equal(placeFor(edge, 'h'.repeat(30_000)).kind, 'elsewhere')
  const grown = process.memoryUsage().heapUsed - before
  t.ok(grown < 120e6, `${Math.round(grown / 1e6)} MB of 180 are held`)
  const known = placeFor(edge, 'shop.ws.localhost')
  t.equal(placeFor(edge, 'shop.ws.localhost'), known, 'ours are')
  t.end()
})

t.test('metrics grow no lines, whatever names, words and paths come', async (t) => {
  const edge = await startTlsEdge(t)
  edge.workspace('shop', {}, 'public')
  const lines = async (): Promise<number> =>
    (await ask(edge.authzPort, { host: 'x', path: '/metrics' })).body.split('\n').length
  const round = async (from: number): Promise<void> => {
    const session = await edge.http2('shop.ws.test')
    const client = await rawClient(edge.port)
    for (let i = from; i < from + 200; i++) {
      const host = i % 4 === 0 ? 'shop.ws.test' : i % 4 === 1 ? `x${i}.ws.test` : `${i}.example`
      client.send(requestBytes({ host, path: `/${i}"\\`, headers: ['Connection: keep-alive'] }))
      await ask2(session, { ':authority': host, ':path': `/${i}`, ':method': `M${i}` })
    }
    await until(() => client.text().split('HTTP/1.1 ').length === 201, { what: 'an answer to each' })
    client.socket.destroy()
  }
  await round(0)
  const before = await lines()
  await round(1000)
  t.equal(await lines(), before)
})

t.test('what asks to leave HTTP before its turn ends its connection, and is no error of ours', async (t) => {
  const edge = await startEdge(t, {
    script: ({ head, socket }) => void (head.includes(' /held') || socket.write(OK)),
  })
  edge.workspace('shop', {}, 'public')
  const open = 'Connection: keep-alive'
  const held = requestBytes({ host: HOST, path: '/held', headers: [open] })
  for (const last of [
    requestBytes({ host: HOST, path: '/c', headers: ['Connection: Upgrade', 'Upgrade: h2c'] }),
    requestBytes({ host: HOST, path: '/c', headers: ['Connection: Upgrade', 'Upgrade: websocket'] }),
    requestBytes({ host: HOST, path: 'a:1', method: 'CONNECT', headers: [open] }),
  ]) {
    const before = edge.upstream.requests.length
    const client = await rawClient(edge.port)
    client.send(held.repeat(2))
    await until(() => edge.upstream.requests.length === before + 2, { what: 'both at the app' })
    client.send(last)
    await client.closed()
    t.equal(client.text(), '')
    await until(() => edge.upstream.open() === 0, { what: 'their connections to the app to end' })
  }
  t.notMatch(edge.upstream.bytes(), / \/c /)
  const cause = 'postern_gateway_connections_refused_total{cause="upgrade_out_of_turn"}'
  t.equal(await metric(edge, cause), 3)
  t.same(edge.log.lines, [])
})

t.test('the kernel asks whether a visitor is still there', async (t) => {
  const edge = await startTlsEdge(t)
  const hex = (port: number): string => port.toString(16).padStart(4, '0').toUpperCase()
  const plain = await rawClient(edge.port)
  const secure = await edge.tls()
  for (const socket of [plain.socket, secure]) {
    const [here, there] = [hex(socket.remotePort ?? 0), hex(socket.localPort ?? 0)]
    // State 01 is an open connection; timer 02 is that of keep-alive (proc_net_tcp.txt).
    const row = new RegExp(`:${here} [0-9A-F]+:${there} 01 \\S+ (\\d\\d):`)
    const timer = await until(() => row.exec(readFileSync('/proc/net/tcp', 'latin1'))?.[1])
    t.equal(timer, '02')
  }
  plain.socket.destroy()
})

t.test('one connection, many wishes to upgrade: it grows no listeners', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.removeListener('warning', onWarning))
  const edge = await startEdge(t)
  edge.workspace('shop', {}, 'public')
  const client = await rawClient(edge.port)
  const one = requestBytes({ host: HOST, headers: ['Connection: Upgrade, keep-alive', 'Upgrade: h2c'] })
  for (let i = 1; i <= 30; i++) {
    client.send(one)
    await until(() => client.text().split('HTTP/1.1 200').length === i + 1, { everyMs: 2 })
  }
  client.socket.destroy()
  t.same(warnings, [])
})

t.test('HTTP/2: words that are no method, bodies that may not be, names of objects', async (t) => {
  const accessLog = memoryAccessLog()
  const edge = await startTlsEdge(t, {
    accessLog,
    script: ({ head, socket }) =>
      void socket.write(
        head.includes(' /205')
          ? 'HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok'
          : head.includes(' /trailers')
            ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nconstructor: 1\r\n__proto__: 2\r\n\r\n'
            : OK,
      ),
  })
  edge.workspace('shop', {}, 'public')
  const authority = 'shop.ws.test'
  const raw = await edge.tls(authority, ['h2'])
  const frames = framesOf(raw)
  const words = ['FOO', 'get', 'PRI', 'M'.repeat(15_000)]
  raw.write(PREFACE)
  words.forEach((word, i) =>
    raw.write(
      requestHead(i * 2 + 1, [
        [':method', word],
        [':scheme', 'https'],
        [':path', '/'],
        [':authority', authority],
      ]),
    ),
  )
  const answered = (): number => frames.filter(({ type }) => type === Frame.headers).length
  await until(() => answered() === words.length, { what: 'an answer to each' })
  await until(() => accessLog.texts.length === words.length)
  raw.destroy()
  await once(raw, 'close')
  t.equal(edge.upstream.requests.length, 0, 'nothing of it reaches the app, as by HTTP/1.1')
  for (const text of accessLog.texts) t.ok(text.length < 1000, 'a line is bounded')
  for (const line of accessLog.lines) t.match(line, { method: '', status: 501, cause: 'not_implemented' })

  const session = await edge.http2(authority)
  const reset = await ask2(session, { ':authority': authority, ':path': '/205' })
  t.match(reset, { status: 205, body: '', reset: 0 })
  const ended = await ask2(session, { ':authority': authority, ':path': '/trailers', te: 'trailers' })
  t.equal(ended.body, 'ok')
  t.equal(ended.trailers['constructor'], '1')
  t.equal(Object.entries(ended.trailers).length, 2)
  t.same(edge.log.lines, [])
})

t.test(
  'HTTP/2: whom a fault makes deaf is let go, with all that it asked for; who is only quiet stays',
  async (t) => {
    const sessions: Http2Sessions[] = []
    const asked: IncomingMessage[] = []
    const gone: string[] = []
    const ended: string[] = []
    const handlers: Http2Handlers = {
      request: (req, res) => {
        asked.push(req)
        res.on('close', () => gone.push(req.url ?? ''))
      },
      expectation: () => undefined,
      connect: () => undefined,
      ended: (why) => void ended.push(why),
    }
    const server = createServer((socket) => sessions[0]?.take(socket, { ip: '', trusted: false }))
    sessions.push(new Http2Sessions(handlers, false, { idle: 60_000, silent: 500, look: 50 }))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const priority = Buffer.alloc(5)
    priority.writeUInt32BE(1)
    const faults: Readonly<Record<string, Buffer>> = {
      '/a-stream-that-depends-on-itself': frame(2, 0, 1, priority),
      '/data-after-the-end': frame(Frame.data, 0, 1, Buffer.from('x')),
    }
    const quiet = connectHttp2(`http://127.0.0.1:${port}`)
    const held = quiet.request({ ':path': '/quiet' })
    held.on('error', () => undefined)
    for (const [path, fault] of Object.entries(faults)) {
      const client = connect(port, '127.0.0.1')
      client.on('error', () => undefined).resume()
      client.write(
        Buffer.concat([
          PREFACE,
          requestHead(1, [
            [':method', 'GET'],
            [':scheme', 'http'],
            [':path', path],
            [':authority', 'x'],
          ]),
        ]),
      )
      await until(() => asked.some(({ url }) => url === path))
      client.write(fault)
      await until(() => gone.includes(path), { what: `the end of ${path}`, timeoutMs: 20_000 })
      client.destroy()
    }
    // Newer Nodes let go of some by themselves.
    t.same([...new Set(ended)], ['http2_silent'])
    t.same(gone, Object.keys(faults), 'a client that answers the question is left in peace')
    // A session is let go after its answers.
    await until(() => sessions[0]?.size === 1, { what: 'the quiet one to be alone' })
    quiet.destroy()
    await until(() => sessions[0]?.size === 0)
    sessions[0]?.drain()
    server.close()
  },
)

t.test('HTTP/2: a HEAD that is taken back frees its program, and too many are a flood', async (t) => {
  const edge = await startTlsEdge(t, { script: () => undefined })
  edge.workspace('shop', {}, 'public')
  const authority = 'shop.ws.test'
  const session = await edge.http2(authority)
  for (const method of ['GET', 'HEAD']) {
    const stream = session.request({ ':method': method, ':path': '/held', ':authority': authority })
    stream.on('error', () => undefined)
    await until(() => edge.upstream.open() === 1, { what: `${method} at the program` })
    stream.close(constants.NGHTTP2_CANCEL)
    await until(() => edge.upstream.open() === 0, { what: `the end of ${method} at the program` })
  }
  t.equal(await metric(edge, 'postern_gateway_in_flight'), 0)
  const flood = await edge.tls(authority, ['h2'])
  let isEnded = false
  flood.on('close', () => (isEnded = true)).resume()
  flood.write(PREFACE)
  const fields: readonly (readonly [string, string])[] = [
    [':method', 'HEAD'],
    [':scheme', 'https'],
    [':path', '/'],
    [':authority', authority],
  ]
  for (let id = 1; id < 20_000 && !isEnded; id += 2) {
    flood.write(Buffer.concat([requestHead(id, fields), resetFrame(id, constants.NGHTTP2_CANCEL)]))
    if (id % 100 === 1) await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => isEnded, { what: 'the flood to be ended' })
  t.equal(await metric(edge, 'postern_gateway_connections_refused_total{cause="http2_resets"}'), 1)
  await until(() => edge.upstream.open() === 0)
  t.equal(await metric(edge, 'postern_gateway_in_flight'), 0)
})
