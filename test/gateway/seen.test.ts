// What the edge tells of its requests: access lines without secrets, metrics that are in their table, ids and traces to the app.
import { once } from 'node:events'
import t from 'tap'
import { renderMetrics } from '../../gateway/index.ts'
import { accessLine } from '../../gateway/seen/access-line.ts'
import { BOUNDS_MS, Histograms } from '../../gateway/seen/histogram.ts'
import { metricTable } from '../../gateway/seen/metric-table.ts'
import { Seen } from '../../gateway/seen/seen.ts'
import { readTraceparent } from '../../gateway/seen/trace-context.ts'
import { Tracing } from '../../gateway/seen/tracing.ts'
import {
  ask,
  exchange,
  OK,
  rawClient,
  requestBytes,
  type Script,
  webSocketBytes,
} from '../support/gateway-bytes.ts'
import { memoryLog, originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'
import { ask2 } from '../support/http2-answer.ts'
import { memoryAccessLog, metric } from '../support/seen-edge.ts'
import { otlpReceiver } from '../support/seen-otlp.ts'
import { startTlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.localhost:8090'
type Options = NonNullable<Parameters<typeof startEdge>[1]>

async function shop(t: Parameters<typeof startEdge>[0], options: Options = {}) {
  const accessLog = memoryAccessLog()
  const edge = await startEdge(t, { accessLog, ...options })
  const route = edge.workspace('shop')
  const secret = edge.control.child(edge.control.session('alice'), route.workspaceId, 'shop')
  return { edge, route, accessLog, secret, as: `Cookie: postern_workspace=${secret}` }
}

t.test('a line for each request: who, where, what, how long; a proxied one', async (t) => {
  const { edge, route, accessLog, as } = await shop(t)
  await ask(edge.port, {
    host: HOST,
    path: '/a/b?token=hidden',
    method: 'POST',
    body: 'hello',
    headers: [as, originOf('shop')],
  })
  await until(() => accessLog.lines.length === 1)
  const [line] = accessLog.lines
  t.match(line, {
    time: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    requestId: /^[0-9a-f]{8}\w{4,}$/,
    class: 'proxy',
    method: 'POST',
    host: 'shop',
    path: '/a/b',
    status: 200,
    bytesIn: 5,
    bytesOut: 2,
    port: edge.upstream.port,
    workspace: route.workspaceId,
    user: 'alice',
    client: '127.0.0.1',
  })
  t.type(line?.['durationUs'], 'number')
  t.ok((line?.['headUs'] as number) <= (line?.['durationUs'] as number))
  t.notOk('cause' in (line ?? {}))
  t.ok(
    edge.upstream.requests[0]?.fields.includes(`X-Request-Id: ${String(line?.['requestId'])}`),
    'the app is told the id',
  )
})

t.test(
  'refusals, pages, the dashboard, the API and forward auth each have their class and cause',
  async (t) => {
    const { edge, accessLog, as } = await shop(t)
    const seen: unknown[] = []
    const next = async (port: number, request: Parameters<typeof ask>[1]): Promise<void> => {
      const before = accessLog.lines.length
      await ask(port, request)
      await until(() => accessLog.lines.length > before)
      const { class: kind, status, cause, reason, host, user } = accessLog.lines.at(-1) ?? {}
      seen.push([kind, status, cause, reason, host, user])
    }
    const dashboard = 'localhost:8090'
    await next(edge.port, { host: HOST })
    await next(edge.port, { host: HOST, headers: ['Accept: text/html'] })
    await next(edge.port, { host: 'nothing.ws.localhost', headers: [as] })
    await next(edge.port, { host: HOST, method: 'POST', headers: [as, 'Origin: http://evil.example'] })
    await next(edge.port, { host: HOST, path: '/.postern/nothing' })
    await next(edge.port, { host: dashboard, path: '/healthz' })
    await next(edge.port, { host: dashboard, path: '/workspaces' })
    await next(edge.port, { host: dashboard, path: '/api/v1/limits' })
    await next(edge.port, { host: 'elsewhere.example' })
    const asked = [
      `X-Forwarded-Method: GET`,
      'X-Forwarded-Proto: http',
      `X-Forwarded-Host: ${HOST}`,
      'X-Forwarded-Uri: /x',
    ]
    // A yes is the front's to tell; it is only counted.
    await ask(edge.authzPort, { host: 'a', path: '/api/authz/forward-auth', headers: [...asked, as] })
    await next(edge.authzPort, { host: 'a', path: '/api/authz/forward-auth', headers: asked })
    t.same(seen, [
      ['proxy', 401, 'unauthenticated', 'sign-in', 'shop', undefined],
      ['proxy', 303, undefined, 'sign-in', 'shop', undefined],
      ['proxy', 401, 'unauthenticated', 'sign-in', 'nothing', undefined],
      ['proxy', 403, 'wrong_origin', 'origin', 'shop', 'alice'],
      ['own', 404, 'not_found', undefined, 'shop', undefined],
      ['own', 200, undefined, undefined, '', undefined],
      ['dashboard', 200, undefined, undefined, '', undefined],
      ['api', 200, undefined, undefined, '', undefined],
      ['own', 421, 'misdirected', undefined, 'elsewhere.example', undefined],
      ['forward_auth', 401, 'unauthenticated', 'sign-in', 'shop', undefined],
    ])
    t.equal(await metric(edge, 'postern_gateway_denials_total{door="http",reason="sign-in"}'), 3)
    t.equal(await metric(edge, 'postern_gateway_denials_total{door="http",reason="origin"}'), 1)
    t.equal(await metric(edge, 'postern_gateway_denials_total{door="forward_auth",reason="sign-in"}'), 1)
    t.equal(await metric(edge, 'postern_gateway_responses_total{class="proxy",status="4xx"}'), 3)
    t.equal(await metric(edge, 'postern_gateway_responses_total{class="forward_auth",status="2xx"}'), 1)
  },
)

t.test(
  'ends that are no answer: the visitor leaves, the app breaks off, a right is lost, a socket closes',
  async (t) => {
    const { edge, accessLog, as } = await shop(t, {
      script(request, nth) {
        if (/ \/cut/.test(request.head))
          request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
        else if (/ \/(held|late)/.test(request.head))
          void request.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
        else webAndSocket(request, nth)
      },
    })
    const leaving = await rawClient(edge.port)
    leaving.send(requestBytes({ host: HOST, path: '/held', headers: [as] }))
    await leaving.received(/half/)
    leaving.socket.destroy()
    await until(() => accessLog.lines.at(-1)?.['cause'] === 'aborted')
    await ask(edge.port, { host: HOST, path: '/cut', headers: [as] })
    await until(() => accessLog.lines.at(-1)?.['cause'] === 'cut')
    const opening = webSocketBytes({ host: HOST, path: '/ws', headers: [as, originOf('shop')] })
    const closing = await rawClient(edge.port)
    closing.send(opening)
    await closing.received(/\r\n\r\n/)
    closing.send('0123456789')
    await until(() => edge.upstream.requests.at(-1)?.body() === '0123456789')
    t.equal(await metric(edge, 'postern_gateway_open_streams{kind="websocket"}'), 1)
    closing.socket.destroy()
    await until(() => accessLog.lines.at(-1)?.['class'] === 'upgrade')
    t.match(accessLog.lines.at(-1), {
      status: 101,
      bytesIn: 10,
      path: '/ws',
      user: 'alice',
      port: edge.upstream.port,
    })
    const lost = await rawClient(edge.port)
    lost.send(requestBytes({ host: HOST, path: '/late', headers: [as] }))
    const socket = await rawClient(edge.port)
    socket.send(opening)
    await Promise.all([lost.received(/half/), socket.received(/\r\n\r\n/)])
    edge.control.gone('user', 'alice')
    await Promise.all([lost.closed(), socket.closed()])
    await until(() => accessLog.lines.filter(({ cause }) => cause === 'revoked').length === 2)
    t.equal(await metric(edge, 'postern_gateway_revoked_total'), 2)
    t.equal(await metric(edge, 'postern_gateway_upstream_errors_total{code="upstream_bad_answer"}'), 1)
  },
)

t.test('requests of HTTP/2 are told of like those of HTTP/1.1', async (t) => {
  const accessLog = memoryAccessLog()
  const script: Script = ({ head, socket }) =>
    void socket.write(/ \/held/.test(head) ? 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf' : OK)
  const edge = await startTlsEdge(t, { accessLog, script })
  const route = edge.workspace('shop')
  const session = await edge.http2('shop.ws.test')
  const cookie = edge.cookie('alice', route)
  const head = { ':authority': 'shop.ws.test', cookie }
  t.equal((await ask2(session, { ...head, ':path': '/a?x' })).status, 200)
  await until(() => accessLog.lines.length === 1)
  t.match(accessLog.lines[0], { class: 'proxy', status: 200, path: '/a', user: 'alice', bytesOut: 2 })
  t.notOk('cause' in (accessLog.lines[0] ?? {}))
  const leaving = session.request({ ...head, ':path': '/held' })
  leaving.on('error', () => undefined)
  await once(leaving, 'data')
  leaving.close(8)
  await until(() => accessLog.lines.length === 2)
  t.match(accessLog.lines[1], { status: 200, cause: 'aborted' })
  t.equal((await ask2(session, { ...head, ':authority': 'postern.test', ':path': '/x' })).status, 200)
  await until(() => accessLog.lines.length === 3)
  t.match(accessLog.lines[2], { class: 'dashboard', status: 200, path: '/x' })
  t.notOk('cause' in (accessLog.lines[2] ?? {}))
})

t.test('an engine that is not the usual one, and a request that was sent twice', async (t) => {
  const { edge, route, accessLog, as } = await shop(t, {
    script({ socket }, nth) {
      if (nth !== 2) socket.write(OK)
      else socket.destroy()
    },
  })
  await ask(edge.port, { host: HOST, headers: [as] })
  await ask(edge.port, { host: HOST, headers: [as] })
  await until(() => accessLog.lines.length === 2)
  t.match(accessLog.lines[1], { status: 200, retried: true })
  t.equal(await metric(edge, 'postern_gateway_retries_total'), 1)
  edge.control.route({ ...route, ports: route.ports.map((port) => ({ ...port, lenient: true })) })
  await ask(edge.port, { host: HOST, headers: [as] })
  await until(() => accessLog.lines.length === 3)
  t.match(accessLog.lines[2], { status: 200, engine: 'http-proxy', bytesOut: 2 })
})

t.test('no token, cookie or code is in a line; every line is one line of bounded ASCII', async (t) => {
  const { edge, accessLog, secret, as } = await shop(t)
  const token = edge.control.token('alice', ['connect'])
  const paths = [
    `/.postern/callback?code=${secret}&state=x`,
    `/x?token=${token}`,
    `/path/${token}/y`,
    `/"quote\\back/%0a%0d%00\u00ff\u0080`,
    `/${'long'.repeat(4000)}`,
    '/<script>{"time":"0"}',
  ]
  for (const path of paths)
    for (const host of [HOST, 'localhost:8090', 'x"y\u0085{}', 'a'.repeat(5000)])
      await exchange(
        edge.port,
        requestBytes({
          host,
          path,
          headers: [as, `Authorization: Bearer ${token}`, 'Referer: http://x/?code=1'],
        }),
      )
  await exchange(
    edge.port,
    requestBytes({ host: HOST, headers: [`X-Forwarded-For: ${'1'.repeat(9000)}`, `User-Agent: ${token}`] }),
  )
  const form = `username=${'u'.repeat(1 << 20)}&password=${secret}`
  await exchange(
    edge.port,
    requestBytes({
      host: 'localhost:8090',
      path: '/sign-in',
      method: 'POST',
      body: form,
      headers: ['Content-Type: application/x-www-form-urlencoded', 'Origin: http://localhost:8090'],
    }),
  )
  await until(() => accessLog.texts.length > 20)
  for (const text of accessLog.texts) {
    t.match(text, /^[ -~]+\n$/)
    t.ok(text.length < 1500, `${text.length} bytes`)
    t.notOk(text.includes(secret) || text.includes(token) || text.includes('Referer'))
  }
  t.notOk(edge.log.lines.some((line) => line.length > 4096))
  t.ok(accessLog.lines.some(({ path }) => path === '/path/[redacted]/y'))
  const seen = new Seen(0, 'id', '::1', 'h', 'GET', '/\n{"a":1}\u2028\u001b[31m\ud800"')
  const line = accessLine(seen, 1_800_000_000_007, 1.5)
  t.equal((JSON.parse(line) as { path: string }).path, '/\n{"a":1}\u2028\u001b[31m\ud800"')
  t.match(line, /^[ -~]+\n$/)
  t.match(line, '"time":"2027-01-15T08:00:00.007Z"')
})

t.test('the client is who the trusted proxies say, and nobody else is believed', async (t) => {
  const spoofing = ['X-Forwarded-For: 203.0.113.9', 'X-Request-Id: of-the-front-1']
  const bare = await shop(t)
  await ask(bare.edge.port, { host: HOST, headers: [bare.as, ...spoofing] })
  await until(() => bare.accessLog.lines.length === 1)
  t.match(bare.accessLog.lines[0], { client: '127.0.0.1' })
  t.not(bare.accessLog.lines[0]?.['requestId'], 'of-the-front-1')
  const fields = bare.edge.upstream.requests[0]?.fields ?? []
  t.same(
    fields.filter((field) => /^x-request-id/i.test(field)),
    ['X-Request-Id: of-the-front-1'],
    'the visitor’s own passes untouched',
  )
  const fronted = await shop(t, { trustedProxies: ['127.0.0.1'] })
  await ask(fronted.edge.port, { host: HOST, headers: [fronted.as, ...spoofing] })
  await ask(fronted.edge.port, { host: HOST, headers: [fronted.as, 'X-Request-Id: "bad" id'] })
  await until(() => fronted.accessLog.lines.length === 2)
  t.match(fronted.accessLog.lines[0], { client: '203.0.113.9', requestId: 'of-the-front-1' })
  t.match(fronted.accessLog.lines[1], { requestId: /^[0-9a-f]{8}\w+$/ })
})

t.test(
  'every metric is in the table and every one of the table is said; several processes add up',
  async (t) => {
    const { edge, as } = await shop(t)
    await ask(edge.port, { host: HOST, headers: [as] })
    await until(
      async () => (await metric(edge, 'postern_gateway_responses_total{class="proxy",status="2xx"}')) === 1,
    )
    const { body } = await ask(edge.authzPort, { host: 'x', path: '/metrics' })
    const named = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', kind]) => [name, kind])
    const own = named.filter(([name]) => name?.startsWith('postern_'))
    t.same(
      own,
      Object.entries(metricTable).map(([name, { kind }]) => [name, kind]),
    )
    for (const name of [
      'nodejs_eventloop_lag_p99_seconds',
      'process_resident_memory_bytes',
      'nodejs_gc_duration_seconds',
    ])
      t.ok(
        named.some(([other]) => other === name),
        name,
      )
    for (const text of body.split('\n').filter((text) => text !== '' && !text.startsWith('#')))
      t.match(text, /^[a-z_:0-9]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? (-?[0-9.e+-]+|NaN|\+Inf)$/)
    t.match(body, /postern_gateway_request_seconds_bucket\{class="proxy",cause="",le="\+Inf"\} 1\n/)
    t.match(body, /postern_gateway_upstream_head_seconds_count 1\n/)
    const one = await edge.gateway.snapshot()
    const two = await renderMetrics([one, JSON.parse(JSON.stringify(one)) as typeof one])
    t.match(two, /postern_gateway_proxied_total 2\n/)
    t.match(two, /postern_gateway_request_seconds_count\{class="proxy",cause=""\} 2\n/)
    t.match(two, /postern_gateway_sent_bytes_total\{class="proxy"\} 4\n/)
  },
)

t.test('a histogram counts each duration once, in the bucket it belongs to', async (t) => {
  const histograms = new Histograms(2)
  for (const ms of [0, ...BOUNDS_MS, 99_999]) histograms.observe(1, ms)
  const samples = new Map<string, number>()
  histograms.samples(1, 'a="b"', (key, value) => samples.set(key, value))
  BOUNDS_MS.forEach((bound, at) => t.equal(samples.get(`_bucket{a="b",le="${bound / 1000}"}`), at + 2))
  t.equal(samples.get('_bucket{a="b",le="+Inf"}'), BOUNDS_MS.length + 2)
  t.equal(samples.get('_count{a="b"}'), BOUNDS_MS.length + 2)
  histograms.samples(0, '', () => t.fail('a row without a count says nothing'))
})

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

t.test('without tracing, what a visitor says of a trace passes untouched', async (t) => {
  const { edge, as } = await shop(t)
  const said = [`traceparent: ${PARENT}`, 'tracestate: congo=t61rcWkgMzE,rojo=1', 'tracestate: more=2']
  await ask(edge.port, { host: HOST, headers: [as, ...said] })
  await ask(edge.port, { host: HOST, headers: [as] })
  const traced = (nth: number) => edge.upstream.requests[nth]?.fields.filter((field) => /^trace/i.test(field))
  t.same(traced(0), said)
  t.same(traced(1), [])
  t.same(readTraceparent(PARENT), {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    flags: 1,
  })
  for (const bad of [
    '',
    'x',
    PARENT.replace('00-', 'ff-'),
    `${PARENT}-x`,
    PARENT.toUpperCase(),
    `${PARENT},${PARENT}`,
  ])
    t.equal(readTraceparent(bad), null, bad)
  t.equal(readTraceparent(`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`), null)
  t.equal(readTraceparent(`01-${PARENT.slice(3)}-what-comes-later`)?.flags, 1, 'a later version')
})

t.test('with tracing: a span of the request, parent of the app’s, child of the visitor’s', async (t) => {
  const receiver = await otlpReceiver(t)
  const tracing = await Tracing.open({ url: receiver.url, sample: 1, version: '1.2.3', log: memoryLog() })
  const { edge, route, accessLog, as } = await shop(t, { tracing, script: webAndSocket })
  await ask(edge.port, {
    host: HOST,
    path: '/a?secret=1',
    headers: [as, `traceparent: ${PARENT}`, 'tracestate: a=1'],
  })
  await ask(edge.port, { host: HOST, path: '/b', headers: [as, 'tracestate: a=1'] })
  const socket = await rawClient(edge.port)
  socket.send(webSocketBytes({ host: HOST, path: '/ws', headers: [as, originOf('shop')] }))
  await socket.received(/\r\n\r\n/)
  await until(() => accessLog.lines.length === 2)
  edge.upstream.requests[2]?.socket.destroy()
  await tracing.close()
  t.equal(receiver.spans.length, 3)
  const [first, second, third] = receiver.spans
  t.match(first, {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    parentSpanId: '00f067aa0ba902b7',
    name: 'GET',
    kind: 2,
    attributes: {
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'url.path': '/a',
      'enduser.id': 'alice',
      'postern.workspace_id': route.workspaceId,
      'postern.request_id': accessLog.lines[0]?.['requestId'],
    },
    resource: { 'service.name': 'postern-gateway', 'service.version': '1.2.3' },
  })
  const traced = (nth: number) => edge.upstream.requests[nth]?.fields.filter((field) => /^trace/i.test(field))
  t.same(traced(0), ['tracestate: a=1', `traceparent: 00-${first?.traceId}-${first?.spanId}-01`])
  t.same(traced(1), [`traceparent: 00-${second?.traceId}-${second?.spanId}-01`], 'a trace that begins here')
  t.notOk(second?.parentSpanId)
  t.match(third?.attributes, { 'http.response.status_code': 101, 'url.path': '/ws' })
  t.equal(accessLog.lines[0]?.['trace'], first?.traceId)
  t.notMatch(JSON.stringify(receiver.spans), /secret/)
})

t.test('what is not sampled has no span; only believed peers may wish for one', async (t) => {
  const receiver = await otlpReceiver(t)
  const open = () => Tracing.open({ url: receiver.url, sample: 0, version: '0', log: memoryLog() })
  const tracing = await open()
  const { edge, as } = await shop(t, { tracing })
  await ask(edge.port, { host: HOST, headers: [as, `traceparent: ${PARENT}`] })
  await ask(edge.port, { host: HOST, headers: [as] })
  await tracing.close()
  t.same(receiver.spans, [])
  t.ok(edge.upstream.requests[0]?.fields.includes(`traceparent: ${PARENT}`), 'untouched')
  t.match(edge.upstream.requests[1]?.fields.join('\n'), /^traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00$/m)
  const wishing = await open()
  const fronted = await shop(t, { tracing: wishing, trustedProxies: ['127.0.0.1'] })
  await ask(fronted.edge.port, { host: HOST, headers: [fronted.as, `traceparent: ${PARENT}`] })
  await until(() => fronted.accessLog.lines.length === 1)
  await wishing.close()
  t.equal(receiver.spans.length, 1)
  const away = await Tracing.open({
    url: 'http://127.0.0.1:1/v1/traces',
    sample: 1,
    version: '0',
    log: memoryLog(),
  })
  const lonely = await shop(t, { tracing: away })
  t.equal((await ask(lonely.edge.port, { host: HOST, headers: [lonely.as] })).status, 200, 'nobody receives')
  await away.close()
})
