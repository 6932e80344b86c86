// Identities of visits come in; control is told now and then which sessions are in use, so that they don't end and their last use is true.
import type { Identity } from '../control/wire/index.ts'
import type { Edge } from './edge.ts'

/** Of one session control is told so seldom, ms: with its own delay the last use is true within five minutes. */
const EACH_MS = 60_000
const SESSIONS_MAX = 20_000

const told = new WeakMap<Edge, Map<string, number>>()

/** Notes that a session of a workspace host was used; nobody waits for control to hear of it. */
export function noteUse(edge: Edge, identity: Identity, nowMs: number): void {
  if (identity.kind === 'session') tell(edge, identity.sessionHash, nowMs)
}

/** Notes the sessions whose streams are open: who works in one WebSocket all day asks for nothing else. */
export function noteOpenStreams(edge: Edge): void {
  const nowMs = edge.now()
  for (const hash of edge.live.sessions()) tell(edge, hash, nowMs)
}

function tell(edge: Edge, hash: string, nowMs: number): void {
  let known = told.get(edge)
  if (known === undefined) told.set(edge, (known = new Map()))
  const since = known.get(hash)
  if (since !== undefined && nowMs - since < EACH_MS) return
  if (known.size >= SESSIONS_MAX) known.clear()
  known.set(hash, nowMs)
  edge.control.sessionUsed(hash).catch((err: unknown) => {
    edge.log.warn('the use of a session was not told', { err })
  })
}
