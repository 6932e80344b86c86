// Routes come in; connections by undici come out, kept for one incarnation and port of one workspace, never for an address.
import { Client, type Dispatcher } from 'undici'
import type { Duplex } from 'node:stream'
import { ApiError, type EdgeRoute } from '../../control/wire/index.ts'
import { dial, type Dialled } from './connect.ts'
import { declaredPort } from '../decide/ports.ts'
import type { LocalConnect } from '../seams.ts'
import type { Table, TableChange } from '../facts/table.ts'
import { LenientAgent } from './agent.ts'
import { overTls } from './secure.ts'

/** Requests in flight to one port of one workspace; beyond it `overloaded` (503). Upgraded connections don't count. */
export const IN_FLIGHT_MAX = 512

/** The head of an app's answer. */
export const HEAD_MAX_BYTES = 32 * 1024
/** From the end of the request to the head of its answer. */
export const HEAD_TIMEOUT_MS = 300_000

const IDLE_POOL_MS = 5 * 60_000
const ORIGIN = 'http://workspace.invalid'
const SETTINGS = {
  pipelining: 1,
  allowH2: false,
  maxHeaderSize: HEAD_MAX_BYTES,
  headersTimeout: HEAD_TIMEOUT_MS,
  // Streams may be silent for as long as they like.
  bodyTimeout: 0,
} as const

/** One connection to an app, made when it is first used; one request at a time. */
export class Line {
  /** A request has been answered on it: that it breaks now may be the keep-alive race, which a fresh one mends. */
  hasServed = false
  isIdle = false
  readonly #client: Client
  #stream: Duplex | null = null

  constructor(connect: Connect, onIdleEnd: (line: Line) => void) {
    const kept: Connect = (options, done) =>
      connect(options, (...made) => {
        this.#stream = made[1]
        done(...made)
      })
    this.#client = new Client(ORIGIN, { ...SETTINGS, connect: kept })
    this.#client.on('disconnect', () => {
      if (this.isIdle) onIdleEnd(this)
    })
  }

  /** The connection was reset: what ends with it has not come whole, though undici takes it for that. */
  get isBroken(): boolean {
    return this.#stream !== null && this.#stream.errored !== null
  }

  /** Errors go to the handler, also those of making the connection. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#client.dispatch(options, handler)
  }

  /** Ends the connection at once, whatever is on it. */
  destroy(): void {
    this.#client.destroy().catch(() => undefined)
  }
}

type Connect = (options: unknown, done: (...args: [null, never] | [Error, null]) => void) => void

/**
 * The connections to one port of one incarnation. Not undici's own pool: that one searches all its connections for each
 * request, and after an aborted request it opens a connection that nobody asked for.
 */
export class Upstream {
  inFlight = 0
  lastUsedMs = 0
  readonly #connect: Connect
  readonly #lines = new Set<Line>()
  readonly #idle: Line[] = []
  #agent: LenientAgent | null = null

  constructor(connect: Connect) {
    this.#connect = connect
  }

  /** The connections of the compatibility engine, made by the same dial. */
  agent(): LenientAgent {
    this.#agent ??= new LenientAgent((done) => this.#connect(undefined, done))
    return this.#agent
  }

  /** A connection for one request: the one used last, or a new one. */
  take(isFresh: boolean): Line {
    const held = isFresh ? undefined : this.#idle.pop()
    if (held !== undefined) {
      held.isIdle = false
      return held
    }
    const line = new Line(this.#connect, this.#forget)
    this.#lines.add(line)
    return line
  }

  /** Takes it back after an answer came whole; for all else there is `end`. */
  give(line: Line): void {
    if (!this.#lines.has(line)) return
    line.hasServed = true
    line.isIdle = true
    this.#idle.push(line)
  }

  /** Ends a connection whose request was not answered, or that has become something else. */
  end(line: Line): void {
    this.#lines.delete(line)
    line.destroy()
  }

  /** Connections that wait for a request, and all of them. */
  get idle(): number {
    return this.#idle.length
  }
  get connections(): number {
    return this.#lines.size
  }

  destroy(): void {
    for (const line of this.#lines) line.destroy()
    this.#lines.clear()
    this.#idle.length = 0
    this.#agent?.destroy()
  }

  readonly #forget = (line: Line): void => {
    const at = this.#idle.indexOf(line)
    if (at >= 0) this.#idle.splice(at, 1)
    this.end(line)
  }
}

const speaksTls = (route: EdgeRoute, port: number): boolean => declaredPort(route, port)?.scheme === 'https'

interface Entry {
  route: EdgeRoute
  readonly byPort: Map<number, Upstream>
}

/** True when connections to a port that were made by `old` are not where `now` leads: another port that began to listen moves none. */
function leadsElsewhere(old: EdgeRoute['reach'], now: EdgeRoute['reach'], port: number): boolean {
  if (old.kind === 'none' || now.kind === 'none') return old.kind !== now.kind
  if (old.kind !== now.kind || old.host !== now.host) return true
  if (old.kind !== 'ports' || now.kind !== 'ports') return false
  const [before, after] = [old.ports[String(port)], now.ports[String(port)]]
  return before !== undefined && after !== undefined && before !== after
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

  /** What all pools hold together. */
  states(): { pools: number; connections: number; idle: number; inFlight: number } {
    const sums = { pools: 0, connections: 0, idle: 0, inFlight: 0 }
    for (const entry of this.#entries.values())
      for (const upstream of entry.byPort.values()) {
        sums.pools++
        sums.connections += upstream.connections
        sums.idle += upstream.idle
        sums.inFlight += upstream.inFlight
      }
    return sums
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
      upstream = new Upstream(this.#connector(route.workspaceId, route.incarnation, port))
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
        now.ownerGroupId === entry.route.ownerGroupId
      if (isSame) this.#follow(entry, now)
      else this.#drop(id, entry)
    }
  }

  /** The same program, seen anew: only what leads elsewhere now is let go. */
  #follow(entry: Entry, now: EdgeRoute): void {
    for (const [port, upstream] of entry.byPort)
      if (
        leadsElsewhere(entry.route.reach, now.reach, port) ||
        speaksTls(entry.route, port) !== speaksTls(now, port)
      ) {
        upstream.destroy()
        entry.byPort.delete(port)
      }
    entry.route = now
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

  #connector(workspaceId: string, incarnation: string, port: number): Connect {
    return (_options, done) => {
      const route = this.#table.routeById(workspaceId)
      if (route === undefined || route.incarnation !== incarnation)
        return done(new ApiError('upstream_unreachable'), null)
      dial(route, port, this.#local, (err, stream) => {
        if (err !== null || stream === null) return done(err ?? new ApiError('internal'), null)
        // undici's types ask for a Socket; any Duplex does.
        if (speaksTls(route, port)) overTls(stream, done as Dialled)
        else done(null, stream as never)
      })
    }
  }
}
