/** `GET /api/v1/events`: changes come in by the feed; each socket is sent what its person may see, by revision. */
import type { IncomingMessage } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import { authorize, realtimeNeeds } from '../authorization/authorization.ts'
import { identityNow } from '../authorization/whose.ts'
import type { Deployment } from '../deployment.ts'
import { AuditTail } from './audit-tail.ts'
import type { Batch } from './feed.ts'
import { forReader, loadChanges, loadEverything, messagesFor } from './messages.ts'
import type { Audience, Loaded } from './messages.ts'
import { changesAfter, readRevisions } from '../store/changes.ts'
import type { Change } from '../store/changes.ts'
import { findSession } from '../store/sessions.ts'
import { listTokens } from '../store/tokens.ts'
import { findUser } from '../store/users.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { ApiError, userOf, watchSchema } from '../wire/index.ts'
import type { Identity, Origin, StreamMessage, Watch } from '../wire/index.ts'

/** Bytes that may wait for a slow reader before it is cut off. */
const BUFFER_MAX = 4 * 1024 * 1024
const PING_MS = 30_000
/** Why a socket is closed, beyond the codes of RFC 6455. */
export const closeCodes = { signedOut: 4401, resync: 4409, slow: 1013, stopping: 1001 } as const

export interface Streams {
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, identity: Identity, origin: Origin): void
  /** How many sockets are open. */
  readers(): number
  close(): void
}

/** `all` by who reads everything. */
interface Reader extends Audience {
  /** Subjects whose change may end what the reader is signed in by. */
  readonly standsOn: ReadonlySet<string>
  readonly since: number
  /** As it was when they knocked. */
  readonly identity: Identity
}

/** Answers an upgrade that isn't granted with its problem. */
export function refuseUpgrade(socket: Duplex, err: unknown, origin: Origin): void {
  const problem = err instanceof ApiError ? err : new ApiError('internal', undefined, { cause: err })
  const body = JSON.stringify(problem.problem(origin.requestId))
  socket.on('error', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\n` +
      `Content-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `Cache-Control: no-store\r\nConnection: close\r\n\r\n${body}`,
  )
}

async function readerOf(deployment: Deployment, req: IncomingMessage, identity: Identity): Promise<Reader> {
  const [path = '', query = ''] = (req.url ?? '').split('?')
  const need = realtimeNeeds[path]
  if (need === undefined) throw new ApiError('not_found')
  const person = authorize(need, identity)
  if (person === null || identity.kind === 'anonymous') throw new ApiError('unauthenticated')
  const given = new URLSearchParams(query)
  const since = Number(given.get('since') ?? 0)
  if (!Number.isSafeInteger(since) || since < 0)
    throw new ApiError('invalid_body', undefined, { errors: [{ path: 'since', message: 'a revision' }] })
  const all = given.get('owner') === 'all'
  if (all && !person.readsAll) throw new ApiError('forbidden')
  const tokens =
    identity.kind === 'token'
      ? await listTokens(deployment.feed.db, { userId: person.id, id: identity.tokenId })
      : []
  const standsOn = [person.id, person.sessionHash ?? '', ...tokens.map(({ hash }) => hash)]
  return {
    person,
    all,
    known: new Set(),
    standsOn: new Set(standsOn.filter((subject) => subject !== '')),
    since,
    identity,
  }
}

/** What a reader wants to be told of beside the rest; null: it said nothing that is known. */
function watchOf(text: string): Watch['watch'] | null {
  try {
    return watchSchema.safeParse(JSON.parse(text)).data?.watch ?? null
  } catch {
    // No JSON: nothing was said.
    return null
  }
}

