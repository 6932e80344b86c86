/** Peer: @fastify/http-proxy as its documentation starts it, WebSockets on. */
import { fastifyHttpProxy } from '@fastify/http-proxy'
import { fastify } from 'fastify'
import type { AddressInfo } from 'node:net'
import { argument } from './listen.ts'

const { upstreamPort } = argument<{ upstreamPort: number }>()
const app = fastify({ keepAliveTimeout: 60_000, bodyLimit: 64 * 1024 * 1024 })
await app.register(fastifyHttpProxy, {
  upstream: `http://127.0.0.1:${upstreamPort}`,
  websocket: true,
  undici: { connections: 128, pipelining: 1 },
})
await app.listen({ host: '127.0.0.1', port: 0 })
console.log(`listening ${JSON.stringify({ main: (app.server.address() as AddressInfo).port })}`)
