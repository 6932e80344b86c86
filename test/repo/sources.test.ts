/** House rules that a program can hold: purity, size, types, room cards, templates. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { productRoot } from '../support/product-process.ts'
import { sourceFiles, withoutComments, type SourceFile } from '../support/repo-files.ts'

const pureFiles =
  /^(gateway\/(host|decide|headers)|control\/(lifecycle|placement)|agent\/(plan|backoff)|plugins\/[a-z]+\/convert)(\.ts$|\/)/

/** What makes an answer depend on more than the arguments. */
const impure: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bMath\.random\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /\bperformance\./,
  /\bprocess\b\s*\./,
  /\bawait\b/,
  /\basync\b/,
  /\bfetch\(/,
  /\bconsole\./,
  /\brandom(UUID|Bytes|Int)\b/,
  /from '(node:)?(fs|net|http|https|child_process|timers|os|dns|worker_threads)(\/promises)?'/,
]

const untyped: readonly RegExp[] = [
  /\bas any\b/,
  /:\s*any\b|<[^>\n]*\bany\s*[,>]/,
  /@ts-(ignore|nocheck|expect-error)/,
]

const badTests: readonly RegExp[] = [
  /\b(t|test|tap)\.only\(/,
  /\bonly:\s*true\b/,
  /\bsetTimeout\([^,]+,\s*\d{3,}\)/,
  /\bsleep\(\s*\d/,
  /\bawait (pause|delay)\(\s*\d/,
]

const leftOpen = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'HA' + 'CK'].join('|')})\\b`)

const breaches = (file: SourceFile, rules: readonly RegExp[], text = withoutComments(file.text)) =>
  rules.flatMap((rule) => {
    const found = rule.exec(text)
    return found ? [`${file.path}: ${found[0].trim()}`] : []
  })

const lines = (text: string) => text.split('\n').length - (text.endsWith('\n') ? 1 : 0)

t.test('pure files have no clock, no chance and no I/O', async (t) => {
  const planted = { path: 'agent/plan.ts', text: '' }
  for (const text of [
    'const a = Date.now()',
    'new Date()',
    'Math.random()',
    'setTimeout(f, 1)',
    'process.env.X',
    'await f()',
    `import { readFile } from 'node:fs/promises'`,
  ])
    t.equal(breaches({ ...planted, text }, impure).length > 0, true, text)
  t.same(breaches({ ...planted, text: '// unlike Date.now, `now` is given\nf(input.now)' }, impure), [])
  const files = sourceFiles(pureFiles)
  const rooms = [
    'gateway/host',
    'gateway/decide',
    'gateway/headers',
    'control/lifecycle',
    'control/placement',
  ]
  for (const room of [...rooms, 'agent/plan', 'agent/backoff', 'plugins/docker/convert'])
    t.ok(
      files.some(({ path }) => path.startsWith(room)),
      `${room} is there`,
    )
  t.same(
    files.flatMap((file) => breaches(file, impure)),
    [],
  )
})

t.test(
  'files have at most 300 lines (tests 500, since each costs a start), and begin with a card',
  async (t) => {
    const files = sourceFiles(/^(gateway|control|agent|plugins|examples|web|test)\/.*\.ts$/)
    t.same(
      files
        .filter(({ path, text }) => lines(text) > (path.endsWith('.test.ts') ? 500 : 300))
        .map(({ path, text }) => `${path}: ${lines(text)} lines`),
      [],
    )
    t.same(
      files.filter(({ text }) => !/^(#![^\n]*\n)?\/(\*\*|\/)/.test(text)).map(({ path }) => path),
      [],
      'without a card',
    )
    t.same(
      sourceFiles(/^web\/.*\.svelte$/)
        .filter(({ text }) => lines(text) > 300)
        .map(({ path }) => path),
      [],
    )
  },
)

t.test('no any, no silenced compiler', async (t) => {
  for (const text of ['const a = b as any', 'let a: any', 'Map<string, any>', '// @ts-ignore'])
    t.equal(breaches({ path: 'x.ts', text }, untyped, text).length, 1, text)
  const files = sourceFiles(/^(gateway|control|agent|plugins|examples|web|test)\/.*\.(ts|svelte)$/)
  const own = 'test/repo/sources.test.ts'
  t.same(
    files
      .filter(({ path }) => path !== own)
      .flatMap((file) => [
        ...breaches(file, untyped.slice(0, 2)),
        ...breaches(file, untyped.slice(2), file.text),
      ]),
    [],
  )
})

t.test('tests run all of themselves and never wait for a fixed time', async (t) => {
  for (const text of ['t.only(1)', 'setTimeout(done, 500)', 'await pause(200)'])
    t.equal(breaches({ path: 'x.test.ts', text }, badTests).length, 1, text)
  const files = sourceFiles(/^test\/.*\.test\.ts$/).filter(({ path }) => path !== 'test/repo/sources.test.ts')
  t.same(
    files.flatMap((file) => breaches(file, badTests)),
    [],
  )
})

t.test('no vague names, no absolute paths of somebody’s machine', async (t) => {
  const all = sourceFiles(/\.(ts|svelte|md|sh|mjs|yml|json)$/)
  t.same(
    all
      .filter(({ path }) => /(^|\/)(utils?|helpers?|common|manager|misc|shared)(\.|\/|$)/.test(path))
      .map((f) => f.path),
    [],
  )
  t.same(
    all.filter(({ text }) => /(^|[\s'"`(])\/(work|farm)\/[a-z]/m.test(text)).map((f) => f.path),
    [],
  )
  t.same(
    all.filter(({ text }) => leftOpen.test(text)).map((f) => f.path),
    [],
  )
})

t.test('every template has what it names', async (t) => {
  const templates = sourceFiles(/^control\/templates\/[a-z-]+\/template\.yml$/)
  t.same(
    templates.map(({ path }) => path.split('/')[2]),
    ['blank', 'code-server', 'node-web'],
  )
  for (const { path, text } of templates) {
    const folder = join(productRoot, path, '..')
    const template = parse(text) as {
      title?: string
      summary?: string
      container?: { image?: string }
      host?: { command?: string[]; files?: string[]; lacks?: string }
    }
    t.ok(template.title && template.summary, `${path}: title and summary`)
    t.match(template.container?.image, /^postern\/[a-z-]+:1$/, `${path}: image`)
    t.ok(existsSync(join(folder, 'Dockerfile')), `${path}: Dockerfile`)
    t.ok(template.host?.command ?? template.host?.lacks, `${path}: on the host, a command or what it lacks`)
    for (const file of template.host?.files ?? []) t.ok(existsSync(join(folder, file)), `${path}: ${file}`)
  }
})
