// Requests for the dashboard's host come in, allowed already; they are passed on to the server as they came, and its answers come back.
import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import type { ClientRequest, IncomingMessage, RequestOptions, ServerResponse } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Logger } from '@postern/plugin'
import { ApiError, type Origin, VISITOR_HEADER } from '../../control/wire/index.ts'
import { endToEnd } from '../headers/connection.ts'
import type { InnerApp } from '../seams.ts'
import { splice } from '../upgrade.ts'

export interface PassOn extends InnerApp {
  /** Ends its connections. */
  close(): void
}

const SOCKETS_MAX = 256
const unavailable = 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
/** Below the server's own, so that it is rarely the server who closes first. */
const IDLE_MS = 20_000

/** A body's length is told by the request; without one there is none, whatever the method. */
const hasBody = (req: IncomingMessage): boolean =>
  req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0

function refuse(res: ServerResponse, origin: Origin): void {
  if (res.headersSent) return void res.destroy()
  const problem = new ApiError('unavailable', 'The server behind this gateway does not answer.')
  const body = Buffer.from(`${JSON.stringify(problem.problem(origin.requestId))}\n`)
  res.writeHead(503, [
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    String(body.length),
    'Cache-Control',
    'no-store',
    'Retry-After',
    '1',
  ])
  res.end(body)
}

/** Passes on to `serverUrl`; the token proves the visitor's address: without one ('') nothing is passed on. */
export function passOn(serverUrl: string, token: () => string, log: Logger): PassOn {
  const url = new URL(serverUrl)
  const isTls = url.protocol === 'https:'
  const options = { keepAlive: true, maxSockets: SOCKETS_MAX, timeout: IDLE_MS }
  const agent = isTls ? new HttpsAgent(options) : new HttpAgent(options)
  const begin = (
    req: IncomingMessage,
    origin: Origin,
    isFresh: boolean,
    isUpgrade: boolean,
  ): ClientRequest => {
    const headers = endToEnd(req.rawHeaders, isUpgrade)
    headers.push(VISITOR_HEADER, `${token()} ${origin.ip}`)
    const call: RequestOptions = {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? (isTls ? 443 : 80) : url.port,
      method: req.method ?? 'GET',
      path: req.url ?? '/',
      headers,
      agent: isFresh ? false : agent,
    }
    return isTls ? requestHttps(call) : requestHttp(call)
  }

  const pass = (req: IncomingMessage, res: ServerResponse, origin: Origin, isFresh: boolean): void => {
    if (token() === '') return refuse(res, origin)
    const call = begin(req, origin, isFresh, false)
    const leave = (): void => void call.destroy()
    res.once('close', leave)
    call.once('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', endToEnd(answer.rawHeaders, false))
      res.flushHeaders()
      answer.pipe(res)
      answer.once('error', () => res.destroy())
    })
    call.once('error', (err: NodeJS.ErrnoException) => {
      res.off('close', leave)
      if (res.destroyed) return
      // A connection that was kept too long: nobody has seen the request.
      const isRace = call.reusedSocket && !isFresh && !hasBody(req) && err.code === 'ECONNRESET'
      if (isRace && (req.method === 'GET' || req.method === 'HEAD')) return pass(req, res, origin, true)
      log.debug('the server behind this gateway failed a request', { requestId: origin.requestId, err })
      refuse(res, origin)
    })
    if (hasBody(req)) req.pipe(call)
    else call.end()
  }

  return {
    request: (req, res, _identity, origin) => pass(req, res, origin, false),
    upgrade(req, socket, head, _identity, origin) {
      if (token() === '') return void socket.end(unavailable)
      const call = begin(req, origin, true, true)
      const leave = (): void => void call.destroy()
      socket.once('close', leave)
      call.once('upgrade', (answer, upstream, early) => join(socket, head, answer, upstream, early))
      call.once('response', (answer) => {
        writeHead(socket, answer)
        answer.pipe(socket)
      })
      call.once('error', () => {
        socket.off('close', leave)
        socket.end(unavailable)
      })
      call.end()
    },
    close: () => agent.destroy(),
  }
}

function writeHead(socket: Duplex, answer: IncomingMessage): void {
  const lines = [`HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ''}`]
  const isUpgrade = answer.statusCode === 101
  const raw = endToEnd(answer.rawHeaders, isUpgrade)
  for (let i = 0; i + 1 < raw.length; i += 2) lines.push(`${raw[i]}: ${raw[i + 1]}`)
  if (!isUpgrade) lines.push('Connection: close')
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

function join(socket: Duplex, head: Buffer, answer: IncomingMessage, upstream: Duplex, early: Buffer): void {
  writeHead(socket, answer)
  if (early.length > 0) socket.write(early)
  if (head.length > 0) upstream.write(head)
  splice(socket, upstream)
}
