/** What is written twice is compared: options with the README, codes and dependencies with the pages that list them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { accessLine } from '../../gateway/seen/access-line.ts'
import { metricTable } from '../../gateway/seen/metric-table.ts'
import { Seen } from '../../gateway/seen/seen.ts'
import { capOptions } from '../../control/cli/cap-options.ts'
import { apiCodes } from '../../control/wire/index.ts'
import { optionsMarkdown } from '../support/options-table.ts'
import { productRoot } from '../support/product-process.ts'
import { startupCodes } from '../../control/cli/startup-error.ts'
import { startCodes } from '../../control/start-error.ts'

const read = (name: string) => readFileSync(join(productRoot, name), 'utf8')
const begin = '<!-- options: made of control/cli/options.ts -->'
const end = '<!-- end of options -->'

/** Prettier pads tables; what counts is what the cells say. */
const loose = (text: string) =>
  text
    .split('\n')
    .map((line) =>
      line
        .replace(/\s*\|\s*/g, '|')
        .replace(/-{3,}/g, '---')
        .trim(),
    )
    .filter(Boolean)

t.test('the README shows every option as it is', async (t) => {
  if (process.env['UPDATE'] === '1') {
    const [before = '', after = ''] = [read('README.md').split(begin)[0], read('README.md').split(end)[1]]
    const text = `${before}${begin}\n\n${optionsMarkdown()}\n\n${end}${after}`
    writeFileSync(join(productRoot, 'README.md'), text)
  }
  const shown = read('README.md').split(begin)[1]?.split(end)[0] ?? ''
  t.same(loose(shown), loose(optionsMarkdown()))
})

t.test('the page of what the edge tells has every metric, every cap and every field of a line', async (t) => {
  const [first, last] = ['<!-- metrics: made of gateway/seen/metric-table.ts -->', '<!-- end of metrics -->']
  const page = 'gateway/seen/README.md'
  const rows = Object.entries(metricTable).map(([name, { kind, labels, help }]) => [
    `\`${name}\``,
    kind,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ])
  const head = ['Metric', 'Kind', 'Labels', 'What it says']
  const made = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
  if (process.env['UPDATE'] === '1') {
    const [before = '', after = ''] = [read(page).split(first)[0], read(page).split(last)[1]]
    writeFileSync(join(productRoot, page), `${before}${first}\n\n${made}\n\n${last}${after}`)
  }
  const text = read(page)
  t.same(loose(text.split(first)[1]?.split(last)[0] ?? ''), loose(made))
  for (const name of Object.keys(capOptions)) t.ok(text.includes(`\`--${name}\``), name)
  for (const code of Object.keys(apiCodes))
    if (code.endsWith('_capped')) t.ok(text.includes(`\`${code}\``), code)
  const seen = Object.assign(new Seen(0, 'id', '::1', 'h', 'GET', '/'), {
    ...{ headMs: 1, received: 1, sent: 1, port: 1, workspaceId: 'w', userId: 'u', cause: 'c', reason: 'r' },
    ...{ engine: 'e', retried: true, traceId: 't' },
  })
  for (const field of Object.keys(JSON.parse(accessLine(seen, 0, 1)) as object))
    t.match(text, new RegExp(`^\\| \`${field}\` `, 'm'), field)
})

t.test('every reason not to start is in the README', async (t) => {
  const readme = read('README.md')
  for (const code of [...Object.keys(startupCodes), ...Object.keys(startCodes)])
    t.ok(readme.includes(`\`${code}\``), code)
})

t.test('CONTRIBUTING says of each dependency why it is there', async (t) => {
  const text = read('CONTRIBUTING.md')
  const manifest = JSON.parse(read('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >
  for (const name of [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)])
    if (!name.startsWith('@types/')) t.ok(text.includes(`\`${name}\``), name)
})

t.test('links between the pages lead somewhere', async (t) => {
  for (const page of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'])
    for (const [, target = ''] of read(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g))
      t.doesNotThrow(() => readFileSync(join(productRoot, target)), `${page}: ${target}`)
})
