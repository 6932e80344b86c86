/** Names and labels of everything that is made on an engine, and the proof by both that a thing is ours. Pure. */
import { createHash } from 'node:crypto'
import type { WorkspaceId } from '@postern/plugin'

/** Whose things: both ids are in every label, so that two hosts may share one engine. */
export interface Owner {
  readonly deploymentId: string
  readonly hostId: string
}

/** What a labelled thing is for; `stop` marks that a run was ended on request. */
export type Role = 'container' | 'network' | 'home' | 'stop'

/** What a thing's labels say once they have proved it ours. */
export interface Proof {
  readonly workspaceId: WorkspaceId
  readonly generation: number
}

export const DEPLOYMENT = 'dev.postern.deployment'
export const HOST = 'dev.postern.host'
export const WORKSPACE = 'dev.postern.workspace'
export const GENERATION = 'dev.postern.generation'
export const ROLE = 'dev.postern.role'
/** On a stop mark: the incarnation that was asked to end. */
export const INCARNATION = 'dev.postern.incarnation'

/** On a container: its GPUs, separated by commas. */
export const GPUS = 'dev.postern.gpus'
/** On a container with the host's network: its declared ports, separated by commas. */
export const HOST_PORTS = 'dev.postern.host-ports'

/** Every bridge of ours begins so, which lets one set of packet filter rules cover all. */
export const BRIDGE_PREFIX = 'pst'

/** The engine's names of one workspace's things: always the same, so that making one twice fails cheaply. */
export interface Names {
  readonly container: string
  readonly network: string
  /** Kernel interface, 15 characters. */
  readonly bridge: string
  readonly home: string
  readonly stop: string
}

/** Names of one workspace's things: `postern-<first 8 of deployment>-<workspace id>…`. */
export function namesOf(owner: Owner, id: WorkspaceId): Names {
  const deployment = owner.deploymentId
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, 8)
  const container = `postern-${deployment}-${id}`
  const bridge = BRIDGE_PREFIX + digest([owner.deploymentId, owner.hostId, id].join('\n')).slice(0, 12)
  return { container, network: container, bridge, home: `${container}-home`, stop: `${container}-stop` }
}

/** The name that a thing of this role must have. */
export function nameOf(owner: Owner, id: WorkspaceId, role: Role): string {
  return namesOf(owner, id)[role]
}

/** The labels that every thing of ours carries. */
export function labelsOf(
  owner: Owner,
  id: WorkspaceId,
  generation: number,
  role: Role,
): Record<string, string> {
  return {
    [DEPLOYMENT]: owner.deploymentId,
    [HOST]: owner.hostId,
    [WORKSPACE]: id,
    [GENERATION]: String(generation),
    [ROLE]: role,
  }
}

/** The filter of list and event calls that leaves only things with our two ids. */
export function ownFilter(owner: Owner): { label: string[] } {
  return { label: [`${DEPLOYMENT}=${owner.deploymentId}`, `${HOST}=${owner.hostId}`] }
}

/**
 * What a thing's labels say, or undefined when it isn't proved ours: both ids, a well-formed workspace id and
 * generation, the role, and the very name that we would give it (labels alone are copied by `docker commit`).
 */
export function proofOf(
  owner: Owner,
  role: Role,
  name: string,
  labels: Readonly<Record<string, string>> | null | undefined,
): Proof | undefined {
  if (labels?.[DEPLOYMENT] !== owner.deploymentId || labels[HOST] !== owner.hostId) return undefined
  const workspaceId = labels[WORKSPACE] ?? ''
  const generation = Number(labels[GENERATION])
  if (!/^[a-z0-9]{8,40}$/.test(workspaceId) || labels[ROLE] !== role) return undefined
  if (!Number.isSafeInteger(generation) || generation < 1) return undefined
  return name === nameOf(owner, workspaceId, role) ? { workspaceId, generation } : undefined
}

/** SHA-256, in hex. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
