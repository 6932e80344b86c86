// TLS of our own: which certificate serves, how files are replaced, what comes to the wrong port, what is said at the start.
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { connect as connectTcp, createServer } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import t from 'tap'
import { Arrivals, type TurnedAway } from '../../gateway/listeners/arrivals.ts'
import {
  exchange,
  OK,
  parseAnswer,
  rawClient,
  requestBytes,
  webSocketBytes,
} from '../support/gateway-bytes.ts'
import { startEdge, webAndSocket } from '../support/gateway-edge.ts'
import { makeAuthority } from '../support/tls-authority.ts'
import { ask2 } from '../support/http2-answer.ts'
import { PUBLIC_URL, startTlsEdge, type TlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

const HOST = 'shop.ws.test'

/** A handshake as told; resolves with its socket, or with the error's code. */
async function handshake(edge: TlsEdge, options: ConnectionOptions): Promise<TLSSocket | string> {
  const socket = connectTls({
    port: edge.tlsPort,
    host: '127.0.0.1',
    ca: edge.authority.ca,
    rejectUnauthorized: false,
    ...options,
  })
  try {
    await once(socket, 'secureConnect')
    return socket
  } catch (err) {
    return (err as NodeJS.ErrnoException).code ?? 'no code'
  }
}

const commonName = (socket: TLSSocket | string): string =>
  typeof socket === 'string' ? socket : String(socket.getPeerCertificate().subject.CN)

t.test('the certificate is chosen by name; what no name is for gets the first; nothing throws', async (t) => {
  const edge = await startTlsEdge(t)
  const cases: [string | undefined, string][] = [
    ['postern.test', 'dashboard'],
    ['shop.ws.test', 'workspaces'],
    ['SHOP-3000.WS.test', 'workspaces'],
    ['a.b.ws.test', 'dashboard'],
    ['ws.test', 'dashboard'],
    ['elsewhere.example', 'dashboard'],
    [undefined, 'dashboard'],
    ['__proto__', 'dashboard'],
    ['..', 'dashboard'],
    ['a'.repeat(250), 'dashboard'],
    ['x\x01y', 'dashboard'],
  ]
  for (const [servername, expected] of cases) {
    const socket = await handshake(edge, servername === undefined ? {} : { servername })
    t.equal(commonName(socket), expected, JSON.stringify(servername))
    if (typeof socket !== 'string') socket.destroy()
  }
  for (const [options, protocol] of [
    [{ minVersion: 'TLSv1.3' }, 'TLSv1.3'],
    [{ maxVersion: 'TLSv1.2' }, 'TLSv1.2'],
  ] as const) {
    const socket = await handshake(edge, options)
    t.equal(typeof socket === 'string' ? socket : socket.getProtocol(), protocol)
    if (typeof socket !== 'string') socket.destroy()
  }
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const
  t.type(await handshake(edge, old), 'string', 'no TLS 1.1')
  const plainRsa = { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' } as const
  t.type(await handshake(edge, plainRsa), 'string', 'no cipher without forward secrecy')
  const offered = await handshake(edge, { ALPNProtocols: ['spdy/3', 'http/1.1'] })
  t.equal(typeof offered === 'string' ? offered : offered.alpnProtocol, 'http/1.1')
  const unknown = await handshake(edge, { ALPNProtocols: ['spdy/3'] })
  t.type(unknown, 'string', 'no protocol in common')
  t.same(edge.log.lines, [])
})

t.test('HTTP/1.1 and WebSockets over TLS; a wish to upgrade that is none goes back in', async (t) => {
  const edge = await startTlsEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const fields = [`Cookie: ${edge.cookie('alice', route)}`, `Origin: https://${HOST}`]
  const said = async (bytes: string, until_: RegExp): Promise<string> => {
    const socket = await edge.tls(HOST)
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
    socket.write(bytes)
    await until(() => until_.test(text), { what: `${until_} in ${text}` })
    return text
  }
  t.equal(parseAnswer(await said(requestBytes({ host: HOST, headers: fields }), /ok$/)).status, 200)
  t.match(await said(webSocketBytes({ host: HOST, headers: fields }), /\r\n\r\n/), /^HTTP\/1.1 101 /)
  const h2c = requestBytes({
    host: HOST,
    headers: [
      ...fields,
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQAoAAA',
    ],
  })
  t.equal(parseAnswer(await said(h2c, /ok$/)).status, 200)
  const seen = edge.upstream.requests.at(-1)
  t.notMatch(seen?.head, /upgrade|http2-settings/i)
  t.ok(seen?.fields.includes('X-Forwarded-Proto: https'))
  t.ok(seen?.fields.includes('X-Forwarded-For: 127.0.0.1'))
})

t.test('files are replaced under load: no request fails, new connections get the new one', async (t) => {
  const edge = await startTlsEdge(t)
  edge.workspace('shop', {}, 'public')
  const { authority } = edge
  const agent = new Agent({ keepAlive: true, maxSockets: 8, maxCachedSessions: 0 })
  t.teardown(() => agent.destroy())
  const failures: unknown[] = []
  let done = 0
  let isOver = false
  const once1 = (fresh: boolean): Promise<void> =>
    new Promise((resolve) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: edge.tlsPort,
          servername: HOST,
          ca: authority.ca,
          headers: { host: HOST },
          agent: fresh ? false : agent,
        },
        (answer) => {
          if (answer.statusCode !== 200) failures.push(answer.statusCode)
          answer.resume().on('end', () => resolve(void done++))
        },
      )
      sent.on('error', (err) => resolve(void failures.push(err)))
      sent.end()
    })
  const worker = async (fresh: boolean): Promise<void> => {
    while (!isOver) await once1(fresh)
  }
  const session = await edge.http2(HOST)
  const workers = [worker(false), worker(false), worker(true), worker(true)]
  const serial = async (): Promise<string> => {
    const socket = await handshake(edge, { servername: HOST })
    if (typeof socket === 'string') return socket
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  const serials = [await serial()]
  for (let round = 0; round < 3; round++) {
    authority.issue('workspaces', ['*.ws.test'])
    await until(async () => !serials.includes(await serial()), { everyMs: 50, what: 'the new certificate' })
    serials.push(await serial())
  }
  const held = readFileSync(`${authority.folder}/workspaces.pem`, 'utf8')
  const other = authority.issue('another', ['*.ws.test'])
  const said = (): string[] => edge.log.lines.filter((line) => line.includes('old certificate serves on'))
  copyFileSync(other.cert, `${authority.folder}/workspaces.pem`)
  await until(() => said().length === 1)
  writeFileSync(`${authority.folder}/workspaces.pem`, held.slice(0, held.length / 2))
  await until(() => said().length === 2)
  await edge.gateway.reloadCertificates()
  t.equal(said().length, 2, 'said once for each')
  t.equal(await serial(), serials.at(-1), 'the old one serves on')
  writeFileSync(`${authority.folder}/workspaces.pem`, held)
  await edge.gateway.reloadCertificates()
  t.equal((await ask2(session, { ':authority': HOST })).status, 200, 'an old connection lives on')
  isOver = true
  await Promise.all(workers)
  t.same(failures, [])
  t.ok(done > 50, `${done} requests`)
})

