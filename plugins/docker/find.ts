/** Looks a workspace's container up by its name and tells ours from others'. */
import { RuntimeError } from '@postern/plugin'
import type { Call, Instance, WorkspaceId } from '@postern/plugin'
import type { Container, ContainerInspectInfo } from 'dockerode'
import { instanceOf } from './convert.ts'
import type { Facts } from './convert.ts'
import { ask, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { inspectedFacts } from './facts.ts'
import { nameOf, namesOf, proofOf } from './labels.ts'
import type { Proof } from './labels.ts'

/** A container that is proved ours. */
export interface Found {
  /** Addressed by its id, so that nothing which takes the name later is meant. */
  readonly container: Container
  readonly info: ContainerInspectInfo
  readonly proof: Proof
  readonly facts: Facts
}

/** Our container of a workspace; `foreign` when something else has its name; undefined when nothing has. */
export async function findContainer(
  engine: Engine,
  id: WorkspaceId,
  call: Call,
): Promise<Found | 'foreign' | undefined> {
  const { container: name, network } = namesOf(engine.owner, id)
  const info = await ask(call.signal, `look for the container ${name}`, (abortSignal) =>
    engine.docker.getContainer(name).inspect({ abortSignal }).catch(unless(404)),
  )
  if (info === undefined) return undefined
  const proof = proofOf(engine.owner, 'container', info.Name.slice(1), info.Config.Labels)
  if (proof === undefined) return 'foreign'
  return { container: engine.docker.getContainer(info.Id), info, proof, facts: inspectedFacts(info, network) }
}

/** The Instance of a container that is wanted to run: no mark of an end can be about its present run. */
export function foundInstance(engine: Engine, { proof, facts }: Found): Instance {
  return instanceOf(proof, facts, '', engine.publishes)
}

/** The error for a name that is somebody else's. */
export function foreignError(engine: Engine, id: WorkspaceId): RuntimeError {
  const name = nameOf(engine.owner, id, 'container')
  return new RuntimeError('ERR_CONFLICT', `The container ${name} is there and is not ours.`, {
    fix: `See whose it is (docker inspect ${name}), and remove or rename it.`,
  })
}
