// A plain socket that only passes bytes on comes in; it reads them into one buffer for all such sockets, if Node lets it.
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Given how many bytes there are at the beginning of a buffer, which hold only until it returns; false: no more of them
 * before `resume`.
 */
export type SharedReader = (this: Duplex, length: number, buffer: Buffer) => boolean

const SHARED_BYTES = 65_536
const shared = Buffer.allocUnsafeSlow(SHARED_BYTES)

interface Places {
  readonly buffer: symbol
  readonly reader: symbol
}

/**
 * Where a socket keeps what its option `onread` said (Node, net.Socket), by the names of Node's own symbols: the option
 * can be given only to a socket that one makes, and those here are made by Node's server and by undici. Null: this Node
 * keeps it elsewhere.
 */
function placesOf(socket: Socket): Places | null {
  const own = Object.getOwnPropertySymbols(socket)
  const named = (name: string): symbol | undefined => own.find(({ description }) => description === name)
  const [buffer, reader] = [named('kBuffer'), named('kBufferCb')]
  return buffer === undefined || reader === undefined ? null : { buffer, reader }
}
const places = placesOf(new Socket())

interface WithHandle {
  readonly _handle?: { useUserBuffer?: (buffer: Uint8Array) => void } | null
}

/**
 * Hands what the socket reads from now on to `reader`, in place of `data` events: without it Node makes a buffer of 64 kB
 * for each read and shrinks it, which takes longer than to pass on a small message. `end` comes as ever, once the socket
 * is resumed. False, and nothing is done: it isn't a plain TCP socket with nothing read yet, or Node has no such place.
 */
export function readShared(socket: Duplex, reader: SharedReader): boolean {
  // Not a TLS socket: its bytes come from a stream of its own.
  if (places === null || Object.getPrototypeOf(socket) !== Socket.prototype || socket.readableLength > 0)
    return false
  const handle = (socket as WithHandle)._handle
  if (typeof handle?.useUserBuffer !== 'function') return false
  Object.assign(socket, { [places.buffer]: shared, [places.reader]: reader })
  handle.useUserBuffer(shared)
  return true
}
