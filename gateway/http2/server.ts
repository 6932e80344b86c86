// Connections that agreed on HTTP/2 come in; their requests go to the same handlers as those of HTTP/1.1, within limits of their own.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, createServer, type ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { Peer } from '../listeners/trust.ts'
import { EdgeAnswer } from './answer.ts'
import { EdgeRequest } from './request.ts'

/** What is done with the requests; the same functions as for HTTP/1.1. */
export interface Http2Handlers {
  request(req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void
  expectation(req: IncomingMessage, res: ServerResponse): void
  /** CONNECT, of which HTTP/2 knows more than one kind. */
  connect(req: EdgeRequest, res: EdgeAnswer): void
  /** A connection was ended: because it reset streams all the time, or because nobody was there any more. */
  ended(why: 'http2_resets' | 'http2_silent'): void
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

/** How long a connection may be so, in ms. */
export interface Http2Times {
  /** Without a stream. */
  readonly idle: number
  /** With streams, but no byte either way: then it is asked whether it lives, and ended when it doesn't say so in as long again. */
  readonly silent: number
  /** Between two looks. */
  readonly look: number
}

/** More than the question itself takes, TLS included: what is sent beyond it is somebody's answer, slowly read. */
const QUESTION_BYTES = 1024

/** `idle` is as long as in HTTP/1.1. */
const TIMES: Http2Times = { idle: 75_000, silent: 30_000, look: 5000 }

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
  readonly socket: Socket
  /** Bytes either way when it was looked at last, and since when there were no more. */
  read: number
  written: number
  silentSinceMs: number
  isAsked: boolean
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
  readonly #times: Http2Times
  #arriving: { readonly peer: Peer; readonly socket: Socket } | null = null

  constructor(handlers: Http2Handlers, takesWebSockets: boolean, times: Http2Times = TIMES) {
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
    this.#times = times
    this.#looking = setInterval(() => this.#look(), times.look).unref()
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Takes over a connection whose TLS handshake agreed on `h2`. */
  take(socket: Socket, peer: Peer): void {
    this.#arriving = { peer, socket }
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
      ...this.#arriving,
      read: 0,
      written: 0,
      silentSinceMs: nowMs,
      isAsked: false,
      open: 0,
      idleSinceMs: nowMs,
      resets: RESETS_BURST,
      resetMs: nowMs,
    }
    this.#sessions.set(session, entry)
    session.setLocalWindowSize(CONNECTION_WINDOW)
    session.on('stream', (stream, { ':method': method }) => {
      entry.open++
      stream.on('close', () => {
        entry.open--
        entry.idleSinceMs = performance.now()
        // A HEAD that goes before its answer isn't called aborted by Node.
        const isReset = stream.aborted || (method === 'HEAD' && !stream.headersSent)
        if (isReset) this.#noteReset(session, entry)
      })
    })
    session.on('close', () => this.#sessions.delete(session))
  }

  #noteReset(session: Connection, entry: Session): void {
    const nowMs = entry.idleSinceMs
    entry.resets = Math.min(RESETS_BURST, entry.resets + (nowMs - entry.resetMs) * RESETS_PER_MS) - 1
    entry.resetMs = nowMs
    if (entry.resets >= 0 || session.destroyed) return
    this.#handlers.ended('http2_resets')
    session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #look(): void {
    const nowMs = performance.now()
    for (const [session, entry] of this.#sessions)
      if (entry.open > 0) this.#ask(session, entry, nowMs)
      else if (nowMs - entry.idleSinceMs > this.#times.idle) {
        if (session.closed) session.destroy()
        else session.close()
      }
  }

  /**
   * Ends a connection on which nobody is any more. After some faults of the peer Node reads no further and tells nobody
   * (CVE-2026-48937): its streams, and what they hold at the apps, would stay for good.
   */
  #ask(session: Connection, entry: Session, nowMs: number): void {
    const { bytesRead, bytesWritten } = entry.socket
    const isAlive =
      bytesRead !== entry.read || bytesWritten - entry.written > (entry.isAsked ? QUESTION_BYTES : 0)
    if (!isAlive && nowMs - entry.silentSinceMs < this.#times.silent) return
    if (!isAlive && entry.isAsked) {
      this.#handlers.ended('http2_silent')
      return session.destroy()
    }
    entry.read = bytesRead
    entry.written = bytesWritten
    entry.silentSinceMs = nowMs
    entry.isAsked = !isAlive
    if (entry.isAsked) session.ping(() => undefined)
  }
}
