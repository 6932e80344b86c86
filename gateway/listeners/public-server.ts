// A public listener comes in; the server that meets its visitors comes out: plain, TLS, behind a balancer, or only pointing to https.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Arrivals, TurnedAway } from './arrivals.ts'
import {
  handleConnect,
  handleConnectStream,
  handleExpectation,
  handleRequest,
  handleUpgrade,
} from '../dispatch.ts'
import type { Edge } from '../edge.ts'
import { Guest } from '../limits/guest.ts'
import { type Http2Handlers, Http2Sessions } from '../http2/server.ts'
import type { OpenSet } from '../open-set.ts'
import { refuseBytes } from './refuse-bytes.ts'
import { redirectToHttps } from './redirect.ts'
import { count } from '../seen/counters.ts'
import type { PublicListener } from '../seams.ts'
import { edgeServer } from './server.ts'
import type { CertificateStore } from '../tls/store.ts'
import { tlsServer } from '../tls/server.ts'
import { type Blocks, canonicalAddress, type Peer } from './trust.ts'

const NOBODY: Peer = { ip: '', trusted: false }

/** What the listeners of one gateway share. */
export interface Doors {
  readonly edge: Edge
  readonly peers: WeakMap<Duplex, Peer>
  /** Every connection that speaks HTTP or has left it. */
  readonly sockets: OpenSet<Socket>
  readonly arrivals: Arrivals
  /** Null: HTTP/2 is off, or nothing speaks TLS. */
  readonly http2: Http2Sessions | null
  readonly certificates: CertificateStore | null
  /** Balancers that may send a PROXY header. */
  readonly balancers: Blocks
  subnets: Blocks
}

function turnAway({ edge }: Doors, why: TurnedAway): void {
  count(edge.counters.turnedAway, why)
}

/** The last line: what nobody answered for ends its own connection, not the process. */
function contain(edge: Edge, at: { destroy(): unknown }, act: () => void): void {
  try {
    act()
  } catch (err) {
    edge.log.error('a request failed at the door', { err })
    at.destroy()
  }
}

/** HTTP/2 over the handlers of HTTP/1.1. */
export function http2Sessions(edge: () => Edge, takesWebSockets: boolean): Http2Sessions {
  const handlers: Http2Handlers = {
    request: (req, res, expectsContinue) =>
      contain(edge(), res, () => handleRequest(edge(), req, res, expectsContinue)),
    expectation: (req, res) => contain(edge(), res, () => handleExpectation(edge(), req, res)),
    ended: (why) => count(edge().counters.turnedAway, why satisfies TurnedAway),
    connect: (req, res) => contain(edge(), res, () => handleConnectStream(edge(), req, res)),
  }
  return new Http2Sessions(handlers, takesWebSockets)
}

/** Keeps a connection by its peer, for as long as it is open. */
function keep(doors: Doors, socket: Socket, peer: Peer): void {
  if (doors.sockets.has(socket)) return
  doors.peers.set(socket, peer)
  doors.sockets.add(socket)
  socket.on('close', () => {
    doors.sockets.delete(socket)
    peer.guest?.release()
  })
}

/**
 * Counts a visitor's connection against its address. Where that has twice what it may, the oldest beyond the cap ends: a
 * flood must not lock out who signs in from the same address.
 */
function asGuest({ edge }: Doors, socket: Socket, peer: Peer): Peer {
  if (peer.trusted) return peer
  const use = edge.caps.address(peer.ip)
  const most = edge.caps.limits.addressConnections
  if (use.over !== null && use.connections + use.elsewhere.connections >= 2 * most) {
    for (const oldest of use.over) {
      count(edge.counters.capped, 'address_capped')
      oldest.end()
      break
    }
  }
  return { ...peer, guest: new Guest(use, most, () => socket.destroy()) }
}

/** Who a connection is from; null: workspaces may not come in by the front door. */
function peerOf(doors: Doors, socket: Socket, isUnixSocket: boolean): Peer | null {
  const ip = canonicalAddress(socket.remoteAddress ?? '') ?? ''
  return doors.subnets(ip) ? null : { ip, trusted: isUnixSocket || doors.edge.trusted(ip) }
}

