// Connections that agreed on HTTP/2 come in; their requests go to the same handlers as those of HTTP/1.1, within limits of their own.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, createServer, type ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Peer } from '../listeners/trust.ts'
import { EdgeAnswer } from './answer.ts'
import { EdgeRequest } from './request.ts'

/** What is done with the requests; the same functions as for HTTP/1.1. */
export interface Http2Handlers {
  request(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void
  expectation(req: IncomingMessage, res: ServerResponse): void
  /** CONNECT, of which HTTP/2 knows more than one kind. */
  connect(req: EdgeRequest, res: EdgeAnswer): void
  /** A connection was ended because it reset streams all the time. */
  flooded(): void
}

/** The limits of one connection. What a peer sends beyond them ends a stream or the connection, never more. */
const LIMITS = {
  maxHeaderListPairs: 600,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxOutstandingPings: 4,
  // MB of what one connection makes us hold, such as answers that it doesn't read.
  maxSessionMemory: 16,
} as const
const SETTINGS = {
  maxConcurrentStreams: 128,
  maxHeaderListSize: 32 * 1024,
  // An upload's way: 256 KiB a round trip.
  initialWindowSize: 256 * 1024,
} as const
const CONNECTION_WINDOW = 1024 * 1024

/** A connection without a stream is ended after so long; as long as in HTTP/1.1. */
const IDLE_MS = 75_000
const LOOK_MS = 5000

/** Streams that a peer may reset at once, and then each second: more is a flood (CVE-2023-44487). */
const RESETS_BURST = 500
const RESETS_PER_MS = 50 / 1000

type Connection = ServerHttp2Session<
  typeof IncomingMessage,
  typeof ServerResponse,
  typeof EdgeRequest,
  typeof EdgeAnswer
>

interface Session {
  readonly peer: Peer
  open: number
  idleSinceMs: number
  /** How many resets it may still make. */
  resets: number
  resetMs: number
}

/** Every HTTP/2 connection of one listener or more. */
export class Http2Sessions {
  readonly #sessions = new Map<Connection, Session>()
  readonly #server
  readonly #looking: NodeJS.Timeout
  readonly #handlers: Http2Handlers
  #arriving: Peer | null = null

  constructor(handlers: Http2Handlers, takesWebSockets: boolean) {
    const server = createServer({
      ...LIMITS,
      settings: { ...SETTINGS, enableConnectProtocol: takesWebSockets },
      Http2ServerRequest: EdgeRequest,
      Http2ServerResponse: EdgeAnswer,
    })
    // Node's types know two families of requests; the edge reads both alike.
    const plain = (req: EdgeRequest): IncomingMessage => req as unknown as IncomingMessage
    const answer = (res: EdgeAnswer): ServerResponse => res as unknown as ServerResponse
    server.on('request', (req, res) => handlers.request(plain(req), answer(res), false))
    server.on('checkContinue', (req, res) => handlers.request(plain(req), answer(res), true))
    server.on('checkExpectation', (req: EdgeRequest, res: EdgeAnswer) =>
      handlers.expectation(plain(req), answer(res)),
    )
    server.on('connect', (req: EdgeRequest, res: EdgeAnswer) => handlers.connect(req, res))
    server.on('session', (session) => this.#meet(session))
    // What a peer does wrong ends its own session.
    server.on('sessionError', () => undefined)
    this.#server = server
    this.#handlers = handlers
    this.#looking = setInterval(() => this.#endIdle(), LOOK_MS).unref()
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Takes over a connection whose TLS handshake agreed on `h2`. */
  take(socket: Duplex, peer: Peer): void {
    this.#arriving = peer
    this.#server.emit('connection', socket)
    this.#arriving = null
  }

  /** Who sent a request; null where its connection is gone. */
  peerOf(req: EdgeRequest): Peer | null {
    const session = req.stream.session as Connection | undefined
    return (session === undefined ? undefined : this.#sessions.get(session)?.peer) ?? null
  }

  /** GOAWAY to all: no new streams, those that are open may finish. */
  drain(): void {
    clearInterval(this.#looking)
    for (const session of this.#sessions.keys()) session.close()
  }

  #meet(session: Connection): void {
    if (this.#arriving === null) return session.destroy()
    const nowMs = performance.now()
    const entry: Session = {
      peer: this.#arriving,
      open: 0,
      idleSinceMs: nowMs,
      resets: RESETS_BURST,
      resetMs: nowMs,
    }
    this.#sessions.set(session, entry)
    session.setLocalWindowSize(CONNECTION_WINDOW)
    session.on('stream', (stream) => {
      entry.open++
      stream.on('close', () => {
        entry.open--
        entry.idleSinceMs = performance.now()
        if (stream.aborted) this.#noteReset(session, entry)
      })
    })
    session.on('close', () => this.#sessions.delete(session))
  }

  #noteReset(session: Connection, entry: Session): void {
    const nowMs = entry.idleSinceMs
    entry.resets = Math.min(RESETS_BURST, entry.resets + (nowMs - entry.resetMs) * RESETS_PER_MS) - 1
    entry.resetMs = nowMs
    if (entry.resets >= 0 || session.destroyed) return
    this.#handlers.flooded()
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #endIdle(): void {
    const nowMs = performance.now()
    for (const [session, { open, idleSinceMs }] of this.#sessions)
      if (open === 0 && nowMs - idleSinceMs > IDLE_MS) {
        if (session.closed) session.destroy()
        else session.close()
      }
  }
}
