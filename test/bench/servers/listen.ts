/** Starts a measured server on a free port of the loopback and tells the starter which. */
import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'

/** Prints `listening {"main":<port>}` once the server takes connections. */
export function announce(server: Server): void {
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', () => {
    console.log(`listening ${JSON.stringify({ main: (server.address() as AddressInfo).port })}`)
  })
}

/** The one JSON argument of a measured server. */
export function argument<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T
}
