/**
 * What a runtime is asked to make, and what it says it has made.
 * Plain data: no clock, no I/O, no third-party types.
 */

/** Immutable id of a workspace: `[a-z0-9]{8,40}`. Names may change, ids never. */
export type WorkspaceId = string

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number

/** One variable of a workspace's environment; `name` is `[A-Za-z_][A-Za-z0-9_]*`. */
export interface EnvEntry {
  readonly name: string
  readonly value: string
}

/** A port that the owner declared; `port` is 1 to 65535. */
export interface PortSpec {
  readonly port: number
  readonly name?: string
}

/** A file put into the workspace directory if nothing of that name is there; `path` is relative, without `..`. */
export interface SeedFile {
  readonly path: string
  readonly content: string
}

/**
 * A directory or file of the host, put into the workspace as it is; nothing is made where it isn't there. Both paths are
 * absolute and plain: no `.`, no `..`, no empty part. Whether this host gives it away was decided before.
 */
export interface MountSpec {
  readonly source: string
  readonly target: string
  /** Default false. */
  readonly readOnly?: boolean
}

/** The shape that a runtime is asked to make real. All limits are hard where the runtime can hold them. */
export interface WorkspaceSpec {
  readonly id: WorkspaceId
  /** The workspace's name, for people; never used as a key. */
  readonly name: string
  /** Grows with each change of the spec; written into the runtime's own labels. */
  readonly generation: number
  /** Image reference, for runtimes with the capability `images`. */
  readonly image?: string
  /** The program and its arguments; absent: what the image says. */
  readonly command?: readonly string[]
  readonly env: readonly EnvEntry[]
  readonly ports: readonly PortSpec[]
  readonly files?: readonly SeedFile[]
  /** Thousandths of a core, 10 and more; absent: no limit. */
  readonly cpuMillis?: number
  /** Bytes; absent: no limit. */
  readonly memoryBytes?: number
  /** Processes and threads at once; absent: no limit. */
  readonly pids?: number
  /**
   * The most that its own data, what outlives its program, may take, in bytes; for runtimes with `limits.disk`. Data that
   * is there keeps its size: another one is refused unless the runtime `growsDisk`.
   */
  readonly diskBytes?: number
  /** Size of `/tmp` in bytes; absent: the runtime's default. */
  readonly tmpBytes?: number
  /** Whole GPUs that nobody else has meanwhile; for runtimes with the capability `gpus`. */
  readonly gpus?: number
  /** For runtimes with the capability `mounts`. */
  readonly mounts?: readonly MountSpec[]
  /** It has the host's own network instead of one of its own; for runtimes with the capability `hostNetwork`. */
  readonly hostNetwork?: boolean
}

/**
 * `starting` is made but not yet up, `running` has a live program, `stopped` was ended on request or with exit
 * code 0, `failed` ended by itself with another code, `retained` has nothing left but its data.
 */
export type InstanceState = 'starting' | 'running' | 'stopped' | 'failed' | 'retained'

/**
 * How a process on the same machine reaches the ports of an instance: `address` takes every port at one IP,
 * `ports` only those listed (workspace port → TCP port on `host`), `none` cannot be dialled directly.
 */
export type Reach =
  | { readonly kind: 'address'; readonly host: string }
  | { readonly kind: 'ports'; readonly host: string; readonly ports: Readonly<Record<string, number>> }
  | { readonly kind: 'none' }

/** How a program ended; `code` is null where the runtime doesn't know. */
export interface Exit {
  readonly code: number | null
  /** True when the memory limit ended it. */
  readonly oom: boolean
  readonly atMs: EpochMs
}

/** What a runtime has for one workspace, read from the runtime itself. */
export interface Instance {
  readonly workspaceId: WorkspaceId
  /** The generation it was made from; 0 for `retained`. */
  readonly generation: number
  /** A new opaque id each time that the program is started anew, so that nothing pooled outlives it; '' for `retained`. */
  readonly incarnation: string
  readonly state: InstanceState
  readonly createdAtMs: EpochMs
  readonly reach: Reach
  /** With `limits.disk`: the size that its data has, in bytes; absent: it has none. Also on `retained`. */
  readonly diskBytes?: number
  /** Present on `stopped` and `failed` where known. */
  readonly exit?: Exit
}
