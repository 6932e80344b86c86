/** Starts a program as a detached child in a session of its own, with its output in the workspace's log. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, open, rename, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { RuntimeError } from '@postern/plugin'
import type { WorkspaceSpec } from '@postern/plugin'
import { environmentOf, wrapperArguments } from './convert.ts'
import type { Meta } from './convert.ts'
import { workDirectory } from './homes.ts'
import { bootId, findProcess } from './processes.ts'
import type { Place } from './store.ts'

/** Starts the wrapper with the program and gives back who leads; the child outlives this process. */
export async function launch(
  spec: WorkspaceSpec,
  meta: Meta,
  place: Place,
  settings: { readonly path: string; readonly logBytes: number },
): Promise<NonNullable<Meta['leader']>> {
  const log = await openLog(place, meta.uid, settings.logBytes)
  const exit = await open(place.exit, 'w', 0o600)
  try {
    const child = spawn('/bin/sh', wrapperArguments(meta, workDirectory(meta), spec.command ?? []), {
      cwd: '/',
      detached: true,
      env: environmentOf(spec, meta, settings.path),
      stdio: ['ignore', log.fd, log.fd, exit.fd],
      ...(meta.uid === null ? {} : { uid: meta.uid, gid: meta.uid }),
    })
    await once(child, 'spawn')
    child.unref()
    const { pid } = child
    if (pid === undefined) throw new RuntimeError('ERR_INTERNAL', 'The child has no pid.')
    // One that has ended already still has its exit recorded; then any start time will do.
    return { pid, startTicks: findProcess(pid)?.startTicks ?? 0, bootId: bootId() }
  } finally {
    await log.close()
    await exit.close()
  }
}

async function openLog(place: Place, uid: number | null, logBytes: number): Promise<FileHandle> {
  await mkdir(place.logDirectory, { recursive: true, mode: 0o700 })
  const size = await stat(place.log).then(
    ({ size }) => size,
    () => 0,
  )
  if (size > logBytes) await rename(place.log, `${place.log}.1`)
  const log = await open(place.log, 'a', 0o600)
  // Programs open /dev/stdout anew, which takes a permission of its own.
  if (uid !== null) await chown(place.log, uid, uid)
  return log
}

/** A host port for each declared port: the one it had if that is free, else a free one; no two the same. */
export async function allotPorts(
  declared: readonly { readonly port: number }[],
  before: Readonly<Record<string, number>>,
  taken: ReadonlySet<number>,
): Promise<Record<string, number>> {
  const allotted: Record<string, number> = {}
  const inUse = new Set(taken)
  for (const { port } of declared) {
    const old = before[String(port)]
    let hostPort = old !== undefined && !inUse.has(old) ? await freePort(old).catch(() => 0) : 0
    while (hostPort === 0 || inUse.has(hostPort)) hostPort = await freePort(0)
    inUse.add(hostPort)
    allotted[String(port)] = hostPort
  }
  return allotted
}

/** Binds the port for a moment, on every address; 0: any. Rejects when it isn't free. */
async function freePort(port: number): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen({ port, exclusive: true }, resolve),
  )
  const { port: found } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return found
}
