// Open streams come in with what they were allowed by; each is ended when that no longer holds.
import { hasEnded, userOf } from '../control/wire/index.ts'
import { decide, doorOf, isRemoved } from './decide/decide.ts'
import type { Place } from './host/host.ts'
import { type Credential, credentialEndsAtMs, identityOf } from './identity/identity.ts'
import { OpenSet } from './open-set.ts'
import { routeAt, type Table, type TableChange } from './facts/table.ts'

/** One open stream: a proxied answer, a WebSocket, or a socket of the dashboard. */
export interface LiveStream {
  readonly credential: Credential
  readonly place: Place
  /** '' on the dashboard's host. */
  readonly workspaceId: string
  readonly incarnation: string
  readonly port: number
  /** The user who was allowed; '' for a visitor of a public port. */
  readonly userId: string
  /** The page of a sibling port that made it; null: no other host's. */
  readonly byOrigin: string | null
  /** Ends it at once, both sides. */
  revoke(): void
}

/**
 * Every open stream of one gateway. Sockets, which stay, are indexed by workspace, user, session, parent session and
 * token when they open; answers, which mostly go at once, are only kept. A change of the table asks again for the
 * streams that it can touch; the answer is found anew rather than kept, so that no way of losing a right is forgotten.
 */
export class LiveSet {
  readonly #answers = new OpenSet<LiveStream>()
  readonly #sockets = new Map<LiveStream, readonly string[]>()
  readonly #index = new Map<string, Set<LiveStream>>()
  readonly #table: Table
  readonly #now: () => number
  revoked = 0

  constructor(table: Table, now: () => number) {
    this.#table = table
    this.#now = now
  }

  get size(): number {
    return this.#answers.size + this.#sockets.size
  }
  /** How many there are of each kind: answers under way, WebSockets to workspaces, streams of the dashboard's host. */
  kinds(): { answers: number; sockets: number; dashboard: number } {
    let dashboard = 0
    for (const stream of this.#sockets.keys()) if (stream.place.kind !== 'workspace') dashboard++
    return { answers: this.#answers.size, sockets: this.#sockets.size - dashboard, dashboard }
  }
  /** Hashes of the sessions whose streams are open now. */
  sessions(): Set<string> {
    const hashes = new Set<string>()
    for (const streams of [this.#answers, this.#sockets.keys()])
      for (const { credential, userId } of streams)
        if (credential.kind === 'session' && userId !== '') hashes.add(credential.hash)
    return hashes
  }
  /** An answer under way. */
  add(stream: LiveStream): void {
    this.#answers.add(stream)
  }
  /** A socket that was opened. */
  addSocket(stream: LiveStream): void {
    const keys = this.#keysOf(stream)
    this.#sockets.set(stream, keys)
    for (const key of keys) {
      const at = this.#index.get(key)
      if (at === undefined) this.#index.set(key, new Set([stream]))
      else at.add(stream)
    }
  }
  delete(stream: LiveStream): void {
    if (this.#answers.delete(stream)) return
    for (const key of this.#sockets.get(stream) ?? []) {
      const at = this.#index.get(key)
      at?.delete(stream)
      if (at?.size === 0) this.#index.delete(key)
    }
    this.#sockets.delete(stream)
  }

  /** Ends the streams that a change has made unlawful. */
  recheck(change: TableChange): void {
    for (const stream of this.#answers) if (touches(change, stream)) this.#endUnlawful(stream)
    if (change.all) for (const stream of this.#sockets.keys()) this.#endUnlawful(stream)
    for (const kind of ['routes', 'users', 'sessions', 'tokens'] as const)
      for (const key of change[kind])
        for (const stream of this.#index.get(`${kind} ${key}`) ?? []) this.#endUnlawful(stream)
  }

  /** Ends the streams whose session, token or grant is over; called each second. */
  expire(): void {
    const nowMs = this.#now()
    for (const streams of [this.#answers, this.#sockets.keys()])
      for (const stream of streams)
        if (stream.credential.kind !== 'none' && this.#isEnding(stream, nowMs)) this.#endUnlawful(stream)
  }

  #isEnding({ credential, workspaceId }: LiveStream, nowMs: number): boolean {
    if (credentialEndsAtMs(this.#table, credential) <= nowMs) return true
    const route = this.#table.routeById(workspaceId)
    return route !== undefined && hasEnded(route, nowMs)
  }

  /** Ends all; for the end of the gateway. */
  endAll(): void {
    for (const streams of [this.#answers, this.#sockets.keys()]) for (const stream of streams) stream.revoke()
    this.#answers.clear()
    this.#sockets.clear()
    this.#index.clear()
  }

  #keysOf({ workspaceId, userId, credential }: LiveStream): string[] {
    const keys: string[] = []
    if (workspaceId !== '') keys.push(`routes ${workspaceId}`)
    if (userId !== '') keys.push(`users ${userId}`)
    if (credential.kind === 'token') keys.push(`tokens ${credential.hash}`)
    if (credential.kind !== 'session') return keys
    keys.push(`sessions ${credential.hash}`)
    const parent = this.#table.session(credential.hash)?.workspace?.parentHash
    return parent === undefined ? keys : [...keys, `sessions ${parent}`]
  }

  #endUnlawful(stream: LiveStream): void {
    if (this.#holds(stream)) return
    this.delete(stream)
    this.revoked++
    stream.revoke()
  }

  #holds(stream: LiveStream): boolean {
    const { place, credential } = stream
    const route = place.kind === 'workspace' ? routeAt(this.#table, place) : undefined
    const identity = identityOf(this.#table, credential, place, route, this.#now())
    if (place.kind !== 'workspace') return userOf(identity)?.id === stream.userId
    if (route === undefined || route.workspaceId !== stream.workspaceId) return false
    if (route.incarnation !== stream.incarnation) return false
    if (identity.kind === 'link' && isRemoved(route)) return false
    const decision = decide({
      ready: this.#table.isReady,
      door: doorOf(place),
      port: stream.port,
      // A program that is being stopped may still end its streams itself.
      route: { ...route, phase: 'running' },
      identity,
      method: 'GET',
      upgrade: false,
      origin: stream.byOrigin,
      fetchSite: null,
      fetchMode: null,
      fetchDest: null,
      ownOrigin: '',
      kin: stream.byOrigin === null ? 'none' : 'namesake',
      preflight: false,
      nowMs: this.#now(),
    })
    if (decision.kind !== 'allow') return false
    return (userOf(decision.identity)?.id ?? '') === stream.userId
  }
}

function touches(change: TableChange, stream: LiveStream): boolean {
  if (change.all || change.routes.has(stream.workspaceId)) return true
  if (change.users.has(stream.userId)) return true
  // A session's parent counts too, which only the table knows.
  if (stream.credential.kind === 'session') return change.sessions.size > 0
  return stream.credential.kind === 'token' && change.tokens.has(stream.credential.hash)
}
