// The parts that every room of the edge works with, made once by the composition in `index.ts`.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Logger } from '@postern/plugin'
import type { EdgeControl, Origin } from '../control/wire/index.ts'
import type { Activity } from './usage/activity.ts'
import type { Assertions } from './identity/assertion.ts'
import { cookieValue } from './headers/cookies.ts'
import type { Caps, Seat } from './limits/caps.ts'
import type { Place } from './host/host.ts'
import type { Drain } from './listeners/drain.ts'
import { overHttp2 } from './http2/request.ts'
import type { Pools } from './proxy/pools.ts'
import type { Scan } from './headers/scan.ts'
import type { Seen } from './seen/seen.ts'
import type { Witness } from './seen/tell.ts'
import type { Tracing } from './seen/tracing.ts'
import type { InnerApp } from './seams.ts'
import type { Site } from './host/site.ts'
import type { LiveSet } from './sockets.ts'
import type { Table } from './facts/table.ts'
import type { Blocks, Chain, Peer } from './listeners/trust.ts'

/** What one gateway is made of. */
export interface Edge extends Witness {
  readonly site: Site
  readonly table: Table
  readonly control: EdgeControl
  readonly app: InnerApp
  readonly pools: Pools
  readonly assertions: Assertions
  readonly activity: Activity
  readonly live: LiveSet
  readonly caps: Caps
  /** Null: no spans. */
  readonly tracing: Tracing | null
  readonly trusted: Blocks
  /** Apps get `Forwarded` (RFC 7239) too. */
  readonly saysForwarded: boolean
  /** The value of Strict-Transport-Security, for connections whose TLS ends here; null: not said. */
  readonly hsts: string | null
  readonly log: Logger
  /** Seals flow cookies. */
  readonly flowKey: Buffer
  /** Connections that have left HTTP; a drain does not wait for them. */
  readonly upgraded: WeakSet<Duplex>
  /** On while it ends. */
  readonly drain: Drain
  /** True for the credential of a gateway of this deployment. */
  isGateway(credential: string): boolean
  /** What `/readyz` says. */
  isReady(): boolean
  peerOf(req: IncomingMessage): Peer
  /** Koa's handler of the edge's own pages and flows. */
  own(visit: Visit): void
}

/** One request on its way through the edge: parsed at the door, trusted inside. */
export interface Visit {
  readonly edge: Edge
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly scan: Scan
  readonly place: Place
  /** Origin form. */
  readonly target: string
  readonly method: string
  readonly requestId: string
  readonly peer: Peer
  /** Who the visitor is by address, and the hops that are believed. */
  readonly chain: Chain
  /** What will be told of it. */
  readonly seen: Seen
  /** The bytes of a WebSocket request's connection; null for plain requests. */
  readonly socket: Duplex | null
  readonly head: Buffer | null
  /** The visitor waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean
  /** Its place among what is capped, given back when it is over; null: not counted. */
  seat: Seat | null
  /** What carries it to an app, while it does; told when the answer is over or the connection gone. */
  relay: { visitorClosed(): void } | null
  /** The other origin whose page may read the answer, once it is decided; null: no other. */
  allowOrigin: string | null
}

const prefix = randomBytes(4).toString('hex')
let counted = 0

/** A name for one request, short enough to be read out; unique in this process, and between processes by chance. */
export function nextRequestId(): string {
  counted = (counted + 1) % 0x7fffffff
  return `${prefix}${counted.toString(36).padStart(4, '0')}`
}

const USER_AGENT_MAX = 256

/** Where a visit came from, for control's limits, lists and audit. */
export function originOf(visit: Visit): Origin {
  const { scan, edge, chain, requestId } = visit
  const origin = { ip: chain.client, userAgent: scan.userAgent.slice(0, USER_AGENT_MAX), requestId }
  // Only who signs in is asked for it, and that is a POST.
  const device = visit.method === 'POST' ? cookieValue(scan.cookie, edge.site.cookies.device) : null
  return device === null ? origin : { ...origin, device: device.slice(0, 200) }
}

/**
 * Ends a visit by force: its connection, or over HTTP/2, where others' requests share that, its stream.
 */
export function cutOff({ req, socket }: Visit): void {
  const stream = overHttp2(req)?.stream
  if (socket !== null) socket.destroy()
  else if (stream === undefined) req.socket.destroy()
  else stream.close(constants.NGHTTP2_CANCEL)
}

/** What is said of https on this connection (RFC 6797); null: nothing. An app's own word comes before it, and counts. */
export function hstsOf({ edge, peer }: Visit): string | null {
  return edge.hsts !== null && peer.tls === true ? edge.hsts : null
}

/** True when the visitor's HTTP knows early hints and trailers: 1.1 and newer. */
export function takesMore(req: IncomingMessage): boolean {
  return req.httpVersionMajor === 2 || req.httpVersionMinor === 1
}

/** True when the request announces a body. */
export function hasBody(scan: Scan): boolean {
  return scan.transferEncoding !== null || (scan.contentLength !== null && scan.contentLength !== '0')
}
