/**
 * Runs the compiled tap tests: names of folders or files come in (none: all); a line for each file, its failures, then
 * every skip with its reason and one line `N passed, N failed, N skipped` come out.
 * Files with a line `// alone: <why>` run by themselves, after the others.
 */
import { spawn } from 'node:child_process'
import { appendFile, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { TapTally, type Tally } from './tap-tally.ts'

const compiled = join(import.meta.dirname, '..')

async function testFiles(wanted: readonly string[]): Promise<string[]> {
  const all = (await readdir(compiled, { recursive: true }))
    .filter((file) => file.endsWith('.test.js'))
    .sort()
  const prefixes = wanted.map((name) => name.replace(/^(dist\/)?test\//, '').replace(/\.ts$/, '.js'))
  if (prefixes.length === 0) return all
  const isIn = (file: string, prefix: string) => file === prefix || file.startsWith(`${prefix}/`)
  const negative = prefixes.filter((prefix) => prefix.startsWith('!')).map((prefix) => prefix.slice(1))
  const positive = prefixes.filter((prefix) => !prefix.startsWith('!'))
  return all.filter(
    (file) =>
      (positive.length === 0 || positive.some((prefix) => isIn(file, prefix))) &&
      !negative.some((prefix) => isIn(file, prefix)),
  )
}

async function isAlone(file: string): Promise<boolean> {
  return /^\/\/ alone: \S/m.test(await readFile(join(compiled, file), 'utf8'))
}

/** Longer than any file takes on a slow machine, in seconds; one that is still there then is killed and has failed. */
const fileTimeoutSeconds = 480

/**
 * One file in a Node of its own, its TAP read as it comes. Not by tap's command: that loads itself into every Node which
 * a test starts, the product's too, and what the tests start must be what people run.
 */
async function runFile(file: string, tally: TapTally): Promise<void> {
  const began = Date.now()
  const child = spawn(process.execPath, ['--enable-source-maps', join(compiled, file)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TAP: '1', TAP_TIMEOUT: String(fileTimeoutSeconds) },
  })
  const closed = new Promise<number | null>((done, fail) => {
    child.on('error', fail)
    child.on('close', done)
  })
  const deadline = setTimeout(() => child.kill('SIGKILL'), (fileTimeoutSeconds + 10) * 1000)
  const own = new TapTally(file)
  const shown: string[] = []
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)))
  for await (const line of createInterface({ input: child.stdout })) {
    const worth = own.read(line)
    if (worth !== null) shown.push(worth)
  }
  const code = await closed
  clearTimeout(deadline)
  // A file can fail without a failed assertion (it crashed before its first one): that must count.
  if (code !== 0 && own.failed === 0) own.failed = 1
  tally.add(own)
  const seconds = ((Date.now() - began) / 1000).toFixed(1)
  const outcome = `${own.passed} passed, ${own.failed} failed, ${own.skips.length} skipped`
  process.stdout.write(`${own.failed > 0 ? 'not ok' : 'ok'} ${file} (${outcome}, ${seconds} s)\n`)
  if (own.failed > 0) process.stdout.write(`${[...shown, errors.trimEnd()].join('\n')}\n`)
}

/** Runs files side by side, `jobs` at a time. */
async function runAll(files: readonly string[], jobs: number, tally: TapTally): Promise<void> {
  const waiting = [...files]
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await runFile(file, tally)
  }
  await Promise.all(Array.from({ length: jobs }, worker))
}

function summary(tally: Tally): string {
  const skips = tally.skips.map(({ file, reason }) => `skipped: ${file}: ${reason}\n`).join('')
  return `${skips}${tally.passed} passed, ${tally.failed} failed, ${tally.skips.length} skipped\n`
}

const files = await testFiles(process.argv.slice(2))
const alone: string[] = []
const together: string[] = []
for (const file of files) ((await isAlone(file)) ? alone : together).push(file)
const tally = new TapTally()
await runAll(together, 2, tally)
await runAll(alone, 1, tally)
if (files.length === 0) tally.failed = 1
process.stdout.write(summary(tally))
const report = process.env['POSTERN_TEST_REPORT']
if (report !== undefined)
  await appendFile(report, `${JSON.stringify({ ...tally.plain(), node: process.version })}\n`)
process.exitCode = tally.failed > 0 ? 1 : 0
