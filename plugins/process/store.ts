/** One directory a workspace, and what is written down of it; a record is replaced whole or not at all. */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { Exit, WorkspaceId } from '@postern/plugin'
import { parseExit } from './convert.ts'
import type { Meta, Owner } from './convert.ts'

/** Where the things of one workspace are. */
export interface Place {
  readonly directory: string
  readonly meta: string
  /** The exit code of the program, written by its wrapper. */
  readonly exit: string
  readonly logDirectory: string
  readonly log: string
  /** The file system of the home, where it has one of its own. */
  readonly image: string
}

/** The records of one host's workspaces. */
export interface Store {
  placeOf(id: WorkspaceId): Place
  /** undefined: there is none. @throws RuntimeError ERR_CONFLICT when it is another host's, ERR_INTERNAL when unreadable. */
  read(id: WorkspaceId): Meta | undefined
  /** Every workspace of this owner. @throws RuntimeError rather than leaving one out. */
  readAll(): Meta[]
  write(meta: Meta): Promise<void>
  /** How the program that was started last has ended, if it has and that is known. */
  exitOf(id: WorkspaceId): Exit | undefined
  /** Forgets a workspace, with its directory. */
  remove(id: WorkspaceId): Promise<void>
}

/** Opens the store; `isWalkable` lets other uids pass through its directories, though not list or read them. */
export async function openStore(stateDirectory: string, owner: Owner, isWalkable: boolean): Promise<Store> {
  const root = join(stateDirectory, 'workspaces')
  await mkdir(root, { recursive: true, mode: isWalkable ? 0o711 : 0o700 })

  function placeOf(id: WorkspaceId): Place {
    if (!/^[a-z0-9]{8,40}$/.test(id))
      throw new RuntimeError('ERR_INVALID_SPEC', 'That is not a workspace id.')
    const directory = join(root, id)
    const logDirectory = join(directory, 'log')
    const at = (name: string): string => join(directory, name)
    return {
      directory,
      meta: at('meta.json'),
      exit: at('exit'),
      logDirectory,
      log: join(logDirectory, 'output.log'),
      image: at('home.img'),
    }
  }

  function readAny(id: WorkspaceId): Meta | undefined {
    let text: string
    try {
      text = readFileSync(placeOf(id).meta, 'utf8')
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw err
    }
    try {
      return JSON.parse(text) as Meta
    } catch (cause) {
      throw new RuntimeError('ERR_INTERNAL', `The record of workspace ${id} cannot be read.`, { cause })
    }
  }

  function isOwn(meta: Meta): boolean {
    return meta.deploymentId === owner.deploymentId && meta.hostId === owner.hostId
  }

  return {
    placeOf,
    read(id) {
      const meta = readAny(id)
      if (meta !== undefined && !isOwn(meta))
        throw new RuntimeError('ERR_CONFLICT', `Workspace ${id} in this directory is another host's.`)
      return meta
    },
    readAll() {
      const metas = readdirSync(root).map((id) => (/^[a-z0-9]{8,40}$/.test(id) ? readAny(id) : undefined))
      return metas.filter((meta) => meta !== undefined).filter(isOwn)
    },
    async write(meta) {
      const { directory, meta: path } = placeOf(meta.id)
      await mkdir(directory, { recursive: true, mode: isWalkable ? 0o711 : 0o700 })
      const file = await open(`${path}.new`, 'w', 0o600)
      try {
        await file.writeFile(JSON.stringify(meta))
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(`${path}.new`, path)
    },
    exitOf(id) {
      const { exit } = placeOf(id)
      try {
        return parseExit(readFileSync(exit, 'latin1'), Math.round(statSync(exit).mtimeMs))
      } catch {
        return undefined // Not there: the program has not ended by itself, or was never started.
      }
    },
    async remove(id) {
      const { directory, meta } = placeOf(id)
      // The record goes last: a removal that is cut short can be seen and done again.
      for (const name of safeEntries(directory)) {
        const path = join(directory, name)
        if (path !== meta) await rm(path, { recursive: true, force: true })
      }
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function safeEntries(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return [] // It is gone already.
  }
}
