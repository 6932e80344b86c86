/**
 * A FAKE of the server for tests of the dashboard: it speaks the wire's shapes from a table in memory, runs nothing,
 * and serves a built dashboard under the real content security policy. What really happens is tested end to end.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { WebSocketServer, type WebSocket } from 'ws'
import { ApiError } from '../../control/wire/index.ts'
import { FakeState } from './web-fake-state.ts'

const csp =
  "default-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

/** What a test sees and turns. */
export interface FakeServer {
  readonly url: string
  readonly state: FakeState
  /** Every call of the API but reads. */
  readonly calls: { readonly method: string; readonly path: string; readonly body: unknown }[]
  /** Answers the next API call that isn't a read with this error. */
  refuseNext(error: ApiError): void
  /** Closes all event streams; while `away`, new ones are refused. */
  cut(away: boolean): void
  close(): Promise<void>
}

async function page(webRoot: string, res: ServerResponse, path: string): Promise<void> {
  const isFile = path.startsWith('/assets/') || path === '/favicon.svg'
  const file = isFile ? path : '/index.html'
  const head = {
    'content-type': types[extname(file)] ?? 'application/octet-stream',
    'content-security-policy': csp,
  }
  if (path === '/sign-in') {
    res.writeHead(200, head).end('<h1>Sign in</h1>')
    return
  }
  const bytes = await readFile(join(webRoot, file)).catch(() => null)
  if (bytes === null) res.writeHead(404).end()
  else res.writeHead(200, head).end(bytes)
}

/** Starts the fake on a free port of 127.0.0.1; `webRoot` is a built dashboard. */
export async function startFakeServer(webRoot: string): Promise<FakeServer> {
  const sockets = new Set<WebSocket>()
  const state = new FakeState((message) => {
    for (const socket of sockets) socket.send(JSON.stringify(message))
  })
  const calls: { method: string; path: string; body: unknown }[] = []
  let away = false
  let refusal: ApiError | null = null

  async function answer(req: IncomingMessage, url: URL): Promise<unknown> {
    const sent = await text(req)
    const method = req.method ?? 'GET'
    if (state.me === null) throw new ApiError('unauthenticated')
    if (method === 'GET') return state.read(url.pathname)
    const body: unknown = sent === '' ? undefined : JSON.parse(sent)
    calls.push({ method, path: url.pathname, body })
    const error = refusal
    refusal = null
    if (error !== null) throw error
    return state.change(method, url, body)
  }
  async function api(req: IncomingMessage, res: ServerResponse, url: URL): Promise<void> {
    try {
      const body = await answer(req, url)
      res.writeHead(body === undefined ? 204 : 200, { 'content-type': 'application/json' })
      res.end(body === undefined ? undefined : JSON.stringify(body))
    } catch (err) {
      const error = err instanceof ApiError ? err : new ApiError('internal', String(err))
      res.writeHead(error.status, { 'content-type': 'application/problem+json' })
      res.end(JSON.stringify(error.problem('req-1')))
    }
  }

  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://fake')
    const done = url.pathname.startsWith('/api/') ? api(req, res, url) : page(webRoot, res, url.pathname)
    done.catch((err: unknown) => res.destroy(err instanceof Error ? err : undefined))
  })
  const streams = new WebSocketServer({ noServer: true })
  server.on('upgrade', (req, socket, head) => {
    if (away || state.me === null) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n')
      return
    }
    streams.handleUpgrade(req, socket, head, (ws) => {
      sockets.add(ws)
      ws.on('close', () => sockets.delete(ws))
      for (const message of state.all()) ws.send(JSON.stringify(message))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const drop = (): void => {
    for (const socket of sockets) socket.terminate()
  }
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    state,
    calls,
    refuseNext: (error) => {
      refusal = error
    },
    cut(isAway) {
      away = isAway
      drop()
    },
    async close() {
      drop()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
