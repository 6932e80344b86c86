/** A gateway that speaks TLS, and clients of it: HTTP/2 sessions whose answers are read whole, and raw TLS sockets. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import type { GatewayOptions, PublicListener } from '../../gateway/seams.ts'
import type { Script } from './gateway-bytes.ts'
import { type EdgeUnderTest, startEdge } from './gateway-edge.ts'
import { type Authority, makeAuthority } from './tls-authority.ts'

/** A gateway under test, and its doors of TLS. */
export interface TlsEdge extends EdgeUnderTest {
  readonly authority: Authority
  readonly tlsPort: number
  /** A new HTTP/2 connection to a host; ended at the test's end. */
  http2(host?: string): Promise<ClientHttp2Session>
  /** A new TLS connection that speaks HTTP/1.1, unless `protocols` says otherwise. */
  tls(host?: string, protocols?: readonly string[]): Promise<TLSSocket>
}

/** The origin of the dashboard. The port is only a name here: tests dial the real one. */
export const PUBLIC_URL = 'https://postern.test'
export const BASE = 'ws.test'

const local = { host: '127.0.0.1', port: 0 } as const

/** Starts it: one plain listener, then one of TLS, with a certificate for the dashboard and one for all workspaces. */
export async function startTlsEdge(
  t: Test,
  more: Partial<GatewayOptions> & { script?: Script; listener?: Partial<PublicListener> } = {},
): Promise<TlsEdge> {
  const { listener, ...options } = more
  const authority = makeAuthority(t)
  const certificates = [
    authority.issue('dashboard', ['postern.test']),
    authority.issue('workspaces', [`*.${BASE}`]),
  ]
  const edge = await startEdge(t, {
    listen: [local, { ...local, speaks: 'https', ...listener }],
    certificates,
    publicUrl: PUBLIC_URL,
    baseDomain: BASE,
    ...options,
  })
  const [, address] = edge.gateway.addresses
  const tlsPort = address !== undefined && 'port' in address ? address.port : 0
  return {
    ...edge,
    authority,
    tlsPort,
    cookie: (userId, route, label) => `__Host-${edge.cookie(userId, route, label)}`,
    async http2(host = 'postern.test') {
      const session = connectHttp2(`https://${host}:${tlsPort}`, {
        ca: authority.ca,
        servername: host,
        lookup: (_name, options, done) =>
          options.all === true
            ? (done as unknown as (err: null, all: object[]) => void)(null, [
                { address: '127.0.0.1', family: 4 },
              ])
            : done(null, '127.0.0.1', 4),
      })
      session.on('error', () => undefined)
      t.teardown(() => session.destroy())
      await once(session, 'connect')
      return session
    },
    async tls(host = 'postern.test', protocols = ['http/1.1']) {
      const socket = connectTls({
        port: tlsPort,
        host: '127.0.0.1',
        servername: host,
        ca: authority.ca,
        ALPNProtocols: [...protocols],
      })
      socket.on('error', () => undefined)
      t.teardown(() => socket.destroy())
      await once(socket, 'secureConnect')
      return socket
    },
  }
}
