/** Hosts, the operator's bounds and the counts go in; what the server enforces comes out, and what breaks it. Pure. */
import type { Ledger } from './quotas.ts'
import type { ControlLimits } from '../seams.ts'
import { lacking } from '../lifecycle/spec.ts'
import type { Defaults, Lack, Shape } from '../lifecycle/spec.ts'
import type { Host } from '../store/hosts.ts'
import type { Uses } from '../authorization/uses.ts'
import { mayUseHost } from '../authorization/uses.ts'
import { PATHS_MAX } from '../wire/index.ts'
import type { Accessing, FieldProblem, HostCapability, Limits, Settings } from '../wire/index.ts'

const MIB = 1024 * 1024
const smallest = { cpu: 0.05, memoryBytes: 32 * MIB, pids: 16, diskBytes: 64 * MIB } as const
const MAX_PORTS = 32
const MAX_ENV = 200

/** Connected hosts, or all known ones while none is connected: what they could do does not change by a pause. */
export function offering(hosts: readonly Host[]): readonly Host[] {
  const connected = hosts.filter((host) => host.connected)
  return connected.length > 0 ? connected : hosts
}

/** Why none of these hosts can take such a workspace; null: one can, or there is none. */
export function lackingOn(shape: Shape, hosts: readonly Host[]): Lack | null {
  const lacks = offering(hosts).map((host) => lacking(shape, host.capabilities))
  return lacks.includes(null) ? null : (lacks[0] ?? null)
}

type HeldLimit = 'cpu' | 'memory' | 'pids' | 'disk'

/** Whether a host can hold a limit: what none can is not offered, and no quota either. */
export function heldLimits(hosts: readonly Host[]): Readonly<Record<HeldLimit, boolean>> {
  const offers = offering(hosts)
  const holds = (limit: HeldLimit): boolean =>
    offers.some((host) => host.capabilities.limits?.[limit] === true)
  return { cpu: holds('cpu'), memory: holds('memory'), pids: holds('pids'), disk: holds('disk') }
}

/** What a workspace gets when neither user nor template says. */
export function defaultsOf(bounds: ControlLimits): Defaults {
  return {
    cpu: Math.min(1, bounds.maxCpu),
    memoryBytes: Math.min(1024 * MIB, bounds.maxMemoryBytes),
    pids: Math.min(512, bounds.maxPids),
  }
}

/** The disk of what is created without a size in an account whose quota counts disk. */
export function defaultDisk(bounds: ControlLimits): number {
  return Math.min(10 * 1024 * MIB, bounds.maxDiskBytes)
}

const NOT_APART = 'Workspaces are not kept apart here, so only administrators create them.'
const SHUT = 'No host here is open to you; an administrator can grant you one.'
const READS_ONLY = 'Auditors read everything and change nothing.'

/** Why somebody may not have workspaces on any of the hosts; null: they may, or there is none yet. */
export function shutProblem(hosts: readonly Host[], open: readonly Host[]): string | null {
  return open.length === 0 && hosts.length > 0 ? SHUT : null
}