class EventStreams implements Streams {
  readonly #deployment: Deployment
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: 1024, perMessageDeflate: false })
  readonly #alive = new WeakSet<WebSocket>()
  readonly #loaded = new WeakMap<Batch, Promise<Loaded>>()
  readonly #pings: NodeJS.Timeout
  readonly #tail: AuditTail<WebSocket>

  constructor(deployment: Deployment) {
    this.#deployment = deployment
    this.#tail = new AuditTail<WebSocket>(deployment.feed.db, deployment.log, (ws) =>
      this.#send(ws, [{ type: 'audit' }]),
    )
    this.#pings = setInterval(() => this.#ping(), PING_MS)
    this.#pings.unref()
  }

  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, identity: Identity, origin: Origin): void {
    const early = (): void => void socket.destroy()
    socket.on('error', early)
    readerOf(this.#deployment, req, identity).then(
      (reader) => {
        socket.off('error', early)
        this.#server.handleUpgrade(req, socket, head, (ws) => this.#serve(ws, reader))
      },
      (err: unknown) => refuseUpgrade(socket, err, origin),
    )
  }

  #serve(ws: WebSocket, reader: Reader): void {
    this.#alive.add(ws)
    ws.on('pong', () => this.#alive.add(ws))
    ws.on('error', () => ws.terminate())
    ws.on('message', (data, isBinary) => this.#heard(ws, reader, isBinary ? '' : String(data)))
    ws.once('close', () => this.#tail.leave(ws))
    const sent = { limits: '' }
    const start = (revision: number): Promise<void> => this.#catchUp(ws, reader, revision, sent)
    const consume = (batch: Batch): Promise<void> => this.#deliver(ws, reader, batch, sent)
    this.#deployment.feed.subscribe(start, consume).then(
      (end) => {
        if (ws.readyState !== WebSocket.OPEN) end()
        else ws.once('close', end)
      },
      (err: unknown) => {
        this.#deployment.log.warn('an event stream could not start', { err })
        ws.close(1011)
      },
    )
  }

  /** Who may not read the audit is not told of it; they hear no more of that than of what isn't a wish at all. */
  #heard(ws: WebSocket, reader: Reader, text: string): void {
    const watch = watchOf(text)
    if (watch === null) return
    const news = { message: { type: 'audit' }, of: null, audience: null } as const
    const isTheirs = forReader(news, reader, this.#deployment.now()) !== null
    if (isTheirs && watch.includes('audit')) this.#tail.watch(ws)
    else this.#tail.leave(ws)
  }

  /** A reader that is behind or gone must never hold up the others. */
  #send(ws: WebSocket, messages: readonly StreamMessage[]): void {
    for (const message of messages) {
      if (ws.readyState !== WebSocket.OPEN) return
      if (ws.bufferedAmount > BUFFER_MAX) {
        ws.close(closeCodes.slow, 'too slow')
        setTimeout(() => ws.terminate(), 1000).unref()
        return
      }
      ws.send(JSON.stringify(message))
    }
  }

  #resync(ws: WebSocket): void {
    this.#send(ws, [{ type: 'resync' }])
    ws.close(closeCodes.resync, 'resync')
  }

  async #catchUp(ws: WebSocket, reader: Reader, revision: number, sent: { limits: string }): Promise<void> {
    const { feed, options, now } = this.#deployment
    const { pruned } = await readRevisions(feed.db)
    const { since } = reader
    // Who they were when they knocked may be old by now; what changes from here on is heard.
    const identity = await identityNow(feed.db, reader.identity, now()).catch((err: unknown) => {
      if (err instanceof ApiError) return null
      throw err
    })
    const user = identity === null ? null : userOf(identity)
    if (user === null || user.role !== reader.person.role)
      return ws.close(closeCodes.signedOut, 'sign in again')
    reader.person = { ...reader.person, groups: user.groups }
    if (since > 0 && (since < pruned || since > revision)) {
      this.#resync(ws)
      return
    }
    const changes =
      since === 0 ? [] : (await changesAfter(feed.db, since)).filter((each) => each.revision <= revision)
    if (since > 0 && (await this.#hasLost(reader, changes))) {
      this.#resync(ws)
      return
    }
    const loaded =
      since === 0
        ? await loadEverything(this.#deployment, feed.db)
        : await loadChanges(this.#deployment, feed.db, changes, true)
    this.#send(ws, messagesFor(this.#deployment, reader, loaded, sent))
    this.#send(ws, [{ type: 'live', revision, version: options.version }])
  }

  /** May a reader who comes back know of workspaces that are no longer there for them? Also notes which are. */
  async #hasLost({ person, all, known }: Reader, changes: readonly Change[]): Promise<boolean> {
    if (all) return false
    const { feed, now } = this.#deployment
    const visible = await listWorkspaces(feed.db, { visibleTo: { holder: person, nowMs: now() } })
    for (const { id } of visible) known.add(id)
    return changes.some(
      ({ kind, subject, audience }) =>
        (kind === 'user' && subject === person.id) ||
        (kind === 'access' && !known.has(subject) && audience !== person.id),
    )
  }

  async #deliver(ws: WebSocket, reader: Reader, batch: Batch, sent: { limits: string }): Promise<void> {
    if (ws.readyState !== WebSocket.OPEN) return
    if (batch.missed) {
      this.#resync(ws)
      return
    }
    const touched = batch.changes.filter(
      ({ kind, subject }) =>
        (kind === 'user' || kind === 'session' || kind === 'token') && reader.standsOn.has(subject),
    )
    // Other groups show other workspaces: the reader comes again. A session that was used is the same one.
    const standing = touched.length === 0 ? 'same' : await this.#standing(reader, touched)
    if (standing === 'gone') return ws.close(closeCodes.signedOut, 'sign in again')
    if (standing === 'changed') return this.#resync(ws)
    const loading =
      this.#loaded.get(batch) ?? loadChanges(this.#deployment, this.#deployment.feed.db, batch.changes, false)
    this.#loaded.set(batch, loading)
    this.#send(ws, messagesFor(this.#deployment, reader, await loading, sent))
  }

  async #standing({ person }: Reader, touched: readonly Change[]): Promise<'same' | 'changed' | 'gone'> {
    const { db } = this.#deployment.feed
    const user = await findUser(db, { id: person.id })
    if (user === null || user.disabled || user.role !== person.role) return 'gone'
    for (const { kind, subject } of touched) {
      if (kind === 'session' && (await findSession(db, subject)) === null) return 'gone'
      if (kind === 'token' && (await listTokens(db, { hash: subject })).length === 0) return 'gone'
    }
    return touched.some(({ kind }) => kind === 'user') ? 'changed' : 'same'
  }

  #ping(): void {
    for (const ws of this.#server.clients) {
      if (!this.#alive.has(ws)) {
        ws.terminate()
        continue
      }
      this.#alive.delete(ws)
      ws.ping()
    }
  }

  readers(): number {
    return this.#server.clients.size
  }

  close(): void {
    clearInterval(this.#pings)
    this.#tail.close()
    for (const ws of this.#server.clients) {
      ws.close(closeCodes.stopping, 'the server stops')
      setTimeout(() => ws.terminate(), 500).unref()
    }
  }
}

export function eventStreams(deployment: Deployment): Streams {
  return new EventStreams(deployment)
}
