/** A program: the gateway as the product composes it, on given facts, which tells its parent on request what it holds. */
import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { startGateway } from '../../gateway/index.ts'
import { portDefaults, type EdgeFact } from '../../control/wire/index.ts'
import { hashOf, noControl, routeRow, userRow } from './gateway-control.ts'
import { memoryLog } from './gateway-edge.ts'

/** Its one argument. */
export interface SoakOrder {
  /** Of the app of each person. */
  readonly upstreamPorts: Readonly<Record<'ada' | 'bob', number>>
  /** Caps that differ from the usual ones. */
  readonly caps: Readonly<Record<string, number>>
}

/** What the process holds, after a collection of garbage. */
export interface Holding {
  readonly heapBytes: number
  /** Open files, sockets included. */
  readonly files: number
  /** What keeps the event loop, by Node's own names. */
  readonly resources: Readonly<Record<string, number>>
  readonly listeners: number
  /** The longest that the event loop was busy at a stretch since it was asked last, in ms. */
  readonly busyMs: number
  /** CPU time so far, in ms. */
  readonly cpuMs: number
  /** Warnings of Node so far, such as of too many listeners on one thing. */
  readonly warnings: readonly string[]
  /** Lines of the log at warn and error. */
  readonly logged: readonly string[]
}

const expiresAtMs = 4_000_000_000_000
const { upstreamPorts, caps } = JSON.parse(process.argv[2] ?? '{}') as SoakOrder

function factsOf(userId: 'ada' | 'bob', name: string): EdgeFact[] {
  const ports = [{ ...portDefaults, port: 3000 }]
  const reach = { kind: 'ports', host: '127.0.0.1', ports: { '3000': upstreamPorts[userId] } } as const
  const row = routeRow(name, { ownerId: userId, ports, defaultPort: 3000, reach })
  const parentHash = hashOf(`dashboard of ${userId}`)
  const hash = hashOf(`session-of-${userId}`)
  const workspace = { parentHash, workspaceId: row.workspaceId, label: name }
  return [
    { kind: 'user', key: userId, row: userRow(userId) },
    { kind: 'route', key: row.workspaceId, row },
    { kind: 'session', key: parentHash, row: { hash: parentHash, userId, expiresAtMs, workspace: null } },
    { kind: 'session', key: hash, row: { hash, userId, expiresAtMs, workspace } },
  ]
}

const warnings: string[] = []
process.on('warning', (warning) => warnings.push(String(warning)))
const log = memoryLog()
const gateway = await startGateway({
  listen: [{ host: '127.0.0.1', port: 0 }],
  authzListen: { host: '127.0.0.1', port: 0 },
  publicUrl: 'http://localhost:8090',
  baseDomain: 'ws.localhost',
  trustedProxies: [],
  control: noControl,
  app: { request: (_req, res) => res.end(), upgrade: (_req, socket) => socket.destroy() },
  log,
  caps,
  now: Date.now,
})
gateway.sink.reset(1, [...factsOf('ada', 'soak'), ...factsOf('bob', 'calm')])

const loop = monitorEventLoopDelay({ resolution: 5 })
loop.enable()

async function holding(): Promise<Holding> {
  const busyMs = loop.max / 1e6
  const { user, system } = process.cpuUsage()
  const cpuMs = (user + system) / 1000
  for (let round = 0; round < 4; round++) {
    globalThis.gc?.()
    await pause(20)
  }
  const resources: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)
  const files = readdirSync('/proc/self/fd').length
  const heapBytes = process.memoryUsage().heapUsed
  loop.reset()
  return { busyMs, cpuMs, heapBytes, files, resources, listeners, warnings, logged: log.lines.slice(-5) }
}

process.on('message', () => void holding().then((held) => process.send?.(held)))
process.once('disconnect', () => void gateway.close(0).then(() => process.exit(0)))
const portOf = (at: (typeof gateway.addresses)[0] | null | undefined): number =>
  at && 'port' in at ? at.port : 0
process.send?.({ port: portOf(gateway.addresses[0]), authzPort: portOf(gateway.authzAddress) })
