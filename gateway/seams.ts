/** What the gateway is given and gives: the only types that the composition root needs of this room. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Logger } from '@postern/plugin'
import type { MetricsSnapshot } from './seen/snapshot.ts'
import type { CapLimits, Caps } from './limits/caps.ts'
import type { LineSink } from './seen/tell.ts'
import type { Tracing } from './seen/tracing.ts'
import type { EdgeControl, EdgeSink, Identity, Origin } from '../control/wire/index.ts'
import type { CertificateFiles } from './tls/certificates.ts'

export type { CapLimits } from './limits/caps.ts'
export type { HeldUse } from './limits/shared-uses.ts'
export type { Tracing } from './seen/tracing.ts'
export type { LineSink } from './seen/tell.ts'
export type { MetricsSnapshot } from './seen/snapshot.ts'

export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string }

/** An address that visitors come to, and how. */
export type PublicListener = ListenAddress & {
  /** `https`: TLS ends here. `redirect`: plain, and answers only with where https is. Default: `http`. */
  readonly speaks?: 'http' | 'https' | 'redirect'
  /** Each connection begins with a PROXY protocol header, versions 1 or 2; one without is closed. */
  readonly proxyProtocol?: boolean
}

/** The dashboard's files and the API: reached on the dashboard's host (agent and health paths on any host), identity already found. */
export interface InnerApp {
  request(req: IncomingMessage, res: ServerResponse, identity: Identity, origin: Origin): void
  /** Only for allowed upgrades; `socket` is already indexed for revocation. */
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, identity: Identity, origin: Origin): void
}

/** Asks the runtime in this process for a stream to a port; rejects with RuntimeError ERR_NOT_FOUND when nothing listens. */
export type LocalConnect = (
  target: { readonly workspaceId: string; readonly incarnation: string },
  port: number,
  call: { readonly signal: AbortSignal },
) => Promise<Duplex>

export interface GatewayOptions {
  readonly listen: readonly PublicListener[]
  /** For the listeners that speak https; the first serves where a client names no host that another is for. */
  readonly certificates?: readonly CertificateFiles[]
  /** HTTP/2 on those listeners; `websockets`: those too (RFC 8441). Default `on`. */
  readonly http2?: 'off' | 'on' | 'websockets'
  /** How long browsers shall hold hosts of ours to https, ms, on connections whose TLS ends here; absent: not said. */
  readonly hstsMs?: number
  /** CIDR blocks of the balancers that may send a PROXY header; a unix socket's own permissions decide there. */
  readonly proxyProtocolFrom?: readonly string[]
  /** The forward-auth listener of its own; null: none. */
  readonly authzListen: ListenAddress | null
  /** Origin of the dashboard, such as `http://localhost:8090`. */
  readonly publicUrl: string
  /** Workspaces live under it, such as `ws.localhost`. */
  readonly baseDomain: string
  /** Origin of path mode, such as `https://paths.example.net`; absent or null: it is off. */
  readonly pathUrl?: string | null
  /** CIDR blocks whose forwarded headers are believed; empty: nobody's. */
  readonly trustedProxies: readonly string[]
  /** Apps get `Forwarded` (RFC 7239) beside `X-Forwarded-…`. Default: no. */
  readonly forwardedHeader?: boolean
  readonly control: EdgeControl
  readonly app: InnerApp
  /** Used where the route's reach isn't an address; absent: only direct dials. */
  readonly connect?: LocalConnect
  /** Seals flow cookies, the same on all gateways of a deployment; absent: of this process alone. */
  readonly flowKey?: Buffer
  /** True for the credential of a gateway of this deployment; absent: there is none. */
  readonly isGateway?: (credential: string) => boolean
  /** Gives the first facts, before anything listens; absent: they come later. */
  readonly begin?: (sink: EdgeSink) => void
  /** What the workers of one gateway answer together (`renderMetrics` of all snapshots); absent: this one is alone. */
  readonly fleet?: { isReady(): boolean; metrics(): Promise<string> }
  readonly log: Logger
  /** Caps other than the usual ones (`usualCaps`). */
  readonly caps?: Partial<CapLimits>
  /** Spans of proxied requests; absent: none. Closed by whoever opened it. */
  readonly tracing?: Tracing
  /** Where access lines go; absent: nowhere. */
  readonly accessLog?: LineSink
  now(): number
}

export interface Gateway {
  /** Feed it with control's facts; until the first `reset` every decision is `unavailable`. */
  readonly sink: EdgeSink
  /** Ends deciding while control has been away for too long, open streams included; false: begins again. */
  suspend(isSuspended: boolean): void
  /** What it really listens on, ports filled in. */
  readonly addresses: readonly ListenAddress[]
  readonly authzAddress: ListenAddress | null
  /** What is capped: told to, and heard from, the other workers of this gateway. */
  readonly caps: Pick<Caps, 'hear' | 'tell'>
  /** The metrics of this process now, as plain data; `renderMetrics` sums several. */
  snapshot(): Promise<MetricsSnapshot>
  /** Sentences for the operator on what was set, such as a certificate for other names. */
  readonly warnings: readonly string[]
  /** Looks at the certificate files at once; what is unusable is logged, and the old one serves on. */
  reloadCertificates(): Promise<void>
  /** Stops accepting, lets requests finish for `drainMs`, then ends all. */
  close(drainMs?: number): Promise<void>
}
