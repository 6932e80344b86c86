// Options and control's facts come in; a running gateway comes out: public listeners, the forward-auth listener, and a way to end.
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { paths } from '../control/wire/index.ts'
import { ownPages } from './app.ts'
import { dialledOnThisMachine } from './authz/allow.ts'
import { authzHandler } from './authz/index.ts'
import { handleConnect, handleExpectation, handleRequest, handleUpgrade } from './dispatch.ts'
import type { Edge } from './edge.ts'
import { pathOf } from './host.ts'
import { Pools } from './proxy/pools.ts'
import { answerMetrics } from './seen/answer-metrics.ts'
import { Counters } from './seen/counters.ts'
import { type MetricsSnapshot, renderMetrics, watchProcess } from './seen/snapshot.ts'
import { snapshotOf } from './seen/measure.ts'
import type { Gateway, GatewayOptions, ListenAddress } from './seams.ts'
import { closeServers, edgeServer, forgetSocketFile, listen } from './server.ts'
import { siteOf } from './site.ts'
import { LiveSet } from './sockets.ts'
import { Table } from './table.ts'
import { type Blocks, blocksOf, canonicalAddress, type Peer } from './trust.ts'

export type { Gateway, GatewayOptions, InnerApp, ListenAddress, LocalConnect } from './seams.ts'
export { renderMetrics, type MetricsSnapshot } from './seen/snapshot.ts'
export { sameSiteWarning } from './same-site.ts'

const SWEEP_MS = 60_000
const EXPIRE_MS = 1000
const DRAIN_MS = 10_000

interface Doors {
  readonly edge: Edge
  readonly peers: WeakMap<Duplex, Peer>
  readonly sockets: Set<Socket>
  subnets: Blocks
  /** Of this process. */
  readonly own: () => Promise<MetricsSnapshot>
  /** The text of `/metrics`, of all processes that serve as this gateway. */
  readonly metrics: () => Promise<string>
}

function build(options: GatewayOptions): Doors {
  const table = new Table(options.now)
  const pools = new Pools(table, options.connect)
  const live = new LiveSet(table, options.now)
  const trusted = blocksOf(options.trustedProxies)
  const peers = new WeakMap<Duplex, Peer>()
  const edge: Edge = {
    site: siteOf(options.publicUrl, options.baseDomain),
    table,
    control: options.control,
    app: options.app,
    pools,
    live,
    counters: new Counters(),
    accessLog: options.accessLog ?? null,
    trusted,
    log: options.log,
    flowKey: options.flowKey ?? randomBytes(32),
    now: options.now,
    isGateway: options.isGateway ?? (() => false),
    isReady: () => table.isReady && (options.fleet?.isReady() ?? true),
    peerOf: (socket) => peers.get(socket) ?? { ip: '', trusted: false },
    own: ownPages(),
    upgraded: new WeakSet(),
  }
  const sockets = new Set<Socket>()
  watchProcess()
  const own = () => snapshotOf(edge, sockets.size)
  const metrics = () => options.fleet?.metrics() ?? own().then((snapshot) => renderMetrics([snapshot]))
  const doors: Doors = { edge, peers, sockets, subnets: () => false, own, metrics }
  let known: readonly string[] = []
  table.onChange((change) => {
    if (table.subnets !== known) {
      known = table.subnets
      doors.subnets = blocksOf(known)
    }
    pools.evict(change)
    live.recheck(change)
  })
  return doors
}

/** Meets each connection before a byte of it is read: workspaces may not come in by the front door. */
function meet(doors: Doors, socket: Socket, isUnixSocket: boolean): void {
  const ip = canonicalAddress(socket.remoteAddress ?? '') ?? ''
  if (doors.subnets(ip)) return void socket.destroy()
  doors.peers.set(socket, { ip, trusted: isUnixSocket || doors.edge.trusted(ip) })
  if (doors.sockets.has(socket)) return
  doors.sockets.add(socket)
  socket.on('close', () => doors.sockets.delete(socket))
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

function publicServer(doors: Doors, address: ListenAddress): Server {
  const { edge } = doors
  const server = edgeServer()
  server.on('connection', (socket) => meet(doors, socket, 'path' in address))
  server.on('request', (req, res) => contain(edge, res, () => handleRequest(edge, req, res, false)))
  server.on('checkContinue', (req, res) => contain(edge, res, () => handleRequest(edge, req, res, true)))
  server.on('checkExpectation', (req, res) => contain(edge, res, () => handleExpectation(edge, req, res)))
  server.on('connect', (req, socket) => contain(edge, socket, () => handleConnect(edge, req, socket)))
  server.on('upgrade', (req, socket, head) =>
    contain(edge, socket, () => handleUpgrade(edge, server, req, socket, head)),
  )
  return server
}

function authzServer(doors: Doors, authz: (req: IncomingMessage, res: ServerResponse) => void): Server {
  const { edge } = doors
  const server = edgeServer()
  server.on('connection', (socket) => meet(doors, socket, false))
  server.on('request', (req, res) => {
    const path = pathOf(req.url ?? '')
    if (path === paths.metrics) return answerMetrics(edge.log, doors.metrics, res)
    if (path !== paths.healthz && path !== paths.readyz) return authz(req, res)
    const isReady = path === paths.healthz || edge.isReady()
    res.writeHead(isReady ? 200 : 503, ['Content-Type', 'text/plain']).end(isReady ? 'ok\n' : 'not ready\n')
  })
  return server
}

const isIpv6Absence = (err: unknown, address: ListenAddress): boolean => {
  const code = (err as NodeJS.ErrnoException).code
  return (
    'host' in address && address.host.includes(':') && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')
  )
}

async function listenAll(doors: Doors, options: GatewayOptions) {
  const servers: Server[] = []
  const addresses: ListenAddress[] = []
  try {
    for (const address of options.listen) {
      const server = publicServer(doors, address)
      try {
        forgetSocketFile(address)
        addresses.push(await listen(server, address))
        servers.push(server)
      } catch (err) {
        // A machine without IPv6 is still served on its other addresses.
        if (options.listen.length < 2 || !isIpv6Absence(err, address)) throw err
        options.log.warn('an IPv6 address is not there to listen on', { err })
      }
    }
    let authzAddress: ListenAddress | null = null
    if (options.authzListen !== null) {
      const authz = authzHandler(doors.edge, () => dialledOnThisMachine(addresses))
      const server = authzServer(doors, authz)
      forgetSocketFile(options.authzListen)
      authzAddress = await listen(server, options.authzListen)
      servers.push(server)
    }
    return { servers, addresses, authzAddress }
  } catch (err) {
    await closeServers(servers, doors.sockets, () => true, 0)
    throw err
  }
}

/**
 * Starts the edge. Until its sink's first `reset`, every decision is `unavailable`.
 * @throws TypeError for settings that make no sense, and listen's coded errors.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const doors = build(options)
  const { edge } = doors
  const { servers, addresses, authzAddress } = await listenAll(doors, options)
  const expiring = setInterval(() => edge.live.expire(), EXPIRE_MS).unref()
  const sweeping = setInterval(() => edge.pools.sweep(edge.now()), SWEEP_MS).unref()
  let closing: Promise<void> | null = null
  return {
    sink: edge.table,
    addresses,
    authzAddress,
    snapshot: doors.own,
    close(drainMs = DRAIN_MS) {
      closing ??= (async () => {
        clearInterval(expiring)
        clearInterval(sweeping)
        await closeServers(servers, doors.sockets, (socket) => edge.upgraded.has(socket), drainMs)
        edge.live.endAll()
        edge.pools.close()
      })()
      return closing
    },
  }
}
