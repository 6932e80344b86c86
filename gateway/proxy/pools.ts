// Routes come in; undici pools come out, each for one incarnation and port of one workspace, never for an address.
import { Client, type Dispatcher, Pool } from 'undici'
import type { Duplex } from 'node:stream'
import { ApiError, type EdgeRoute } from '../../control/wire/index.ts'
import { dial } from '../connect.ts'
import type { LocalConnect } from '../seams.ts'
import type { Table, TableChange } from '../table.ts'

/** Requests in flight to one port of one workspace; beyond it `overloaded` (503). Upgraded connections don't count. */
export const IN_FLIGHT_MAX = 512

const IDLE_POOL_MS = 5 * 60_000
const ORIGIN = 'http://workspace.invalid'
const SETTINGS = {
  pipelining: 1,
  allowH2: false,
  maxHeaderSize: 32 * 1024,
  headersTimeout: 300_000,
  // Streams may be silent for as long as they like.
  bodyTimeout: 0,
} as const

/** Errors of connections that had answered before: the keep-alive race, which a fresh connection mends. */
const stale = new WeakSet<Error>()

/** True when the connection broke that had served before, so that the request may never have been read. */
export function brokeWhileIdle(err: Error & { socket?: { bytesRead?: number } }): boolean {
  return stale.has(err) || (err.socket?.bytesRead ?? 0) > 0
}

/** The connections to one port of one incarnation. */
export interface Upstream {
  inFlight: number
  lastUsedMs: number
  /** May throw nothing: errors go to the handler. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void
  /** The same on a connection of its own, made for this request. */
  dispatchFresh(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void
  destroy(): void
}

interface Entry {
  readonly route: EdgeRoute
  readonly byPort: Map<number, Upstream>
}

function sameReach(a: EdgeRoute['reach'], b: EdgeRoute['reach']): boolean {
  if (a.kind === 'address') return b.kind === 'address' && a.host === b.host
  if (a.kind === 'none') return b.kind === 'none'
  if (b.kind !== 'ports' || a.host !== b.host) return false
  const ports = Object.entries(a.ports)
  return ports.length === Object.keys(b.ports).length && ports.every(([port, to]) => b.ports[port] === to)
}

/** All pools of one gateway; those whose incarnation is over are destroyed by `evict`. */
export class Pools {
  readonly #table: Table
  readonly #local: LocalConnect | undefined
  readonly #entries = new Map<string, Entry>()

  constructor(table: Table, local: LocalConnect | undefined) {
    this.#table = table
    this.#local = local
  }

  get size(): number {
    let size = 0
    for (const entry of this.#entries.values()) size += entry.byPort.size
    return size
  }

  /** The connections to a port of what runs now. */
  upstream(route: EdgeRoute, port: number): Upstream {
    let entry = this.#entries.get(route.workspaceId)
    if (entry === undefined || entry.route.incarnation !== route.incarnation) {
      if (entry !== undefined) this.#drop(route.workspaceId, entry)
      entry = { route, byPort: new Map() }
      this.#entries.set(route.workspaceId, entry)
    }
    let upstream = entry.byPort.get(port)
    if (upstream === undefined) {
      upstream = this.#open(route.workspaceId, route.incarnation, port)
      entry.byPort.set(port, upstream)
    }
    return upstream
  }

  /** Ends the pools of workspaces whose incarnation, owner or way to reach them has changed. */
  evict(change: TableChange): void {
    const ids = change.all ? [...this.#entries.keys()] : change.routes
    for (const id of ids) {
      const entry = this.#entries.get(id)
      if (entry === undefined) continue
      const now = this.#table.routeById(id)
      const isSame =
        now !== undefined &&
        now.incarnation === entry.route.incarnation &&
        now.ownerId === entry.route.ownerId &&
        sameReach(now.reach, entry.route.reach)
      if (!isSame) this.#drop(id, entry)
    }
  }

  /** Ends pools that nothing used for five minutes. */
  sweep(nowMs: number): void {
    for (const [id, entry] of this.#entries) {
      for (const [port, upstream] of entry.byPort)
        if (upstream.inFlight === 0 && nowMs - upstream.lastUsedMs > IDLE_POOL_MS) {
          upstream.destroy()
          entry.byPort.delete(port)
        }
      if (entry.byPort.size === 0) this.#entries.delete(id)
    }
  }

  close(): void {
    for (const [id, entry] of this.#entries) this.#drop(id, entry)
  }

  #drop(id: string, entry: Entry): void {
    for (const upstream of entry.byPort.values()) upstream.destroy()
    this.#entries.delete(id)
  }

  #open(workspaceId: string, incarnation: string, port: number): Upstream {
    const connect = this.#connector(workspaceId, incarnation, port)
    const pool = new Pool(ORIGIN, { ...SETTINGS, connect })
    return {
      inFlight: 0,
      lastUsedMs: 0,
      dispatch: (options, handler) => void pool.dispatch(options, handler),
      dispatchFresh(options, handler) {
        const client = new Client(ORIGIN, { ...SETTINGS, connect })
        client.dispatch({ ...options, reset: true }, handler)
        // Waits for the one request, however long it streams.
        client.close().catch(() => undefined)
      },
      destroy: () => void pool.destroy().catch(() => undefined),
    }
  }

  #connector(workspaceId: string, incarnation: string, port: number) {
    return (_options: unknown, done: (...args: [null, never] | [Error, null]) => void): void => {
      const route = this.#table.routeById(workspaceId)
      if (route === undefined || route.incarnation !== incarnation)
        return done(new ApiError('upstream_unreachable'), null)
      dial(route, port, this.#local, (err, stream) => {
        if (err !== null || stream === null) return done(err ?? new ApiError('internal'), null)
        noteStaleErrors(stream)
        // undici's types ask for a Socket; any Duplex does.
        done(null, stream as never)
      })
    }
  }
}

function noteStaleErrors(stream: Duplex & { bytesRead?: number }): void {
  stream.on('error', (err: Error) => {
    if ((stream.bytesRead ?? 0) > 0) stale.add(err)
  })
}
