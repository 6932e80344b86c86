/** Everything of ours on the engine, in three calls and one more for each container that doesn't run. */
import type { Call, Instance, WorkspaceId } from '@postern/plugin'
import type { ContainerInfo, NetworkInspectInfo, VolumeInspectInfo } from 'dockerode'
import { instanceOf } from './convert.ts'
import { sizeOf } from './disk.ts'
import { ask, together, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { inspectedFacts, listedFacts, runKey } from './facts.ts'
import { INCARNATION, namesOf, ownFilter, proofOf } from './labels.ts'
import type { Proof } from './labels.ts'

/**
 * When each running program was started, with its `runKey`: a fact that never changes, kept so that what runs needs no
 * inspect. To be forgotten on any hint: an engine whose disk is full goes on to list as running what has ended.
 */
export type Starts = Map<WorkspaceId, { readonly key: string; readonly startedAt: string }>

/** Inspections at once. */
const WIDTH = 8

/** See `Runtime.list`. `starts` is read, and filled with what is found to run. */
export async function list(engine: Engine, starts: Starts, call: Call): Promise<Instance[]> {
  const { docker, owner } = engine
  const filters = ownFilter(owner)
  const [containers, volumes, networks] = await together([
    ask(call.signal, 'list the containers', (abortSignal) =>
      docker.listContainers({ all: true, filters, abortSignal }),
    ),
    ask(call.signal, 'list the volumes', (abortSignal) => docker.listVolumes({ filters, abortSignal })),
    ask(call.signal, 'list the networks', (abortSignal) => docker.listNetworks({ filters, abortSignal })),
  ])
  const asked = marksOf(engine, volumes.Volumes)
  const instances = new Map<string, Instance>()
  await eachOf(containers, WIDTH, async (row) => {
    const proof = proofOf(owner, 'container', row.Names[0]?.slice(1) ?? '', row.Labels)
    if (proof === undefined) return
    const instance = await readRow(engine, row, proof, asked.get(proof.workspaceId) ?? '', starts, call)
    if (instance !== undefined) instances.set(proof.workspaceId, instance)
  })
  for (const id of starts.keys()) if (!instances.has(id)) starts.delete(id)
  for (const instance of remains(engine, networks, volumes.Volumes))
    if (!instances.has(instance.workspaceId)) instances.set(instance.workspaceId, instance)
  return withSizes(engine, volumes.Volumes, instances)
}

async function readRow(
  engine: Engine,
  row: ContainerInfo,
  proof: Proof,
  asked: string,
  starts: Starts,
  call: Call,
): Promise<Instance | undefined> {
  const { network } = namesOf(engine.owner, proof.workspaceId)
  const key = runKey(row, network)
  const known = starts.get(proof.workspaceId)
  if (key !== '' && known?.key === key)
    return instanceOf(proof, listedFacts(row, network, known.startedAt), asked, engine.publishes)
  const info = await ask(call.signal, 'look at a container', (abortSignal) =>
    engine.docker.getContainer(row.Id).inspect({ abortSignal }).catch(unless(404)),
  )
  if (info === undefined) return undefined
  const endpoint = info.NetworkSettings.Networks[network]?.EndpointID ?? ''
  if (info.State.Running && endpoint !== '')
    starts.set(proof.workspaceId, { key: `${info.Id}/${endpoint}`, startedAt: info.State.StartedAt })
  return instanceOf(proof, inspectedFacts(info, network), asked, engine.publishes)
}

/** The incarnation that each workspace was last asked to end. */
function marksOf(engine: Engine, volumes: readonly VolumeInspectInfo[] | null): Map<string, string> {
  const marks = new Map<string, string>()
  for (const { Name, Labels } of volumes ?? []) {
    const proof = proofOf(engine.owner, 'stop', Name, Labels)
    if (proof !== undefined) marks.set(proof.workspaceId, Labels[INCARNATION] ?? '')
  }
  return marks
}

/** What a workspace without a container has: a network, left by a start that was cut short, or its home alone. */
function* remains(
  engine: Engine,
  networks: readonly NetworkInspectInfo[],
  volumes: readonly VolumeInspectInfo[] | null,
): Generator<Instance> {
  const bare = { incarnation: '', reach: { kind: 'none' } } as const
  for (const { Name, Labels, Created } of networks) {
    const proof = proofOf(engine.owner, 'network', Name, Labels)
    if (proof !== undefined) yield { ...bare, ...proof, state: 'starting', createdAtMs: Date.parse(Created) }
  }
  for (const volume of volumes ?? []) {
    const proof = proofOf(engine.owner, 'home', volume.Name, volume.Labels)
    // The SDK's types leave out when a volume was made.
    const { CreatedAt = '' } = volume as VolumeInspectInfo & { readonly CreatedAt?: string }
    if (proof !== undefined)
      yield { ...bare, ...proof, generation: 0, state: 'retained', createdAtMs: Date.parse(CreatedAt) || 0 }
  }
}

/** Each with the size that its home was made with, if it has one. */
function withSizes(
  { owner }: Engine,
  volumes: readonly VolumeInspectInfo[] | null,
  instances: ReadonlyMap<string, Instance>,
): Instance[] {
  const sizes = new Map<string, number>()
  for (const volume of volumes ?? []) {
    const diskBytes = sizeOf(volume)
    const proof = proofOf(owner, 'home', volume.Name, volume.Labels)
    if (proof !== undefined && diskBytes !== undefined) sizes.set(proof.workspaceId, diskBytes)
  }
  return [...instances.values()].map((instance) => {
    const diskBytes = sizes.get(instance.workspaceId)
    return diskBytes === undefined ? instance : { ...instance, diskBytes }
  })
}

async function eachOf<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  const lane = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await together(Array.from({ length: width }, lane))
}
