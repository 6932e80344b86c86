/**
 * Nothing leaks: what visitors open and drop, thousands of times, leaves the edge's process as it was: sockets, files,
 * timers, listeners and heap. `npm run soak` is the long form.
 */
// alone: it measures the memory of a process under load
import t from 'tap'
import { churn, churns } from '../support/soak-churn.ts'
import { startSoakEdge } from '../support/soak-edge.ts'

t.setTimeout(180_000)
const WARM = 200
/** By how much the heap may have grown: well below what a leak of one object each would take. */
const HEAP_SLACK = 1_500_000

const rounds = { sockets: 1000, downloads: 600, uploads: 200, refused: 200, denied: 200 } as const

t.test('what is opened and dropped leaves nothing', async (t) => {
  const edge = await startSoakEdge()
  t.teardown(() => edge.close())
  for (const one of Object.values(churns)) await churn(edge, one, WARM)
  const before = await edge.atRest()
  for (const [name, count] of Object.entries(rounds)) {
    const one = churns[name as keyof typeof churns]
    await churn(edge, one, count)
    const after = await edge.atRest()
    t.equal(after.files, before.files, `${one.name} × ${count}: open files`)
    t.same(after.resources, before.resources, `${one.name} × ${count}: what keeps the event loop`)
    t.equal(after.listeners, before.listeners, `${one.name} × ${count}: listeners`)
    const grown = after.heapBytes - before.heapBytes
    t.ok(grown < HEAP_SLACK, `${one.name} × ${count}: the heap grew by ${(grown / 1000).toFixed(0)} kB`)
    t.same(after.warnings, [])
    t.same(after.logged, [])
  }
})
