/** An app like an IDE, which knows nothing of the path it is served at: relative links, a WebSocket, a service worker, cookies. */
import { createServer } from 'node:http'
import type { Test } from 'tap'
import { WebSocketServer } from 'ws'
import { listenWithSockets } from './socket-app.ts'

/** What reached it, one line each: method, path, who, and the names of its cookies. */
export interface Ide {
  readonly port: number
  readonly arrived: string[]
}

const page = (name: string): string => `<!doctype html><title>${name}</title>
<link rel="stylesheet" href="css/style.css"><p id="told"></p><a href="sub/page">further</a>
<script src="js/app.js"></script>`
const script = `document.getElementById('told').textContent = 'script ran'`
// It takes over at once, so that a look tells what it controls.
const worker = `addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  if (event.request.url.includes('probe')) event.respondWith(new Response('from the worker'))
})`

type Reply = readonly [type: string, body: string, more?: Readonly<Record<string, string | string[]>>]

/** Starts it; it ends with the test. */
export async function startIde(t: Test, name: string): Promise<Ide> {
  const arrived: string[] = []
  const replies: Readonly<Record<string, Reply>> = {
    '/': ['text/html', page(name)],
    '/sub/page': ['text/html', '<!doctype html><title>further</title><a href="../">back</a>'],
    '/css/style.css': ['text/css', 'p { color: rgb(1, 2, 3) }'],
    '/js/app.js': ['text/javascript', script],
    '/worker.js': ['text/javascript', worker, { 'Service-Worker-Allowed': '/' }],
    '/secret': ['text/plain', `secret of ${name}`],
    '/wipe': ['text/html', '<!doctype html><title>wiped</title>', { 'Clear-Site-Data': '"*"' }],
    '/login': [
      'text/plain',
      '',
      { Location: '/sub/page', 'Set-Cookie': [`mine=${name}; Path=/`, '__Host-x=1; Secure; Path=/'] },
    ],
  }
  const server = createServer((req, res) => {
    const { method = '', url = '', headers } = req
    const cookies = (headers.cookie ?? '').split('; ').map((pair) => pair.split('=')[0])
    arrived.push(`${method} ${url} ${String(headers['x-postern-user'] ?? '-')} ${cookies.join(',')}`)
    const [type, body, more = {}] = replies[url.split('?')[0] ?? ''] ?? ['text/plain', 'network']
    res.writeHead('Location' in more ? 302 : 200, {
      'Content-Type': type,
      'Cache-Control': 'no-store',
      ...more,
    })
    res.end(body)
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket, req) => {
    arrived.push(`SOCKET ${req.url} ${String(req.headers['x-postern-user'] ?? '-')}`)
    socket.send(`socket of ${name}`)
    socket.on('error', () => undefined)
  })
  return { arrived, port: await listenWithSockets(t, server, sockets) }
}
