/** Targets and what is sent to each come in; rounds are run one after the other, interleaved; medians come out. */
import { cpuMicros } from './cpu.ts'

export interface Sample {
  /** Requests, or round trips, that were answered. */
  readonly requests: number
  readonly perSecond: number
  readonly p50Micros: number
  readonly p99Micros: number
}

export interface Row extends Sample {
  readonly name: string
  /** User and system time of all processes involved, per request. */
  readonly cpuMicros: number
}

/** One thing to load, and whose CPU time counts. */
export interface Lap {
  readonly name: string
  readonly pids: readonly number[]
  run(seconds: number): Promise<Sample>
}

export interface Bounds {
  /** Of one round of one target. */
  readonly seconds: number
  readonly rounds: number
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** One round of one of them. */
export async function measure(lap: Lap, seconds: number): Promise<Row> {
  const before = cpuMicros(lap.pids)
  const sample = await lap.run(seconds)
  const used = cpuMicros(lap.pids) - before
  return { name: lap.name, ...sample, cpuMicros: used / sample.requests }
}

/** Runs all laps `rounds` times after one second of each to warm up, and gives the median of each figure. */
export async function rounds(what: string, laps: readonly Lap[], bounds: Bounds): Promise<Row[]> {
  for (const lap of laps) await lap.run(1)
  const seen = new Map<string, Row[]>(laps.map((lap) => [lap.name, []]))
  for (let round = 0; round < bounds.rounds; round++)
    for (const lap of laps) {
      const row = await measure(lap, bounds.seconds)
      seen.get(lap.name)!.push(row)
      console.error(`${what}, round ${round + 1}: ${lap.name}: ${row.cpuMicros.toFixed(1)} µs`)
    }
  return laps.map(({ name }) => {
    const rows = seen.get(name)!
    const mid = (key: Exclude<keyof Row, 'name'>): number => median(rows.map((row) => row[key]))
    return {
      name,
      requests: mid('requests'),
      cpuMicros: mid('cpuMicros'),
      perSecond: mid('perSecond'),
      p50Micros: mid('p50Micros'),
      p99Micros: mid('p99Micros'),
    }
  })
}
