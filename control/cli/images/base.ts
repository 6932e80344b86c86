/** Makes `postern/base:1`: from Node's public image where a registry answers, else from Debian's packages. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type Docker from 'dockerode'
import { build, follow } from './engine.ts'
import { isUpToDate, recipeLabel, recipeOf } from './recipe.ts'
import { onPath, run, type Write } from './command.ts'

const baseTag = 'postern/base:1'
const publicBase = 'node:22-bookworm-slim'
const packagesBase = 'postern/debian:1'
const packages = 'bash,ca-certificates,curl,git,less,openssh-client,procps,python3'

/** Ensures the base image; an image of the same recipe is used as it is. */
export async function ensureBase(docker: Docker, folder: string, write: Write): Promise<void> {
  const recipe = await recipeOf([join(folder, 'Dockerfile')])
  if (await isUpToDate(docker, baseTag, recipe)) return write(`${baseTag}: up to date`)
  const from = (await pullable(docker, publicBase, write)) ? publicBase : await fromPackages(docker, write)
  await build(
    docker,
    {
      folder,
      dockerfile: 'Dockerfile',
      tag: baseTag,
      args: { BASE: from },
      labels: { [recipeLabel]: recipe },
    },
    write,
  )
}

/** True when the reference could be pulled; says why not otherwise. */
export async function pullable(docker: Docker, reference: string, write: Write): Promise<boolean> {
  write(`pulling ${reference}`)
  try {
    await follow(docker, await docker.pull(reference), write)
    return true
  } catch (err) {
    write(`no image registry for ${reference} (${String((err as Error).message).slice(0, 200)})`)
    return false
  }
}

async function fromPackages(docker: Docker, write: Write): Promise<string> {
  if (process.getuid?.() !== 0 || !(await onPath('mmdebstrap')))
    throw new Error(
      'No image registry answers, and making images from Debian’s packages needs root and mmdebstrap: apt-get install mmdebstrap, then run this as root.',
    )
  write('making a Debian from packages (about a minute)')
  const scratch = await mkdtemp(join(tmpdir(), 'postern-image-'))
  try {
    const tar = join(scratch, 'root.tar')
    await run('mmdebstrap', mmdebstrapArguments(await npmFolder(), tar), { write })
    write(`importing ${packagesBase}`)
    const [repo, tag] = packagesBase.split(':') as [string, string]
    await follow(docker, await docker.importImage(tar, { repo, tag }), write)
    return packagesBase
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

function mmdebstrapArguments(npm: string, tar: string): string[] {
  const hooks = [
    `copy-in ${process.execPath} /usr/bin`,
    `copy-in ${npm} /usr/lib`,
    'ln -s ../lib/npm/bin/npm-cli.js "$1/usr/bin/npm"; ln -s ../lib/npm/bin/npx-cli.js "$1/usr/bin/npx"',
    // Behind a TLS-inspecting proxy only this machine's own bundle verifies anything.
    'cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"; rm -rf "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*',
  ]
  return [
    '--quiet',
    '--variant=apt',
    `--include=${packages}`,
    ...['doc', 'man', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    ...hooks.map((hook) => `--customize-hook=${hook}`),
    'bookworm',
    tar,
  ]
}

/** The npm that belongs to the Node which runs this. */
async function npmFolder(): Promise<string> {
  const root = await run('npm', ['root', '-g'], {
    env: { PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
  })
  return join(root.trim(), 'npm')
}
