// An allowed visit comes in; it gets its place among what is capped, until its answer or its socket is over, or hears why not.
import { answerCapped } from '../pages/answer.ts'
import type { Visit } from '../edge.ts'

/** Counts a visit; false when a cap is met, and then it has been answered. `workspaceId` '' for the dashboard's host. */
export function takeSeat(visit: Visit, workspaceId: string): boolean {
  const { edge, seen, socket } = visit
  const taken = edge.caps.take(seen.userId, visit.chain.client, workspaceId, socket !== null, edge.now())
  if (typeof taken === 'string') {
    answerCapped(visit, taken)
    return false
  }
  visit.seat = taken
  return true
}
