/** The workspace's program of the WebSocket rows: sends every message back as it came. */
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { announce } from './listen.ts'

const server = createServer((_req, res) => res.end('not a WebSocket'))
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', (socket) => {
  socket.on('error', () => socket.terminate())
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
announce(server)
