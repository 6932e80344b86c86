/** A workspace's needs and the hosts go in; the host that takes it comes out, or why none does. Pure. */
import { lacking } from '../lifecycle/spec.ts'
import type { Shape } from '../lifecycle/spec.ts'
import type { Register } from '../wire/index.ts'

export interface Candidate {
  readonly id: string
  readonly name: string
  readonly connected: boolean
  readonly healthy: boolean
  readonly capabilities: Register['capabilities']
  /** How many workspaces it has already. */
  readonly workspaces: number
  /** How many of its GPUs those that may run have; absent: none. */
  readonly gpusTaken?: number
  /** Its owner's workspaces may be placed on it. */
  readonly open: boolean
}

export type Placement =
  { readonly kind: 'placed'; readonly hostId: string } | { readonly kind: 'waiting'; readonly why: string }

/** Why nothing is placed for who may use no host. */
export const NONE_OPEN =
  'No host here is open to its owner for all that it asks; an administrator can grant one.'

/** How many GPUs would be lacking at the moment: each is given to one workspace only, and others wait on the host for it. */
const gpusShort = ({ gpus }: Shape, { capabilities, gpusTaken = 0 }: Candidate): number =>
  Math.max(0, gpus - Math.max(0, (capabilities.gpus ?? 0) - gpusTaken))

/**
 * Where it goes: data never moves, so a host once chosen stays; else a healthy one before others, then one whose GPUs are
 * free, then the emptiest.
 */
export function place(
  workspace: {
    readonly hostId: string | null
    readonly resolved: Shape
  },
  hosts: readonly Candidate[],
): Placement {
  if (workspace.hostId !== null) return { kind: 'placed', hostId: workspace.hostId }
  if (hosts.length === 0) return { kind: 'waiting', why: 'No host has joined yet.' }
  const refusals: string[] = []
  const fit: Candidate[] = []
  const open = hosts.filter((host) => host.open)
  if (open.length === 0) return { kind: 'waiting', why: NONE_OPEN }
  for (const host of open) {
    const lack = lacking(workspace.resolved, host.capabilities)
    if (lack !== null) refusals.push(`${host.name}: ${lack.message}`)
    else if (!host.connected) refusals.push(`${host.name}: does not report.`)
    else fit.push(host)
  }
  fit.sort(
    (a, b) =>
      Number(b.healthy) - Number(a.healthy) ||
      gpusShort(workspace.resolved, a) - gpusShort(workspace.resolved, b) ||
      a.workspaces - b.workspaces ||
      (a.id < b.id ? -1 : 1),
  )
  const best = fit[0]
  return best === undefined
    ? { kind: 'waiting', why: refusals.join(' ') }
    : { kind: 'placed', hostId: best.id }
}
