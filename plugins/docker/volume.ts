/** The home of a workspace, and the mark that its run was ended on request: labelled volumes, made and removed. */
import { RuntimeError } from '@postern/plugin'
import type { Call, WorkspaceId, WorkspaceSpec } from '@postern/plugin'
import type { VolumeInspectInfo } from 'dockerode'
import { checkSize, sizeOptions } from './disk.ts'
import { ask, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { INCARNATION, labelsOf, nameOf, proofOf } from './labels.ts'

/**
 * Ensures the home, of the size that the spec says.
 * @throws RuntimeError ERR_CONFLICT when the name is somebody else's, ERR_INVALID_SPEC when it has another size
 */
export async function ensureHome(engine: Engine, spec: WorkspaceSpec, call: Call): Promise<void> {
  const { id, generation, diskBytes } = spec
  const labels = labelsOf(engine.owner, id, generation, 'home')
  const found = diskBytes === undefined ? undefined : await findVolume(engine, id, 'home', call)
  const home = found ?? (await ensureVolume(engine, id, 'home', labels, call, diskBytes))
  if (proofOf(engine.owner, 'home', home.Name, home.Labels) === undefined) throw notOurs(home.Name)
  checkSize(home, diskBytes)
}

function findVolume(
  { docker, owner }: Engine,
  id: WorkspaceId,
  role: 'home' | 'stop',
  call: Call,
): Promise<VolumeInspectInfo | undefined> {
  const name = nameOf(owner, id, role)
  return ask(call.signal, `look for the volume ${name}`, (abortSignal) =>
    docker.getVolume(name).inspect({ abortSignal }).catch(unless(404)),
  )
}

/** Writes down, where an agent's restart can't lose it, that this incarnation was asked to end. */
export async function markStopped(
  engine: Engine,
  id: WorkspaceId,
  generation: number,
  incarnation: string,
  call: Call,
): Promise<void> {
  const labels = { ...labelsOf(engine.owner, id, generation, 'stop'), [INCARNATION]: incarnation }
  const mark = await ensureVolume(engine, id, 'stop', labels, call)
  if (mark.Labels[INCARNATION] === incarnation) return
  await removeVolume(engine, id, 'stop', call)
  await ensureVolume(engine, id, 'stop', labels, call)
}

/** Ensures that a volume of a workspace is gone; one that isn't ours is left. */
export async function removeVolume(
  engine: Engine,
  id: WorkspaceId,
  role: 'home' | 'stop',
  call: Call,
): Promise<void> {
  const name = nameOf(engine.owner, id, role)
  const found = await findVolume(engine, id, role, call)
  if (found === undefined || proofOf(engine.owner, role, name, found.Labels) === undefined) return
  await ask(call.signal, `remove the volume ${name}`, (abortSignal) =>
    engine.docker.getVolume(name).remove({ abortSignal }).catch(unless(404)),
  )
}

/** Making a volume that is there gives the one that is there: whose it is shows only afterwards. */
async function ensureVolume(
  engine: Engine,
  id: WorkspaceId,
  role: 'home' | 'stop',
  labels: Record<string, string>,
  call: Call,
  diskBytes?: number,
): Promise<VolumeInspectInfo> {
  const name = nameOf(engine.owner, id, role)
  const volume = await ask(call.signal, `make the volume ${name}`, async (abortSignal) => {
    const options = diskBytes === undefined ? {} : { DriverOpts: sizeOptions(diskBytes) }
    await engine.docker.createVolume({ Name: name, Labels: labels, ...options, abortSignal })
    return engine.docker.getVolume(name).inspect({ abortSignal })
  })
  if (proofOf(engine.owner, role, name, volume.Labels) === undefined) throw notOurs(name)
  return volume
}

function notOurs(name: string): RuntimeError {
  return new RuntimeError('ERR_CONFLICT', `The volume ${name} is there and is not ours.`, {
    fix: `See whose it is (docker volume inspect ${name}), and remove it.`,
  })
}
