/** Whether this engine holds the size of a volume: asked of the engine itself, by a volume that is gone again. */
import { RuntimeError } from '@postern/plugin'
import type { Call, WorkspaceSpec } from '@postern/plugin'
import type Docker from 'dockerode'
import type { VolumeInspectInfo } from 'dockerode'
import { ask, unless } from './engine.ts'
import { DEPLOYMENT, HOST, ROLE, digest } from './labels.ts'
import type { Owner } from './labels.ts'

/** What the local driver takes for a volume of that size; it refuses it where its folder has no project quotas. */
export function sizeOptions(bytes: number): { readonly size: string } {
  return { size: String(bytes) }
}

/** Why it doesn't, in the engine's words; undefined: it does. Always the same volume, so that none can be left. */
export async function lackForDisks(docker: Docker, owner: Owner, call: Call): Promise<string | undefined> {
  const name = `postern-${digest([owner.deploymentId, owner.hostId].join('\n')).slice(0, 16)}-disk-probe`
  const labels = { [DEPLOYMENT]: owner.deploymentId, [HOST]: owner.hostId, [ROLE]: 'disk-probe' }
  try {
    await ask(call.signal, 'make a volume of a size', (abortSignal) =>
      docker.createVolume({ Name: name, Labels: labels, DriverOpts: sizeOptions(2 ** 26), abortSignal }),
    )
  } catch (err) {
    call.signal.throwIfAborted()
    if (RuntimeError.is(err)) return err.message
    throw err
  }
  await ask(call.signal, `remove the volume ${name}`, (abortSignal) =>
    docker.getVolume(name).remove({ abortSignal }).catch(unless(404)),
  )
  return undefined
}

/** @throws RuntimeError ERR_UNSUPPORTED where a size is asked for that nobody would hold */
export function checkDisk({ diskBytes }: WorkspaceSpec, isHeld: boolean): void {
  if (diskBytes === undefined || isHeld) return
  throw new RuntimeError('ERR_UNSUPPORTED', 'This engine can’t hold the size of a volume.', {
    fix: 'It takes the engine’s folder on XFS mounted with pquota, or on ext4 with project quotas.',
  })
}

/** The size that a volume was made with, in bytes; undefined: none. */
export function sizeOf(volume: Pick<VolumeInspectInfo, 'Options'>): number | undefined {
  const size = Number(volume.Options?.['size'] ?? 'none')
  return Number.isSafeInteger(size) ? size : undefined
}

/** A volume keeps the size that it was made with. @throws RuntimeError ERR_INVALID_SPEC for another one */
export function checkSize(volume: VolumeInspectInfo, diskBytes: number | undefined): void {
  const size = sizeOf(volume)
  if (diskBytes === undefined || size === diskBytes) return
  const said =
    size === undefined
      ? 'Its data was made without a size, and can’t be given one.'
      : `Its disk has ${size} bytes, and a volume keeps its size.`
  throw new RuntimeError('ERR_INVALID_SPEC', said, {
    fix: 'Give it back what it had, or make a new workspace of that size and copy the data over.',
  })
}
