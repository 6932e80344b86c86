/** An edge in a process of its own before an app for long runs; what it holds can be asked, and must come back to base line. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Holding, SoakOrder } from './soak-gateway.ts'
import { until } from './until.ts'

export interface SoakEdge {
  readonly port: number
  readonly authzPort: number
  readonly pid: number
  /** Of ada's app, past the edge. */
  readonly appPort: number
  holding(): Promise<Holding>
  /** Waits until no connection is open, then tells what is still held. */
  atRest(): Promise<Holding>
  /** Resident memory now, in bytes. */
  residentBytes(): number
  isAlive(): boolean
  close(): Promise<void>
}

/** Host of ada's workspace, and of bob's, who has nothing to do with her. */
export const hosts = { ada: 'soak.ws.localhost:8090', bob: 'calm.ws.localhost:8090' } as const
export type Person = keyof typeof hosts

/** Fields of a signed-in visitor of their own workspace. */
export const fieldsOf = (person: Person): string =>
  `Host: ${hosts[person]}\r\nCookie: postern_workspace=session-of-${person}\r\n`

/** Caps out of the way of what is counted here. */
export const wideCaps = {
  userRequests: 20_000,
  userSockets: 20_000,
  userUpgrades: 100_000,
  workspaceRequests: 20_000,
  workspaceSockets: 20_000,
  workspaceUpgrades: 100_000,
  addressConnections: 20_000,
} as const

/** An app in a thread of its own, so that one's work is no other's wait. */
async function startApp(): Promise<{ port: number; end(): Promise<unknown> }> {
  const worker = new Worker(new URL('./soak-upstream.js', import.meta.url))
  const [port] = (await once(worker, 'message')) as [number]
  return { port, end: () => worker.terminate() }
}

/** Starts an app for each person and the edge before them; the edge can collect its garbage on request. */
export async function startSoakEdge(caps: Readonly<Record<string, number>> = wideCaps): Promise<SoakEdge> {
  const [ada, bob] = [await startApp(), await startApp()]
  const order: SoakOrder = { upstreamPorts: { ada: ada.port, bob: bob.port }, caps }
  const file = fileURLToPath(new URL('./soak-gateway.js', import.meta.url))
  const child: ChildProcess = fork(file, [JSON.stringify(order)], { execArgv: ['--expose-gc'] })
  const [started] = (await once(child, 'message')) as [{ port: number; authzPort: number }]
  const pid = child.pid ?? 0
  const holding = async (): Promise<Holding> => {
    const told = once(child, 'message')
    child.send('holding')
    return ((await told) as [Holding])[0]
  }
  return {
    ...started,
    pid,
    appPort: ada.port,
    holding,
    async atRest() {
      let held = await holding()
      const isQuiet = async (): Promise<boolean> => {
        held = await holding()
        return (held.resources['TCPSocketWrap'] ?? 0) === 0
      }
      await until(isQuiet, { timeoutMs: 30_000, everyMs: 200, what: 'the edge to be at rest' }).catch(
        (err: unknown) => {
          throw new Error(`still held: ${JSON.stringify(held.resources)}`, { cause: err })
        },
      )
      return held
    },
    residentBytes: () => residentBytes(pid),
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async close() {
      const gone = once(child, 'exit')
      if (child.connected) child.disconnect()
      await gone
      await Promise.all([ada.end(), bob.end()])
    },
  }
}

/** Of any process, in bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
}
