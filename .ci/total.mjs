/** The reports of all test runs and the names of failed steps come in; the closing lines of CI come out. */
import { readFileSync } from 'node:fs'

const [report = '', ...failedSteps] = process.argv.slice(2)
const runs = readFileSync(report, 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line))
const sum = (key) => runs.reduce((total, run) => total + run[key], 0)
const skips = runs.flatMap((run) => run.skips.map(({ file, reason }) => `${run.node} ${file}: ${reason}`))
// A step that failed without a failed test (lint, a build) counts as one; a failed run of tests counts its tests.
const failed = Math.max(sum('failed'), failedSteps.length)

console.log('')
for (const skip of skips) console.log(`skipped: ${skip}`)
for (const name of failedSteps) console.log(`failed step: ${name}`)
if (runs.length === 0) console.log('no test was run')
console.log(`${sum('passed')} passed, ${failed} failed, ${skips.length} skipped`)
process.exit(failed > 0 || sum('passed') === 0 ? 1 : 0)
