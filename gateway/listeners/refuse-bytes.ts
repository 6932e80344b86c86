// What Node's parser gives up on comes in with its connection; a coded problem goes out on the bare bytes, counted and told of.
import type { Socket } from 'node:net'
import { type ApiCode, ApiError, apiCodes } from '../../control/wire/index.ts'
import { type Edge, nextRequestId } from '../edge.ts'
import { RouteClass } from '../seen/classes.ts'
import { count } from '../seen/counters.ts'
import { Seen } from '../seen/seen.ts'
import { tellOver } from '../seen/tell.ts'
import type { Peer } from './trust.ts'
import { endSoon } from '../upgrade.ts'
import { isHeldBack, owedAnswer } from './pipeline.ts'

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
}

/** What is wrong with the bytes; null: nothing is, the connection broke. */
function codeOf(err: NodeJS.ErrnoException): ApiCode | null {
  const code = err.code ?? ''
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout'
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  return code.startsWith('HPE_') ? 'bad_request' : null
}

/** The `clientError` event of a server for HTTP/1.1. */
export function refuseBytes(edge: Edge, err: NodeJS.ErrnoException, socket: Socket, peer: Peer): void {
  const code = codeOf(err)
  const answering = owedAnswer(socket)
  if (code !== null && isHeldBack(socket)) return
  // It has been answered and is on its way out: what still comes is dropped.
  if (code !== null && socket.writableEnded && !socket.destroyed) return
  const isHeard = socket.writable && answering?.headersSent !== true && peer.guest?.isOver !== true
  if (code === null || !isHeard) return void socket.destroy()
  count(edge.counters.answers, code)
  const requestId = nextRequestId()
  const { status } = apiCodes[code]
  const body = `${JSON.stringify(new ApiError(code).problem(requestId))}\n`
  socket.write(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  endSoon(socket)
  const seen = new Seen(RouteClass.own, requestId, peer.ip, '', '', '')
  seen.status = status
  seen.cause = code
  tellOver(edge, seen)
}