t.test('a session is resumed, by a certificate that was replaced meanwhile too', async (t) => {
  const edge = await startTlsEdge(t)
  const first = await edge.tls()
  const [ticket] = (await once(first, 'session')) as [Buffer]
  first.destroy()
  edge.authority.issue('dashboard', ['postern.test'])
  await edge.gateway.reloadCertificates()
  const again = await handshake(edge, { servername: 'postern.test', session: ticket })
  t.ok(typeof again !== 'string' && again.isSessionReused())
  if (typeof again !== 'string') again.destroy()
})

t.test('plain http to the TLS port, TLS to the plain port, garbage, silence', async (t) => {
  const edge = await startTlsEdge(t)
  const plain = await exchange(edge.tlsPort, requestBytes({ host: 'postern.test' }))
  t.equal(plain.status, 400)
  t.match(plain.body, /https/)
  for (const bytes of [
    '\x80\x2e\x01\x00\x02',
    '\x00',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x00\x05hello',
    '\x16\x03\x01\xff\xff',
  ]) {
    const client = await rawClient(edge.tlsPort)
    client.send(bytes)
    client.socket.end()
    await client.closed(15_000)
    t.notMatch(client.text(), /^HTTP\/1.1 [23]/)
  }
  const wrong = connectTls({ port: edge.port, host: '127.0.0.1' })
  await t.rejects(once(wrong, 'secureConnect'))
  const reset = connectTcp(edge.tlsPort, '127.0.0.1')
  await once(reset, 'connect')
  reset.resetAndDestroy()
  t.equal((await ask2(await edge.http2(), { ':authority': 'postern.test', ':path': '/healthz' })).status, 200)
  const metrics = await exchange(edge.authzPort, requestBytes({ host: 'x', path: '/metrics' }))
  t.match(metrics.body, /connections_refused_total\{cause="plain_on_tls"\} [1-9]/)
  t.match(metrics.body, /connections_refused_total\{cause="handshake_failed"\} [1-9]/)
  t.same(edge.log.lines, [])
})

