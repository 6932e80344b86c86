/** The program of a workspace in tests of fronts: tells what reached it, byte for byte, over HTTP and WebSocket. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

/** What the program saw of one request or handshake. */
export interface Seen {
  readonly name: string
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export interface Upstream {
  readonly port: number
  /** Everything that arrived, in order. */
  readonly seen: readonly Seen[]
  close(): Promise<void>
}

/**
 * Answers any request with what it saw as JSON and status 200; `/set-cookie` also sets a cookie for all siblings,
 * `/own-cors` allows another origin to read, `/unauthorized` answers 401. A WebSocket gets what was seen as its first message, then its own messages back.
 */
export async function startUpstream(name: string): Promise<Upstream> {
  const seen: Seen[] = []
  const note = (req: IncomingMessage, body: string): Seen => {
    const one = { name, method: req.method!, url: req.url!, rawHeaders: req.rawHeaders, body }
    seen.push(one)
    return one
  }
  const server = createServer((req, res) => {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => {
      const one = note(req, Buffer.concat(parts).toString())
      const cookie = { 'set-cookie': ['app=1; Domain=.ws.localhost; Path=/', 'plain=2; Path=/'] }
      const cors = { 'access-control-allow-origin': 'https://of-the-program.example' }
      res.writeHead(req.url === '/unauthorized' ? 401 : 200, {
        'content-type': 'application/json',
        ...(req.url === '/set-cookie' ? cookie : {}),
        ...(req.url === '/own-cors' ? cors : {}),
      })
      res.end(JSON.stringify(one))
    })
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket, req) => {
    socket.send(JSON.stringify(note(req, '')))
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async close() {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** All values of a header as it arrived, whatever its case. */
export function valuesOf(seen: Pick<Seen, 'rawHeaders'>, name: string): string[] {
  return seen.rawHeaders.filter(
    (_, i, all) => i % 2 === 1 && all[i - 1]!.toLowerCase() === name.toLowerCase(),
  )
}

/** All names as they arrived, lower-cased, `_` and `.` read as `-`, as many frameworks read them. */
export function namesOf(seen: Pick<Seen, 'rawHeaders'>): string[] {
  return seen.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase().replace(/[_.]/g, '-'))
}
