/**
 * Who asks for what lies beyond a workspace's own walls (GPUs, directories of the host, its network) goes in; a coded
 * refusal comes out where no grant carries it. Rights are the owner's, looked at again at each start.
 */
import { isDeepStrictEqual } from 'node:util'
import { hostNeeds, mayUseHost, needsOf, reachesBeyond } from '../authorization/uses.ts'
import type { Uses } from '../authorization/uses.ts'
import { accessingOf, readUses } from '../authorization/whose.ts'
import type { Beyond } from '../lifecycle/spec.ts'
import { listHosts } from '../store/hosts.ts'
import type { Host } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'
import type { Workspace } from '../store/workspaces.ts'
import { ApiError } from '../wire/index.ts'
import type { Accessing, HostCapability } from '../wire/index.ts'

const words: Readonly<Record<HostCapability, string>> = {
  create: 'workspaces',
  gpu: 'GPUs',
  'bind-mounts': 'directories of the host',
  'host-network': 'the host’s network',
}
const fields: Partial<Record<HostCapability, string>> = {
  gpu: 'gpus',
  'bind-mounts': 'mounts',
  'host-network': 'networks',
}

type Whose = 'You have' | 'Its owner has' | 'The next owner has'

/** @throws ApiError grant_missing where on none of these hosts the person may have all that the shape asks for */
export function checkGranted(
  hosts: readonly Pick<Host, 'id'>[],
  uses: Uses,
  person: Accessing,
  resolved: Beyond,
  whose: Whose,
): void {
  if (!reachesBeyond(resolved) || person.role === 'administrator') return
  const needs = needsOf(resolved)
  if (hosts.some(({ id }) => mayUseHost(uses, id, person, needs))) return
  const lacking = needs.filter(
    (need) => !hostNeeds.includes(need) && !hosts.some(({ id }) => mayUseHost(uses, id, person, [need])),
  )
  const named = lacking.length > 0 ? lacking : needs.filter((need) => !hostNeeds.includes(need))
  throw new ApiError(
    'grant_missing',
    `${whose} no grant on a host here for ${named.map((need) => words[need]).join(' and ')}.`,
    { errors: named.map((need) => ({ path: fields[need] ?? '', message: `takes a grant for ${need}` })) },
  )
}

type Placed = Pick<Workspace, 'ownerId' | 'hostId' | 'resolved'>

async function hostsOf(db: Db, { hostId }: Placed): Promise<readonly Pick<Host, 'id'>[]> {
  return hostId === null ? await listHosts(db) : [{ id: hostId }]
}

/** @throws ApiError grant_missing where the owner may not have it (any more); then it isn't started */
export async function checkStart(
  db: Db,
  workspace: Placed,
  nowMs: number,
  whose: Whose = 'Its owner has',
): Promise<void> {
  if (!reachesBeyond(workspace.resolved)) return
  const owner = await accessingOf(db, workspace.ownerId)
  if (owner === null) throw new ApiError('grant_missing')
  const hosts = await hostsOf(db, workspace)
  checkGranted(hosts, await readUses(db, nowMs), owner, workspace.resolved, whose)
}

/** Why its owner may not start it, as a sentence; null: they may. */
export async function barredBeyond(db: Db, workspace: Placed, nowMs: number): Promise<string | null> {
  try {
    await checkStart(db, workspace, nowMs)
    return null
  } catch (err) {
    if (err instanceof ApiError && err.code === 'grant_missing') return err.message
    throw err
  }
}

/**
 * Before a spec changes what lies beyond its walls: who asks must be allowed it, and so must the owner.
 * @throws ApiError grant_missing
 */
export async function checkAsked(
  db: Db,
  before: Placed,
  resolved: Workspace['resolved'],
  actor: Accessing,
  nowMs: number,
): Promise<void> {
  const beyond = ({ gpus, mounts, networks }: Beyond): Beyond => ({ gpus, mounts, networks })
  if (!reachesBeyond(resolved) || isDeepStrictEqual(beyond(before.resolved), beyond(resolved))) return
  checkGranted(await hostsOf(db, before), await readUses(db, nowMs), actor, resolved, 'You have')
  await checkStart(db, { ...before, resolved }, nowMs)
}
