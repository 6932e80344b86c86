/** A directory goes in; whether disks of a size can be held there comes out, tried and not guessed, or why not. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import { tool } from './tools.ts'

/** In a mount namespace of its own, so that nothing of it can outlive it. */
const TRY = `set -e
fallocate --length 8388608 "$1/probe.img"
mkfs.ext4 -q -F -E nodiscard "$1/probe.img"
mkdir "$1/probe"
mount -t ext4 -o loop,nosuid,nodev,noinit_itable "$1/probe.img" "$1/probe"
command -v e2fsck >/dev/null || { echo "there is no e2fsck" >&2; exit 1; }
command -v resize2fs >/dev/null || { echo "there is no resize2fs" >&2; exit 1; }`

/** Makes a small one and mounts it where only the trial sees it; undefined: it works. */
export async function lackForDisks(directory: string, isRoot: boolean): Promise<string | undefined> {
  if (!isRoot) return 'it takes root to mount them'
  const place = await mkdtemp(join(directory, 'disk-probe-'))
  try {
    await tool('unshare', ['--mount', '--propagation', 'private', '/bin/sh', '-c', TRY, 'disk-probe', place])
    return undefined
  } catch (err) {
    if (RuntimeError.is(err)) return err.message
    throw err
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}
