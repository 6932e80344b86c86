/** A runtime in memory that keeps every promise of the kit; faults come as data, what is there can be looked at. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Capabilities, RuntimePlugin } from '../runtime.ts'
import type { Instance, WorkspaceId } from '../spec.ts'
import { drop, ended, tell, toInstance } from './fake-cells.ts'
import type { Cell, Cells } from './fake-cells.ts'
import { faultTable } from './fake-faults.ts'
import type { Fault, FaultTable, FaultVerb, Sleep } from './fake-faults.ts'
import { openFake } from './fake-verbs.ts'

/** How a fake is made. */
export interface FakeOptions {
  readonly faults?: readonly Fault[]
  /** What it declares beside `watch`, `logs`, `connect` and `volumes`, such as limits. */
  readonly capabilities?: Pick<
    Capabilities,
    'images' | 'isolation' | 'limits' | 'growsDisk' | 'gpus' | 'mounts' | 'hostNetwork'
  >
  /** So many fake GPUs, which compute nothing; declare `gpus` too. */
  readonly gpus?: number
  /** True: programs listen on 127.0.0.1 and `reach` says where; default: in memory only, `reach` is `none`. */
  readonly listen?: boolean
  /** How `late` faults and the grace period wait; default: real time. */
  readonly sleep?: Sleep
}

/** A call that the fake was given, in order. */
export interface FakeCall {
  readonly verb: FaultVerb
  readonly id?: WorkspaceId
}

/** The fake's world, which outlives its runtimes as a real engine does. */
export interface FakeRuntime extends Pick<FaultTable, 'inject' | 'clear'> {
  readonly plugin: RuntimePlugin<Record<string, never>>
  readonly calls: readonly FakeCall[]
  /** Everything there is, of whatever host. */
  instances(): Instance[]
  /** Ends a program from outside, as a crash does. */
  end(id: WorkspaceId, code: number): void
  /** Takes an instance away from outside, data included. */
  vanish(id: WorkspaceId): void
  /** Hints at a change without there being one. */
  hint(id: WorkspaceId | '*'): void
}

/** Makes a world with no workspaces; each `plugin.open` of it sees the same one. */
export function fakeRuntime(options: FakeOptions = {}): FakeRuntime {
  const sleep: Sleep = options.sleep ?? sleepReally
  const faults = faultTable(options.faults ?? [], sleep)
  const cells: Cells = { all: new Map(), watchers: new Set(), gpus: new Map() }
  const calls: FakeCall[] = []
  const cellOf = (id: WorkspaceId): Cell | undefined => [...cells.all.values()].find((cell) => cell.id === id)
  const world = {
    cells,
    calls,
    faults,
    sleep,
    listen: options.listen === true,
    images: options.capabilities?.images === true,
    gpus: options.gpus ?? 0,
    holdsDisks: options.capabilities?.limits?.disk === true,
    growsDisk: options.capabilities?.growsDisk === true,
  }
  return {
    plugin: {
      apiVersion: 1,
      name: 'fake',
      capabilities: { watch: true, logs: true, connect: true, volumes: true, ...options.capabilities },
      config: { parse: () => ({}) },
      open: (_config, host) => Promise.resolve(openFake(world, host)),
    },
    calls,
    inject: faults.inject,
    clear: faults.clear,
    instances: () => [...cells.all.values()].map(toInstance),
    end(id, code) {
      const cell = cellOf(id)
      if (cell?.program !== undefined) ended(cells, cell, code, Date.now())
    },
    vanish(id) {
      const cell = cellOf(id)
      if (cell === undefined) return
      drop(cells, cell)
      tell(cells, cell)
    },
    hint: (id) => cells.watchers.forEach((wake) => wake({ id })),
  }
}

async function sleepReally(ms: number, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}
