// The PROXY protocol: whom a balancer says that a connection is for, on listeners that require it, from balancers that may.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import fc from 'fast-check'
import t from 'tap'
import { readProxyHeader } from '../../gateway/listeners/proxy-protocol.ts'
import { exchange, rawClient, requestBytes, webSocketBytes } from '../support/gateway-bytes.ts'
import { startEdge, webAndSocket } from '../support/gateway-edge.ts'
import { BASE, PUBLIC_URL, startTlsEdge } from '../support/tls-edge.ts'
import { until } from '../support/until.ts'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** A header of version 2. */
function binary(command: number, family: number, addresses: Buffer, extra = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt8(0x20 | command, 0)
  head.writeUInt8(family, 1)
  head.writeUInt16BE(addresses.length + extra.length, 2)
  return Buffer.concat([SIGNATURE, head, addresses, extra])
}
const four = (a: string): Buffer => Buffer.from([...a.split('.').map(Number), 10, 0, 0, 9, 0x30, 0x39, 0, 80])
const six = (hex: string): Buffer =>
  Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(16, 1), Buffer.from([1, 2, 3, 4])])

const good: [string, string | Buffer, string | null][] = [
  ['v1, IPv4', 'PROXY TCP4 192.0.2.7 10.0.0.9 12345 80\r\n', '192.0.2.7'],
  ['v1, IPv6', 'PROXY TCP6 2001:db8::7 2001:db8::9 12345 80\r\n', '2001:db8::7'],
  ['v1, IPv4 in IPv6', 'PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n', '192.0.2.7'],
  ['v1, unknown', 'PROXY UNKNOWN\r\n', null],
  ['v1, unknown with words', 'PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n', null],
  ['v2, IPv4', binary(1, 0x11, four('192.0.2.7')), '192.0.2.7'],
  ['v2, IPv6', binary(1, 0x21, six('20010db8000000000000000000000007')), '2001:db8::7'],
  ['v2, IPv4 in IPv6', binary(1, 0x21, six('00000000000000000000ffffc0000207')), '192.0.2.7'],
  ['v2, more fields', binary(1, 0x11, four('192.0.2.7'), Buffer.alloc(500, 4)), '192.0.2.7'],
  ['v2, a unix socket', binary(1, 0x31, Buffer.alloc(216, 0x2f)), ''],
  ['v2, local', binary(0, 0, Buffer.alloc(0)), null],
  ['v2, local with an address', binary(0, 0x11, four('6.6.6.6')), null],
  ['v2, unspecified', binary(1, 0, Buffer.alloc(0)), null],
]

const bad: [string, string | Buffer][] = [
  ['no header', 'GET / HTTP/1.1\r\n'],
  ['another word', 'PROXX TCP4 1.1.1.1 2.2.2.2 1 2\r\n'],
  ['small letters', 'proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n'],
  ['a bad address', 'PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n'],
  ['an octal address', 'PROXY TCP4 010.1.1.1 2.2.2.2 1 2\r\n'],
  ['a short address', 'PROXY TCP4 1.1 2.2.2.2 1 2\r\n'],
  ['IPv6 as IPv4', 'PROXY TCP4 ::1 ::2 1 2\r\n'],
  ['a zone', 'PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n'],
  ['a big port', 'PROXY TCP4 1.1.1.1 2.2.2.2 70000 2\r\n'],
  ['a word too few', 'PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n'],
  ['a word too many', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n'],
  ['two spaces', 'PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n'],
  ['a bare line feed', `PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n${'x'.repeat(107)}`],
  ['a long line', `PROXY UNKNOWN ${'x'.repeat(107)}`],
  ['version 3', binary(0x11, 0x11, four('1.1.1.1'))],
  ['an unknown command', binary(2, 0x11, four('1.1.1.1'))],
  ['datagrams', binary(1, 0x12, four('1.1.1.1'))],
  ['too few bytes of addresses', binary(1, 0x21, four('1.1.1.1'))],
  ['too many bytes of fields', binary(1, 0x11, Buffer.alloc(3000))],
]

t.test('headers are read in whatever pieces they come, and never past their end', (t) => {
  for (const [what, header, address] of good) {
    const bytes = Buffer.from(header as string, 'latin1')
    t.same(
      readProxyHeader(Buffer.concat([bytes, Buffer.from('GET /')])),
      { kind: 'header', length: bytes.length, address },
      what,
    )
    for (let i = 0; i < bytes.length; i++)
      if (readProxyHeader(bytes.subarray(0, i)).kind !== 'more') t.fail(`${what}: decided after ${i} bytes`)
  }
  for (const [what, header] of bad)
    t.equal(readProxyHeader(Buffer.from(header as string, 'latin1')).kind, 'bad', what)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (tail, isBinary) => {
      const start = isBinary ? SIGNATURE : Buffer.from('PROXY ')
      const read = readProxyHeader(Buffer.concat([start, tail]))
      return read.kind !== 'header' || read.length <= start.length + tail.length
    }),
  )
  t.end()
})

const HOST = 'shop.ws.localhost'
const listener = { host: '127.0.0.1', port: 0, proxyProtocol: true }

