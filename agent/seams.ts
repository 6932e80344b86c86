/** What the agent is given and gives: the only types that the composition root needs of this room. */
import type { Duplex } from 'node:stream'
import type { Logger, Runtime, RuntimePlugin } from '@postern/plugin'
import type { AgentControl } from '../control/wire/index.ts'
import type { HostLaw } from './host-law.ts'
import type { PlanLimits } from './plan.ts'

/** Time as an argument; `sleep` rejects with `signal.reason` on abort. */
export interface Clock {
  now(): number
  sleep(ms: number, call: { readonly signal: AbortSignal }): Promise<void>
}

export interface AgentOptions {
  readonly control: AgentControl
  readonly plugin: RuntimePlugin
  /** Given to `plugin.config.parse`. */
  readonly pluginConfig: unknown
  /** Holds the agent's key, ids and the plugin's state, 0700. */
  readonly stateDirectory: string
  readonly name: string
  readonly machineId: string
  readonly version: string
  readonly log: Logger
  readonly clock: Clock
  /** 0 to 1, for jitter; default `Math.random`. */
  readonly random?: () => number
  /** Changes of the defaults, `defaultLimits`. */
  readonly limits?: Partial<PlanLimits>
  /** What the host's owner gives away of it; default: nothing. */
  readonly law?: HostLaw
  /** Gives up a start that still waits for control's first answer. */
  readonly signal?: AbortSignal
}

export interface Agent {
  readonly hostId: string
  readonly runtime: Runtime
  /** The seam of standalone: dials a port of an instance through the runtime. */
  connect(
    target: { readonly workspaceId: string; readonly incarnation: string },
    port: number,
    call: { readonly signal: AbortSignal },
  ): Promise<Duplex>
  /** Resolves with why when the agent has ended for good by itself, such as ApiError stale_epoch; else never. */
  readonly ended: Promise<Error>
  /** Ends the loop and the runtime; workspaces live on. May be called twice. */
  close(): Promise<void>
}
