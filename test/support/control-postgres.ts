/** A throw-away PostgreSQL cluster on a free loopback port; gone when the test ends. */
import { execFile } from 'node:child_process'
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from './free-port.ts'

const run = promisify(execFile)

export interface Postgres {
  /** Makes an empty database and gives its URL. */
  database(name: string): Promise<string>
  stop(): Promise<void>
}

async function binaries(): Promise<string | null> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => [])
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0]
  return newest === undefined ? null : `/usr/lib/postgresql/${newest}/bin`
}

async function idOf(flag: '-u' | '-g'): Promise<number> {
  return Number((await run('id', [flag, 'postgres'])).stdout)
}

/** Null where PostgreSQL is not installed. Root may not run it: then it runs as its own user. */
export async function startPostgres(): Promise<Postgres | null> {
  const bin = await binaries()
  if (bin === null) return null
  const isRoot = process.getuid?.() === 0
  const folder = await mkdtemp(join(tmpdir(), 'postern-pg-'))
  if (isRoot) await chown(folder, await idOf('-u'), await idOf('-g'))
  const as = (command: string, args: string[]) =>
    isRoot
      ? run('runuser', ['-u', 'postgres', '--', `${bin}/${command}`, ...args], { cwd: '/' })
      : run(`${bin}/${command}`, args)
  const data = join(folder, 'data')
  await as('initdb', ['-D', data, '-A', 'trust', '-U', 'app', '--no-sync', '-E', 'UTF8', '--locale=C'])
  const port = await freePort()
  const flags = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder} -c fsync=off -c shared_buffers=32MB`
  await as('pg_ctl', ['-D', data, '-w', '-l', join(folder, 'log'), '-o', flags, 'start'])
  const url = (name: string): string => `postgres://app@127.0.0.1:${port}/${name}`
  return {
    async database(name) {
      const client = new pg.Client({ connectionString: url('postgres') })
      await client.connect()
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
      await client.end()
      return url(name)
    },
    async stop() {
      await as('pg_ctl', ['-D', data, '-m', 'immediate', 'stop'])
      await rm(folder, { recursive: true, force: true })
    },
  }
}
