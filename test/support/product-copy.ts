/** The built product comes in; a copy that anybody can read and nobody but its owner can write goes out. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { productRoot } from './product-process.ts'

const run = promisify(execFile)

/** A uid without an account, in no group that may use Docker; root alone can become it. */
export const nobodysUid = 20_411

/** Why tests about permissions can't run here; false where they can. */
export const notRoot: string | false =
  process.getuid?.() === 0 ? false : 'needs root, to become a user without permissions'

/** Copies what runs: compiled files, dashboard, templates, and the packages of production. Gives the copy's root. */
export async function copyProduct(): Promise<string> {
  const root = join(await mkdtemp(join(tmpdir(), 'postern-copy-')), 'postern')
  const { stdout } = await run('npm', ['ls', '--omit=dev', '--all', '--parseable', '--silent'], {
    cwd: productRoot,
    maxBuffer: 10_000_000,
  }).catch((err: { stdout: string }) => err) // it complains of packages that are there though not asked for
  const installed = stdout
    .split('\n')
    .map((path) => relative(productRoot, path))
    .filter((path) => /(^|\/)node_modules\//.test(path))
  const files = ['package.json', 'package-lock.json', 'tsconfig.product.json', 'tsconfig.base.json']
  const rooms = ['gateway', 'agent', 'control', 'plugins', 'node_modules/@postern']
  const compiled = ['dist/control', 'dist/gateway', 'dist/agent', 'dist/.built-from']
  const web = (await readdir(join(productRoot, 'web'))).filter((name) => name !== 'node_modules')
  const paths = [...files, ...rooms, ...compiled, ...web.map((name) => `web/${name}`), ...new Set(installed)]
  await mkdir(root)
  await run('cp', ['-a', '--parents', ...paths, root], { cwd: productRoot })
  await run('chmod', ['-R', 'a+rX,go-w', dirname(root)])
  return root
}
