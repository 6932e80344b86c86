/** Figures come in; Markdown tables go out, with each figure as a ratio to its peer. */
import { cpus, loadavg } from 'node:os'
import type { CreateFigures } from './create.ts'
import type { Row } from './edge.ts'

/** The peer whose CPU time is 1.00 in the ratio column of each kind. */
const peers: Record<Row['kind'], string> = {
  proxy: 'nginx',
  'proxy with a decision': 'nginx + auth_request to a minimal Node server',
  decision: 'bare node:http handler',
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')

const kinds: readonly Row['kind'][] = ['proxy', 'proxy with a decision', 'decision']

/** One table a kind: CPU time per request, its ratio to the peer, requests per second, latencies. */
export function edgeReport(rows: readonly Row[]): string {
  return kinds
    .map((kind) => {
      const mine = rows.filter((row) => row.kind === kind)
      if (mine.length === 0) return ''
      const peer = mine.find((row) => row.name === peers[kind])
      const cells = mine.map((row) => [
        row.name,
        row.cpuMicros.toFixed(1),
        peer ? (row.cpuMicros / peer.cpuMicros).toFixed(2) : '–',
        row.perSecond.toFixed(0),
        (row.p50Micros / 1000).toFixed(2),
        (row.p99Micros / 1000).toFixed(2),
      ])
      return table([kind, 'CPU µs/request', 'ratio', 'requests/s', 'p50 ms', 'p99 ms'], cells)
    })
    .filter((text) => text !== '')
    .join('\n\n')
}

const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

/** Medians of both ways and their difference. */
export function createReport(figures: CreateFigures): string {
  const [hand, postern] = [median(figures.byHandMs), median(figures.byPosternMs)]
  const range = (values: readonly number[]): string =>
    `${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)}`
  return table(
    ['create → first HTTP answer', 'median ms', 'range', 'difference'],
    [
      ['docker network create, volume create, run', hand.toFixed(0), range(figures.byHandMs), ''],
      ['Postern', postern.toFixed(0), range(figures.byPosternMs), `${(postern - hand).toFixed(0)} ms`],
    ],
  )
}

/** Memory and bytes of the first load. */
export function idleReport(idle: number, firstLoad: number | null): string {
  return table(
    ['at rest', ''],
    [
      ['resident memory of `postern standalone`, idle', `${(idle / 2 ** 20).toFixed(0)} MiB`],
      [
        'first load of the dashboard, gzip',
        firstLoad === null ? 'not built' : `${(firstLoad / 1000).toFixed(1)} kB`,
      ],
    ],
  )
}

/** What the figures were read on: they compare within one run only. */
export function machineLine(now: Date): string {
  return `Read on ${now.toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.version}, load average ${loadavg()[0]!.toFixed(0)} before it began.`
}
