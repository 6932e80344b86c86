/** A workspace's program with WebSockets, as tests write it, comes in; it listens, until the test ends. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { WebSocketServer } from 'ws'

/** Starts it on a free port of 127.0.0.1, which is given. */
export async function listenWithSockets(t: Test, server: Server, sockets: WebSocketServer): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const client of sockets.clients) client.terminate()
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
