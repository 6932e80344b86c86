/** Homes of workspaces: where they are, whose they are, and the files that they begin with. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lchown, mkdir, stat } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { SeedFile } from '@postern/plugin'
import type { Meta, Owner } from './convert.ts'

/** What other uids may not walk through when Postern runs as root with its state in a private directory. */
const FALLBACK = '/var/lib/postern/homes'

/**
 * The directory of new homes, or null: inside each workspace's own directory.
 * @throws RuntimeError ERR_PERMISSION when the one that was set can't be walked through
 */
export async function homesRoot(
  settings: { readonly homesDirectory: string | null },
  stateDirectory: string,
  owner: Owner,
): Promise<string | null> {
  const name = createHash('sha256')
    .update(JSON.stringify([owner.deploymentId, owner.hostId]))
    .digest('hex')
  const { homesDirectory } = settings
  if (homesDirectory !== null) {
    await mkdir(homesDirectory, { recursive: true, mode: 0o711 })
    if (!(await isWalkable(join(homesDirectory, 'any')))) throw notWalkable(homesDirectory)
    return join(homesDirectory, name.slice(0, 16))
  }
  return (await isWalkable(stateDirectory)) ? null : join(FALLBACK, name.slice(0, 16))
}

function notWalkable(directory: string): RuntimeError {
  return new RuntimeError('ERR_PERMISSION', `Workspaces cannot get at their homes in ${directory}.`, {
    fix: 'Let everybody pass through it and the directories above it (chmod o+x), or name another homes_directory.',
  })
}

/** True when any uid may pass through every directory above. */
export async function isWalkable(directory: string): Promise<boolean> {
  for (let path = dirname(directory); ; path = dirname(path)) {
    if (((await stat(path)).mode & 0o001) === 0) return false
    if (path === '/') return true
  }
}

/** Makes the home if it isn't there, 0700 and the workspace's own. Its parent must be writable by Postern alone. */
export async function makeHome({ home, uid }: Pick<Meta, 'home' | 'uid'>): Promise<void> {
  await mkdir(dirname(home), { recursive: true, mode: 0o711 })
  await mkdir(home, { mode: 0o700 }).catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'EEXIST') throw err
  })
  if (uid === null) return
  await lchown(home, uid, uid)
  await chmod(home, 0o700)
}

/** Linked into place whole, and only if nothing of that name is there. */
const SEED = `umask 022
mkdir -p -- "$1" && cd -- "$1" || exit 1
[ -n "$2" ] || exit 0
mkdir -p -- "$(dirname -- "./$2")" || exit 1
[ ! -e "./$2" ] && [ ! -L "./$2" ] || exit 0
cat > "./$2.seed$$" && ln -- "./$2.seed$$" "./$2"
code=$?
rm -f -- "./$2.seed$$"
exit $code`

/** The directory that programs start in. */
export function workDirectory({ home }: Pick<Meta, 'home'>): string {
  return join(home, 'workspace')
}

/**
 * Makes the workspace directory and puts the files there that are absent. Done by a child with the workspace's own
 * uid: whoever owns the home may have put links into it that would lead a more powerful writer astray.
 */
export async function seedFiles(meta: Pick<Meta, 'home' | 'uid'>, files: readonly SeedFile[]): Promise<void> {
  await seed(meta, '', '')
  for (const { path, content } of files) await seed(meta, path, content)
}

async function seed({ home, uid }: Pick<Meta, 'home' | 'uid'>, path: string, content: string): Promise<void> {
  const child = spawn('/bin/sh', ['-c', SEED, 'postern-seed', workDirectory({ home }), path], {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
    ...(uid === null ? {} : { uid, gid: uid }),
  })
  // The file was there already, so nobody read the content.
  child.stdin.on('error', () => undefined).end(content)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`the file ${path || 'workspace'} could not be put into the home`)
}
