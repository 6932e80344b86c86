/** A path comes in; a private directory, held by this process alone, and the machine's id come out. */
import { randomBytes } from 'node:crypto'
import { access, chmod, constants, mkdir, open, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { platform } from 'node:os'
import { join } from 'node:path'
import { StartupError } from './startup-error.ts'

/** A state directory that nobody else uses until `release`. */
export interface HeldDirectory {
  readonly path: string
  release(): Promise<void>
}

/** Makes it (0700) and takes its lock. @throws StartupError state_unusable, state_in_use */
export async function holdStateDirectory(path: string): Promise<HeldDirectory> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
    await chmod(path, 0o700)
    return await takeLock(path)
  } catch (cause) {
    if (cause instanceof StartupError) throw cause
    throw new StartupError('state_unusable', {
      message: `The state directory ${path} cannot be used.`,
      next: 'Let this user own it, or name another with --state-directory.',
      cause,
    })
  }
}

/**
 * The lock is a listening unix socket: the kernel frees it with the process, and it works across containers that
 * share the directory, where a file with a process id would not.
 */
async function takeLock(path: string): Promise<HeldDirectory> {
  const directory = await open(path, 'r')
  // The path of a socket ends at about 100 bytes; through the open directory it is always short enough.
  const base = platform() === 'linux' ? `/proc/self/fd/${directory.fd}` : path
  try {
    const server = await listenOrMoveStale(base, path)
    return {
      path,
      release: async () => {
        await new Promise<void>((done) => server.close(() => done()))
        await directory.close()
      },
    }
  } catch (err) {
    await directory.close()
    throw err
  }
}

async function listenOrMoveStale(base: string, path: string): Promise<Server> {
  const socket = join(base, 'lock')
  for (let attempt = 0; ; attempt++) {
    const server = await tryListen(socket)
    if (server !== null) return server
    // Moved before it is judged, so that two starters can't both remove what the other has just made.
    const aside = join(base, `lock.${randomBytes(4).toString('hex')}`)
    if (await answers(socket)) throw inUse(path)
    await rename(socket, aside).catch(ignoreAbsent)
    if (await answers(aside)) {
      await rename(aside, socket)
      throw inUse(path)
    }
    await unlink(aside).catch(ignoreAbsent)
    if (attempt === 4) throw inUse(path)
  }
}

const inUse = (path: string) =>
  new StartupError('state_in_use', {
    message: `Another Postern uses the state directory ${path}.`,
    next: 'Stop that one, or name another directory with --state-directory.',
  })

function tryListen(socket: string): Promise<Server | null> {
  return new Promise((done, fail) => {
    const server = createServer((peer) => peer.destroy())
    server.once('error', (err: NodeJS.ErrnoException) => (err.code === 'EADDRINUSE' ? done(null) : fail(err)))
    server.listen(socket, () => {
      server.unref()
      done(server)
    })
  })
}

function answers(socket: string): Promise<boolean> {
  return new Promise((done) => {
    const peer = connect(socket)
    peer.once('connect', () => {
      peer.destroy()
      done(true)
    })
    peer.once('error', () => done(false))
  })
}

function ignoreAbsent(err: NodeJS.ErrnoException): void {
  if (err.code !== 'ENOENT') throw err
}

/** `/etc/machine-id`, else an id that is made once and kept in the state directory. */
export async function readMachineId(stateDirectory: string): Promise<string> {
  const own = join(stateDirectory, 'machine-id')
  for (const file of ['/etc/machine-id', own]) {
    const id = await readFile(file, 'utf8').then(
      (text) => text.trim(),
      () => '', // absent or unreadable: the next one, or a new one
    )
    if (/^[0-9a-f]{32}$/.test(id)) return id
  }
  const made = randomBytes(16).toString('hex')
  await writeFile(own, `${made}\n`, { mode: 0o600 })
  return made
}
