/**
 * What a user asked for and a template go in; the whole shape of a workspace comes out, as users see it and as a host
 * gets it. Pure. The resolved shape is stored with its generation: a template that changes later changes nothing.
 */
import { isDeepStrictEqual } from 'node:util'
import type { SeedFile, WorkspaceSpec } from '@postern/plugin'
import { isUnder } from '../wire/index.ts'
import type { EdgePath, Mount, NetworkName, PortView, Register, SpecView } from '../wire/index.ts'

type Capabilities = Register['capabilities']

export interface StoredEnv {
  readonly name: string
  /** Of a secret: sealed. */
  readonly value: string
  readonly secret: boolean
}

export type StoredPort = Readonly<PortView>

/** What the user said; null: the template's default. */
export interface StoredSpec {
  readonly template: string | null
  readonly image: string | null
  readonly cpu: number | null
  readonly memoryBytes: number | null
  readonly pids: number | null
  readonly diskBytes: number | null
  readonly env: readonly StoredEnv[]
  readonly command: readonly string[] | null
  readonly ports: readonly StoredPort[] | null
  readonly paths: readonly EdgePath[] | null
  readonly gpus: number | null
  readonly mounts: readonly Mount[] | null
  readonly networks: readonly NetworkName[] | null
}

/** What it has beyond its own walls. */
export interface Beyond {
  readonly gpus: number
  readonly mounts: readonly Mount[]
  readonly networks: readonly NetworkName[]
}

/** Specs that were stored before there was such a thing have nothing of it. */
export const beyondUnsaid = { diskBytes: null, gpus: null, mounts: null, networks: null } as const
export const beyondNothing: Beyond = { gpus: 0, mounts: [], networks: [] }

/** A template as it was read from its folder. */
export interface Template extends Beyond {
  readonly name: string
  readonly title: string
  readonly summary: string
  readonly defaultPort: number | null
  readonly ports: readonly StoredPort[]
  readonly paths: readonly EdgePath[]
  readonly cpu: number | null
  readonly memoryBytes: number | null
  readonly pids: number | null
  readonly diskBytes: number | null
  /** For hosts whose runtime takes images; null: not for them. */
  readonly container: { readonly image: string; readonly command: readonly string[] | null } | null
  /** For hosts that run commands themselves; null: not for them. */
  readonly host: { readonly command: readonly string[]; readonly files: readonly SeedFile[] } | null
  /** Why there is no `host`. */
  readonly lacks: string | null
}

/** The whole shape, both for hosts with images and for hosts without. */
export interface Resolved extends Beyond {
  readonly cpu: number
  readonly memoryBytes: number
  readonly pids: number
  /** Null: its data has no bound of its own. */
  readonly diskBytes: number | null
  readonly ports: readonly StoredPort[]
  readonly paths: readonly EdgePath[]
  readonly defaultPort: number | null
  readonly container: Template['container']
  readonly host: Template['host']
  readonly lacks: string | null
}

export interface Defaults {
  readonly cpu: number
  readonly memoryBytes: number
  readonly pids: number
}

const NO_IMAGES = 'An image needs a runtime that takes images, such as Docker.'
const NO_TEMPLATE = 'This needs a template or an image.'

function containerOf(spec: StoredSpec, template: Template | null): Resolved['container'] {
  if (spec.image !== null) return { image: spec.image, command: spec.command }
  if (template === null || template.container === null) return null
  return { image: template.container.image, command: spec.command ?? template.container.command }
}

function hostOf(spec: StoredSpec, template: Template | null): Resolved['host'] {
  // An image that was asked for by name must not be silently replaced by a program on the host.
  if (spec.image !== null) return null
  const files = template?.host?.files ?? []
  const command = spec.command ?? template?.host?.command
  return command === undefined || (template !== null && template.host === null) ? null : { command, files }
}

function defaultPortOf(
  spec: StoredSpec,
  template: Template | null,
  ports: readonly StoredPort[],
): number | null {
  const wanted = template?.defaultPort ?? null
  if (wanted !== null && (spec.ports === null || ports.some(({ port }) => port === wanted))) return wanted
  return ports[0]?.port ?? null
}

function beyondOf(spec: StoredSpec, template: Beyond): Beyond {
  return {
    gpus: spec.gpus ?? template.gpus,
    mounts: spec.mounts ?? template.mounts,
    networks: spec.networks ?? template.networks,
  }
}

/** Fills in what the user left to the template and the server. */
export function resolve(spec: StoredSpec, template: Template | null, defaults: Defaults): Resolved {
  const ports = spec.ports ?? template?.ports ?? []
  const host = hostOf(spec, template)
  return {
    cpu: spec.cpu ?? template?.cpu ?? defaults.cpu,
    memoryBytes: spec.memoryBytes ?? template?.memoryBytes ?? defaults.memoryBytes,
    pids: spec.pids ?? template?.pids ?? defaults.pids,
    diskBytes: spec.diskBytes ?? template?.diskBytes ?? null,
    ports,
    paths: spec.paths ?? template?.paths ?? [],
    ...beyondOf(spec, template ?? beyondNothing),
    defaultPort: defaultPortOf(spec, template, ports),
    container: containerOf(spec, template),
    host,
    lacks: host !== null ? null : spec.image !== null ? NO_IMAGES : (template?.lacks ?? NO_TEMPLATE),
  }
}

