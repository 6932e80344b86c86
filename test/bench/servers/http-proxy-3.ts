/** Peer: http-proxy-3 with a keep-alive agent, no decision, no header work. */
import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'http-proxy-3'
import { announce, argument } from './listen.ts'

const { upstreamPort } = argument<{ upstreamPort: number }>()
const proxy = createProxyServer({
  target: `http://127.0.0.1:${upstreamPort}`,
  agent: new Agent({ keepAlive: true, maxSockets: 128 }),
  ws: true,
})
proxy.on('error', (_err, _req, res) => res.destroy())
const server = createServer((req, res) => proxy.web(req, res))
server.on('upgrade', (req, socket, head) => proxy.ws(req, socket, head))
announce(server)
