/** The home of a workspace, and the mark that its run was ended on request: labelled volumes, made and removed. */
import { RuntimeError } from '@postern/plugin'
import type { Call, WorkspaceId } from '@postern/plugin'
import type { VolumeInspectInfo } from 'dockerode'
import { ask, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { INCARNATION, labelsOf, nameOf, proofOf } from './labels.ts'

/** Ensures the home. @throws RuntimeError ERR_CONFLICT when the name is somebody else's */
export async function ensureHome(
  engine: Engine,
  id: WorkspaceId,
  generation: number,
  call: Call,
): Promise<void> {
  await ensureVolume(engine, id, 'home', labelsOf(engine.owner, id, generation, 'home'), call)
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
  const volume = engine.docker.getVolume(name)
  const found = await ask(call.signal, `look for the volume ${name}`, (abortSignal) =>
    volume.inspect({ abortSignal }).catch(unless(404)),
  )
  if (found === undefined || proofOf(engine.owner, role, name, found.Labels) === undefined) return
  await ask(call.signal, `remove the volume ${name}`, (abortSignal) =>
    volume.remove({ abortSignal }).catch(unless(404)),
  )
}

/** Making a volume that is there gives the one that is there: whose it is shows only afterwards. */
async function ensureVolume(
  engine: Engine,
  id: WorkspaceId,
  role: 'home' | 'stop',
  labels: Record<string, string>,
  call: Call,
): Promise<VolumeInspectInfo> {
  const name = nameOf(engine.owner, id, role)
  const volume = await ask(call.signal, `make the volume ${name}`, async (abortSignal) => {
    await engine.docker.createVolume({ Name: name, Labels: labels, abortSignal })
    return engine.docker.getVolume(name).inspect({ abortSignal })
  })
  if (proofOf(engine.owner, role, name, volume.Labels) === undefined)
    throw new RuntimeError('ERR_CONFLICT', `The volume ${name} is there and is not ours.`, {
      fix: `See whose it is (docker volume inspect ${name}), and remove it.`,
    })
  return volume
}
