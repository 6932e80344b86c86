// Options and control's facts come in; a running gateway comes out: public listeners, the forward-auth listener, and a way to end.
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { paths } from '../control/wire/index.ts'
import { ownPages } from './app.ts'
import { Activity } from './usage/activity.ts'
import { Assertions } from './identity/assertion.ts'
import { Caps, usualCaps } from './limits/caps.ts'
import { dialledOnThisMachine } from './authz/allow.ts'
import { authzHandler } from './authz/index.ts'
import { mayAskAt } from './authz/peers.ts'
import { Arrivals } from './listeners/arrivals.ts'
import type { Edge } from './edge.ts'
import { overHttp2 } from './http2/request.ts'
import { type Drain, drainServers } from './listeners/drain.ts'
import { pathOf } from './host/host.ts'
import { type Doors, http2Sessions, meetFront, publicServer } from './listeners/public-server.ts'
import { Pools } from './proxy/pools.ts'
import { answerMetrics } from './seen/answer-metrics.ts'
import { count, Counters } from './seen/counters.ts'
import { type MetricsSnapshot, renderMetrics, watchProcess } from './seen/snapshot.ts'
import { snapshotOf } from './seen/measure.ts'
import type { Gateway, GatewayOptions, ListenAddress, PublicListener } from './seams.ts'
import { edgeServer, forgetSocketFile, listen } from './listeners/server.ts'
import { noteOpenStreams } from './usage/session-uses.ts'
import { siteOf } from './host/site.ts'
import { OpenSet } from './open-set.ts'
import { LiveSet } from './sockets.ts'
import { Table } from './facts/table.ts'
import type { Certificates } from './tls/certificates.ts'
import { CertificateStore } from './tls/store.ts'
import { certificateWarnings, pathWarnings, schemeWarnings } from './tls/warnings.ts'
import { blocksOf, type Peer } from './listeners/trust.ts'

export type {
  Gateway,
  GatewayOptions,
  InnerApp,
  ListenAddress,
  LocalConnect,
  PublicListener,
} from './seams.ts'
export { renderMetrics, type MetricsSnapshot } from './seen/snapshot.ts'
export { SharedUses } from './limits/shared-uses.ts'
export { forgetSocketFile } from './listeners/server.ts'
export { endedMetrics } from './seen/snapshot.ts'
export { sameSiteWarning } from './host/same-site.ts'
export { pathUrlProblem } from './host/site.ts'

const SWEEP_MS = 60_000
const EXPIRE_MS = 1000
const DRAIN_MS = 10_000
const FRONTS_MS = 1000

interface AllDoors extends Doors {
  /** Of this process. */
  readonly own: () => Promise<MetricsSnapshot>
  /** The text of `/metrics`, of all processes that serve as this gateway. */
  readonly metrics: () => Promise<string>
}

