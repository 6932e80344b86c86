/** Restrictions and grants go in, with a person; which hosts, templates and images they may use comes out. Pure. */
import type { Beyond } from '../lifecycle/spec.ts'
import type { Grant } from '../store/grants.ts'
import type { Restriction } from '../store/restrictions.ts'
import { counts } from '../wire/index.ts'
import type { Accessing, HostCapability, ObjectKind } from '../wire/index.ts'

/** What decides on the use of things, read once. */
export interface Uses {
  readonly restrictions: readonly Restriction[]
  /** Those on hosts, templates and images. */
  readonly grants: readonly Grant[]
  readonly nowMs: number
}

/** What every workspace needs of its host beyond room. */
export const hostNeeds: readonly HostCapability[] = ['create']

/** What a workspace of this shape needs of its host beyond room. */
export function needsOf({ gpus, mounts, networks }: Beyond): readonly HostCapability[] {
  return [
    ...hostNeeds,
    ...(gpus > 0 ? (['gpu'] as const) : []),
    ...(mounts.length > 0 ? (['bind-mounts'] as const) : []),
    ...(networks.includes('host') ? (['host-network'] as const) : []),
  ]
}

/** True where that is more than a place to run. */
export const reachesBeyond = (it: Beyond): boolean => needsOf(it).length > hostNeeds.length

function held(uses: Uses, kind: ObjectKind, id: string, person: Accessing): readonly Grant[] {
  return uses.grants.filter(
    (grant) => grant.objectKind === kind && grant.objectId === id && counts(grant, person, uses.nowMs),
  )
}

export const isRestricted = ({ restrictions }: Uses, kind: ObjectKind, id: string): boolean =>
  restrictions.some((each) => each.kind === kind && each.id === id)

/**
 * May this person's workspaces be placed on a host, with all of `needs`? Creating is open where the host isn't
 * restricted; whatever reaches beyond a workspace's own walls always takes a grant. An administrator needs none.
 */
export function mayUseHost(
  uses: Uses,
  hostId: string,
  person: Accessing,
  needs: readonly HostCapability[] = hostNeeds,
): boolean {
  if (person.role === 'administrator') return true
  const open: readonly HostCapability[] = isRestricted(uses, 'host', hostId) ? [] : ['create']
  const granted = held(uses, 'host', hostId, person).flatMap(({ capabilities }) => capabilities)
  return needs.every((need) => open.includes(need) || granted.includes(need))
}

/** May this person create workspaces from a template? */
export function mayUseTemplate(uses: Uses, name: string, person: Accessing): boolean {
  if (person.role === 'administrator' || !isRestricted(uses, 'template', name)) return true
  return held(uses, 'template', name, person).length > 0
}

/**
 * The repository of an image reference: neither tag nor digest, Docker Hub's own names in short. A restriction on `node`
 * holds for `node:22`, `library/node` and `docker.io/library/node@sha256:…` alike.
 */
export function repositoryOf(reference: string): string {
  const [named = ''] = reference.split('@')
  const untagged = named.replace(/:[^:/]*$/, '')
  return untagged.replace(/^(?:index\.|registry-1\.)?docker\.io\//, '').replace(/^library\//, '')
}

/**
 * May this person name that image? While any is restricted, one that is named by its digest alone could be any of them,
 * and is refused: a few digits of it are enough for an engine. A template's own image is the template's matter.
 */
export function mayUseImage(uses: Uses, reference: string, person: Accessing): boolean {
  if (person.role === 'administrator') return true
  const restricted = uses.restrictions.filter(({ kind }) => kind === 'image')
  if (restricted.length === 0) return true
  if (/^(?:sha256:)?[0-9a-f]{1,64}$/.test(reference)) return false
  const repository = repositoryOf(reference)
  if (!restricted.some(({ id }) => id === repository)) return true
  return held(uses, 'image', repository, person).length > 0
}