/** Why a host cannot take a workspace: in words, and by which field of its spec. */
export interface Lack {
  readonly path: 'image' | 'diskBytes' | keyof Beyond
  readonly message: string
}

/** Why a host with these abilities cannot take it, or null. */
export function lacking(shape: Shape, host: Capabilities): Lack | null {
  if (host.images === true && shape.container === null)
    return { path: 'image', message: 'It has no image for a runtime that takes images.' }
  if (host.images !== true && shape.host === null) return { path: 'image', message: shape.lacks ?? NO_IMAGES }
  if (shape.diskBytes !== null && host.limits?.disk !== true)
    return { path: 'diskBytes', message: 'It asks for a disk of its own size, and the host can’t hold one.' }
  return lackingBeyond(shape, host)
}

/** The part of a shape that decides on where it can be. */
export type Shape = Pick<Resolved, 'container' | 'host' | 'lacks' | 'diskBytes' | keyof Beyond>

function lackingBeyond({ gpus, mounts, networks }: Beyond, host: Capabilities): Lack | null {
  if (gpus > (host.gpus ?? 0))
    return { path: 'gpus', message: `It asks for ${gpus} GPUs, and the host gives out ${host.gpus ?? 0}.` }
  const given = host.mounts ?? []
  const barred = mounts.find(({ source }) => !isUnder(source, given))
  if (barred !== undefined)
    return { path: 'mounts', message: `The host’s owner doesn’t let ${barred.source} be mounted.` }
  if (networks.includes('host') && host.hostNetwork !== true)
    return { path: 'networks', message: 'The host’s owner doesn’t let workspaces have its network.' }
  return null
}

/** The spec as it is given back; limits that no host holds are null, values of secrets are absent. */
export function specView(spec: StoredSpec, resolved: Resolved): SpecView {
  return {
    template: spec.template,
    image: resolved.container?.image ?? null,
    cpu: resolved.cpu,
    memoryBytes: resolved.memoryBytes,
    pids: resolved.pids,
    diskBytes: resolved.diskBytes,
    env: spec.env.map(({ name, value, secret }) => (secret ? { name, secret } : { name, value, secret })),
    command: spec.command === null ? null : [...spec.command],
    ports: resolved.ports.map((port) => ({ ...port })),
    paths: resolved.paths.map((path) => ({ ...path })),
    gpus: resolved.gpus,
    mounts: resolved.mounts.map((mount) => ({ ...mount })),
    networks: [...resolved.networks],
  }
}

/**
 * True when a program made for one shape is the program of the other: what differs, if anything, is the edge's alone
 * (who may open a port and how it is spoken to, the composition). Ending a person's processes for that would be wrong.
 */
export function isSameProgram(
  before: { readonly spec: StoredSpec; readonly resolved: Resolved },
  after: { readonly spec: StoredSpec; readonly resolved: Resolved },
): boolean {
  const program = ({ spec, resolved }: typeof before): unknown => ({
    ...resolved,
    env: spec.env,
    ports: resolved.ports.map(({ port, name }) => ({ port, name })),
    paths: null,
    defaultPort: null,
    lacks: null,
  })
  return isDeepStrictEqual(program(before), program(after))
}

/** The spec as a host's runtime takes it; null when that runtime lacks what it needs. */
export function runtimeSpec(
  workspace: {
    readonly id: string
    readonly name: string
    readonly programGeneration: number
    readonly resolved: Resolved
  },
  env: readonly { readonly name: string; readonly value: string }[],
  host: Capabilities,
): WorkspaceSpec | null {
  const { resolved } = workspace
  if (lacking(resolved, host) !== null) return null
  const images = host.images === true
  const command = images ? resolved.container?.command : resolved.host?.command
  return {
    id: workspace.id,
    name: workspace.name,
    generation: workspace.programGeneration,
    ...(images && resolved.container !== null ? { image: resolved.container.image } : {}),
    ...(command === null || command === undefined ? {} : { command }),
    env,
    ports: resolved.ports.map(({ port, name }) => (name === null ? { port } : { port, name })),
    ...(!images && resolved.host !== null && resolved.host.files.length > 0
      ? { files: resolved.host.files }
      : {}),
    ...(host.limits?.cpu === true ? { cpuMillis: Math.max(10, Math.round(resolved.cpu * 1000)) } : {}),
    ...(host.limits?.memory === true ? { memoryBytes: resolved.memoryBytes } : {}),
    ...(host.limits?.pids === true ? { pids: resolved.pids } : {}),
    ...(resolved.diskBytes === null ? {} : { diskBytes: resolved.diskBytes }),
    ...(resolved.gpus > 0 ? { gpus: resolved.gpus } : {}),
    ...(resolved.mounts.length > 0 ? { mounts: resolved.mounts } : {}),
    ...(resolved.networks.includes('host') ? { hostNetwork: true } : {}),
  }
}
