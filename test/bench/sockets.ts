/** WebSockets through Postern's gateway and its peers: CPU time of a round trip, and what an idle one keeps in memory. */
import { residentBytes } from './cpu.ts'
import { echoLoad, openSocket } from './echo.ts'
import type { Table } from './edge.ts'
import { startField, visitor, type Target } from './field.ts'
import { nodePart } from './part.ts'
import { rounds, type Bounds, type Lap } from './rounds.ts'

/** Peers that take a WebSocket in hand as it is, or as their documentation has it. */
const peers: ReadonlySet<string> = new Set([
  'nginx',
  'HAProxy',
  'Caddy',
  'http-proxy',
  'http-proxy-3',
  '@fastify/http-proxy',
  'configurable-http-proxy',
  'Postern',
])

export interface IdleRow {
  readonly name: string
  readonly bytesEach: number
}

export interface SocketFigures {
  readonly tables: readonly Table[]
  readonly idle: readonly IdleRow[]
  /** How many were open at once. */
  readonly idleCount: number
}

const IDLE_COUNT = 5000
const IDLE_FIRST = 500

/** The memory that each of many idle WebSockets adds, after the first few hundred have warmed everything up. */
async function idleRow(target: Target): Promise<IdleRow> {
  const held: Awaited<ReturnType<typeof openSocket>>[] = []
  const open = async (count: number): Promise<void> => {
    while (held.length < count) {
      const some = Array.from({ length: Math.min(50, count - held.length) }, () =>
        openSocket(target.port, visitor),
      )
      held.push(...(await Promise.all(some)))
    }
  }
  const resident = (): number => target.pids.reduce((sum, pid) => sum + residentBytes(pid, true), 0)
  try {
    await open(IDLE_FIRST)
    const before = resident()
    await open(IDLE_COUNT)
    return { name: target.name, bytesEach: (resident() - before) / (IDLE_COUNT - IDLE_FIRST) }
  } finally {
    for (const socket of held) socket.destroy()
  }
}

/** Both message sizes, then the idle ones. */
export async function socketFigures(bounds: Bounds, only: string): Promise<SocketFigures> {
  const echo = await nodePart('echo', null)
  const field = await startField(echo.ports['main']!, only)
  try {
    const targets = field.targets.filter(({ name }) => peers.has(name))
    const tables: Table[] = []
    for (const messageBytes of [125, 16_384]) {
      const title = `WebSocket round trip of ${messageBytes} B`
      const laps = targets.map(({ name, port, pids }): Lap => ({
        name,
        pids,
        run: (seconds) => echoLoad({ port, headers: visitor, messageBytes, connections: 64 }, seconds),
      }))
      tables.push({ title, peer: 'nginx', bytes: 0, rows: await rounds(title, laps, bounds) })
    }
    const idle: IdleRow[] = []
    for (const target of targets) idle.push(await idleRow(target))
    return { tables, idle, idleCount: IDLE_COUNT }
  } finally {
    await field.stop()
    await echo.stop()
  }
}
