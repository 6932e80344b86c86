/** What the author of a plugin hands to the kit, and what the kit hands back. */
import type { Capabilities, Host, RuntimePlugin } from '../runtime.ts'
import type { WorkspaceSpec } from '../spec.ts'

/** Everything that the kit must know about a runtime to try it. */
export interface ConformanceFactory {
  readonly plugin: RuntimePlugin
  /** The operator's settings, as `plugin.config.parse` takes them; default `{}`. */
  readonly config?: unknown
  /** How a workspace of this runtime runs the probe (see `nodeProbe`, `shellProbe` for its protocol). */
  readonly program: Pick<WorkspaceSpec, 'image' | 'command' | 'files'>
  /** Where the kit makes a state directory a case; default: the system's temporary directory. */
  readonly stateRoot?: string
  /** How long one case may take at most; default 60,000 ms. */
  readonly deadlineMs?: number
  /** Called once before the first case; rejects with a RuntimeError that names what is lacking here and the mend. */
  ready?(): Promise<void>
  /** Readies one case's host, such as by making a directory reachable. */
  prepare?(host: Host): Promise<void>
  /** Names of all that still carries this host's mark in the real world (helpers and data included); a clean end is []. */
  leftovers?(host: Host): Promise<readonly string[]>
  /** Makes a thing that looks like the instance of `spec` and isn't ours (same name, no or another mark). */
  spawnForeign?(host: Host, spec: WorkspaceSpec): Promise<Foreign>
  /** Called after each case, whatever came of it. */
  cleanup?(host: Host): Promise<void>
}

/** Something that belongs to somebody else. */
export interface Foreign {
  /** True while it is there and as it was made. */
  isUntouched(): Promise<boolean>
  remove(): Promise<void>
}

/** One promise of the contract. `run` resolves when it is kept and rejects with an AssertionError when not. */
export interface Case {
  readonly name: string
  /** Runs only for plugins that declare this; a runner counts the others as skipped. */
  readonly needs?: keyof Capabilities
  run(): Promise<void>
}
