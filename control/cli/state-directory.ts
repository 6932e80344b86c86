/** A path comes in; a private directory, held by this process alone, and the machine's id come out. */
import { randomBytes } from 'node:crypto'
import { access, chmod, constants, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sqlite3 from 'sqlite3'
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
 * The lock is SQLite's on a file of its own: the kernel frees it with the process, it works across containers that share
 * the directory, where a file with a process id would not, and of many that start at once exactly one gets it.
 */
async function takeLock(path: string): Promise<HeldDirectory> {
  const lock = await openLock(join(path, 'lock.sqlite'))
  try {
    // A writer's reservation: one holds it, and asking for it hinders nobody else who asks.
    await settled((done) => lock.exec('BEGIN IMMEDIATE', done))
  } catch (err) {
    await settled((done) => lock.close(done))
    throw (err as NodeJS.ErrnoException).code === 'SQLITE_BUSY' ? inUse(path) : err
  }
  return { path, release: () => settled((done) => lock.close(done)) }
}

function openLock(file: string): Promise<sqlite3.Database> {
  return new Promise((done, fail) => {
    const lock = new sqlite3.Database(file, (err) => (err === null ? done(lock) : fail(err)))
  })
}

function settled(run: (done: (err: Error | null) => void) => void): Promise<void> {
  return new Promise((done, fail) => run((err) => (err === null ? done() : fail(err))))
}

const inUse = (path: string) =>
  new StartupError('state_in_use', {
    message: `Another Postern uses the state directory ${path}.`,
    next: 'Stop that one, or name another directory with --state-directory.',
  })

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
