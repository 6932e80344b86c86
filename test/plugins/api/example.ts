/** The example of the README of `@postern/plugin`, word for word, so that it compiles and is tried. */
import { RuntimeError, assertSpec } from '@postern/plugin'
import type { Host, Instance, Runtime, RuntimePlugin } from '@postern/plugin'

/** What your engine's client looks like. */
export interface Engine {
  list(labels: Record<string, string>): Promise<Machine[]>
  create(machine: Machine): Promise<void>
  halt(machine: Machine, graceMs: number): Promise<void>
  destroy(machine: Machine): Promise<void>
}
export interface Machine {
  readonly bootId: string
  readonly labels: Record<string, string>
  readonly command: readonly string[]
  readonly isUp: boolean
  readonly address: string
}

export function pluginFor(engine: Engine): RuntimePlugin<{ zone: string }> {
  return {
    apiVersion: 1,
    name: 'example',
    capabilities: {}, // What is not declared is not offered to anybody.
    config: {
      parse(input) {
        const { zone, ...unknown } = (input ?? {}) as Record<string, unknown>
        const problems = Object.keys(unknown).map((key) => `${key} is not known`)
        if (typeof zone !== 'string') problems.push('zone must be text')
        if (problems.length > 0) throw new Error(problems.join('; '))
        return { zone: String(zone) }
      },
    },
    open: (config, host) => Promise.resolve(openRuntime(engine, config.zone, host)),
  }
}

function openRuntime(engine: Engine, zone: string, host: Host): Runtime {
  // These three prove that a machine is ours. Everything else on the engine is somebody else's.
  const ours = { zone, deployment: host.deploymentId, host: host.hostId }
  let isClosed = false

  async function find(id: string): Promise<Machine | undefined> {
    return (await engine.list({ ...ours, workspace: id }))[0]
  }

  /** Every verb goes through here: closed, aborted, and foreign errors under a code. */
  async function enter<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (isClosed) throw new RuntimeError('ERR_CLOSED', 'The runtime has been closed.')
    signal.throwIfAborted()
    try {
      return await work()
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (RuntimeError.is(cause)) throw cause
      throw new RuntimeError('ERR_UNAVAILABLE', 'The engine does not answer.', { cause })
    }
  }

  return {
    health: ({ signal }) =>
      enter(signal, async () => {
        await engine.list(ours)
        return { status: 'healthy', message: `The engine answers in ${zone}.` }
      }),
    list: ({ signal }) => enter(signal, async () => (await engine.list(ours)).map(toInstance)),
    start: (spec, { signal }) =>
      enter(signal, async () => {
        assertSpec(spec) // ERR_INVALID_SPEC
        const old = await find(spec.id)
        if (old !== undefined && old.labels['generation'] !== String(spec.generation))
          throw new RuntimeError('ERR_CONFLICT', 'Another generation is there: remove it first.')
        const labels = { ...ours, workspace: spec.id, generation: String(spec.generation) }
        const machine = { bootId: '', labels, command: spec.command ?? [], isUp: false, address: '' }
        if (old?.isUp !== true) await engine.create(machine)
        const made = await find(spec.id)
        if (made === undefined) throw new RuntimeError('ERR_NOT_FOUND', 'The machine vanished.')
        return toInstance(made)
      }),
    stop: (id, { signal, graceMs }) =>
      enter(signal, async () => {
        const machine = await find(id)
        if (machine !== undefined) await engine.halt(machine, graceMs) // Absent is a success.
      }),
    remove: (id, { signal }) =>
      enter(signal, async () => {
        const machine = await find(id)
        if (machine !== undefined) await engine.destroy(machine)
      }),
    close() {
      isClosed = true // The machines live on.
      return Promise.resolve()
    },
  }
}

/** Pure: what the engine says, as the contract says it. */
function toInstance(machine: Machine): Instance {
  return {
    workspaceId: machine.labels['workspace'] ?? '',
    generation: Number(machine.labels['generation']),
    incarnation: machine.bootId, // Another one after each start.
    state: machine.isUp ? 'running' : 'stopped',
    createdAtMs: 0,
    reach: machine.isUp ? { kind: 'address', host: machine.address } : { kind: 'none' },
  }
}
