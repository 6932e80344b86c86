/** An attack on the edge comes in; what another visitor felt of it, what it took, and what was answered come out. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Answers, AttackKind, AttackOrder } from './soak-attack.ts'
import { fieldsOf, type SoakEdge } from './soak-edge.ts'

export interface Siege {
  readonly answers: Answers
  /** Of another visitor's small requests meanwhile, in ms. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly requests: number
  /** Most resident memory of the edge meanwhile, in bytes. */
  readonly peakBytes: number
}

/** Starts an attack in a thread of its own; resolves with the answers when it is over. */
export async function attack(order: AttackOrder): Promise<Answers> {
  const worker = new Worker(new URL('./soak-attack.js', import.meta.url), { workerData: order })
  const [answers] = (await once(worker, 'message')) as [Answers]
  await worker.terminate()
  return answers
}

const EVERY_MS = 4
const GET = `GET /small HTTP/1.1\r\n${fieldsOf('bob')}\r\n`

/** Bob's small requests, one after the other on one connection, until `isOver`; each one's time in ms. @throws Error for any other answer than 200 */
export async function latencies(edge: Pick<SoakEdge, 'port'>, isOver: () => boolean): Promise<number[]> {
  const socket = connect({ port: edge.port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  const times: number[] = []
  try {
    while (!isOver()) {
      const began = performance.now()
      socket.write(GET)
      const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(20_000) })) as [Buffer]
      times.push(performance.now() - began)
      if (!chunk.toString('latin1').startsWith('HTTP/1.1 200 '))
        throw new Error(`bob was told ${chunk.toString('latin1').slice(0, 100)}`)
      await pause(EVERY_MS)
    }
    return times
  } finally {
    socket.destroy()
  }
}

/** The value below which that part of the values lies, 0 to 1. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

/** Measures bob and the edge's memory while `work` goes on. */
export async function besieged<T>(
  edge: SoakEdge,
  work: Promise<T>,
): Promise<Omit<Siege, 'answers'> & { result: T }> {
  let isOver = false
  let peakBytes = 0
  const look = setInterval(() => (peakBytes = Math.max(peakBytes, edge.residentBytes())), 50)
  try {
    const times = latencies(edge, () => isOver)
    const result = await work.finally(() => (isOver = true))
    const all = await times
    return { result, p50Ms: quantile(all, 0.5), p99Ms: quantile(all, 0.99), requests: all.length, peakBytes }
  } finally {
    clearInterval(look)
  }
}

/** Attacks for a while with bob beside it. */
export async function siege(
  edge: SoakEdge,
  kind: AttackKind,
  connections: number,
  forMs: number,
  code?: string,
): Promise<Siege> {
  const order = { kind, port: edge.port, connections, forMs, ...(code === undefined ? {} : { code }) }
  const { result: answers, ...felt } = await besieged(edge, attack(order))
  return { answers, ...felt }
}
