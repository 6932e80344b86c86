/** Docker Engines for tests: the machine's own, and second ones that a test may kill, restart and fill up. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { randomInt } from 'node:crypto'
import Docker from 'dockerode'
import { until } from './until.ts'

const run = promisify(execFile)
const SOCKET = '/var/run/docker.sock'

/** Why the machine's own engine can't be used, or undefined when it can. */
export function engineLacks(): string | undefined {
  try {
    accessSync(SOCKET, constants.R_OK | constants.W_OK)
    return undefined
  } catch (err) {
    return `no access to ${SOCKET}: ${(err as NodeJS.ErrnoException).code}`
  }
}

/** The machine's own engine, whatever DOCKER_HOST says. */
export function machineEngine(): Docker {
  return new Docker({ socketPath: SOCKET, host: '' })
}

/** Why no second engine can be started here, or undefined when one can. */
export function secondEngineLacks(): string | undefined {
  if (process.getuid?.() !== 0) return 'a second Docker Engine needs root'
  const found = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'dockerd')))
  return found ? undefined : 'dockerd is not installed'
}

/** A Docker Engine of a test's own; it shares nothing with the machine's but the kernel. */
export interface SecondEngine {
  readonly docker: Docker
  readonly socketPath: string
  /** Where images, volumes and containers are; a small loop mount when `dataMiB` was given. */
  readonly dataRoot: string
  /** Resolves when it answers; after `kill` or `stop`. */
  start(): Promise<void>
  /** SIGKILL, as in a crash: the containers go on. */
  kill(): Promise<void>
  /** SIGTERM, as in a proper restart: without live restore the containers end. */
  stop(): Promise<void>
  /** Removes every container and network of it, ends it, and deletes its folder. */
  close(): Promise<void>
}

/**
 * Starts a second dockerd with a data root of its own and without touching the packet filter (a second engine that
 * did would flush the first one's chains). Give the runtimes on it a subnet pool of their own.
 */
export async function secondEngine(
  options: { readonly dataMiB?: number; readonly liveRestore?: boolean } = {},
): Promise<SecondEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'pe-'))
  const dataRoot = join(folder, 'data')
  await mkdir(dataRoot)
  if (options.dataMiB !== undefined) await mountSmall(folder, dataRoot, options.dataMiB)
  const socketPath = join(folder, 's')
  const docker = new Docker({ socketPath, host: '' })
  // A bridge of its own: with `--bridge none` a second engine would delete the first one's docker0.
  const bridge = `pe${folder.slice(-6)}`
  const flags = ['-H', `unix://${socketPath}`, '--data-root', dataRoot, '--exec-root', join(folder, 'x')]
  flags.push('--pidfile', join(folder, 'pid'), '--bridge', bridge, '--iptables=false', '--ip6tables=false')
  flags.push('--storage-driver', 'overlay2', '--log-level', 'warn')
  if (options.liveRestore === true) flags.push('--live-restore')
  let child: ChildProcess | undefined

  const start = async () => {
    await rm(join(folder, 'pid'), { force: true })
    await rm(join(folder, 'x', 'containerd', 'containerd.pid'), { force: true })
    let said = ''
    const started = spawn('dockerd', flags, { stdio: ['ignore', 'ignore', 'pipe'] })
    started.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)))
    child = started
    await until(
      () => {
        if (started.exitCode !== null) throw new Error(`dockerd ended: ${said}`)
        return docker.ping()
      },
      { timeoutMs: 30_000, what: 'the second engine' },
    ).catch((err: unknown) => {
      throw new Error(`${String(err)}: ${said}`, { cause: err })
    })
  }
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    const ending = child
    child = undefined
    if (ending === undefined) return
    const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()))
    if (ending.exitCode === null && ending.signalCode === null) {
      ending.kill(signal)
      await gone
    }
    await until(async () => !(await containerdLives(folder)), {
      timeoutMs: 30_000,
      what: 'its containerd to end',
    })
  }
  const close = async () => {
    if (child === undefined && existsSync(socketPath)) await start()
    if (child !== undefined) await sweep(docker)
    await end('SIGTERM')
    for (let tries = 0; tries < 5; tries++)
      if (
        !(await run('umount', [dataRoot]).then(
          () => true,
          () => false,
        ))
      )
        break
    await run('ip', ['link', 'del', bridge]).catch(() => undefined)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await makeBridge(bridge)
    await start()
  } catch (err) {
    await close().catch(() => undefined)
    throw err
  }
  return {
    docker,
    socketPath,
    dataRoot,
    start,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    close,
  }
}

/** Copies an image from one engine to another. */
export async function copyImage(tag: string, from: Docker, to: Docker): Promise<void> {
  const answer = await to.loadImage(await from.getImage(tag).get())
  for await (const chunk of answer as AsyncIterable<unknown>) void chunk
}

async function makeBridge(name: string): Promise<void> {
  await run('ip', ['link', 'add', name, 'type', 'bridge'])
  await run('ip', ['addr', 'add', `172.30.${randomInt(256)}.1/24`, 'dev', name])
  await run('ip', ['link', 'set', name, 'up'])
}

async function mountSmall(folder: string, at: string, mebibytes: number): Promise<void> {
  const disk = join(folder, 'disk')
  await run('truncate', ['-s', `${mebibytes}M`, disk])
  await run('mkfs.ext4', ['-q', '-m', '0', disk])
  await run('mount', ['-o', 'loop', disk, at])
}

async function sweep(docker: Docker): Promise<void> {
  for (const { Id } of await docker.listContainers({ all: true }))
    await docker.getContainer(Id).remove({ force: true, v: true })
  for (const { Id, Driver, Name } of await docker.listNetworks())
    if (Driver === 'bridge' && Name !== 'bridge') await docker.getNetwork(Id).remove()
}

/** dockerd starts its containerd with a configuration file under its exec root: that names it. */
async function containerdLives(folder: string): Promise<boolean> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (/^([^\0]*\/)?containerd\0/.test(line) && line.includes(folder)) return true
  }
  return false
}
