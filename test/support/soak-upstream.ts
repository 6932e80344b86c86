/** A program for a thread: an app for long runs, with small answers, bytes without end or of a length, a body sink, and WebSockets. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { parentPort } from 'node:worker_threads'
import { ACCEPTED } from './gateway-bytes.ts'

// Paths: /small, /bytes/<n>, /endless, /hold (no answer), POST /sink (tells the count); upgrades: /refused, else an echo.
const CHUNK = Buffer.alloc(64 * 1024, 'x')

const upgrade = (req: IncomingMessage, socket: Duplex): void => {
  socket.on('error', () => socket.destroy())
  if (req.url === '/refused')
    return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
  socket.write(ACCEPTED)
  socket.pipe(socket)
}
const server = createServer({ requestTimeout: 0, keepAliveTimeout: 2_000 }, answer)
server.on('upgrade', upgrade)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
parentPort?.postMessage((server.address() as AddressInfo).port)

function answer(req: IncomingMessage, res: ServerResponse): void {
  const [, what, count] = (req.url ?? '/').split('/')
  if (what === 'bytes' || what === 'endless')
    return stream(res, what === 'endless' ? Infinity : Number(count))
  if (what === 'hold') return
  if (what !== 'sink') return void res.end('a small answer')
  let bytes = 0
  req.on('data', (chunk: Buffer) => (bytes += chunk.length))
  req.on('end', () => res.end(String(bytes)))
}

function stream(res: ServerResponse, total: number): void {
  if (total !== Infinity) res.setHeader('Content-Length', total)
  let left = total
  const write = (): void => {
    while (left > 0 && !res.destroyed) {
      const chunk = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK
      left -= chunk.length
      if (!res.write(chunk)) return void res.once('drain', write)
    }
    res.end()
  }
  write()
}