t.test('unknown connections are few and short: the oldest makes room, the silent one ends', async (t) => {
  const away: TurnedAway[] = []
  const arrivals = new Arrivals(
    (why) => away.push(why),
    () => null,
    { firstBytesMs: 300, max: 3 },
  )
  const server = createServer((socket) =>
    arrivals.add(socket, { ip: '127.0.0.1', trusted: false }, { proxyHeader: false, tls: true }, () =>
      socket.destroy(),
    ),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const first = await rawClient(port)
  await until(() => arrivals.size === 1)
  const rest = [await rawClient(port), await rawClient(port), await rawClient(port)]
  await first.closed()
  t.same(away, ['too_many'])
  rest[2]?.send('\x16')
  await Promise.all(rest.map((client) => client.closed()))
  t.same(away, ['too_many', 'too_slow', 'too_slow'])
  await until(() => arrivals.size === 0)
})

t.test('what can’t be used is said at the start, with a code and the next step', async (t) => {
  const authority = makeAuthority(t)
  const pair = authority.issue('one', ['postern.test'])
  const other = authority.issue('two', ['postern.test'])
  const listen = [{ host: '127.0.0.1', port: 0, speaks: 'https' as const }]
  const start = (certificates: { cert: string; key: string }[]) =>
    startEdge(t, { listen, certificates, publicUrl: PUBLIC_URL, baseDomain: 'ws.test' })
  const notPem = `${authority.folder}/not.pem`
  writeFileSync(notPem, 'hello')
  for (const [files, code] of [
    [{ ...pair, cert: '/nowhere/c.pem' }, 'certificate_unreadable'],
    [{ ...pair, cert: notPem }, 'certificate_unusable'],
    [{ ...pair, key: notPem }, 'certificate_unusable'],
    [{ ...pair, key: other.key }, 'certificate_unusable'],
  ] as const)
    await t.rejects(start([files]), { code, fix: /--tls-cert/ }, code)
  await t.rejects(start([]), TypeError)
  const path = `${authority.folder}/front.sock`
  await t.rejects(startEdge(t, { listen: [{ path, speaks: 'https' }], certificates: [pair] }), TypeError)
})

t.test('warnings: names and times of certificates, and a public URL that does not fit', async (t) => {
  const said = async (more: Parameters<typeof startTlsEdge>[1]): Promise<string> =>
    (await startTlsEdge(t, more)).gateway.warnings.join('\n')
  t.equal(await said({}), '')
  const laterMs = Date.now() + 80 * 86_400_000
  t.match(await said({ now: () => laterMs }), /dashboard\.pem ends on 20.*\n.*workspaces\.pem ends on/)
  t.match(await said({ now: () => laterMs + 20 * 86_400_000 }), /has ended on/)
  t.match(await said({ now: () => 0 }), /begins on .*is the clock right/)
  t.match(await said({ publicUrl: 'https://other.test' }), /No certificate is for other\.test/)
  t.match(await said({ baseDomain: 'apps.test' }), /No certificate is for \*\.apps\.test/)
  t.match(await said({ publicUrl: 'http://postern.test' }), /public URL http:\/\/postern\.test is http/)
  const plain = { listen: [{ host: '127.0.0.1', port: 0 }], certificates: [], publicUrl: PUBLIC_URL }
  const alone = await startEdge(t, plain)
  t.match(alone.gateway.warnings.join(), /nothing here ends TLS/)
  t.same((await startEdge(t, { ...plain, trustedProxies: ['127.0.0.1'] })).gateway.warnings, [])
})

t.test('browsers are told to insist on https, where that is wanted, and by TLS only', async (t) => {
  const own = 'HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=0\r\nContent-Length: 0\r\n\r\n'
  const edge = await startTlsEdge(t, {
    hstsMs: 86_400_000,
    script: ({ head, socket }) => void socket.write(head.includes('/own') ? own : OK),
  })
  edge.workspace('shop', {}, 'public')
  const session = await edge.http2(HOST)
  for (const [authority, path] of [
    [HOST, '/'],
    [HOST, '/.postern/nothing'],
    ['postern.test', '/'],
    ['postern.test', '/sign-in'],
  ] as const) {
    const { headers } = await ask2(session, { ':authority': authority, ':path': path })
    t.equal(headers['strict-transport-security'], 'max-age=86400', `${authority}${path}`)
    const plain = await exchange(edge.port, requestBytes({ host: authority, path }))
    t.equal(plain.field('strict-transport-security'), null, `${authority}${path} by plain http`)
  }
  const { headers } = await ask2(session, { ':authority': HOST, ':path': '/own' })
  t.match(headers['strict-transport-security'], /^max-age=0\b/, 'an app’s own word comes first, and counts')
  const silent = await startTlsEdge(t)
  const answer = await ask2(await silent.http2(), { ':authority': 'postern.test' })
  t.notOk('strict-transport-security' in answer.headers, 'not by itself')
})

t.test('plain http that only says where https is', async (t) => {
  const edge = await startTlsEdge(t, { listener: { speaks: 'redirect' } })
  const ask = (host: string, path = '/', method = 'GET') =>
    exchange(edge.tlsPort, requestBytes({ host, path, method }))
  const cases: [string, string, number, string | null][] = [
    ['postern.test', '/a?b=%2F', 308, 'https://postern.test/a?b=%2F'],
    ['shop-3000.ws.test:80', '//x', 308, 'https://shop-3000.ws.test//x'],
    ['evil.example', '/', 421, null],
    ['postern.test@evil.example', '/', 421, null],
    ['postern.test', '/a\\b', 400, null],
    ['10.0.0.1', '/healthz', 200, null],
  ]
  for (const [host, path, status, location] of cases) {
    const answer = await ask(host, path)
    t.same([answer.status, answer.field('location')], [status, location], `${host}${path}`)
  }
  t.equal((await ask('postern.test', '/x', 'POST')).status, 308, 'method and body stay')
})
