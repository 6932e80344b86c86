/** Figures come in; Markdown tables go out, with each figure as a ratio to its peer. */
import { cpus, loadavg } from 'node:os'
import type { CreateFigures } from './create.ts'
import type { DecisionFigures } from './decision.ts'
import type { Table } from './edge.ts'
import type { SocketFigures } from './sockets.ts'

const MEGABYTE = 1024 * 1024

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')

/** CPU time per request (per megabyte where many bytes move), its ratio to the peer, requests per second, latencies. */
export function rowsReport({ title, peer, bytes, rows }: Table): string {
  const base = rows.find((row) => row.name === peer)
  const unit = bytes === 0 ? 1 : bytes / MEGABYTE
  const cells = rows.map((row) => [
    row.name,
    (row.cpuMicros / unit).toFixed(1),
    base ? (row.cpuMicros / base.cpuMicros).toFixed(2) : '–',
    row.perSecond.toFixed(0),
    (row.p50Micros / 1000).toFixed(2),
    (row.p99Micros / 1000).toFixed(2),
  ])
  const measured = bytes === 0 ? 'CPU µs each' : 'CPU µs/MB'
  return table([title, measured, 'ratio', 'each second', 'p50 ms', 'p99 ms'], cells)
}

/** The round trips, then the memory of idle WebSockets. */
export function socketReport({ tables, idle, idleCount }: SocketFigures): string {
  const rows = idle.map(({ name, bytesEach }) => [name, (bytesEach / 1000).toFixed(1)])
  return [...tables.map(rowsReport), table([`idle WebSocket, ${idleCount} open`, 'kB each'], rows)].join(
    '\n\n',
  )
}

/** The decision beside its floor, then what a steady load takes and what the facts take. */
export function decisionReport({ table: rows, steady, tableBytes, resetMs }: DecisionFigures): string {
  const facts = table(
    ['facts of that size', ''],
    [
      ['memory', `${(tableBytes / 2 ** 20).toFixed(0)} MiB`],
      ['until a whole set of them is taken', `${resetMs} ms`],
    ],
  )
  return [rowsReport(rows), rowsReport(steady), facts].join('\n\n')
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
