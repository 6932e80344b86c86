/**
 * A home and the size that it may have go in; it is a file system of its own in an image, mounted, or a coded error. Each
 * step looks at what is there, so that a start after any crash comes to the same end.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { lchown, mkdir, open, readdir, rename, rm, rmdir, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join, parse } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { RuntimeError } from '@postern/plugin'
import type { WorkspaceSpec } from '@postern/plugin'
import { busy, foreignMount, noRoom, tooSmall, unheld, unsized } from './disk-errors.ts'
import { devicesOf, mountsAt } from './mounts.ts'
import { tool } from './tools.ts'

/** What ext4 needs for itself and a file or two. */
const LEAST_BYTES = 8 * 1024 * 1024
/** So much of the machine's disk no workspace is given ahead: the system, and Postern itself, live there. */
const RESERVE = 0.05
const MOUNT = ['-t', 'ext4', '-o', 'loop,nosuid,nodev,noinit_itable,errors=remount-ro']
// Discarding would give back what was set aside.
const MAKE = ['-q', '-F', '-m', '0', '-E', 'nodiscard,lazy_itable_init=1,lazy_journal_init=1']
// Under a lock that the tools hold themselves: they may outlive the agent that began them. 1: it mended something.
const GROW = 'e2fsck -f -p "$1" >&2; [ $? -le 1 ] && resize2fs "$1" >&2'
/** The kernel lets a mount and its device go a moment after their last user has ended. */
const ROUNDS = 60
const ROUND_MS = 50

/** Where a home is, and the file that its file system is in, if it has one of its own. */
export interface Disk {
  readonly home: string
  readonly image: string
}

/** The size that the data of a workspace has, in bytes; undefined: none. */
export function diskSize(image: string): number | undefined {
  return statSync(image, { throwIfNoEntry: false })?.size
}

/** @throws RuntimeError ERR_UNSUPPORTED, ERR_INVALID_SPEC where no such size can be had here */
export function checkDisk({ diskBytes }: WorkspaceSpec, isHeld: boolean): void {
  if (diskBytes === undefined) return
  if (!isHeld) throw unheld()
  if (diskBytes < LEAST_BYTES)
    throw new RuntimeError('ERR_INVALID_SPEC', `A disk must have ${LEAST_BYTES} bytes at least.`)
}

/**
 * Mounts the home's own file system, made or grown to `diskBytes` where needed; without a size, the one that is there, if
 * any. @throws RuntimeError ERR_INVALID_SPEC, ERR_NO_CAPACITY, ERR_CONFLICT
 */
export async function mountDisk(
  disk: Disk,
  diskBytes: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { home, image } = disk
  const isThere = existsSync(image)
  if (diskBytes === undefined && !isThere) return
  await mkdir(dirname(home), { recursive: true, mode: 0o711 })
  await mkdir(home, { recursive: true, mode: 0o700 })
  const mounts = mountsAt(home)
  if (mounts.some((backing) => backing !== image)) throw foreignMount(home)
  if (isThere) await fitImage(disk, diskBytes, signal)
  else if (diskBytes !== undefined) await makeImage(disk, diskBytes)
  signal.throwIfAborted()
  if (mountsAt(home).length > 0) return
  // What lies below: nobody but root may put anything there while it isn't covered.
  await lchown(home, 0, 0)
  await tool('mount', [...MOUNT, image, home]).catch((err: unknown) => {
    // One that an agent had begun which was killed: the kernel mounts nothing twice at one place.
    if (mountsAt(home).at(-1) !== image) throw err
  })
  // Only as it is made, when it is root's: later the workspace may have called anything so.
  if ((await stat(home)).uid === 0) await rmdir(`${home}/lost+found`).catch(() => undefined)
}

/** Whole or not at all: only what has a file system gets the name. */
async function makeImage({ home, image }: Disk, bytes: number): Promise<void> {
  if ((await readdir(home)).length > 0) throw unsized()
  const { dir, base } = parse(image)
  for (const name of await readdir(dir))
    if (name.startsWith(`${base}.`) && name.endsWith('.new')) await rm(join(dir, name), { force: true })
  // A name of its own: a tool that outlived its agent knows only the old one.
  const draft = `${image}.${randomUUID()}.new`
  await needRoom(image, bytes)
  const file = await open(draft, 'wx', 0o600)
  try {
    await tool('fallocate', ['--length', String(bytes), draft])
    await tool('mkfs.ext4', [...MAKE, draft])
    await file.sync()
    await rename(draft, image)
  } catch (err) {
    await rm(draft, { force: true })
    throw err
  } finally {
    await file.close()
  }
}

/** Grows it where it is smaller than wanted, or where a mark says that this was begun. */
async function fitImage(disk: Disk, diskBytes: number | undefined, signal: AbortSignal): Promise<void> {
  const { image } = disk
  const mark = `${image}.growing`
  const { size } = await stat(image)
  const wanted = diskBytes ?? size
  if (size > wanted) throw tooSmall(size)
  if (size === wanted && !existsSync(mark)) return
  // While nobody uses it: on one that is mounted the kernel lets only CAP_SYS_RESOURCE do it.
  await unmountDisk(disk, signal)
  await needRoom(image, wanted - size)
  const file = await open(image, 'r+')
  try {
    // The length stays what it was until there is room for all of it.
    await tool('fallocate', ['--keep-size', '--length', String(wanted), image]).catch(
      async (err: unknown) => {
        await file.truncate(size)
        throw err
      },
    )
    await writeFile(mark, '', { mode: 0o600 })
    await file.truncate(wanted)
    await tool('flock', [image, '/bin/sh', '-c', GROW, 'grow', image])
    await file.sync()
    await rm(mark, { force: true })
  } finally {
    await file.close()
  }
}

async function needRoom(image: string, bytes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(dirname(image))
  const free = Math.max(0, Math.floor((bavail - blocks * RESERVE) * bsize))
  if (bytes > 0 && free < bytes) throw noRoom(bytes, free)
}

/**
 * Takes the home's own file system away from its place; the image stays. Waits a few seconds for who still uses it.
 * @throws RuntimeError ERR_CONFLICT where somebody goes on using it, or something that isn't ours is mounted there
 */
export async function unmountDisk({ home, image }: Disk, signal: AbortSignal): Promise<void> {
  const top = (): string | null | undefined => mountsAt(home).at(-1)
  if (top() === undefined && !existsSync(image)) return
  let cause: unknown
  for (let round = 0; round < ROUNDS; round++) {
    const backing = top()
    const devices = devicesOf(image)
    if (backing === undefined && devices.length === 0) return
    if (backing !== undefined && backing !== image) throw foreignMount(home)
    if (backing === image)
      await tool('umount', [home]).catch((err: unknown) => {
        if (!RuntimeError.is(err) || err.code !== 'ERR_CONFLICT') throw err
        cause = err
      })
    // Most go with their mount. One that is mounted elsewhere, as for another agent's eyes only, stays until it isn't.
    else for (const device of devices) await tool('losetup', ['--detach', device]).catch(() => undefined)
    if (round > 0) await pause(ROUND_MS)
    signal.throwIfAborted()
  }
  throw busy(home, cause)
}
