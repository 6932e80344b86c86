/**
 * The test runner around tap: names of folders or files come in (none: all); failures as they happen, then every
 * skip with its reason and one line `N passed, N failed, N skipped` come out.
 * Files with a line `// alone: <why>` run by themselves, after the others.
 */
import { spawn } from 'node:child_process'
import { appendFile, readFile, readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
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

/** One run of tap; its TAP is read as it comes. */
async function runTap(files: readonly string[], jobs: number, tally: TapTally): Promise<number> {
  if (files.length === 0) return 0
  const paths = files.map((file) => relative(process.cwd(), join(compiled, file)))
  const child = spawn('tap', ['run', '--reporter=tap', `--jobs=${jobs}`, ...paths], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = new Promise<number>((done, fail) => {
    child.on('error', fail)
    child.on('close', (code) => done(code ?? 1))
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const shown = tally.read(line)
    if (shown !== null) process.stdout.write(`${shown}\n`)
  }
  return closed
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
const codes = [await runTap(together, 2, tally), await runTap(alone, 1, tally)]
// tap can fail without a failed assertion (a file that crashed before its first one): that must count.
if (codes.some((code) => code !== 0) && tally.failed === 0) tally.failed = 1
if (files.length === 0) tally.failed = 1
process.stdout.write(summary(tally))
const report = process.env['POSTERN_TEST_REPORT']
if (report !== undefined)
  await appendFile(report, `${JSON.stringify({ ...tally.plain(), node: process.version })}\n`)
process.exitCode = tally.failed > 0 ? 1 : 0