/** The limits for one user: the one truth of `GET /limits`, the form, and the checks. */
export function limitsOf(
  bounds: ControlLimits,
  hosts: readonly Host[],
  ledger: Ledger,
  user: {
    readonly id: string
    readonly administrator: boolean
    readonly groups: readonly { readonly id: string; readonly name: string }[]
  },
  { maxVisibility }: Settings,
): Limits {
  const offers = offering(hosts)
  const holds = heldLimits(hosts)
  const quota = ledger.standing({ kind: 'user', id: user.id })
  const defaults = defaultsOf(bounds)
  const keepsApart = offers.every(
    ({ capabilities }) => capabilities.isolation === true || capabilities.workspaceUsers === true,
  )
  const mayCreate = user.administrator || keepsApart
  return {
    maxRunning: { total: bounds.maxRunning, perUser: quota.running.max ?? bounds.maxRunningPerUser },
    running: { total: ledger.running, mine: quota.running.used },
    maxWorkspacesPerUser: quota.workspaces.max ?? bounds.maxWorkspacesPerUser,
    quota,
    groups: user.groups.map(({ id, name }) => {
      const account = { kind: 'group', id } as const
      return { id, name, quota: ledger.set(account) === null ? null : ledger.standing(account) }
    }),
    ...(holds.cpu ? { cpu: { min: smallest.cpu, max: bounds.maxCpu, default: defaults.cpu } } : {}),
    ...(holds.memory
      ? {
          memoryBytes: {
            min: smallest.memoryBytes,
            max: bounds.maxMemoryBytes,
            default: defaults.memoryBytes,
          },
        }
      : {}),
    ...(holds.pids ? { pids: { min: smallest.pids, max: bounds.maxPids, default: defaults.pids } } : {}),
    ...(holds.disk
      ? { diskBytes: { min: smallest.diskBytes, max: bounds.maxDiskBytes, default: defaultDisk(bounds) } }
      : {}),
    hostNetwork: false,
    images: offers.some((host) => host.capabilities.images === true),
    isolation: offers.length > 0 && offers.every((host) => host.capabilities.isolation === true),
    mayCreate,
    refusal: mayCreate ? null : NOT_APART,
    maxVisibility,
    maxPorts: MAX_PORTS,
    maxPaths: PATHS_MAX,
    maxEnv: MAX_ENV,
    trashMs: bounds.trashMs,
    runtime: [...new Set(offers.map((host) => host.runtime))].join(', '),
  }
}

/** The same, by the hosts that this person's workspaces may be placed on. */
export function limitsFor(
  bounds: ControlLimits,
  hosts: readonly Host[],
  ledger: Ledger,
  person: Accessing & Parameters<typeof limitsOf>[3],
  settings: Settings,
  uses: Uses,
): Limits {
  const open = hosts.filter(({ id }) => mayUseHost(uses, id, person))
  const may = (need: HostCapability): readonly Host[] =>
    offering(open).filter(({ id }) => mayUseHost(uses, id, person, [need]))
  const gpus = Math.max(0, ...may('gpu').map(({ capabilities }) => capabilities.gpus ?? 0))
  const under = new Set(may('bind-mounts').flatMap(({ capabilities }) => capabilities.mounts ?? []))
  const limits = limitsOf(bounds, open, ledger, person, settings)
  const refusal = person.role === 'auditor' ? READS_ONLY : (shutProblem(hosts, open) ?? limits.refusal)
  return {
    ...limits,
    ...(gpus > 0 ? { gpus: { max: gpus } } : {}),
    ...(under.size > 0 ? { mounts: { under: [...under].sort() } } : {}),
    hostNetwork: may('host-network').some(({ capabilities }) => capabilities.hostNetwork === true),
    mayCreate: refusal === null,
    refusal,
  }
}

interface Asked {
  readonly cpu?: number | null | undefined
  readonly memoryBytes?: number | null | undefined
  readonly pids?: number | null | undefined
  readonly diskBytes?: number | null | undefined
}

/** What asks for more or less than is allowed, and what asks for a limit that nobody here holds. */
export function boundsProblems(
  asked: Asked,
  limits: Limits,
): { beyond: FieldProblem[]; unheld: FieldProblem[] } {
  const beyond: FieldProblem[] = []
  const unheld: FieldProblem[] = []
  for (const path of ['cpu', 'memoryBytes', 'pids', 'diskBytes'] as const) {
    const value = asked[path]
    if (value === undefined || value === null) continue
    const bound = limits[path]
    if (bound === undefined) unheld.push({ path, message: 'no host here can hold this limit' })
    else if (value < bound.min) beyond.push({ path, message: `at least ${bound.min}` })
    else if (value > bound.max) beyond.push({ path, message: `at most ${bound.max}` })
  }
  return { beyond, unheld }
}
