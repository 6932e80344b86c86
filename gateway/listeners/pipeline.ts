// Requests that came before the answers to those before them come in; how many of them a connection may have is kept here.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Requests that may wait on one connection for the answers before theirs. Browsers send none so, fronts neither; Node
 * hands over as many as fit into 64 kB at once, and nobody else is served meanwhile.
 */
const WAITING_MAX = 16
/** One that sent too many is answered after so long: it should not come back at once. */
const PENANCE_MS = 1000

/** What becomes of a request that waits: `over` is the last one of its connection to be answered. */
export type Turn = 'waits' | 'over' | 'ignored'

interface Line {
  waiting: number
  isOver: boolean
}

const lines = new WeakMap<Socket, Line>()

/** Node's parser of a connection, which hands over each request that it has read the head of. */
interface WithParser {
  readonly parser?: { onIncoming?: ((...args: unknown[]) => unknown) | null } | null
}
/** Told this, the parser gives up (`HPE_CB_HEADERS_COMPLETE`); all that isn't 0, 1 or 2 does. Source: llhttp. */
const GIVE_UP = -1

/**
 * Ends the reading of a connection with the request that is one too many: the hundreds that came in the same 64 kB would
 * be read all the same, for longer than those before them take. A Node without that place reads them, for nothing.
 */
function readNoFurther(socket: Socket, line: Line): void {
  const { parser } = socket as WithParser
  const handOver = parser?.onIncoming
  if (!parser || typeof handOver !== 'function') return
  parser.onIncoming = (...args) => {
    const answer = handOver(...args)
    return line.isOver ? GIVE_UP : answer
  }
}

function lineOf(socket: Socket): Line {
  let line = lines.get(socket)
  if (line === undefined) {
    lines.set(socket, (line = { waiting: 0, isOver: false }))
    readNoFurther(socket, line)
  }
  return line
}

/** True for a connection that sent too many: nothing more that comes on it is read, however it is spelt. */
export const isHeldBack = (socket: Socket): boolean => lines.get(socket)?.isOver === true

/** Puts a request that waits on its connection in line; called only for those whose answer has no socket yet. */
export function turnOf(socket: Socket, res: ServerResponse): Turn {
  const mine = lineOf(socket)
  if (mine.isOver) return 'ignored'
  if (mine.waiting >= WAITING_MAX) {
    mine.isOver = true
    return 'over'
  }
  mine.waiting++
  res.once('close', () => mine.waiting--)
  return 'waits'
}

/** The answer that a connection is in the middle of, or owes; null: none. */
export const owedAnswer = (socket: Duplex): ServerResponse | null =>
  // Node tells nobody else of it.
  (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? null

/** Reads nothing more from a connection that sent too much, and calls `answer` after a while, if it is still there. */
export function holdBack(socket: Socket, answer: () => void): void {
  socket.pause()
  // Node's server would read on with each answer that is finished.
  socket.resume = () => socket
  const timer = setTimeout(answer, PENANCE_MS)
  socket.once('close', () => clearTimeout(timer))
}
