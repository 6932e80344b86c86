/** A place goes in, an open and migrated database comes out; SQLite and PostgreSQL behave alike above this file. */
import { mkdir, open as openFile } from 'node:fs/promises'
import { join } from 'node:path'
import knexModule from 'knex'
import type { Knex } from 'knex'
import { StartError } from '../start-error.ts'
import { within } from '../within.ts'
import { migrate } from './migrate.ts'

/** A database or a transaction on it: what every function of the store takes first. */
export type Db = Knex

export interface Database {
  readonly db: Db
  readonly dialect: 'sqlite' | 'postgres'
  close(): Promise<void>
}

export interface Place {
  readonly stateDirectory: string
  /** `postgres://…`; null: `postern.sqlite` in the state directory. */
  readonly databaseUrl: string | null
}

/** A transaction that does not end keeps the close waiting for so long, in ms; the process's end rolls it back. */
const CLOSE_MS = 3000

/** How long another process may hold the SQLite file before that is an error, in ms. */
const BUSY_MS = 3000

interface SqliteConnection {
  exec(sql: string, done: (err: Error | null) => void): void
}

// One process owns the file (EXCLUSIVE): a second server would not see this one's changes in time to refuse a visitor.
const pragmas = `PRAGMA busy_timeout=${BUSY_MS}; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;`

async function openSqlite(directory: string): Promise<Knex> {
  const filename = join(directory, 'postern.sqlite')
  try {
    const file = await openFile(filename, 'a+', 0o600)
    await file.close()
  } catch (err) {
    throw new StartError('database_read_only', `${filename} cannot be written`, { cause: err })
  }
  return knexModule({
    client: 'sqlite3',
    connection: { filename },
    useNullAsDefault: true,
    acquireConnectionTimeout: 60_000,
    pool: {
      min: 1,
      max: 1,
      afterCreate: (connection: SqliteConnection, done: (err: Error | null) => void) =>
        connection.exec(pragmas, done),
    },
  })
}

async function openPostgres(databaseUrl: string): Promise<Knex> {
  // Who has SQLite needs none of it in memory.
  const { default: pg } = await import('pg')
  const types = {
    // bigint (20) as a number: ours are revisions and milliseconds, far below 2^53.
    getTypeParser: (oid: number, format?: 'text' | 'binary') =>
      oid === 20 ? Number : pg.types.getTypeParser(oid, format),
  }
  const connection = { connectionString: databaseUrl, types, connectionTimeoutMillis: 10_000 }
  return knexModule({
    client: 'pg',
    connection: connection as Knex.PgConnectionConfig,
    pool: { min: 0, max: 10 },
  })
}

function started(err: unknown, place: Place): StartError {
  if (err instanceof StartError) return err
  const text = err instanceof Error ? err.message : String(err)
  const { code = '' } = err as { code?: string }
  if (place.databaseUrl !== null)
    return new StartError('database_unreachable', `the database does not open: ${text || code}`, {
      cause: err,
    })
  const file = join(place.stateDirectory, 'postern.sqlite')
  if (code === 'SQLITE_BUSY') return new StartError('database_locked', `${file} is in use`, { cause: err })
  if (code === 'SQLITE_READONLY' || code === 'SQLITE_CANTOPEN' || code === 'SQLITE_PERM')
    return new StartError('database_read_only', `${file} cannot be written`, { cause: err })
  return new StartError('database_broken', `${file} is not usable: ${text}`, { cause: err })
}

/** What holds a connection may finish; who asks for one from now on would wait a minute for what never comes. */
async function closeDatabase(db: Knex): Promise<void> {
  const client = db.client as { acquireConnection(): Promise<unknown> }
  client.acquireConnection = () => Promise.reject(new Error('the database is closed'))
  await within(CLOSE_MS, db.destroy())
}

/** Opens and migrates. @throws StartError with one of its `database_…` or `state_directory` codes. */
export async function openDatabase(place: Place): Promise<Database> {
  const dialect = place.databaseUrl === null ? 'sqlite' : 'postgres'
  try {
    await mkdir(place.stateDirectory, { recursive: true, mode: 0o700 })
  } catch (err) {
    throw new StartError('state_directory', `${place.stateDirectory} cannot be made`, { cause: err })
  }
  let db: Knex | null = null
  try {
    const { stateDirectory, databaseUrl } = place
    db = await (databaseUrl === null ? openSqlite(stateDirectory) : openPostgres(databaseUrl))
    await migrate(db, dialect)
  } catch (err) {
    await db?.destroy()
    throw started(err, place)
  }
  const opened = db
  return { db: opened, dialect, close: () => closeDatabase(opened) }
}
