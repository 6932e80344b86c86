// Law 7: forwarded headers are believed from trusted proxies only, from right to left; Koa is never told to believe them.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { blocksOf, chainOf } from '../../../gateway/listeners/trust.ts'
import { ask } from '../../support/gateway-bytes.ts'
import { doorsOf, startEdge } from '../../support/gateway-edge.ts'

const HOST = 'shop.ws.localhost:8090'
const spoofed = [
  'X-Forwarded-For: 6.6.6.6',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Port: 443',
  'X-Forwarded-Prefix: /evil',
  'X-Forwarded-Server: evil',
  'Forwarded: for=6.6.6.6;host=evil',
  'X-Real-IP: 6.6.6.6',
  'X-Original-URL: /evil',
  'X_Forwarded_Host: evil',
  'X.Forwarded.For: 6.6.6.6',
  'CF-Connecting-IP: 6.6.6.6',
  'True-Client-IP: 6.6.6.6',
]

t.test('an untrusted peer’s words about itself are worth nothing', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop', {}, 'public')
  await ask(edge.port, {
    host: HOST,
    headers: [...spoofed, 'Connection: close, X-Forwarded-For, X-Forwarded-Host, X-Postern-User'],
  })
  const seen = edge.upstream.requests[0]
  const fields = seen?.fields ?? []
  t.notMatch(seen?.head, /6\.6\.6\.6|evil/)
  t.ok(fields.includes('X-Forwarded-For: 127.0.0.1'))
  t.ok(fields.includes('X-Forwarded-Proto: http'))
  t.ok(fields.includes(`X-Forwarded-Host: ${HOST}`), 'Connection takes none of ours away')
  t.ok(fields.includes('X-Postern-User: '))
  const form = ['Content-Type: application/x-www-form-urlencoded', ...spoofed]
  await ask(edge.port, {
    host: 'localhost:8090',
    path: '/sign-in',
    method: 'POST',
    headers: form,
    body: 'username=alice&password=x',
  })
  t.same(edge.control.origins, ['127.0.0.1'], 'control is told of the peer')
})

t.test('they don’t move the verdict either', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  edge.workspace('open', {}, 'public')
  const [http, upgrade] = doorsOf(edge)
  for (const door of [http, upgrade].filter((each) => each !== undefined)) {
    const headers = [
      ...spoofed,
      'X-Forwarded-Host: open.ws.localhost',
      'X-Forwarded-Uri: /healthz',
      'User-Agent: GoogleHC/1.0',
    ]
    t.equal((await door.try({ host: HOST, path: '/?p=/healthz', headers })).status, 401, door.name)
  }
})

t.test('a trusted proxy’s list is walked from the right, and 64 KB of it in no time', async (t) => {
  const edge = await startEdge(t, { trustedProxies: ['127.0.0.1', '10.0.0.0/8', 'fd00::/8'] })
  edge.workspace('shop', {}, 'public')
  const cases: [string, string][] = [
    ['6.6.6.6, 192.0.2.7, 10.0.0.1', '192.0.2.7, 10.0.0.1, 127.0.0.1'],
    ['2001:db8::1, fd00::2', '2001:db8::1, fd00::2, 127.0.0.1'],
    ['::ffff:192.0.2.7', '192.0.2.7, 127.0.0.1'],
    ['6.6.6.6, nonsense, 10.0.0.1', '10.0.0.1, 127.0.0.1'],
    ['', '127.0.0.1'],
    ['192.0.2.7:4711, 10.0.0.1:80', '192.0.2.7, 10.0.0.1, 127.0.0.1'],
    ['[2001:db8::1]:4711', '2001:db8::1, 127.0.0.1'],
    ['[2001:db8::1]', '2001:db8::1, 127.0.0.1'],
    ['6.6.6.6, [192.0.2.7', '127.0.0.1'],
    ['6.6.6.6, unknown', '127.0.0.1'],
    ['6.6.6.6, 192.0.2.7:70000000', '127.0.0.1'],
    ['192.0.2.7,', '127.0.0.1'],
  ]
  for (const [sent, given] of cases) {
    await ask(edge.port, { host: HOST, headers: [`X-Forwarded-For: ${sent}`] })
    t.ok(edge.upstream.requests.at(-1)?.fields.includes(`X-Forwarded-For: ${given}`), sent)
  }
  const trusted = blocksOf(['10.0.0.0/8'])
  const junk = ['10.0.0.1,', 'x', ':', '1', '1.', ',', ' ', '::1:', '[', '[::1]:1,', '9999999999.']
  for (const part of junk) {
    // Flat, as a field that was received is.
    const field = Buffer.from(part.repeat(65_536 / part.length)).toString('latin1')
    const startMs = performance.now()
    chainOf({ ip: '10.0.0.9', trusted: true }, field, trusted)
    t.ok(performance.now() - startMs < 5, `64 KB of ${part}`)
  }
  const fromMs = performance.now()
  await ask(edge.port, { host: HOST, headers: [`X-Forwarded-For: ${'10.0.0.1,'.repeat(3000)}10.0.0.1`] })
  t.ok(performance.now() - fromMs < 500)
})

t.test('no line of the gateway tells Koa to believe a proxy, or reads its guesses', (t) => {
  const files = readdirSync('gateway', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  t.ok(files.length > 20)
  for (const name of files) {
    const source = readFileSync(`gateway/${name}`, 'utf8')
    t.notMatch(
      source,
      /\.proxy\s*=|ctx\.(?:host|hostname|ip|ips|protocol|origin|href|redirect|back)\b|headersDistinct/,
      name,
    )
  }
  t.end()
})
