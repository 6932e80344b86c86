// Requests and sockets that are over come in; counts and lines of the access log go out.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { accessLine } from './access-line.ts'
import type { Counters } from './counters.ts'
import type { Seen } from './seen.ts'

/** Where access lines go: whole lines of ASCII; never waits. */
export interface LineSink {
  write(line: string): void
  /** Lines that could not be written so far. */
  readonly dropped: number
}

/** Who is told when a request is over. */
export interface Witness {
  readonly counters: Counters
  readonly accessLog: LineSink | null
  now(): number
}

/** Tells that a request or socket is over; a second time is ignored. */
export function tellOver(to: Witness, seen: Seen): void {
  if (seen.isOver) return
  seen.isOver = true
  seen.end()
  if (seen.span !== null) seen.endSpan()
  const ms = performance.now() - seen.startMs
  to.counters.over(seen.kind, seen.cause, seen.status, ms, seen.received, seen.sent)
  if (to.accessLog !== null) to.accessLog.write(accessLine(seen, to.now(), ms))
}

const TOLD = Symbol('told')

const queues = new WeakMap<Socket, Set<Told>>()

function closeQueued(this: Socket): void {
  for (const res of queues.get(this) ?? []) if (!res.closed) res.emit('close')
}

function noteQueued(socket: Socket, res: Told): void {
  let queue = queues.get(socket)
  if (queue === undefined) {
    queues.set(socket, (queue = new Set()))
    socket.on('close', closeQueued)
  }
  queue.add(res)
  res.on('close', () => queue.delete(res))
}

/** The part of a visit that is told of. */
interface ToldOf {
  readonly edge: Witness
  readonly seen: Seen
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly socket: Duplex | null
  seat: { leave(): void } | null
  relay: { visitorClosed(): void } | null
}

interface Told extends ServerResponse {
  [TOLD]?: ToldOf
  /** Of HTTP/2, whose answers don't know `writableFinished`. */
  isWhole?(): boolean
}

// One function for all, found by a property: a closure would cost each request.
function answerClosed(this: Told): void {
  const visit = this[TOLD]
  if (visit === undefined) return
  const { seen } = visit
  if (this.headersSent) seen.status = this.statusCode
  const isWhole = this.isWhole === undefined ? this.writableFinished : this.isWhole()
  if (!isWhole && seen.cause === '') seen.cause = 'aborted'
  visit.seat?.leave()
  visit.relay?.visitorClosed()
  tellOver(visit.edge, seen)
}

/** Tells the visit's relay and its witness when the answer is over, or the connection gone. */
export function tellWhenClosed(visit: ToldOf): void {
  const res: Told = visit.res
  res[TOLD] = visit
  res.on('close', answerClosed)
  // Behind another on its connection, Node forgets it when that one goes.
  if (res.socket === null && visit.socket === null) noteQueued(visit.req.socket, res)
}
