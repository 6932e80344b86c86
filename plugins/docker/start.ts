/** A spec comes in; its container runs when this resolves, whatever an earlier, cut-short start has left. */
import { RuntimeError, assertSpec } from '@postern/plugin'
import type { Instance, StartCall, WorkspaceSpec } from '@postern/plugin'
import type { Container, ContainerInfo } from 'dockerode'
import { checkTargets, hasMounts } from './beyond.ts'
import { HOME, containerBody } from './convert.ts'
import { checkDisk } from './disk.ts'
import { ask, together, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { sentenceOf, statusOf } from './errors.ts'
import { findContainer, foreignError, foundInstance } from './find.ts'
import type { Found } from './find.ts'
import { gpusOf, neighbours, takeGpus } from './gpus.ts'
import { ensureImage, hasImage } from './image.ts'
import { nameOf } from './labels.ts'
import { checkSources } from './mounts.ts'
import { ensureNetwork } from './network.ts'
import { putSeeds } from './seed.ts'
import { ensureHome } from './volume.ts'

/** Rounds of looking and acting: one, and more only while somebody else changes the same workspace. */
const ROUNDS = 4

type ImageSpec = WorkspaceSpec & { readonly image: string }

/** What one round came to; `again`: what was found has changed under us. */
type Outcome = { readonly started: Container } | 'again'

/** Ensures that the workspace runs at the spec's generation. See `Runtime.start`. */
export async function start(engine: Engine, spec: WorkspaceSpec, call: StartCall): Promise<Instance> {
  assertSpec(spec)
  checkTargets(spec, HOME)
  checkDisk(spec, engine.holdsDisks)
  const { image } = spec
  if (image === undefined || image === '')
    throw new RuntimeError('ERR_INVALID_SPEC', 'The spec names no image, and this runtime runs images.')
  for (let round = 0; round < ROUNDS; round++) {
    const [found, isHere] = await together([
      findContainer(engine, spec.id, call),
      hasImage(engine, image, call),
    ])
    if (found === 'foreign') throw foreignError(engine, spec.id)
    if (found !== undefined) refuseOtherGeneration(found, spec)
    if (found?.facts.status === 'running') return foundInstance(engine, found)
    const outcome =
      found === undefined
        ? await make(engine, { ...spec, image }, isHere, call)
        : await resume(engine, spec, found, call)
    if (outcome === 'again') continue
    const now = await findContainer(engine, spec.id, call)
    // It may have ended already, which is for `list` to tell: it was started.
    if (now !== undefined && now !== 'foreign') return foundInstance(engine, now)
  }
  throw new RuntimeError(
    'ERR_CONFLICT',
    `Something else keeps changing ${nameOf(engine.owner, spec.id, 'container')}.`,
  )
}

function refuseOtherGeneration({ proof, info }: Found, spec: WorkspaceSpec): void {
  if (proof.generation === spec.generation) return
  throw new RuntimeError(
    'ERR_CONFLICT',
    `The container ${info.Name.slice(1)} is of generation ${proof.generation}, not ${spec.generation}: remove it first.`,
  )
}

/** Network, home and container at once: the engine looks the network up only when the container starts. */
async function make(engine: Engine, spec: ImageSpec, isHere: boolean, call: StartCall): Promise<Outcome> {
  await ensureImage(engine, spec.image, isHere, call)
  return alone(engine, spec, call, async (gpus) => {
    call.onProgress?.({ step: 'starting', message: 'Making the container' })
    const [container] = await together([
      makeContainer(engine, spec, gpus(), call),
      prepareNetwork(engine, spec, call),
      engine.firewall.ensure(),
    ])
    return container === undefined ? 'again' : launch(container, call)
  })
}

/** A workspace on the host's network has none of its own. */
async function prepareNetwork(engine: Engine, spec: WorkspaceSpec, call: StartCall): Promise<void> {
  if (spec.hostNetwork !== true) await ensureNetwork(engine, spec.id, spec.generation, call)
}

/**
 * Starts what takes something of the host that others may take or turn elsewhere: one at a time, with all of it looked at
 * just before. `work` may ask for the GPUs that it gets. @throws RuntimeError ERR_CONFLICT, ERR_NO_CAPACITY
 */
async function alone(
  engine: Engine,
  spec: WorkspaceSpec,
  call: StartCall,
  work: (gpus: () => readonly string[], others: readonly ContainerInfo[]) => Promise<Outcome>,
): Promise<Outcome> {
  if (spec.gpus === undefined && spec.mounts === undefined) return work(() => [], [])
  return engine.turnstile(call, async () => {
    const others = await neighbours(engine, spec.id, call)
    await checkSources(spec, others)
    return work(() => takeGpus(engine, spec, others), others)
  })
}

/** The container with its home and files, not started; undefined when one of that name has just been made. */
async function makeContainer(
  engine: Engine,
  spec: ImageSpec,
  gpus: readonly string[],
  call: StartCall,
): Promise<Container | undefined> {
  await ensureHome(engine, spec, call)
  const name = nameOf(engine.owner, spec.id, 'container')
  const shape = { tmpBytes: engine.config.tmpBytes, publishes: engine.publishes, gpus }
  // Apart, because the SDK puts all that isn't told apart into the URL too: secrets, and more than a URL may hold.
  const options = { _query: { name }, _body: containerBody(spec, engine.owner, shape) }
  const container = await ask(call.signal, `make the container ${name}`, (abortSignal) =>
    engine.docker.createContainer({ ...options, abortSignal } as object).catch(unless(409)),
  )
  if (container !== undefined) await putSeeds(container, spec.files ?? [], call)
  return container
}

/** Goes on with a container of this generation that is there and doesn't run. */
async function resume(engine: Engine, spec: WorkspaceSpec, found: Found, call: StartCall): Promise<Outcome> {
  const { container, facts } = found
  if (facts.status === 'paused') {
    await ask(call.signal, 'unpause the container', () => container.unpause().catch(unless(409)))
    return { started: container }
  }
  if (facts.status === 'dead' || facts.status === 'removing') return discard(container, call)
  call.onProgress?.({ step: 'starting', message: 'Starting the container' })
  return alone(engine, spec, call, async (_gpus, others) => {
    // Its GPUs may be another's by now, and its paths may lead elsewhere: then it is made anew.
    const own = gpusOf(found.info.Config.Labels)
    const isTheirs = (id: string): boolean => others.some((row) => gpusOf(row.Labels).includes(id))
    const lost =
      own.length !== (spec.gpus ?? 0) || own.some((id) => isTheirs(id) || !engine.gpus.includes(id))
    if (lost || !hasMounts(found.info, spec)) return discard(container, call)
    await together([
      // Made and never started: the call that made it may have been cut short before the files.
      facts.status === 'created' ? putSeeds(container, spec.files ?? [], call) : Promise.resolve(),
      prepareNetwork(engine, spec, call),
      engine.firewall.ensure(),
    ])
    return launch(container, call)
  })
}

async function launch(container: Container, call: StartCall): Promise<Outcome> {
  const gone = await ask(call.signal, 'start the container', (abortSignal) =>
    container.start({ abortSignal }).then(() => undefined, startProblem),
  )
  if (gone === undefined) return { started: container }
  // Its network was made anew, and the engine holds it to the old one; only its home is to keep.
  return gone === 'network' ? discard(container, call) : 'again'
}

/** Started already is well; a lost network or container can be mended; all else is an error. */
function startProblem(err: unknown): 'network' | 'container' | undefined {
  if (statusOf(err) === 304) return undefined
  if (statusOf(err) === 404) return /network/i.test(sentenceOf(err)) ? 'network' : 'container'
  throw err
}

async function discard(container: Container, call: StartCall): Promise<'again'> {
  await ask(call.signal, 'remove the broken container', (abortSignal) =>
    container.remove({ force: true, abortSignal }).catch(unless(404, 409)),
  )
  return 'again'
}
