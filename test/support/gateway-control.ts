// A control in memory for tests of the edge: users, sessions, tokens and one-time codes as facts. Named a fake; it decides nothing.
import { createHash, randomBytes } from 'node:crypto'
import {
  ApiError,
  type EdgeControl,
  type EdgeFact,
  type EdgeNote,
  type EdgeRoute,
  type EdgeSink,
  type EdgeUser,
  type NewSession,
  type Origin,
  type Scope,
  type SignInProvider,
  type TokenBounds,
} from '../../control/wire/index.ts'

/** What the table is keyed by: of a session's secret or a token's. */
export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

interface Code {
  readonly userId: string
  readonly parentHash: string
  readonly workspaceId: string
  readonly label: string
  readonly challenge: string
  readonly expiresAtMs: number
}

/** A user whose password is `<username>-password`. */
export const userRow = (id: string, more: Partial<EdgeUser> = {}): EdgeUser => ({
  id,
  username: id,
  email: `${id}@example.com`,
  role: 'member',
  groups: [],
  ...more,
})

/** A running workspace of alice at 127.0.0.1 unless said otherwise. */
export const routeRow = (name: string, more: Partial<EdgeRoute> = {}): EdgeRoute => ({
  workspaceId: `id0000${name.replaceAll('-', '')}`,
  name,
  ownerId: 'alice',
  ownerGroupId: null,
  grants: [],
  aliases: [],
  phase: 'running',
  reason: '',
  incarnation: `${name}-1`,
  reach: { kind: 'address', host: '127.0.0.1' },
  defaultPort: null,
  paths: [],
  ports: [],
  ...more,
})

const never = (): Promise<never> => Promise.reject(new Error('nothing here signs in'))

/** For edges on given facts, where nobody signs in. */
export const noControl: EdgeControl = {
  setupOpen: () => Promise.resolve(false),
  setup: never,
  signIn: never,
  sessionUsed: () => Promise.resolve(),
  tokenUsed: () => Promise.resolve(),
  resetPassword: never,
  acceptInvitation: never,
  signOut: never,
  providers: () => Promise.resolve([]),
  beginSignIn: never,
  finishSignIn: never,
  issueCode: never,
  redeemCode: never,
  startWorkspace: never,
  redeemLink: never,
  joinGuest: never,
  guestUsed: never,
  note: () => Promise.resolve(),
  givePassword: never,
  requestAccess: never,
}

/** The fake: what it makes is in the sink before its promises resolve. */
export class FakeControl implements EdgeControl {
  sink: EdgeSink | null = null
  nowMs: () => number = Date.now
  isSetupOpen = false
  /** Set: every call rejects with it. */
  failure: Error | null = null
  readonly started: string[] = []
  readonly tokensUsed: string[] = []
  /** Requests for access, as `<user> <label>`. */
  readonly asked: string[] = []
  /** Labels whose name was another owner's before → since when it isn't. */
  readonly reused = new Map<string, number>()
  readonly origins: string[] = []
  readonly #codes = new Map<string, Code>()
  readonly #sessions = new Map<string, { userId: string; parentHash: string | null }>()
  readonly #users = new Map<string, EdgeUser>()
  #revision = 1

