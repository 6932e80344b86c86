// Control's facts come in; routes, users, sessions and tokens are looked up here in memory. Decides nothing.
import type {
  EdgeFact,
  EdgeRoute,
  EdgeSession,
  EdgeSink,
  EdgeToken,
  EdgeUser,
  SigningKey,
} from '../../control/wire/index.ts'
import type { WorkspacePlace } from '../host/host.ts'

/** The keys that one change touched; `all` after a reset. */
export interface TableChange {
  readonly all: boolean
  readonly routes: ReadonlySet<string>
  readonly users: ReadonlySet<string>
  readonly sessions: ReadonlySet<string>
  readonly tokens: ReadonlySet<string>
}

/** What decisions read. Before the first `reset` nothing is known and `isReady` is false: unknown is not empty. */
export interface TableView {
  readonly isReady: boolean
  /** By name or alias. */
  routeByName(name: string): EdgeRoute | undefined
  routeById(workspaceId: string): EdgeRoute | undefined
  user(id: string): EdgeUser | undefined
  session(hash: string): EdgeSession | undefined
  token(hash: string): EdgeToken | undefined
  /** Since when (ms) this incarnation is seen running here; -Infinity: since before this gateway knew. */
  runningSinceMs(workspaceId: string): number
}

/** What a place names; by path a workspace has its own name alone, so that each is in one place there. */
export function routeAt(
  table: Pick<TableView, 'routeByName'>,
  { name, prefix }: WorkspacePlace,
): EdgeRoute | undefined {
  const route = table.routeByName(name)
  return prefix !== '' && route !== undefined && route.name !== name ? undefined : route
}

const NONE: ReadonlySet<string> = new Set()

interface Since {
  readonly incarnation: string
  readonly atMs: number
}

/** The table of one gateway: the sink of facts, and the view that decisions read. */
export class Table implements EdgeSink, TableView {
  revision = -1
  /** Grows with each change, whatever control counts. */
  changes = 0
  /** Control has been away for too long: what is held may be wrong by now, so nothing is decided on it. */
  isSuspended = false
  /** Hosts' workspace networks, as CIDR. */
  subnets: readonly string[] = []
  /** Of statements on who a visitor is. */
  signing: readonly SigningKey[] = []
  /** Changes alone, before the first reset, make no table. */
  #isFilled = false
  readonly #now: () => number
  readonly #routes = new Map<string, EdgeRoute>()
  /** By name and alias: one look for each decision. */
  readonly #names = new Map<string, EdgeRoute>()
  readonly #users = new Map<string, EdgeUser>()
  readonly #sessions = new Map<string, EdgeSession>()
  readonly #tokens = new Map<string, EdgeToken>()
  readonly #running = new Map<string, Since>()
  readonly #listeners: ((change: TableChange) => void)[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  /** Called after each change, before `reset` or `apply` returns. */
  onChange(listener: (change: TableChange) => void): void {
    this.#listeners.push(listener)
  }

  get isReady(): boolean {
    return this.#isFilled && !this.isSuspended
  }

  /** Ends deciding, open streams included, or begins again on what is held. */
  suspend(isSuspended: boolean): void {
    if (this.isSuspended === isSuspended) return
    this.isSuspended = isSuspended
    this.#tell({ all: true, routes: NONE, users: NONE, sessions: NONE, tokens: NONE })
  }

  reset(revision: number, facts: readonly EdgeFact[]): void {
    const before = new Map(this.#running)
    for (const map of [this.#routes, this.#names, this.#users, this.#sessions, this.#tokens, this.#running])
      map.clear()
    this.subnets = []
    this.signing = []
    this.#isFilled = true
    for (const fact of facts) this.#take(fact, Number.NEGATIVE_INFINITY)
    for (const [id, since] of before)
      if (this.#running.get(id)?.incarnation === since.incarnation) this.#running.set(id, since)
    this.revision = revision
    this.#tell({ all: true, routes: NONE, users: NONE, sessions: NONE, tokens: NONE })
  }

  apply(revision: number, facts: readonly EdgeFact[]): void {
    const change = {
      all: false,
      routes: new Set<string>(),
      users: new Set<string>(),
      sessions: new Set<string>(),
      tokens: new Set<string>(),
    }
    for (const fact of facts) {
      this.#take(fact, this.#now())
      if (fact.kind === 'subnets' || fact.kind === 'signing') continue
      change[`${fact.kind === 'gone' ? fact.of : fact.kind}s`].add(fact.key)
    }
    this.revision = revision
    this.#tell(change)
  }

  routeByName(name: string): EdgeRoute | undefined {
    return this.#names.get(name)
  }
  routeById(workspaceId: string): EdgeRoute | undefined {
    return this.#routes.get(workspaceId)
  }
  routes(): Iterable<EdgeRoute> {
    return this.#routes.values()
  }
  user(id: string): EdgeUser | undefined {
    return this.#users.get(id)
  }
  session(hash: string): EdgeSession | undefined {
    return this.#sessions.get(hash)
  }
  token(hash: string): EdgeToken | undefined {
    return this.#tokens.get(hash)
  }
  runningSinceMs(workspaceId: string): number {
    return this.#running.get(workspaceId)?.atMs ?? Number.NEGATIVE_INFINITY
  }

  #tell(change: TableChange): void {
    this.changes++
    for (const listener of this.#listeners) listener(change)
  }

  #take(fact: EdgeFact, nowMs: number): void {
    switch (fact.kind) {
      case 'route':
        this.#forgetNames(fact.key)
        this.#routes.set(fact.key, fact.row)
        for (const name of [fact.row.name, ...fact.row.aliases]) this.#names.set(name, fact.row)
        this.#noteRunning(fact.row, nowMs)
        return
      case 'user':
        this.#users.set(fact.key, fact.row)
        return
      case 'session':
        this.#sessions.set(fact.key, fact.row)
        return
      case 'token':
        this.#tokens.set(fact.key, fact.row)
        return
      case 'subnets':
        this.subnets = fact.row
        return
      case 'signing':
        this.signing = fact.row
        return
      case 'gone':
        this.#forget(fact.of, fact.key)
    }
  }

  #forget(of: 'route' | 'user' | 'session' | 'token', key: string): void {
    if (of === 'route') {
      this.#forgetNames(key)
      this.#routes.delete(key)
      this.#running.delete(key)
    } else if (of === 'user') this.#users.delete(key)
    else if (of === 'session') this.#sessions.delete(key)
    else this.#tokens.delete(key)
  }

  #forgetNames(key: string): void {
    const old = this.#routes.get(key)
    if (old === undefined) return
    for (const name of [old.name, ...old.aliases]) if (this.#names.get(name) === old) this.#names.delete(name)
  }

  #noteRunning(row: EdgeRoute, nowMs: number): void {
    if (row.phase !== 'running') this.#running.delete(row.workspaceId)
    else if (this.#running.get(row.workspaceId)?.incarnation !== row.incarnation)
      this.#running.set(row.workspaceId, { incarnation: row.incarnation, atMs: nowMs })
  }
}
