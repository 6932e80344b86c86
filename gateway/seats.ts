// An allowed visit comes in; it gets its place among what is capped, until it is over, or the answer that says why not.
import type { Duplex } from 'node:stream'
import { answerCapped } from './answer.ts'
import type { Seat } from './caps.ts'
import type { Visit } from './edge.ts'

function leaveOnClose(socket: Duplex, seat: Seat): void {
  socket.on('close', () => seat.leave())
}

/** Counts a visit; false when a cap is met, and then it has been answered. `workspaceId` '' for the dashboard's host. */
export function takeSeat(visit: Visit, workspaceId: string): boolean {
  const { edge, seen, socket } = visit
  const taken = edge.caps.take(seen.userId, visit.chain.client, workspaceId, socket !== null, edge.now())
  if (typeof taken === 'string') {
    answerCapped(visit, taken)
    return false
  }
  if (socket === null) visit.seat = taken
  else leaveOnClose(socket, taken)
  return true
}
