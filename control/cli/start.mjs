/** `npm start`: builds what is older than its sources, showing progress, then runs `postern` in this process. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const shared = ['package.json', 'package-lock.json']

const parts = [
  {
    name: 'programs',
    command: ['tsc', '-b', 'tsconfig.product.json'],
    sources: [
      'gateway',
      'control',
      'agent',
      'plugins',
      'tsconfig.product.json',
      'tsconfig.base.json',
      ...shared,
    ],
    product: join('dist', 'control', 'cli', 'main.js'),
    stamp: join('dist', '.built-from'),
  },
  {
    name: 'dashboard',
    command: ['vite', 'build', 'web', '--logLevel', 'error'],
    sources: ['web', join('control', 'wire'), ...shared],
    product: join('web', 'dist', 'index.html'),
    stamp: join('web', 'dist', '.built-from'),
  },
]

/** All files below a path, generated ones left out. */
async function filesBelow(path) {
  const entries = await readdir(path, { withFileTypes: true }).catch((err) => {
    if (err.code === 'ENOTDIR') return null
    throw err
  })
  if (entries === null) return [path]
  const below = entries
    .filter(({ name }) => !['dist', 'node_modules', '.tap'].includes(name) && !name.endsWith('.tsbuildinfo'))
    .map(({ name }) => filesBelow(join(path, name)))
  return (await Promise.all(below)).flat()
}

/** By content, not by time: a copied tree has times of its own, and its user may not be able to build. */
async function digestOf(sources) {
  const files = (await Promise.all(sources.map((source) => filesBelow(join(root, source)))))
    .flat()
    .sort((a, b) => (a < b ? -1 : 1))
  const hash = createHash('sha256')
  for (const file of files) hash.update(`${relative(root, file)}\0`).update(await readFile(file))
  return hash.digest('hex')
}

async function isBuilt(part, digest) {
  if (!existsSync(join(root, part.product))) return false
  const stamp = await readFile(join(root, part.stamp), 'utf8').catch(() => '') // absent: not built by us yet
  return stamp === digest
}

async function build(part, digest) {
  const startedAt = Date.now()
  process.stderr.write(`Building the ${part.name} …\n`)
  const [tool, ...words] = part.command
  const bin = join(root, 'node_modules', '.bin', tool)
  await new Promise((done, fail) => {
    const child = spawn(bin, words, { cwd: root, stdio: ['ignore', 2, 2] })
    child.on('error', fail)
    child.on('close', (code) => (code === 0 ? done() : fail(new Error(`${tool} ended with ${code}`))))
  })
  await mkdir(dirname(join(root, part.stamp)), { recursive: true })
  await writeFile(join(root, part.stamp), digest)
  process.stderr.write(`Built the ${part.name} in ${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`)
}

/** Builds what isn't up to date. @throws Error naming the part that could not be built */
export async function buildWhatIsNeeded() {
  const builds = await Promise.allSettled(
    parts.map(async (part) => {
      const digest = await digestOf(part.sources)
      if (await isBuilt(part, digest)) return
      await build(part, digest).catch((cause) => {
        throw new Error(`the ${part.name} could not be built: ${cause.message}`, { cause })
      })
    }),
  )
  const failed = builds.find((each) => each.status === 'rejected')
  if (failed) throw failed.reason
}

try {
  await buildWhatIsNeeded()
} catch (err) {
  process.stderr.write(
    `postern: ${err.message}\n  next:  run \`npm ci\` in ${root}, as a user who may write there, and try again\n`,
  )
  process.exit(2)
}
if (!process.argv.includes('--only-build')) await import('../../dist/control/cli/main.js')
