/** What `--help` prints is compared with a file; `UPDATE=1` writes it anew. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CliProcess, productRoot } from '../support/product-process.ts'

const pages: readonly (readonly string[])[] = [
  ['--help'],
  ['standalone', '--help'],
  ['server', '--help'],
  ['agent', '--help'],
  ['gateway', '--help'],
  ['images', 'build', '--help'],
  ['plugin', 'check', '--help'],
]

t.test('every page of help is as it was agreed on', async (t) => {
  const golden = join(productRoot, 'test', 'golden', 'help.txt')
  const home = t.testdir({})
  const shown: string[] = []
  for (const args of pages) {
    const cli = new CliProcess({ args, home })
    t.equal((await cli.ended).code, 0, args.join(' '))
    shown.push(`$ postern ${args.join(' ')}\n${cli.stdout}`)
  }
  const text = shown.join('\n----\n')
  if (process.env['UPDATE'] === '1') {
    mkdirSync(join(golden, '..'), { recursive: true })
    writeFileSync(golden, text)
  }
  t.equal(text, readFileSync(golden, 'utf8'))
})

t.test('the version is the one of package.json', async (t) => {
  const cli = new CliProcess({ args: ['--version'], home: t.testdir({}) })
  await cli.ended
  const manifest = JSON.parse(readFileSync(join(productRoot, 'package.json'), 'utf8')) as { version: string }
  t.equal(cli.stdout.trim(), manifest.version)
})

t.test('unknown words are refused with the way to the help', async (t) => {
  for (const args of [
    ['frobnicate'],
    ['--frobnicate'],
    ['agent', '--listen', 'x'],
    ['images'],
    ['plugin', 'check'],
  ]) {
    const cli = new CliProcess({ args, home: t.testdir({}) })
    t.equal((await cli.ended).code, 2, args.join(' '))
    t.match(cli.stderr, /^postern: .*\n {2}code: {2}config_invalid\n {2}next: {2}/, args.join(' '))
    t.equal(cli.stdout, '')
  }
})