/** Meets a front's connection to the forward-auth listener before a byte of it is read. */
export function meetFront(doors: Doors, socket: Socket): void {
  const peer = peerOf(doors, socket, false)
  if (peer === null) return void socket.destroy()
  keep(doors, socket, peer)
}

/** Meets each connection of a plain listener before a byte of it is read. */
function meet(doors: Doors, socket: Socket, isUnixSocket: boolean): void {
  // A request that goes back in has been met.
  if (doors.sockets.has(socket)) return
  const peer = peerOf(doors, socket, isUnixSocket)
  if (peer === null) return void socket.destroy()
  keep(doors, socket, asGuest(doors, socket, peer))
}

/** Meets the connections of a listener that wants something of them before Node's server has them. */
function meetFirst(doors: Doors, server: Server | SecureServer, listener: PublicListener): void {
  const { arrivals } = doors
  const isUnixSocket = 'path' in listener
  const asked = { proxyHeader: listener.proxyProtocol === true, tls: listener.speaks === 'https' }
  const [serve] = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    // A request that goes back in has been met.
    if (doors.peers.has(socket)) return void serve?.call(server, socket)
    const peer = peerOf(doors, socket, isUnixSocket)
    if (peer === null) return void socket.destroy()
    if (asked.proxyHeader && !isUnixSocket && !doors.balancers(peer.ip)) {
      turnAway(doors, 'proxy_untrusted')
      return void socket.destroy()
    }
    arrivals.add(socket, peer, asked, (known) => {
      if (!asked.tls) keep(doors, socket, asGuest(doors, socket, known))
      serve?.call(server, socket)
    })
  })
}

function secureServer(doors: Doors, store: CertificateStore): SecureServer {
  const { arrivals, http2, peers } = doors
  const admit = (socket: Socket): boolean => {
    if (peers.has(socket)) return true
    const peer = arrivals.claim(socket)
    if (peer === null) socket.destroy()
    else keep(doors, socket, { ...asGuest(doors, socket, peer), tls: true })
    return peer !== null
  }
  const server = tlsServer(
    store,
    doors.edge.caps.limits.headMs,
    doors.edge.drain,
    admit,
    http2 === null ? null : (socket) => http2.take(socket, peers.get(socket) as Peer),
  )
  server.on('tlsClientError', () => turnAway(doors, 'handshake_failed'))
  return server
}

/** The server of one public listener, not yet listening. */
export function publicServer(doors: Doors, listener: PublicListener): Server | SecureServer {
  const { edge, certificates } = doors
  const isTls = listener.speaks === 'https'
  // A connection is known again after its handshake by its addresses, which those of a unix socket have not.
  if (isTls && 'path' in listener) throw new TypeError('a unix socket speaks http, not https')
  if (isTls && certificates === null) throw new TypeError('a listener that speaks https needs certificates')
  const server =
    isTls && certificates !== null
      ? secureServer(doors, certificates)
      : edgeServer(edge.caps.limits.headMs, edge.drain)
  if (isTls || listener.proxyProtocol === true) meetFirst(doors, server, listener)
  else server.on('connection', (socket: Socket) => meet(doors, socket, 'path' in listener))
  if (listener.speaks === 'redirect') {
    server.on('request', (req: IncomingMessage, res: ServerResponse) => redirectToHttps(edge.site, req, res))
    return server
  }
  // Where a request that doesn't upgrade goes back in: behind the TLS, not before it.
  const door = isTls ? 'secureConnection' : 'connection'
  const reenter = (socket: Duplex): void => void (server as Server).emit(door, socket)
  server.on('request', (req, res) => contain(edge, res, () => handleRequest(edge, req, res, false)))
  server.on('checkContinue', (req, res) => contain(edge, res, () => handleRequest(edge, req, res, true)))
  server.on('checkExpectation', (req, res) => contain(edge, res, () => handleExpectation(edge, req, res)))
  server.on('connect', (req, socket) => contain(edge, socket, () => handleConnect(edge, req, socket)))
  server.on('clientError', (err, socket) =>
    refuseBytes(edge, err, socket as Socket, doors.peers.get(socket) ?? NOBODY),
  )
  server.on('upgrade', (req, socket, head) =>
    contain(edge, socket, () => handleUpgrade(edge, reenter, req, socket, head)),
  )
  return server
}
