// A gateway that is to end comes in; it accepts no more, answers what has come, lets sockets go on for a while, and ends them by FIN.
import { ServerResponse } from 'node:http'
import type { Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import { Server as NetServer, type Socket } from 'node:net'
import { leave } from '../upgrade.ts'

/** Whether a gateway is ending; shared by its servers. */
export interface Drain {
  isOn: boolean
}

/** Answers of a server that say `Connection: close` while it drains, whoever writes them. */
export function drainingResponse(drain: Drain): typeof ServerResponse {
  class DrainingResponse extends ServerResponse {
    override writeHead(status: number, ...rest: unknown[]): this {
      if (drain.isOn) this.shouldKeepAlive = false
      return super.writeHead(status, ...(rest as []))
    }
  }
  return DrainingResponse as typeof ServerResponse
}

const LOOK_MS = 50
/** A request may be on its way on a connection that looks idle, in ms: so long it is still answered. */
const IDLE_MS = 500
/** Sockets that have left HTTP go on for half of the drain, and no longer than this, in ms. */
const SOCKETS_MS = 5000

/** What is to end, and by when. */
export interface Draining {
  readonly servers: readonly (Server | SecureServer)[]
  readonly sockets: Iterable<Socket>
  /** Connections that have left HTTP. */
  readonly isUpgraded: (socket: Socket) => boolean
  readonly drainMs: number
}

/**
 * Ends servers: no new connections at once; answers end theirs; idle ones end after half a second; sockets that have
 * left HTTP may go on for half of `drainMs`, 5 s at most, and then get a FIN; all that is left after `drainMs` is destroyed.
 */
export async function drainServers({ servers, sockets, isUpgraded, drainMs }: Draining): Promise<void> {
  const closed = Promise.all(
    servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          // Node's HTTP server would end idle connections with it, and a request that is on its way on one.
          NetServer.prototype.close.call(server, () => resolve())
        }),
    ),
  )
  const beganMs = performance.now()
  let hasLeft = false
  const look = (): void => {
    const ms = performance.now() - beganMs
    if (ms >= Math.min(IDLE_MS, drainMs)) {
      for (const server of servers) server.closeIdleConnections()
      // One that has never asked for anything isn't idle in Node's eyes.
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    }
    if (!hasLeft && ms >= Math.min(SOCKETS_MS, drainMs / 2)) {
      hasLeft = true
      for (const socket of sockets) if (isUpgraded(socket)) leave(socket)
    }
    if (ms >= drainMs) for (const socket of sockets) socket.destroy()
  }
  const looking = setInterval(look, LOOK_MS)
  look()
  await closed
  clearInterval(looking)
}
