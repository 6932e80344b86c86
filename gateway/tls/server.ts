// Certificates come in; an HTTPS server that negotiates HTTP/2 or HTTP/1.1 and follows their changes comes out.
import { createServer, type Server } from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { Drain } from '../listeners/drain.ts'
import { settleServer, serverSettings } from '../listeners/server.ts'
import type { Certificate, Certificates } from './certificates.ts'
import type { CertificateStore } from './store.ts'

/** A handshake that takes longer is given up. */
const HANDSHAKE_MS = 10_000

const first = (certificates: Certificates): Certificate => certificates.all[0] as Certificate

/**
 * An HTTPS server, not yet listening. Connections that agree on `h2` go to `onHttp2`, the others are its own; `onSecure`
 * sees each first and says whether it may stay.
 */
export function tlsServer(
  store: CertificateStore,
  headMs: number,
  drain: Drain,
  onSecure: (socket: TLSSocket) => boolean,
  onHttp2: ((socket: TLSSocket) => void) | null,
): Server {
  const server = createServer({
    ...serverSettings(headMs, drain),
    ...first(store.current).options,
    handshakeTimeout: HANDSHAKE_MS,
    ALPNProtocols: onHttp2 === null ? ['http/1.1'] : ['h2', 'http/1.1'],
    SNICallback: (name, done) => done(null, store.current.choose(name)),
  })
  settleServer(server)
  const [serve] = server.listeners('secureConnection')
  server.removeAllListeners('secureConnection')
  server.on('secureConnection', (socket: TLSSocket) => {
    // A request that goes back in comes by here again, and keeps its HTTP/1.1.
    if (!onSecure(socket)) return
    if (onHttp2 !== null && socket.alpnProtocol === 'h2') onHttp2(socket)
    else serve?.call(server, socket)
  })
  store.onChange((current) => {
    // New keys would make all tickets worthless.
    const keys = server.getTicketKeys()
    server.setSecureContext(first(current).options)
    server.setTicketKeys(keys)
  })
  return server
}
