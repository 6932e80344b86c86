/** What control is given and gives: the only types that the composition root needs of this room. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Logger } from '@postern/plugin'
import type { OidcProvider } from './oidc/settings.ts'
import type { AgentControl, EdgeControl, EdgeSink, Identity, Origin } from './wire/index.ts'

export interface ControlLimits {
  readonly maxRunning: number
  readonly maxRunningPerUser: number
  readonly maxWorkspacesPerUser: number
  readonly maxCpu: number
  readonly maxMemoryBytes: number
  readonly maxPids: number
  readonly maxDiskBytes: number
  readonly trashMs: number
}

export type { OidcProvider } from './oidc/settings.ts'

export interface ControlOptions {
  /** Holds the SQLite file, the key of secrets at rest, 0700. */
  readonly stateDirectory: string
  /** `postgres://…`; null: SQLite in the state directory. */
  readonly databaseUrl: string | null
  readonly publicUrl: string
  readonly baseDomain: string
  /** Origin of path mode; absent or null: it is off. */
  readonly pathUrl?: string | null
  /** Of the machine that the gateway runs on: an agent with another one is not reachable directly. */
  readonly machineId: string
  /** Folders of templates, later ones win; the built-in ones first. */
  readonly templateDirectories: readonly string[]
  readonly limits: ControlLimits
  /** Where people may sign in beside the password; absent: nowhere. */
  readonly oidcProviders?: readonly OidcProvider[]
  /** Rows of the audit are kept for so long. */
  readonly auditRetentionMs: number
  /** Names that no workspace or alias may take beside the built-in ones; absent: none. */
  readonly reservedNames?: readonly string[]
  /** Where webhooks may be sent; never link-local addresses, nor to workspaces; absent: public ones. */
  readonly hookTargets?: 'public' | 'any'
  /** How long a gateway's token holds; absent: `GATEWAY_TOKEN_MS`. At most that: keys are kept no longer. */
  readonly gatewayTokenMs?: number
  /** Folder of the built dashboard; null: none is served. */
  readonly webRoot: string | null
  readonly version: string
  readonly log: Logger
  now(): number
}

export interface Control {
  readonly edge: EdgeControl
  /** Seals flow cookies on all gateways of the deployment; 256 bits. */
  readonly flowKey: Buffer
  /** True for the token of a gateway in another process; answered from memory. */
  isGateway(token: string): boolean
  /** Resets the sink with all facts, then applies each change; returns the unsubscribe. */
  feed(sink: EdgeSink): Promise<() => void>
  readonly app: {
    request(req: IncomingMessage, res: ServerResponse, identity: Identity, origin: Origin): void
    upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, identity: Identity, origin: Origin): void
  }
  /** The contract with agents in this very process, for `standalone`: needs no join token. */
  embeddedAgent(): AgentControl
  /** `<public-url>/setup?token=…` while there are no users, else null. */
  setupUrl(): Promise<string | null>
  /** Answers all who wait, and asks open streams to come again: the server is about to end. */
  release(): void
  close(): Promise<void>
}
