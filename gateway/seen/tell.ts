// Requests and sockets that are over come in; counts and lines of the access log go out.
import type { ServerResponse } from 'node:http'
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
  const ms = performance.now() - seen.startMs
  to.counters.over(seen.kind, seen.cause, seen.status, ms, seen.received, seen.sent)
  if (to.accessLog !== null) to.accessLog.write(accessLine(seen, to.now(), ms))
}

const TOLD = Symbol('told')

/** The part of a visit that is told of. */
interface ToldOf {
  readonly edge: Witness
  readonly seen: Seen
  readonly res: ServerResponse
  relay: { visitorClosed(): void } | null
}

interface Told extends ServerResponse {
  [TOLD]?: ToldOf
}

// One function for all, found by a property: a closure would cost each request.
function answerClosed(this: Told): void {
  const visit = this[TOLD]
  if (visit === undefined) return
  const { seen } = visit
  if (this.headersSent) seen.status = this.statusCode
  if (!this.writableFinished && seen.cause === '') seen.cause = 'aborted'
  visit.relay?.visitorClosed()
  tellOver(visit.edge, seen)
}

/** Tells the visit's relay and its witness when the answer is over, or the connection gone. */
export function tellWhenClosed(visit: ToldOf): void {
  const res: Told = visit.res
  res[TOLD] = visit
  res.on('close', answerClosed)
}
