/** Ten thousand WebSockets, ten thousand aborted downloads, a thousand refused upgrades: what the edge holds afterwards. */
import { churn, churns } from '../support/soak-churn.ts'
import { startSoakEdge } from '../support/soak-edge.ts'
import { held, type Results } from './table.ts'

const counts = { sockets: 10_000, downloads: 10_000, uploads: 2000, refused: 1000, denied: 1000 } as const
const WARM = 300
/** Of the heap: a hundredth of what ten thousand leaked streams would take. */
const SLACK_BYTES = 2e6

/** Counts are multiplied by `scale`. */
export async function churnResults(scale: number): Promise<Results> {
  const edge = await startSoakEdge()
  try {
    for (const one of Object.values(churns)) await churn(edge, one, WARM)
    const before = await edge.atRest()
    const rows: Results['rows'][number][] = []
    for (const [name, whole] of Object.entries(counts)) {
      const one = churns[name as keyof typeof churns]
      const count = Math.ceil(whole * scale)
      const began = performance.now()
      await churn(edge, one, count)
      const seconds = (performance.now() - began) / 1000
      const after = await edge.atRest()
      const grown = after.heapBytes - before.heapBytes
      const isSame = JSON.stringify(after.resources) === JSON.stringify(before.resources)
      rows.push([
        one.name,
        String(count),
        seconds.toFixed(1),
        held(`${after.files - before.files}`, after.files === before.files),
        held(isSame ? '0' : JSON.stringify(after.resources), isSame),
        held(`${after.listeners - before.listeners}`, after.listeners === before.listeners),
        held((grown / 1000).toFixed(0), grown < SLACK_BYTES),
        held(
          String(after.warnings.length + after.logged.length),
          after.warnings.length + after.logged.length === 0,
        ),
      ])
    }
    const head = ['times', 'seconds', 'files', 'handles', 'listeners', 'heap, kB', 'warnings']
    return { title: 'left over after', head, rows }
  } finally {
    await edge.close()
  }
}