function build(options: GatewayOptions, certificates: CertificateStore | null): AllDoors {
  const table = new Table(options.now)
  const pools = new Pools(table, options.connect)
  const live = new LiveSet(table, options.now)
  const trusted = blocksOf(options.trustedProxies)
  const peers = new WeakMap<Duplex, Peer>()
  const drain: Drain = { isOn: false }
  const site = siteOf(options.publicUrl, options.baseDomain, options.pathUrl)
  const isHttp2 = certificates !== null && options.http2 !== 'off'
  const http2 = isHttp2 ? http2Sessions(() => edge, options.http2 === 'websockets') : null
  const edge: Edge = {
    site,
    table,
    assertions: new Assertions(site, () => table.signing),
    activity: new Activity(options.control, options.log, options.now),
    control: options.control,
    app: options.app,
    pools,
    live,
    caps: new Caps({ ...usualCaps, ...options.caps }),
    tracing: options.tracing ?? null,
    counters: new Counters(),
    accessLog: options.accessLog ?? null,
    trusted,
    saysForwarded: options.forwardedHeader ?? false,
    hsts: options.hstsMs === undefined ? null : `max-age=${Math.floor(options.hstsMs / 1000)}`,
    log: options.log,
    flowKey: options.flowKey ?? randomBytes(32),
    now: options.now,
    isGateway: options.isGateway ?? (() => false),
    drain,
    isReady: () => !drain.isOn && table.isReady && (options.fleet?.isReady() ?? true),
    peerOf(req) {
      const stream = overHttp2(req)
      const peer = stream === null ? peers.get(req.socket) : http2?.peerOf(stream)
      return peer ?? { ip: '', trusted: false }
    },
    own: ownPages(),
    upgraded: new WeakSet(),
  }
  const sockets = new OpenSet<Socket>()
  watchProcess()
  const own = () => snapshotOf(edge, sockets.size)
  const metrics = () => options.fleet?.metrics() ?? own().then((snapshot) => renderMetrics([snapshot]))
  const doors: AllDoors = {
    edge,
    peers,
    sockets,
    // The address that a balancer gives is looked at as if it had come itself.
    arrivals: new Arrivals(
      (why) => count(edge.counters.turnedAway, why),
      (ip) => (doors.subnets(ip) ? null : { ip, trusted: ip !== '' && trusted(ip) }),
    ),
    http2,
    certificates,
    balancers: blocksOf(options.proxyProtocolFrom ?? []),
    subnets: () => false,
    own,
    metrics,
  }
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

function authzServer(doors: AllDoors, authz: (req: IncomingMessage, res: ServerResponse) => void): Server {
  const { edge } = doors
  const server = edgeServer(edge.caps.limits.headMs, edge.drain)
  server.on('connection', (socket) => meetFront(doors, socket))
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

/** A front on this machine passes requests on as they are: plain, and without a header before them. */
const isForFronts = ({ speaks, proxyProtocol }: PublicListener): boolean =>
  (speaks === undefined || speaks === 'http') && proxyProtocol !== true

async function listenAll(doors: AllDoors, options: GatewayOptions) {
  const servers: (Server | SecureServer)[] = []
  const addresses: ListenAddress[] = []
  const forFronts: ListenAddress[] = []
  try {
    for (const address of options.listen) {
      const server = publicServer(doors, address)
      try {
        // Workers share the socket of the process above them, which has taken the old file away.
        if (options.fleet === undefined) forgetSocketFile(address)
        const at = await listen(server, address)
        servers.push(server)
        addresses.push(at)
        if (isForFronts(address)) forFronts.push(at)
      } catch (err) {
        // A machine without IPv6 is still served on its other addresses.
        if (options.listen.length < 2 || !isIpv6Absence(err, address)) throw err
        options.log.warn('an IPv6 address is not there to listen on', { err })
      }
    }
    let authzAddress: ListenAddress | null = null
    let authz: Server | null = null
    if (options.authzListen !== null) {
      const answer = authzHandler(doors.edge, {
        posternAddress: () => dialledOnThisMachine(forFronts),
        mayAsk: mayAskAt(options.authzListen, (req) => doors.edge.peerOf(req)),
        isEnding: () => doors.edge.drain.isOn,
      })
      authz = authzServer(doors, answer)
      if (options.fleet === undefined) forgetSocketFile(options.authzListen)
      authzAddress = await listen(authz, options.authzListen)
      servers.push(authz)
    }
    return { servers, addresses, authz, authzAddress }
  } catch (err) {
    doors.certificates?.close()
    await drainServers({ servers, sockets: doors.sockets, isUpgraded: () => true, drainMs: 0 })
    throw err
  }
}

/**
 * Starts the edge. Until its sink's first `reset`, every decision is `unavailable`.
 * @throws TypeError for settings that make no sense, and listen's coded errors.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const files = options.certificates ?? []
  const certificates = files.length === 0 ? null : await CertificateStore.open(files, options.log)
  const doors = build(options, certificates)
  const { edge } = doors
  options.begin?.(doors.edge.table)
  const { servers, addresses, authz, authzAddress } = await listenAll(doors, options)
  const ofCertificates = (current: Certificates) => certificateWarnings(current, edge.site, options.now())
  certificates?.onChange((current) => ofCertificates(current).forEach((text) => options.log.warn(text)))
  const warnings = [
    ...(certificates === null ? [] : ofCertificates(certificates.current)),
    ...schemeWarnings(edge.site, options.listen, options.trustedProxies.length > 0),
    ...pathWarnings(edge.site),
  ]
  const expiring = setInterval(() => edge.live.expire(), EXPIRE_MS).unref()
  const sweeping = setInterval(() => {
    edge.pools.sweep(edge.now())
    edge.caps.sweep(edge.now())
    noteOpenStreams(edge)
  }, SWEEP_MS).unref()
  let closing: Promise<void> | null = null
  return {
    sink: edge.table,
    suspend: (isSuspended) => edge.table.suspend(isSuspended),
    addresses,
    authzAddress,
    caps: edge.caps,
    snapshot: doors.own,
    warnings,
    reloadCertificates: async () => certificates?.reload(),
    close(drainMs = DRAIN_MS) {
      closing ??= (async () => {
        clearInterval(expiring)
        clearInterval(sweeping)
        edge.drain.isOn = true
        doors.http2?.drain()
        const isUpgraded = (socket: Socket): boolean => edge.upgraded.has(socket)
        const { sockets } = doors
        const isFront = (server: Server | SecureServer): boolean => server === authz
        await drainServers({
          servers: servers.filter((each) => !isFront(each)),
          sockets,
          isUpgraded,
          drainMs,
        })
        // Who asks whether it is ready, and fronts, are answered until then.
        const restMs = Math.min(drainMs, FRONTS_MS)
        await drainServers({ servers: servers.filter(isFront), sockets, isUpgraded, drainMs: restMs })
        certificates?.close()
        doors.arrivals.close()
        edge.live.endAll()
        edge.pools.close()
        await edge.activity.close()
      })()
      return closing
    },
  }
}
