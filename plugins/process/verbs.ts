/** What each verb does to one workspace; called one after the other for a workspace. */
import { rm } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { RuntimeError, assertSpec } from '@postern/plugin'
import type { Host, Instance, WorkspaceId, WorkspaceSpec } from '@postern/plugin'
import { claimUid, releaseUid } from './accounts.ts'
import type { ProcessConfig } from './config.ts'
import { environmentOf, toInstance } from './convert.ts'
import type { Meta } from './convert.ts'
import { checkDisk, mountDisk, unmountDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { finish, force } from './finish.ts'
import { makeHome, seedFiles } from './homes.ts'
import { allotPorts, launch } from './launch.ts'
import { realOf } from './mounts.ts'
import { needProgram } from './program.ts'
import type { Observer } from './observe.ts'
import type { Store } from './store.ts'

/** What a removed workspace's program is given to end by itself. */
const REMOVE_GRACE_MS = 1_000

/** What the verbs work on. */
export interface Setting {
  readonly config: ProcessConfig
  readonly host: Host
  readonly store: Store
  readonly observer: Observer
  /** The directory of new homes; null: inside each workspace's own directory. */
  readonly homes: string | null
  readonly isRoot: boolean
  /** Whether a home can have a size. */
  readonly holdsDisks: boolean
  /** Sentences for the operator, part of `health`. */
  readonly warnings: readonly string[]
}

/** Brings the program up at `spec.generation`, or leaves it as it is. */
export async function startWorkspace(
  setting: Setting,
  spec: WorkspaceSpec,
  signal: AbortSignal,
): Promise<Instance> {
  const { store, observer, config } = setting
  assertSpec(spec)
  if (spec.command === undefined) throw noCommand()
  checkDisk(spec, setting.holdsDisks)
  const record = store.read(spec.id)
  const seen = record === undefined ? undefined : observer.look([record])[0]
  if (seen !== undefined && seen.meta.generation !== 0 && seen.meta.generation !== spec.generation)
    throw new RuntimeError(
      'ERR_CONFLICT',
      `Generation ${seen.meta.generation} of it is there: remove it first.`,
    )
  if (seen?.finding.isAlive === true) {
    const meta = { ...seen.meta, stopAsked: false }
    // A stop that was given up, or a start that was cut short before it was written down.
    if (seen.meta.stopAsked || record?.leader === null) await store.write(meta)
    return toInstance(meta, seen.finding)
  }
  if (seen !== undefined) await force(observer.quarry(seen.meta), signal)
  const made = await prepare(setting, spec, seen?.meta)
  await mountDisk(diskOf(setting, made), spec.diskBytes, signal)
  await makeHome(made)
  signal.throwIfAborted()
  await seedFiles(made, spec.files ?? [])
  await needProgram(made, spec.command[0] ?? '', environmentOf(spec, made, config.path))
  signal.throwIfAborted()
  const meta = { ...made, leader: await launch(spec, made, store.placeOf(spec.id), config) }
  await store.write(meta)
  setting.host.log.info('workspace started', { workspaceId: spec.id, pid: meta.leader.pid })
  return observer.look([meta]).map((one) => toInstance(one.meta, one.finding))[0] ?? notFound()
}

/** Writes down what is going to be made, before any of it is. */
async function prepare(setting: Setting, spec: WorkspaceSpec, old: Meta | undefined): Promise<Meta> {
  const { store, host, homes, config } = setting
  const { deploymentId, hostId } = host
  const others = store.readAll().filter((meta) => meta.id !== spec.id)
  const taken = new Set(others.flatMap((meta) => Object.values(meta.ports)))
  const home = homes === null ? join(store.placeOf(spec.id).directory, 'home') : join(homes, spec.id)
  const meta: Meta = {
    deploymentId,
    hostId,
    id: spec.id,
    generation: spec.generation,
    incarnation: randomUUID(),
    createdAtMs: host.now(),
    ports: await allotPorts(spec.ports, old?.ports ?? {}, taken),
    home: old?.home ?? home,
    uid: old?.uid ?? (setting.isRoot ? await claimUid(host, spec.id, config) : null),
    leader: null,
    stopAsked: false,
  }
  await rm(store.placeOf(spec.id).exit, { force: true })
  await store.write(meta)
  return meta
}

/** Ends the program and all that it left running; data stays. */
export async function stopWorkspace(
  setting: Setting,
  id: WorkspaceId,
  call: { readonly graceMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const record = ownRecord(setting.store, id)
  if (record === undefined || record.generation === 0) return
  const [seen] = setting.observer.look([record])
  if (seen === undefined) return
  if (!seen.meta.stopAsked) await setting.store.write({ ...seen.meta, stopAsked: true })
  await finish(setting.observer.quarry(seen.meta), call)
}

/** Ends it and takes it away; its home too, unless `keepData`. */
export async function removeWorkspace(
  setting: Setting,
  id: WorkspaceId,
  call: { readonly keepData: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const { store, host } = setting
  const meta = ownRecord(store, id)
  if (meta === undefined) {
    // A start that was cut short before its first record leaves an empty directory.
    if (!isForeign(store, id)) await store.remove(id)
    return
  }
  await stopWorkspace(setting, id, { graceMs: REMOVE_GRACE_MS, signal: call.signal })
  await unmountDisk(diskOf(setting, meta), call.signal)
  call.signal.throwIfAborted()
  if (call.keepData) {
    const place = store.placeOf(id)
    await store.write({ ...meta, generation: 0, incarnation: '', leader: null, stopAsked: true })
    await rm(place.exit, { force: true })
    await rm(place.logDirectory, { recursive: true, force: true })
    return
  }
  await rm(meta.home, { recursive: true, force: true })
  await store.remove(id)
  // Last: while a record names the uid, nobody else may be given it.
  if (meta.uid !== null) await releaseUid(host, id, meta.uid)
}

function diskOf({ store }: Setting, { id, home }: Meta): Disk {
  const { image } = store.placeOf(id)
  return { home, image: join(realOf(dirname(image)), basename(image)) }
}

/** The record of a workspace of this host; another host's is as good as none. */
export function ownRecord(store: Store, id: WorkspaceId): Meta | undefined {
  return isForeign(store, id) ? undefined : store.read(id)
}

function isForeign(store: Store, id: WorkspaceId): boolean {
  if (!/^[a-z0-9]{8,40}$/.test(id)) return true
  try {
    store.read(id)
    return false
  } catch (err) {
    if (RuntimeError.is(err) && err.code === 'ERR_CONFLICT') return true
    throw err
  }
}

function noCommand(): RuntimeError {
  const fix = 'Give the workspace a command, or run it on a host with a container engine.'
  return new RuntimeError(
    'ERR_INVALID_SPEC',
    'The process runtime has no images: it needs a command to run.',
    { fix },
  )
}

function notFound(): never {
  throw new RuntimeError('ERR_NOT_FOUND', 'There is no such workspace.')
}
