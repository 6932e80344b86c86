/** A spec becomes the body of ContainerCreate; what the engine says of a container becomes an Instance. Pure. */
import type { Instance, InstanceState, Reach, WorkspaceSpec } from '@postern/plugin'
import type { ContainerCreateOptions, HostConfig } from 'dockerode'
import { bindMount, gpuParts } from './beyond.ts'
import { GPUS, HOST_PORTS, labelsOf, namesOf } from './labels.ts'
import type { Owner, Proof } from './labels.ts'

/** The home of the user `dev` in every workspace: where the volume is. */
export const HOME = '/home/dev'

/** The engine measures CPU time in periods of so many microseconds. */
const CPU_PERIOD_US = 100_000

/** What of the settings shapes a container. */
export interface Shape {
  /** Size of `/tmp` in bytes where the spec doesn't say. */
  readonly tmpBytes: number
  /** Publish the declared ports on 127.0.0.1, at ports of the kernel's choice. */
  readonly publishes: boolean
  /** The GPUs that it gets. */
  readonly gpus: readonly string[]
}

/** The body of ContainerCreate. Source: Docker Engine API 1.41, ContainerCreate. */
export function containerBody(
  spec: WorkspaceSpec & { readonly image: string },
  owner: Owner,
  shape: Shape,
): ContainerCreateOptions {
  const [program, ...rest] = spec.command ?? []
  const ports =
    shape.publishes && spec.hostNetwork !== true ? spec.ports.map(({ port }) => `${port}/tcp`) : []
  return {
    Image: spec.image,
    Hostname: spec.name,
    Env: spec.env.map(({ name, value }) => `${name}=${value}`),
    Labels: {
      ...labelsOf(owner, spec.id, spec.generation, 'container'),
      ...(shape.gpus.length === 0 ? {} : { [GPUS]: shape.gpus.join(',') }),
      ...(spec.hostNetwork === true
        ? { [HOST_PORTS]: spec.ports.map(({ port }) => String(port)).join(',') }
        : {}),
    },
    ...(program === undefined ? {} : { Entrypoint: [program], Cmd: rest }),
    ...(ports.length === 0 ? {} : { ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])) }),
    HostConfig: hostConfig(spec, owner, shape, ports),
  }
}

function hostConfig(spec: WorkspaceSpec, owner: Owner, shape: Shape, ports: readonly string[]): HostConfig {
  const names = namesOf(owner, spec.id)
  const tmpBytes = spec.tmpBytes ?? shape.tmpBytes
  const binding = [{ HostIp: '127.0.0.1', HostPort: '' }]
  return {
    NetworkMode: spec.hostNetwork === true ? 'host' : names.network,
    Mounts: [{ Type: 'volume', Source: names.home, Target: HOME }, ...(spec.mounts ?? []).map(bindMount)],
    ...gpuParts(shape.gpus),
    Tmpfs: { '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${tmpBytes}` },
    Init: true,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges'],
    RestartPolicy: { Name: 'no' },
    LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } },
    ...(ports.length === 0 ? {} : { PortBindings: Object.fromEntries(ports.map((port) => [port, binding])) }),
    ...(spec.cpuMillis === undefined
      ? {}
      : { CpuPeriod: CPU_PERIOD_US, CpuQuota: (spec.cpuMillis * CPU_PERIOD_US) / 1000 }),
    // Swap equal to memory means none: the limit is then hard.
    ...(spec.memoryBytes === undefined ? {} : { Memory: spec.memoryBytes, MemorySwap: spec.memoryBytes }),
    ...(spec.pids === undefined ? {} : { PidsLimit: spec.pids }),
  }
}

/** What the engine knows about one container, from whichever of its answers. */
export interface Facts {
  readonly id: string
  /** The engine's word: created, running, paused, restarting, removing, exited, dead. */
  readonly status: string
  /** RFC 3339 with nanoseconds; year 1 when it never ran. */
  readonly startedAt: string
  readonly createdAtMs: number
  /** Address on its own network, '' when it has none. */
  readonly address: string
  /** Workspace port → port on 127.0.0.1, where ports are published. */
  readonly published: Readonly<Record<string, number>>
  /** Its declared ports where it has the host's network, which has all of them; undefined: it has its own. */
  readonly hostPorts: readonly number[] | undefined
  /** Absent where a listing left it out, which is right only for what runs. */
  readonly end?: {
    readonly code: number
    readonly oomKilled: boolean
    readonly finishedAt: string
  }
}

/** A new id each time that the engine started the container: its id, and when that was to the nanosecond. */
export function incarnationOf(id: string, startedAt: string): string {
  const started = startedAt.startsWith('0001-') ? '0' : startedAt.replace(/[^0-9]/g, '')
  return `${id.slice(0, 12)}-${started}`
}

/** The Instance that a container of ours is; `asked` is the incarnation that was last asked to end, '' for none. */
export function instanceOf(proof: Proof, facts: Facts, asked: string, publishes: boolean): Instance {
  const incarnation = incarnationOf(facts.id, facts.startedAt)
  const wasAsked = asked === incarnation
  const state = stateOf(facts, wasAsked)
  const { end } = facts
  const hasEnded = (state === 'stopped' || state === 'failed') && end !== undefined
  const finishedAtMs = Date.parse(end?.finishedAt ?? '')
  const exit = {
    code: end?.code ?? null,
    // The engine's mark is about the whole run: one that was asked to end, or ended well, wasn't ended by memory.
    oom: end?.oomKilled === true && end.code !== 0 && !wasAsked,
    atMs: finishedAtMs > 0 ? finishedAtMs : facts.createdAtMs,
  }
  return {
    workspaceId: proof.workspaceId,
    generation: proof.generation,
    incarnation,
    state,
    createdAtMs: facts.createdAtMs,
    reach: state === 'running' ? reachOf(facts, publishes) : { kind: 'none' },
    ...(hasEnded ? { exit } : {}),
  }
}

function stateOf({ status, end }: Facts, wasAsked: boolean): InstanceState {
  switch (status) {
    case 'running':
    case 'paused':
      return 'running'
    case 'restarting':
      return 'starting'
    case 'created':
      return end !== undefined && end.code !== 0 ? 'failed' : 'starting'
    case 'removing':
      return 'stopped'
    default:
      return wasAsked || end?.code === 0 ? 'stopped' : 'failed'
  }
}

function reachOf({ address, published, hostPorts }: Facts, publishes: boolean): Reach {
  // No more than what was declared: what else listens on the host is not the workspace's.
  if (hostPorts !== undefined)
    return {
      kind: 'ports',
      host: '127.0.0.1',
      ports: Object.fromEntries(hostPorts.map((port) => [port, port])),
    }
  if (publishes) return { kind: 'ports', host: '127.0.0.1', ports: published }
  return address === '' ? { kind: 'none' } : { kind: 'address', host: address }
}