t.test(
  'the given address is the peer: for trust, for X-Forwarded-For, for what workspaces may',
  async (t) => {
    const edge = await startEdge(t, {
      listen: [listener],
      proxyProtocolFrom: ['127.0.0.1'],
      trustedProxies: ['10.0.0.0/8'],
      script: webAndSocket,
    })
    edge.workspace('shop', {}, 'public')
    const claims = ['X-Forwarded-For: 198.51.100.1', 'X-Forwarded-Proto: https']
    const seenBy = async (header: string | Buffer): Promise<string> => {
      const client = await rawClient(edge.port)
      client.socket.setNoDelay(true)
      client.send(header)
      client.send(requestBytes({ host: HOST, headers: claims }))
      await client.closed()
      t.match(client.text(), /^HTTP\/1.1 200/)
      return (
        edge.upstream.requests
          .at(-1)
          ?.fields.find((line) => line.startsWith('X-Forwarded-For'))
          ?.slice(17) ?? ''
      )
    }
    for (const [what, header, address] of good) t.equal(await seenBy(header), address ?? '127.0.0.1', what)
    t.equal(
      await seenBy('PROXY TCP4 10.1.2.3 10.0.0.9 1 2\r\n'),
      '198.51.100.1, 10.1.2.3',
      'a trusted proxy behind the balancer',
    )
    const socket = await rawClient(edge.port)
    socket.send('PROXY TCP4 192.0.2.7 10.0.0.9 12345 80\r\n')
    socket.send(webSocketBytes({ host: HOST }))
    await socket.received(/^HTTP\/1.1 101/)
    t.ok(edge.upstream.requests.at(-1)?.fields.includes('X-Forwarded-For: 192.0.2.7'), 'a WebSocket')
    const h2c = await rawClient(edge.port)
    h2c.send(
      `PROXY TCP4 192.0.2.8 10.0.0.9 1 2\r\n${requestBytes({ host: HOST, headers: ['Connection: Upgrade, close', 'Upgrade: h2c'] })}`,
    )
    await h2c.closed()
    t.match(h2c.text(), /^HTTP\/1.1 200/, 'a request that goes back in has no second header')
    t.ok(edge.upstream.requests.at(-1)?.fields.includes('X-Forwarded-For: 192.0.2.8'))
    edge.control.tell({ kind: 'subnets', row: ['172.30.0.0/16'] })
    const inside = await rawClient(edge.port)
    inside.send(`PROXY TCP4 172.30.0.5 10.0.0.9 1 2\r\n${requestBytes({ host: HOST })}`)
    await inside.closed()
    t.equal(inside.text(), '', 'a workspace does not come in by the balancer')
  },
)

t.test('missing, malformed, from a stranger: closed unread and counted', async (t) => {
  const edge = await startEdge(t, { listen: [listener], proxyProtocolFrom: ['127.0.0.1'] })
  for (const [what, bytes] of bad) {
    const client = await rawClient(edge.port)
    client.send(Buffer.from(bytes as string, 'latin1'))
    await client.closed()
    t.equal(client.text(), '', what)
  }
  const stranger = await startEdge(t, { listen: [listener], proxyProtocolFrom: ['192.0.2.0/24'] })
  const client = await rawClient(stranger.port)
  client.send('PROXY TCP4 192.0.2.7 10.0.0.9 1 2\r\nGET / HTTP/1.1\r\n\r\n')
  await client.closed()
  t.equal(client.text(), '')
  const counted = async (at: typeof edge): Promise<string> =>
    (await exchange(at.authzPort, requestBytes({ host: 'x', path: '/metrics' }))).body
  t.match(await counted(edge), new RegExp(`refused_total\\{cause="proxy_malformed"\\} ${bad.length}\n`))
  t.match(await counted(stranger), /refused_total\{cause="proxy_untrusted"\} 1\n/)
})

t.test('before TLS, with HTTP/1.1 and HTTP/2 inside', async (t) => {
  const edge = await startTlsEdge(t, {
    listener: { proxyProtocol: true },
    proxyProtocolFrom: ['127.0.0.0/8'],
  })
  edge.workspace('shop', {}, 'public')
  const open = async (protocol: string): Promise<Socket> => {
    const raw = connect(edge.tlsPort, '127.0.0.1')
    await once(raw, 'connect')
    raw.write(binary(1, 0x11, four('192.0.2.7')))
    const socket = connectTls({
      socket: raw,
      servername: `shop.${BASE}`,
      ca: edge.authority.ca,
      ALPNProtocols: [protocol],
    })
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }
  const plain = await open('http/1.1')
  let text = ''
  plain.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  plain.write(requestBytes({ host: `shop.${BASE}` }))
  await until(() => text.endsWith('ok'))
  const { connect: connectHttp2 } = await import('node:http2')
  const inner = await open('h2')
  const session = connectHttp2(PUBLIC_URL, { createConnection: () => inner as never })
  t.teardown(() => session.destroy())
  const stream = session.request({ ':authority': `shop.${BASE}` })
  const [answer] = (await once(stream, 'response')) as [{ ':status': number }]
  t.equal(answer[':status'], 200)
  for (const request of edge.upstream.requests) t.ok(request.fields.includes('X-Forwarded-For: 192.0.2.7'))
  t.equal(edge.upstream.requests.length, 2)
})

t.test('on a unix socket, whose permissions say who may', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tls-proxy-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'front.sock')
  const edge = await startEdge(t, { listen: [{ path, proxyProtocol: true }] })
  edge.workspace('shop', {}, 'public')
  const socket = connect(path)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  socket.write(`PROXY TCP6 2001:db8::7 ::1 1 2\r\n${requestBytes({ host: HOST })}`)
  await until(() => text.endsWith('ok'))
  t.ok(edge.upstream.requests[0]?.fields.includes('X-Forwarded-For: 2001:db8::7'))
})
