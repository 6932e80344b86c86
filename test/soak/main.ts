/**
 * `npm run soak`: the long forms of what the suite tries in short (test/gateway/leaks, hostile). `-- --part
 * churn|bulk|readers|idle|hostile` takes one part, `--scale 0.1` a tenth of counts and bytes. Prints tables; exits 1
 * when a figure is out of its bounds. Everything is on the loopback.
 */
import { parseArgs } from 'node:util'
import { machineLine } from '../bench/report.ts'
import { bulkResults, readerResults } from './bulk.ts'
import { churnResults } from './churn.ts'
import { hostileResults } from './hostile.ts'
import { idleResults } from './sockets.ts'
import { isGood, tableOf, type Results } from './table.ts'

const { values } = parseArgs({
  options: { part: { type: 'string', default: '' }, scale: { type: 'string', default: '1' } },
})
const scale = Number(values.scale)
const parts: Readonly<Record<string, () => Promise<Results>>> = {
  churn: () => churnResults(scale),
  bulk: () => bulkResults(Math.ceil(5e9 * scale)),
  readers: () => readerResults(Math.ceil(100 * scale), Math.ceil(20 * scale)),
  idle: () => idleResults(Math.ceil(5000 * scale)),
  hostile: () => hostileResults(Math.ceil(20 * scale)),
}
if (!(scale > 0) || (values.part !== '' && !(values.part in parts))) {
  console.error(`--part is one of ${Object.keys(parts).join(', ')}; --scale is above 0`)
  process.exit(2)
}

console.log(machineLine(new Date()))
for (const [name, results] of Object.entries(parts)) {
  if (values.part !== '' && values.part !== name) continue
  const found = await results()
  console.log(`\n${tableOf(found)}`)
  if (!isGood(found)) process.exitCode = 1
}
