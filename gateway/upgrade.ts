// Requests with an Upgrade field come in; WebSockets are joined to the app's socket, all else goes back in as plain requests.
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Visit } from './edge.ts'
import { Field, fieldKind } from './headers/fields.ts'
import { readShared, type SharedReader } from './shared-read.ts'
import { tellOver } from './seen/tell.ts'
import type { LiveStream } from './sockets.ts'

/** Fields of a Connection header that go with the upgrade. */
const UPGRADE_TOKENS: ReadonlySet<string> = new Set(['upgrade', 'http2-settings'])

/**
 * The bytes of a request without its wish to upgrade, as it came otherwise. Clients put `Upgrade: h2c` on plain
 * requests, and a server may ignore an upgrade (RFC 9110 §7.8).
 */
export function plainHead(req: IncomingMessage): Buffer {
  const lines = [`${req.method ?? 'GET'} ${req.url ?? '/'} HTTP/${req.httpVersion}`]
  const raw = req.rawHeaders
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const kind = fieldKind(name)
    if (kind === Field.upgrade || name.toLowerCase() === 'http2-settings') continue
    if (kind !== Field.connection) lines.push(`${name}: ${value}`)
    else {
      const kept = value.split(',').filter((token) => !UPGRADE_TOKENS.has(token.trim().toLowerCase()))
      if (kept.length > 0) lines.push(`${name}: ${kept.join(',').trim()}`)
    }
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** Hands a connection back to the server that it came from, by `reenter`, as a plain request that has not been read yet. */
export function reinject(
  reenter: (socket: Duplex) => void,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  if (socket.destroyed) return
  socket.unshift(Buffer.concat([plainHead(req), head]))
  reenter(socket)
}

/** An answer on a connection that was taken out of Node's server: framed by Node, closed after it. */
export function answerOn(req: IncomingMessage, socket: Duplex): ServerResponse {
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket as Socket)
  socket.on('drain', () => res.emit('drain'))
  socket.on('readable', lookForEnd)
  socket.on('end', destroyThis)
  res.on('finish', () => {
    releaseFrom(res, socket)
    endSoon(socket)
    // As Node's server does: an answer that was written is over.
    res.emit('close')
  })
  return res
}

/** Takes the connection back from an answer that isn't going to be given, so that nothing of the request is kept alive. */
export function releaseFrom(res: ServerResponse, socket: Duplex): void {
  res.detachSocket(socket as Socket)
  socket.removeAllListeners('drain')
  socket.removeListener('readable', lookForEnd)
  socket.removeListener('end', destroyThis)
}

// Nobody reads the connection before there is an answer, so that its end would go unseen: a visitor who left would keep
// the app busy. What came early stays where it is.
function lookForEnd(this: Duplex): void {
  if (this.readableLength === 0) this.read()
}

const LINGER_MS = 1000

/** Ends a connection so that what was written arrives: FIN first, unread bytes dropped, then it is destroyed. */
export function endSoon(socket: Duplex): void {
  socket.end()
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.on('close', () => clearTimeout(timer))
  socket.on('end', () => socket.destroy())
}

/** Ends a connection that has left HTTP so that its visitor can come again: a FIN, no reset; what the app still says is dropped. */
export function leave(socket: Duplex): void {
  const peer = (socket as Partial<Joined>)[PEER]
  // It may be paused by what the visitor hasn't taken yet.
  peer?.resume()
  endSoon(socket)
}

const HALF_OPEN_MS = 60_000

const PEER = Symbol('the other side')

/** One of two joined sockets. */
type Joined = Duplex & { [PEER]: Joined }

/** True for a side that was told its last: what the other one still says is dropped. */
const isDeaf = (side: Joined): boolean => side.writableEnded || side.destroyed

// Not `pipe`, and not closures: what those keep for each direction is a third of what an idle WebSocket takes here.
function onData(this: Joined, chunk: Buffer): void {
  const peer = this[PEER]
  if (!isDeaf(peer) && !peer.write(chunk)) this.pause()
}

/** The same where the bytes are in a buffer that others read into too: they are copied. */
function onRead(this: Joined, length: number, buffer: Buffer): boolean {
  const peer = this[PEER]
  if (isDeaf(peer)) return true
  const chunk = Buffer.allocUnsafe(length)
  buffer.copy(chunk, 0, 0, length)
  return peer.write(chunk)
}

function onDrain(this: Joined): void {
  this[PEER].resume()
}

function onEnd(this: Joined): void {
  const peer = this[PEER]
  peer.end()
  // The other side may say its last words, but not for ever.
  const { setTimeout: limit } = peer as { setTimeout?: (ms: number, then: () => void) => void }
  limit?.call(peer, HALF_OPEN_MS, destroyThis)
}

function onError(this: Joined): void {
  this[PEER].destroy()
}

function onClose(this: Joined): void {
  const peer = this[PEER]
  // Both have said all; what is still on its way to the peer arrives before it closes by itself.
  const isFlushing = this.readableEnded && peer.writableEnded && !peer.writableFinished
  if (!isFlushing) peer.destroy()
}

/** A listener that ends the stream it is on. One for all: a closure would keep what it was made beside for as long as that is open. */
export function destroyThis(this: Duplex): void {
  this.destroy()
}

/** Two sockets, joined: bytes, back-pressure and half-close both ways; an end of one by force is the end of both. */
export function splice(a: Duplex, b: Duplex): void {
  const [one, other] = [a as Joined, b as Joined]
  one[PEER] = other
  other[PEER] = one
  listen(one)
  listen(other)
}

function listen(side: Joined): void {
  side.on('error', onError)
  side.on('close', onClose)
  side.on('end', onEnd)
  side.on('drain', onDrain)
  const early = side.read() as Buffer | null
  if (early !== null) side[PEER].write(early)
  if (readShared(side, onRead as SharedReader)) side.resume()
  else side.on('data', onData)
}

function tune(stream: Duplex): void {
  const socket = stream as Partial<Socket>
  if (typeof socket.setTimeout !== 'function') return
  socket.setTimeout(0)
  socket.setNoDelay?.(true)
  socket.setKeepAlive?.(true, 30_000)
}

/** The app said 101: the visitor gets it with the app's fields, then every byte either way, those that came early first. */
export function acceptUpgrade(
  visit: Visit,
  headers: readonly string[],
  upstream: Duplex,
  live: LiveStream,
): void {
  const { edge, res, head, seen, seat } = visit
  const socket = visit.socket as Socket
  releaseFrom(res, socket)
  let answer = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
  for (let i = 0; i + 1 < headers.length; i += 2)
    if (fieldKind(headers[i] as string) !== Field.contentLength)
      answer += `${headers[i]}: ${headers[i + 1]}\r\n`
  socket.write(`${answer}\r\n`, 'latin1')
  if (head !== null && head.length > 0) upstream.write(head)
  seen.head()
  edge.counters.head(seen.headMs)
  seen.status = 101
  seen.endSpan()
  seen.countFrom(socket)
  tune(socket)
  tune(upstream)
  const entry: LiveStream = {
    credential: live.credential,
    place: live.place,
    workspaceId: live.workspaceId,
    incarnation: live.incarnation,
    port: live.port,
    userId: live.userId,
    byOrigin: live.byOrigin,
    revoke: () => {
      seen.cause = 'revoked'
      socket.destroy()
      upstream.destroy()
    },
  }
  edge.live.addSocket(entry)
  socket.on('close', () => {
    edge.live.delete(entry)
    seat?.leave()
    tellOver(edge, seen)
  })
  splice(socket, upstream)
}
