/** `postern images build [template…]`: makes the images of the built-in templates on this machine's Docker Engine. */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Docker from 'dockerode'
import { ensureBase, pullable } from './images/base.ts'
import { onPath, run, type Write } from './images/command.ts'
import { build } from './images/engine.ts'
import { isUpToDate, recipeLabel, recipeOf } from './images/recipe.ts'

/** Where the built-in templates are, seen from the compiled file in `dist/control/cli`. */
export const templatesFolder = fileURLToPath(new URL('../../../control/templates', import.meta.url))

/** The templates that have an image: those with a Dockerfile, but for the base. */
export async function imageTemplates(folder = templatesFolder): Promise<string[]> {
  const names: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === 'base') continue
    if ((await readdir(join(folder, entry.name))).includes('Dockerfile')) names.push(entry.name)
  }
  return names.sort()
}

/**
 * Builds `postern/<template>:1` for each name, all when none is given; lines of progress go to `write`.
 * @throws Error naming the next step when the engine, a package or a template is missing.
 */
export async function buildImages(
  names: readonly string[],
  write: Write,
  docker = new Docker(),
): Promise<void> {
  const known = await imageTemplates()
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new Error(`No such template: ${unknown.join(', ')}. There are: ${known.join(', ')}.`)
  await docker.ping().catch((cause: unknown) => {
    throw new Error('Docker doesn’t answer: start it, or join the group docker, and run this again.', {
      cause,
    })
  })
  await ensureBase(docker, join(templatesFolder, 'base'), write)
  for (const name of names.length > 0 ? names : known)
    await (name === 'code-server' ? buildCodeServer(docker, write) : buildPlain(docker, name, write))
}

async function buildPlain(docker: Docker, name: string, write: Write): Promise<void> {
  await build(
    docker,
    { folder: join(templatesFolder, name), dockerfile: 'Dockerfile', tag: `postern/${name}:1` },
    write,
  )
}

/** From the public image where a registry answers; else code-server is made from npm on this machine. */
async function buildCodeServer(docker: Docker, write: Write): Promise<void> {
  const folder = join(templatesFolder, 'code-server')
  const tag = 'postern/code-server:1'
  const recipe = await recipeOf([join(folder, 'Dockerfile.packages'), join(folder, 'build-from-npm.sh')])
  if (await isUpToDate(docker, tag, recipe)) return write(`${tag}: up to date`)
  if (await pullable(docker, 'codercom/code-server:4.100.3', write))
    return buildPlain(docker, 'code-server', write)
  for (const program of ['rg', 'python3', 'make', 'g++'])
    if (!(await onPath(program)))
      throw new Error(
        `code-server is made from npm here and needs ${program}: apt-get install ripgrep python3 make g++`,
      )
  const scratch = await mkdtemp(join(tmpdir(), 'postern-code-server-'))
  try {
    await run('bash', [join(folder, 'build-from-npm.sh'), scratch], { write })
    await cp(join(folder, 'Dockerfile.packages'), join(scratch, 'Dockerfile.packages'))
    await build(
      docker,
      { folder: scratch, dockerfile: 'Dockerfile.packages', tag, labels: { [recipeLabel]: recipe } },
      write,
    )
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
