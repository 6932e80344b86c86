/**
 * The contract between Postern's agent and a runtime plugin.
 *
 * Life cycle: 1. the package is imported; 2. `apiVersion` is checked; 3. `config.parse` validates the operator's
 * settings; 4. `open` gives a Runtime; 5. calls come, concurrent across workspaces and serial within one;
 * 6. `close`. Instances live on after `close`.
 *
 * Truth lives in the runtime's own labels, never in the plugin's memory: a new Runtime sees what an old one made.
 * Ownership is proved by label (`Host.deploymentId` and `Host.hostId`); nothing else is ever touched.
 */
import type { Duplex } from 'node:stream'
import type { EpochMs, Instance, WorkspaceId, WorkspaceSpec } from './spec.ts'

/** The version of this contract. New optional members leave it as it is. */
export const API_VERSION = 1

/** What a runtime can do beyond the six verbs; an absent field means no. Declaring one without its method is a load error. */
export interface Capabilities {
  /** `watch` gives hints. */
  readonly watch?: boolean
  /** `logs` gives the program's output. */
  readonly logs?: boolean
  /** `connect` dials a port of an instance. */
  readonly connect?: boolean
  /** Specs carry an image, which the runtime pulls where it must. */
  readonly images?: boolean
  /** Keeps data across `stop`, `start` and `remove` with `keepData`. */
  readonly volumes?: boolean
  /** Holds one workspace away from the others and from the host. */
  readonly isolation?: boolean
  /** Runs each workspace as an operating-system user of its own, where `isolation` is not had. */
  readonly workspaceUsers?: boolean
  /** Gives whole GPUs to a workspace, each to one at a time; how many there are is `Runtime.gpus`. */
  readonly gpus?: boolean
  /** Puts directories of the host into a workspace. */
  readonly mounts?: boolean
  /** Gives a workspace the host's own network; its declared ports, and no others, are then reached through it. */
  readonly hostNetwork?: boolean
  /** Limits that are really held; what is absent is not offered to users. */
  readonly limits?: {
    readonly cpu?: boolean
    readonly memory?: boolean
    readonly pids?: boolean
    readonly tmp?: boolean
    /** `diskBytes`: beyond it the workspace's own writes fail, and nobody else's. */
    readonly disk?: boolean
  }
  /** With `limits.disk`: a start with more `diskBytes` than the data had makes room for it, and keeps all that is there. */
  readonly growsDisk?: boolean
}

/** A step that takes a person's patience, such as a pull; `done` and `total` in bytes where known. */
export interface Progress {
  readonly step: 'pulling' | 'starting'
  readonly message: string
  readonly done?: number
  readonly total?: number
}

/** What every call takes. On abort: stop soon, leave only labelled things behind, reject with `signal.reason`. */
export interface Call {
  readonly signal: AbortSignal
}

export interface StartCall extends Call {
  readonly onProgress?: (progress: Progress) => void
}

/** `undetected`: the runtime isn't there; `unhealthy`: it is there and answers wrongly; `message` is one sentence. */
export interface Health {
  readonly status: 'healthy' | 'unhealthy' | 'undetected'
  readonly message: string
  /** Things an operator should know though all works, such as a missing firewall rule. */
  readonly warnings?: readonly string[]
}

export interface LogLine {
  readonly atMs: EpochMs
  readonly stream: 'stdout' | 'stderr'
  readonly text: string
}

export interface LogQuery {
  /** Lines from the end; default 200. */
  readonly tail?: number
  /** Go on until aborted; default false. */
  readonly follow?: boolean
}

/** An opened runtime. Every verb is safe to repeat and to call at once for different workspaces. */
export interface Runtime {
  health(call: Call): Promise<Health>
  /** Everything that this host owns, in any state; rejects rather than giving a partial answer. */
  list(call: Call): Promise<Instance[]>
  /**
   * Ensure that it runs at `spec.generation`; what is there at that generation is left as it is.
   * @throws RuntimeError ERR_CONFLICT when an instance of another generation is there: remove it first.
   */
  start(spec: WorkspaceSpec, call: StartCall): Promise<Instance>
  /** Ensure that it isn't running, force after `graceMs`; data stays. Absent is a success. */
  stop(id: WorkspaceId, call: Call & { readonly graceMs: number }): Promise<void>
  /** Ensure that it is gone, with all helpers; its data too unless `keepData`. Absent is a success. */
  remove(id: WorkspaceId, call: Call & { readonly keepData: boolean }): Promise<void>
  /** Release what this process holds; instances live on. May be called twice. */
  close(): Promise<void>

  /** Ids that may have changed ('*': look at all): hints, never facts. */
  watch?(call: Call): AsyncIterable<WorkspaceId | '*'>
  logs?(id: WorkspaceId, call: Call & LogQuery): AsyncIterable<LogLine>
  /** @throws RuntimeError ERR_NOT_FOUND when nothing of the workspace listens there. */
  connect?(id: WorkspaceId, port: number, call: Call): Promise<Duplex>
  /** CIDR blocks that the workspaces' own connections come from; Postern's listeners drop them unread. */
  readonly workspaceSubnets?: readonly string[]
  /** What it can do as it was opened, where that is less than its plugin declares. */
  readonly capabilities?: Capabilities
  /** How many GPUs it has to give out; absent: none. */
  readonly gpus?: number
  /** Paths of this machine that no workspace may get hold of, such as the engine's own socket. */
  readonly guarded?: readonly string[]
}

/** Five methods, so that no logger's types are part of this contract. Message constant, variables in `fields`. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
  error(message: string, fields?: Readonly<Record<string, unknown>>): void
  child(fields: Readonly<Record<string, unknown>>): Logger
}

/** What a plugin may use from its host process. */
export interface Host {
  /** Constant for a deployment; goes into every label. */
  readonly deploymentId: string
  /** Constant for a host of that deployment; goes into every label. */
  readonly hostId: string
  /** A directory of the plugin's own, 0700, that outlives restarts. */
  readonly stateDirectory: string
  readonly log: Logger
  now(): EpochMs
}

/** Parses an operator's settings for the plugin. @throws Error listing every problem when they are not usable. */
export interface ConfigParser<C> {
  parse(input: unknown): C
}

/** A plugin's default export: `{ … } satisfies RuntimePlugin<Config>`. */
export interface RuntimePlugin<C = unknown> {
  readonly apiVersion: typeof API_VERSION
  /** `[a-z][a-z0-9-]{0,31}` */
  readonly name: string
  readonly capabilities: Capabilities
  readonly config: ConfigParser<C>
  /** On failure it releases what it took. @throws RuntimeError ERR_UNAVAILABLE, ERR_PERMISSION, ERR_UNSUPPORTED */
  open(config: C, host: Host): Promise<Runtime>
}
