/**
 * `npm run bench`: measures, prints tables, and writes them into test/bench/README.md between its markers.
 * `-- --part small|bulk|tls|decision|sockets|create|idle` takes one part, `--seconds`, `--rounds`, `--only <word>` bound the first
 * five; with any of them the README stays as it is.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { canCreate, createFigures, createImage } from './create.ts'
import { decisionFigures } from './decision.ts'
import { bulkTables, smallTables } from './edge.ts'
import { firstLoadBytes, idleBytes } from './idle.ts'
import { createReport, decisionReport, idleReport, machineLine, rowsReport, socketReport } from './report.ts'
import { socketFigures } from './sockets.ts'
import { tlsTable } from './tls.ts'

const root = new URL('../../../', import.meta.url)
const { values } = parseArgs({
  options: {
    part: { type: 'string', default: '' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    count: { type: 'string', default: '8' },
  },
})
const wants = (part: string): boolean => values.part === '' || values.part === part
const sections = [machineLine(new Date())]

const bounds = { seconds: Number(values.seconds), rounds: Number(values.rounds) }
if (wants('small')) sections.push(...(await smallTables(bounds, values.only)).map(rowsReport))
if (wants('bulk')) sections.push(...(await bulkTables(bounds, values.only)).map(rowsReport))
if (wants('tls')) sections.push(rowsReport(await tlsTable(bounds, values.only)))
if (wants('decision')) sections.push(decisionReport(await decisionFigures(bounds)))
if (wants('sockets')) sections.push(socketReport(await socketFigures(bounds, values.only)))
if (wants('create')) {
  if (await canCreate()) sections.push(createReport(await createFigures(Number(values.count))))
  else
    sections.push(
      `(create: no Docker Engine with ${createImage}; \`postern images build node-web\` makes it)`,
    )
}
if (wants('idle')) {
  sections.push(idleReport(await idleBytes(5), firstLoadBytes(new URL('web/dist/index.html', root).pathname)))
}

const text = sections.join('\n\n')
console.log(text)
if (process.argv.length === 2) {
  const file = new URL('test/bench/README.md', root)
  const [before, , after] = readFileSync(file, 'utf8').split(/<!-- figures:begin -->|<!-- figures:end -->/)
  writeFileSync(file, `${before}<!-- figures:begin -->\n\n${text}\n\n<!-- figures:end -->${after}`)
}
