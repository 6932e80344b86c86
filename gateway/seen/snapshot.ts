// Snapshots of the metrics of one or several processes come in; one Prometheus text, summed over them, goes out.
import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client'
import { type MetricName, type MetricRow, metricTable } from './metric-table.ts'

/**
 * The metrics of one process at one moment, as plain data that goes through any channel. `own` is by metric, then by
 * what follows its name (`{code="not_found"}`, `_bucket{le="0.001"}`), and may be added up sample by sample.
 */
export interface MetricsSnapshot {
  readonly own: Readonly<Partial<Record<MetricName, Readonly<Record<string, number>>>>>
  /** prom-client's default set for the process, each with its own way to be aggregated. */
  readonly process: readonly object[]
}

let processRegistry: Registry | null = null

/** Begins to watch this process (event-loop delay, garbage collection, memory); once, however often it is called. */
export function watchProcess(): Registry {
  if (processRegistry === null) {
    processRegistry = new Registry()
    collectDefaultMetrics({ register: processRegistry, eventLoopMonitoringPrecision: 20 })
  }
  return processRegistry
}

/** The part of a snapshot that is the process's. */
export async function processSamples(): Promise<readonly object[]> {
  const metrics = await watchProcess().getMetricsAsJSON()
  // Means of nothing aren't numbers, and would not come through every channel.
  return metrics.map((metric) => ({
    ...metric,
    values: metric.values.filter(({ value }) => Number.isFinite(value)),
  }))
}

function summed(snapshots: readonly MetricsSnapshot[], name: MetricName): Map<string, number> {
  const sums = new Map<string, number>()
  for (const { own } of snapshots)
    for (const [key, value] of Object.entries(own[name] ?? {})) sums.set(key, (sums.get(key) ?? 0) + value)
  return sums
}

/** The text of `/metrics` (Prometheus, version 0.0.4) for all the processes that the snapshots are of. */
export async function renderMetrics(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  let text = ''
  for (const [name, row] of Object.entries(metricTable) as [MetricName, MetricRow][]) {
    text += `# HELP ${name} ${row.help.replaceAll('\\', '\\\\')}\n# TYPE ${name} ${row.kind}\n`
    for (const [key, value] of summed(snapshots, name)) text += `${name}${key} ${value}\n`
  }
  const ofProcesses = snapshots.map(({ process }) => process as object[])
  return text + (await AggregatorRegistry.aggregate(ofProcesses).metrics())
}

/** What stays of an ended process in the sum: its counts, so that none goes down, and nothing of the moment. */
export function endedMetrics(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const names = (Object.keys(metricTable) as MetricName[]).filter(
    (name) => metricTable[name].kind !== 'gauge',
  )
  const own = names.map((name) => [name, Object.fromEntries(summed(snapshots, name))] as const)
  return { own: Object.fromEntries(own), process: [] }
}
