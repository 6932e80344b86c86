/**
 * Hostile input on the plain port: each is answered with its own code or ended, another visitor goes on being served, the
 * process stays up, its memory is bounded, and nothing of it stays. `npm run soak` is the long form.
 */
// alone: it measures what another visitor feels of a load
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { exchange, OK, rawClient, requestBytes } from '../support/gateway-bytes.ts'
import { startEdge } from '../support/gateway-edge.ts'
import type { Answers, AttackKind } from '../support/soak-attack.ts'
import { startSoakEdge } from '../support/soak-edge.ts'
import { attack, besieged, siege } from '../support/soak-siege.ts'
import { setTimeout as pause } from 'node:timers/promises'
import { until } from '../support/until.ts'

t.setTimeout(180_000)

/** Kind of attack, connections at once, and what must be among its answers. */
const attacks: readonly (readonly [AttackKind, number, string | undefined])[] = [
  ['garbage', 40, '400'],
  ['tls', 40, '400'],
  ['long head', 20, '431'],
  ['many fields', 20, '431'],
  ['long target', 20, '431'],
  ['pipelining, unread', 8, undefined],
  ['pipelining', 8, '429'],
  ['slow body', 100, undefined],
  ['slow read', 20, undefined],
  ['large form', 10, '413'],
  ['held requests', 450, '429'],
  ['idle connections', 600, undefined],
]
const EACH_MS = 1500
/** What another visitor may feel; the machine that runs this is loaded, so the long form has the finer bounds. */
const P50_FACTOR = 10
const P50_SLACK_MS = 500
const MEMORY_BYTES = 400e6

t.test('another visitor is served, whatever comes', async (t) => {
  const edge = await startSoakEdge({})
  t.teardown(() => edge.close())
  await siege(edge, 'garbage', 20, 500)
  const quiet = await besieged(edge, pause(1500))
  const before = await edge.atRest()
  // Its answers take 20 to 25 s, so it goes on beside the others.
  const slowHeads = attack({
    kind: 'slow head',
    port: edge.port,
    connections: 150,
    forMs: 27_000,
    code: '408',
  })
  for (const [kind, connections, code] of attacks) {
    const felt = await siege(edge, kind, connections, EACH_MS, code)
    const said = `${kind} × ${connections}: ${JSON.stringify(felt.answers)}`
    t.ok(code === undefined || (felt.answers[code] ?? 0) > 0, said)
    t.equal(felt.answers['500'], undefined, kind)
    t.ok(edge.isAlive(), `${kind}: the process is up`)
    const p50 = `${felt.p50Ms.toFixed(1)} ms, quiet ${quiet.p50Ms.toFixed(1)} ms`
    t.ok(felt.p50Ms < P50_FACTOR * quiet.p50Ms + P50_SLACK_MS, `${kind}: bob waits ${p50}`)
    t.ok(felt.peakBytes < MEMORY_BYTES, `${kind}: ${(felt.peakBytes / 1e6).toFixed(0)} MB at most`)
  }
  const slow: Answers = await slowHeads
  t.ok((slow['408'] ?? 0) >= 100, `a head that takes for ever: ${JSON.stringify(slow)}`)
  const after = await edge.atRest()
  t.equal(after.files, before.files, 'no connection is left')
  t.same(after.resources, before.resources)
  const grown = after.heapBytes - before.heapBytes
  t.ok(grown < 3e6, `the heap grew by ${(grown / 1000).toFixed(0)} kB`)
  t.same(after.warnings, [])
  t.same(after.logged, [], 'nothing of it is an error of ours')
})

t.test('what is no request is told so with a code, and the answer arrives', async (t) => {
  const edge = await startEdge(t)
  const cases: readonly (readonly [string, number, string])[] = [
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'bad_request'],
    ['NONSENSE / HTTP/1.1\r\nHost: localhost:8090\r\n\r\n', 400, 'bad_request'],
    [`GET / HTTP/1.1\r\nHost: localhost:8090\r\nx: ${'y'.repeat(400_000)}\r\n\r\n`, 431, 'headers_too_large'],
    [
      `POST /sign-in HTTP/1.1\r\nHost: localhost:8090\r\nTransfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}\r\n`,
      400,
      'bad_request',
    ],
  ]
  for (const [bytes, status, code] of cases) {
    const answer = await exchange(edge.port, bytes)
    t.equal(answer.status, status, code)
    t.equal(answer.field('connection'), 'close')
    t.equal((JSON.parse(answer.body) as { code: string }).code, code)
  }
})

t.test('requests on one connection that wait for no answer: some are served, too many end it', async (t) => {
  const held: (() => void)[] = []
  const edge = await startEdge(t, { script: ({ socket }) => void held.push(() => socket.write(OK)) })
  const route = edge.workspace('one')
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  const one = requestBytes({ host: 'one.ws.localhost:8090', headers: [cookie, 'Connection: keep-alive'] })
  const answerHeld = (): void => held.splice(0).forEach((write) => write())
  const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status)

  const few = await rawClient(edge.port)
  few.send(one.repeat(17))
  await until(() => (answerHeld(), statuses(few.text()).length === 17))
  t.same(new Set(statuses(few.text())), new Set(['200']), '17 are all served')
  few.send(one)
  await until(() => (answerHeld(), statuses(few.text()).length === 18))
  few.socket.destroy()

  const many = await rawClient(edge.port)
  const before = edge.upstream.requests.length
  let read = 0
  const onRequest = (): void => void read++
  subscribe('http.server.request.start', onRequest)
  t.teardown(() => unsubscribe('http.server.request.start', onRequest))
  many.send(one.repeat(200))
  await until(() => (answerHeld(), many.socket.destroyed))
  t.equal(read, 18, 'what came with the one too many isn’t even read')
  const all = statuses(many.text())
  t.same([...new Set(all)], ['200', '429'], 'some are served, one is told why')
  t.equal(all.at(-1), '429')
  t.match(many.text(), /"code":"pipeline_capped"/)
  t.equal(edge.upstream.requests.length - before, all.length - 1, 'and no other reached the app')
})
