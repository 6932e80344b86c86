// Routes come in; connections by undici come out, kept for one incarnation and port of one workspace, never for an address.
import { ApiError, type EdgeRoute } from '../../control/wire/index.ts'
import { dial, type Dialled } from '../connect.ts'
import { declaredPort } from '../ports.ts'
import type { LocalConnect } from '../seams.ts'
import type { Table, TableChange } from '../table.ts'
import { LenientAgent } from './agent.ts'
import { type Connect, FullLine, type Line } from './line.ts'
import { PlainLine } from './plain-line.ts'
import { overTls } from './secure.ts'

/** Requests in flight to one port of one workspace; beyond it `overloaded` (503). Upgraded connections don't count. */
export const IN_FLIGHT_MAX = 512

const IDLE_POOL_MS = 5 * 60_000
/** After an answer that wasn't plain, so many requests go by undici at once: what an app says, it mostly says again. */
const PLAIN_AGAIN = 64

/**
 * The connections to one port of one incarnation. Not undici's own pool: that one searches all its connections for each
 * request, and after an aborted request it opens a connection that nobody asked for.
 */
export class Upstream {
  inFlight = 0
  lastUsedMs = 0
  readonly #connect: Connect
  readonly #lines = new Set<Line>()
  readonly #idlePlain: Line[] = []
  readonly #idleFull: Line[] = []
  #agent: LenientAgent | null = null
  /** Requests that go by undici before a plain one is tried again. */
  #fullFirst = 0

  constructor(connect: Connect) {
    this.#connect = connect
  }

  /** Is the next request worth being tried without an engine? */
  triesPlain(): boolean {
    if (this.#fullFirst === 0) return true
    this.#fullFirst--
    return false
  }

  /** The connections of the compatibility engine, made by the same dial. */
  agent(): LenientAgent {
    this.#agent ??= new LenientAgent((done) => this.#connect(undefined, done))
    return this.#agent
  }

  /** A connection for one request: the one used last, or a new one. */
  take(isFresh: boolean, isPlain: boolean, nowMs: number): Line {
    const idle = isPlain ? this.#idlePlain : this.#idleFull
    while (!isFresh) {
      const held = idle.pop()
      if (held === undefined) break
      held.isIdle = false
      if (!held.isStale(nowMs)) return held
      this.end(held)
    }
    const line = isPlain
      ? new PlainLine(this.#connect, this.#ended, this.#missed)
      : new FullLine(this.#connect, this.#ended)
    this.#lines.add(line)
    return line
  }

  /** Takes it back after an answer came whole; for all else there is `end`. */
  give(line: Line, nowMs: number): void {
    if (line.isSpent) return this.end(line)
    if (!this.#lines.has(line)) return
    line.hasServed = true
    line.isIdle = true
    line.waitsFrom(nowMs)
    ;(line.isPlain ? this.#idlePlain : this.#idleFull).push(line)
  }

  /** Ends a connection whose request was not answered, or that has become something else. */
  end(line: Line): void {
    this.#lines.delete(line)
    line.destroy()
  }

  /** Connections that wait for a request, and all of them. */
  get idle(): number {
    return this.#idlePlain.length + this.#idleFull.length
  }
  get connections(): number {
    return this.#lines.size
  }

  /** Looks at the clock for connections that have none. */
  tick(nowMs: number): void {
    for (const line of this.#lines) line.tick(nowMs)
  }

  destroy(): void {
    for (const line of this.#lines) line.destroy()
    this.#lines.clear()
    this.#idlePlain.length = 0
    this.#idleFull.length = 0
    this.#agent?.destroy()
  }

  readonly #missed = (): void => void (this.#fullFirst = PLAIN_AGAIN)

  /** One that is at work is its request's to end. */
  readonly #ended = (line: Line): void => {
    if (!line.isIdle) return
    for (const idle of [this.#idlePlain, this.#idleFull]) {
      const at = idle.indexOf(line)
      if (at >= 0) idle.splice(at, 1)
    }
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

  /** Ends connections that wait for too long, and pools that nothing used for five minutes. */
  sweep(nowMs: number): void {
    for (const [id, entry] of this.#entries) {
      for (const [port, upstream] of entry.byPort) {
        upstream.tick(nowMs)
        if (upstream.inFlight === 0 && nowMs - upstream.lastUsedMs > IDLE_POOL_MS) {
          upstream.destroy()
          entry.byPort.delete(port)
        }
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
