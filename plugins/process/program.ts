/** A command comes in; nothing goes out where the workspace's own user can run its program, else why not and the mend. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, realpath, stat } from 'node:fs/promises'
import { delimiter, dirname, join, resolve } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import { workDirectory } from './homes.ts'
import type { Meta } from './convert.ts'

type Account = Pick<Meta, 'home' | 'uid'>

/** The look that the wrapper's shell takes, from the same place and by the same user. */
const LOOK = `cd -- "$1" || exit 1
case $2 in
*/*) [ -x "$2" ] && [ ! -d "$2" ] ;;
*) command -v -- "$2" >/dev/null ;;
esac`

/**
 * Resolves when the workspace's user can run the program that the command names.
 * @throws RuntimeError ERR_PROGRAM_UNAVAILABLE that names the program, what is in the way, and the mend
 */
export async function needProgram(
  account: Account,
  program: string,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const { uid } = account
  const directory = workDirectory(account)
  const path = environment['PATH'] ?? ''
  const child = spawn('/bin/sh', ['-c', LOOK, 'postern-look', directory, program], {
    cwd: '/',
    env: { PATH: path },
    stdio: 'ignore',
    ...(uid === null ? {} : { uid, gid: uid }),
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw await refusal(program, candidates(program, directory, path), uid)
}

function candidates(program: string, directory: string, path: string): string[] {
  if (program.includes('/')) return [resolve(directory, program)]
  return path.split(delimiter).map((folder) => join(resolve(directory, folder), program))
}

/** Looks with Postern's own rights at what the workspace's user could not find. */
async function refusal(
  program: string,
  places: readonly string[],
  uid: number | null,
): Promise<RuntimeError> {
  for (const place of places) {
    const found = await realpath(place).catch(() => null)
    if (found === null || !(await isExecutable(found))) continue
    const closed = (await closedDirectory(place, uid)) ?? (await closedDirectory(found, uid))
    if (closed === null) continue
    return unavailable(
      `The workspace’s own user cannot run ${program}: it is ${found}, and only its owner may enter ${closed}.`,
      `Install it for every user, such as from the packages of the system, or let everybody pass: chmod o+x ${closed}`,
    )
  }
  const isThere = await Promise.all(places.map((place) => stat(place).catch(() => null)))
  const first = places[isThere.findIndex((one) => one?.isFile() === true)]
  if (first !== undefined)
    return unavailable(
      `The workspace’s own user may not run ${program}: ${first} lacks the permission.`,
      `Let everybody read and run it: chmod o+rx ${first}`,
    )
  const where = program.includes('/')
    ? 'there is no such file'
    : `it is in none of ${places.map(dirname).join(', ')}`
  return unavailable(
    `The program ${program} is not on this host: ${where}.`,
    'Install it there for every user, or name another in the command.',
  )
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** The topmost directory above a file that a user may not pass through; null: none is in the way. */
async function closedDirectory(file: string, uid: number | null): Promise<string | null> {
  let closed: string | null = null
  for (let path = dirname(file); ; path = dirname(path)) {
    const one = await stat(path).catch(() => null)
    if (one !== null && (one.mode & (one.uid === uid ? 0o100 : 0o001)) === 0) closed = path
    if (path === '/') return closed
  }
}

function unavailable(message: string, fix: string): RuntimeError {
  return new RuntimeError('ERR_PROGRAM_UNAVAILABLE', message, { fix })
}