  tell(...facts: EdgeFact[]): void {
    for (const fact of facts) if (fact.kind === 'user') this.#users.set(fact.key, fact.row)
    this.sink?.apply(++this.#revision, facts)
  }
  user(row: EdgeUser): void {
    this.tell({ kind: 'user', key: row.id, row })
  }
  route(row: EdgeRoute): void {
    this.tell({ kind: 'route', key: row.workspaceId, row })
  }
  gone(of: 'route' | 'user' | 'session' | 'token', key: string): void {
    this.tell({ kind: 'gone', of, key })
  }

  /** A dashboard session; gives the cookie's value. */
  session(userId: string, expiresAtMs = this.nowMs() + 3600_000): string {
    const token = randomBytes(16).toString('base64url')
    const hash = hashOf(token)
    this.#sessions.set(hash, { userId, parentHash: null })
    this.tell({ kind: 'session', key: hash, row: { hash, userId, expiresAtMs, workspace: null } })
    return token
  }
  /** A session on one workspace host, child of a dashboard session. */
  child(parent: string, workspaceId: string, label: string, expiresAtMs = this.nowMs() + 3600_000): string {
    const token = randomBytes(16).toString('base64url')
    const hash = hashOf(token)
    const parentHash = hashOf(parent)
    const userId = this.#sessions.get(parentHash)?.userId ?? ''
    this.#sessions.set(hash, { userId, parentHash })
    const workspace = { parentHash, workspaceId, label }
    this.tell({ kind: 'session', key: hash, row: { hash, userId, expiresAtMs, workspace } })
    return token
  }
  token(
    userId: string,
    scopes: readonly Scope[],
    expiresAtMs: number | null = null,
    bounds: TokenBounds | null = null,
  ): string {
    const token = `pst_${randomBytes(16).toString('base64url')}`
    const hash = hashOf(token)
    const row = { hash, id: hash.slice(0, 8), userId, scopes, bounds, expiresAtMs }
    this.tell({ kind: 'token', key: hash, row })
    return token
  }

  async setupOpen(): Promise<boolean> {
    this.#fail()
    return this.isSetupOpen
  }
  async setup(body: { token: string; username: string; password: string }): Promise<NewSession> {
    this.#fail()
    if (!this.isSetupOpen) throw new ApiError('setup_closed')
    if (body.token !== 'the-setup-token') throw new ApiError('forbidden')
    if (body.password.length < 10)
      throw new ApiError('invalid_body', undefined, {
        errors: [{ path: 'password', message: 'at least 10 characters' }],
      })
    this.isSetupOpen = false
    this.user(userRow(body.username, { role: 'administrator' }))
    return { token: this.session(body.username), expiresAtMs: this.nowMs() + 3600_000 }
  }
  async signIn(body: { username: string; password: string }, origin: { ip: string }): Promise<NewSession> {
    this.#fail()
    this.origins.push(origin.ip)
    if (!this.#users.has(body.username) || body.password !== `${body.username}-password`)
      throw new ApiError('invalid_credentials')
    return { token: this.session(body.username), expiresAtMs: this.nowMs() + 3600_000 }
  }
  /** Hashes of sessions that were said to be in use. */
  readonly used: string[] = []
  async tokenUsed(tokenId: string): Promise<void> {
    this.#fail()
    this.tokensUsed.push(tokenId)
  }
  async sessionUsed(sessionHash: string): Promise<void> {
    this.#fail()
    this.used.push(sessionHash)
  }
  async resetPassword(body: { token: string }): Promise<NewSession> {
    this.#fail()
    if (body.token !== 'the-reset-token') throw new ApiError('forbidden')
    return { token: this.session('alice'), expiresAtMs: this.nowMs() + 3600_000 }
  }
  async acceptInvitation(body: { token: string; username: string }): Promise<NewSession> {
    this.#fail()
    if (body.token !== 'the-invitation') throw new ApiError('forbidden')
    this.user(userRow(body.username))
    return { token: this.session(body.username), expiresAtMs: this.nowMs() + 3600_000 }
  }
  async providers(): Promise<readonly SignInProvider[]> {
    return []
  }
  beginSignIn = never
  finishSignIn = never
  async signOut(sessionHash: string): Promise<null> {
    this.#fail()
    const gone = [sessionHash]
    for (const [hash, session] of this.#sessions) if (session.parentHash === sessionHash) gone.push(hash)
    this.tell(...gone.map((key): EdgeFact => ({ kind: 'gone', of: 'session', key })))
    return null
  }
  async issueCode(grant: Omit<Code, 'expiresAtMs'>): Promise<string> {
    this.#fail()
    const code = randomBytes(16).toString('base64url')
    this.#codes.set(code, { ...grant, expiresAtMs: this.nowMs() + 60_000 })
    return code
  }
  async redeemCode(
    given: { code: string; nonce: string; label: string },
    { ip, userAgent }: Origin,
  ): Promise<NewSession> {
    this.#fail()
    this.origins.push(`redeem ${ip} ${userAgent}`)
    const code = this.#codes.get(given.code)
    const challenge = createHash('sha256').update(given.nonce).digest('base64url')
    const isRight =
      code !== undefined &&
      code.label === given.label &&
      code.challenge === challenge &&
      code.expiresAtMs > this.nowMs()
    if (!isRight) throw new ApiError('forbidden')
    this.#codes.delete(given.code)
    const token = randomBytes(16).toString('base64url')
    const hash = hashOf(token)
    const expiresAtMs = this.nowMs() + 3600_000
    const workspace = { parentHash: code.parentHash, workspaceId: code.workspaceId, label: code.label }
    this.#sessions.set(hash, { userId: code.userId, parentHash: code.parentHash })
    this.tell({ kind: 'session', key: hash, row: { hash, userId: code.userId, expiresAtMs, workspace } })
    const reusedAtMs = this.reused.get(code.label)
    return { token, expiresAtMs, ...(reusedAtMs === undefined ? {} : { reusedAtMs }) }
  }
  async startWorkspace(workspaceId: string, userId: string): Promise<void> {
    this.#fail()
    this.started.push(`${workspaceId} ${userId}`)
  }
  async requestAccess(userId: string, label: string): Promise<void> {
    this.#fail()
    this.asked.push(`${userId} ${label}`)
  }

  readonly redeemLink = never
  readonly joinGuest = never
  readonly guestUsed = never
  /** What the edge told of visits and refusals. */
  readonly notes: EdgeNote[] = []
  async note(notes: readonly EdgeNote[]): Promise<void> {
    this.#fail()
    this.notes.push(...notes)
  }
  readonly givePassword = never

  #fail(): void {
    if (this.failure !== null) throw this.failure
  }
}
