// Requests of guests come in; control is told now and then that their sessions are in use, so that those don't end.
import type { Edge } from '../edge.ts'

/** Control writes it down as seldom. */
const EACH_MS = 5 * 60_000
const GUESTS_MAX = 10_000

const told = new WeakMap<Edge, Map<string, number>>()

/** Notes a guest's request; nobody waits for control to hear of it. */
export function noteGuest(edge: Edge, sessionHash: string): void {
  let known = told.get(edge)
  if (known === undefined) told.set(edge, (known = new Map()))
  const nowMs = edge.now()
  if (nowMs - (known.get(sessionHash) ?? 0) < EACH_MS) return
  if (known.size >= GUESTS_MAX) known.clear()
  known.set(sessionHash, nowMs)
  edge.control.guestUsed(sessionHash).catch((err: unknown) => {
    edge.log.warn('the use of a guest’s session was not told', { err })
  })
}
