// Addresses come in; listening node:http servers with the edge's settings come out.
import { createServer, type Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import { unlinkSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { type Drain, drainingResponse } from './drain.ts'
import type { ListenAddress } from '../seams.ts'

/** What Node's HTTP/1.1 servers of the edge are made with, plain or TLS. */
const fixedSettings = {
  // Slow uploads are no fault; a body that stands still is given up by its own timer.
  requestTimeout: 0,
  // Above the idle time of the fronts (nginx 60 s), so that it is never we who close first.
  keepAliveTimeout: 75_000,
  maxHeaderSize: 32 * 1024,
  noDelay: true,
  // Who vanished without a word would keep its place, and a silent stream of an app, for good.
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
} as const

/** The settings of a server where a request's head may take `headMs`; it is looked after often enough to mean that. */
export const serverSettings = (headMs: number, drain: Drain) => ({
  ...fixedSettings,
  ServerResponse: drainingResponse(drain),
  headersTimeout: headMs,
  connectionsCheckingInterval: Math.max(100, Math.min(5000, Math.round(headMs / 4))),
})

/** What can only be set on a server that is there. */
export function settleServer(server: Server | SecureServer): void {
  // Nought is no limit: Node would drop the fields beyond it unseen. The count is checked at the door.
  server.maxHeadersCount = 0
  server.timeout = 0
}

/** A server for visitors or for a front proxy, not yet listening. */
export function edgeServer(headMs: number, drain: Drain): Server {
  const server = createServer(serverSettings(headMs, drain))
  settleServer(server)
  return server
}

function nameOf(address: ListenAddress): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`
}

function advice(err: NodeJS.ErrnoException): string {
  if (err.code === 'EADDRINUSE') return 'another program listens there; stop it, or choose another address'
  if (err.code === 'EACCES') return 'no permission; ports below 1024 need a privilege'
  if (err.code === 'EADDRNOTAVAIL') return 'this machine has no such address'
  return err.message
}

/**
 * Listens; resolves with the address as it is, port filled in.
 * @throws Error with Node's code (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`) and a sentence that says what to do.
 */
export function listen(server: Server | SecureServer, address: ListenAddress): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => {
      const message = `cannot listen on ${nameOf(address)}: ${advice(cause)}`
      reject(Object.assign(new Error(message, { cause }), { code: cause.code }))
    }
    server.once('error', onError)
    server.listen('path' in address ? address.path : { host: address.host, port: address.port }, () => {
      server.removeListener('error', onError)
      if ('path' in address) return resolve(address)
      const { port } = server.address() as AddressInfo
      resolve({ host: address.host, port })
    })
  })
}

/** Takes away the file of a unix socket that an ended process left behind; a missing one is fine. */
export function forgetSocketFile(address: ListenAddress): void {
  if (!('path' in address)) return
  try {
    unlinkSync(address.path)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err
  }
}
