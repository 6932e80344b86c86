/** Requests as bytes and a rate come in; they are sent at that rate whatever the answers take, and latencies come out. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import type { Sample } from './rounds.ts'

interface Line {
  readonly socket: Socket
  /** When its request should have been sent, ms; -1: it is free. */
  dueMs: number
}

/** Before it counts, s: its own code is compiled by then, and no start of its own is taken for the server's latency. */
const WARM_SECONDS = 1
/** Between two looks at the clock it sleeps so long, ms: one that spins takes a core that the machine needs besides. */
const STEP_MS = 0.1
/**
 * What fell due while this program itself stood still for so long, ms, is never sent: that wait is none of the server's.
 * Not so when something was owed already: then it is the server that was waited for, or may be.
 */
const STALL_MS = 1

const bell = new Int32Array(new SharedArrayBuffer(4))
const sleep = (ms: number): void => void Atomics.wait(bell, 0, 0, ms)

/**
 * Sends to 127.0.0.1 for `seconds` after a warm-up, `perSecond` in even steps, on `connections` kept connections. A latency counts from
 * when its request was due, so that a server that stalls is not spared those who would have asked meanwhile.
 * @throws Error for an answer other than 200
 */
export async function paced(
  port: number,
  requests: readonly Buffer[],
  { perSecond, seconds, connections }: { perSecond: number; seconds: number; connections: number },
): Promise<Sample> {
  const warm = Math.floor(perSecond * WARM_SECONDS)
  const total = warm + Math.floor(perSecond * seconds)
  const latencies = new Float64Array(total)
  const free: Line[] = []
  const lines: Line[] = []
  let [next, skipped, done] = [0, 0, 0]
  let failure: Error | null = null
  const fail = (why: string): void => void (failure ??= new Error(why))
  for (let i = 0; i < connections; i++) {
    const socket = connect({ port, host: '127.0.0.1' }).setNoDelay(true)
    await once(socket, 'connect')
    const line: Line = { socket, dueMs: -1 }
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1', 0, 12) !== 'HTTP/1.1 200') fail(chunk.toString('latin1', 0, 200))
      latencies[done++] = performance.now() - line.dueMs
      line.dueMs = -1
      free.push(line)
    })
    socket.on('close', () => done + skipped < total && fail('a connection was closed'))
    socket.on('error', (err) => fail(err.message))
    lines.push(line)
    free.push(line)
  }
  const startMs = performance.now()
  const dueMs = (n: number): number => startMs + (n * 1000) / perSecond
  let lastMs = startMs
  while (done + skipped < total && failure === null) {
    const nowMs = performance.now()
    if (nowMs - lastMs > STALL_MS && dueMs(next) > lastMs)
      for (; next < total && dueMs(next) <= nowMs; next++) skipped++
    lastMs = nowMs
    for (let line; next < total && dueMs(next) <= nowMs && (line = free.pop()) !== undefined; next++) {
      line.dueMs = dueMs(next)
      line.socket.write(requests[next % requests.length]!)
    }
    sleep(STEP_MS)
    await new Promise(setImmediate)
  }
  const tookMs = performance.now() - startMs
  for (const { socket } of lines) socket.destroy()
  if (failure !== null) throw failure as Error
  const sorted = latencies.subarray(warm, done).toSorted()
  const at = (part: number): number => (sorted[Math.floor(sorted.length * part)] ?? 0) * 1000
  return { requests: done, perSecond: (done * 1000) / tookMs, p50Micros: at(0.5), p99Micros: at(0.99) }
}
