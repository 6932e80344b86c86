// Identities of visits come in; control is told now and then which sessions and tokens are in use, so that their last use is true.
import type { Identity } from '../../control/wire/index.ts'
import type { Edge } from '../edge.ts'

/** Of one session or token control is told so seldom, ms: with its own delay the last use is true within five minutes. */
const EACH_MS = 60_000
const SESSIONS_MAX = 20_000

const tellings = new WeakMap<Edge, Map<string, number>>()

/** Notes that a session of a workspace host, or a token, was used; nobody waits for control to hear of it. */
export function noteUse(edge: Edge, identity: Identity, nowMs: number): void {
  if (identity.kind === 'session') tell(edge, identity.sessionHash, nowMs, false)
  else if (identity.kind === 'token') tell(edge, identity.tokenId, nowMs, true)
}

/** Notes the sessions whose streams are open: who works in one WebSocket all day asks for nothing else. */
export function noteOpenStreams(edge: Edge): void {
  const nowMs = edge.now()
  for (const hash of edge.live.sessions()) tell(edge, hash, nowMs, false)
}

function tell(edge: Edge, of: string, nowMs: number, isToken: boolean): void {
  let known = tellings.get(edge)
  if (known === undefined) tellings.set(edge, (known = new Map()))
  const since = known.get(of)
  if (since !== undefined && nowMs - since < EACH_MS) return
  if (known.size >= SESSIONS_MAX) known.clear()
  known.set(of, nowMs)
  const told = isToken ? edge.control.tokenUsed(of) : edge.control.sessionUsed(of)
  told.catch((err: unknown) => {
    edge.log.warn('the use of a session or token was not told', { err })
  })
}
