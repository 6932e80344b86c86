// Open streams come in with what they were allowed by; each is ended when that no longer holds.
import { decide } from './decide.ts'
import type { Place } from './host.ts'
import { type Credential, credentialEndsAtMs, identityOf } from './identity.ts'
import type { Table, TableChange } from './table.ts'

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
  /** Ends it at once, both sides. */
  revoke(): void
}

/**
 * Every open stream of one gateway. A change of the table asks again only for streams that it can touch, by workspace,
 * user, session and token; the answer is found anew rather than kept, so that no way of losing a right is forgotten.
 */
export class LiveSet {
  readonly #streams = new Set<LiveStream>()
  readonly #table: Table
  readonly #now: () => number
  revoked = 0

  constructor(table: Table, now: () => number) {
    this.#table = table
    this.#now = now
  }

  get size(): number {
    return this.#streams.size
  }
  add(stream: LiveStream): void {
    this.#streams.add(stream)
  }
  delete(stream: LiveStream): void {
    this.#streams.delete(stream)
  }

  /** Ends the streams that a change has made unlawful. */
  recheck(change: TableChange): void {
    for (const stream of this.#streams) if (touches(change, stream) && !this.#holds(stream)) this.#end(stream)
  }

  /** Ends the streams whose session or token is over; called each second. */
  expire(): void {
    const nowMs = this.#now()
    for (const stream of this.#streams)
      if (stream.credential.kind !== 'none' && credentialEndsAtMs(this.#table, stream.credential) <= nowMs)
        if (!this.#holds(stream)) this.#end(stream)
  }

  /** Ends all; for the end of the gateway. */
  endAll(): void {
    for (const stream of this.#streams) stream.revoke()
    this.#streams.clear()
  }

  #end(stream: LiveStream): void {
    this.#streams.delete(stream)
    this.revoked++
    stream.revoke()
  }

  #holds(stream: LiveStream): boolean {
    const { place, credential } = stream
    const route = place.kind === 'workspace' ? this.#table.routeByName(place.name) : undefined
    const identity = identityOf(this.#table, credential, place, route, this.#now())
    if (place.kind !== 'workspace') return identity.kind !== 'anonymous' && identity.user.id === stream.userId
    if (route === undefined || route.workspaceId !== stream.workspaceId) return false
    if (route.incarnation !== stream.incarnation) return false
    const decision = decide({
      ready: this.#table.isReady,
      port: stream.port,
      // A program that is being stopped may still end its streams itself.
      route: { ...route, phase: 'running' },
      identity,
      method: 'GET',
      upgrade: false,
      origin: null,
      fetchSite: null,
      fetchMode: null,
      fetchDest: null,
      ownOrigin: '',
    })
    if (decision.kind !== 'allow') return false
    return (decision.identity.kind === 'anonymous' ? '' : decision.identity.user.id) === stream.userId
  }
}

function touches(change: TableChange, stream: LiveStream): boolean {
  if (change.all || change.routes.has(stream.workspaceId)) return true
  if (change.users.has(stream.userId)) return true
  // A session's parent counts too, which only the table knows.
  if (stream.credential.kind === 'session') return change.sessions.size > 0
  return stream.credential.kind === 'token' && change.tokens.has(stream.credential.hash)
}
