/** What the agent is given and gives: the only types that the composition root needs of this room. */
import type { Duplex } from 'node:stream'
import type { Logger, Runtime, RuntimePlugin } from '@postern/plugin'
import type { AgentControl } from '../control/wire/index.ts'

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
  /** Ends the loop and the runtime; workspaces live on. */
  close(): Promise<void>
}
