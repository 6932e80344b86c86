// Connections that have not yet shown who they are come in: first bytes, PROXY header, TLS handshake; known ones go on, the others end.
import type { Socket } from 'node:net'
import { readProxyHeader } from './proxy-protocol.ts'
import type { Peer } from './trust.ts'
import { destroyThis, endSoon } from '../upgrade.ts'

/** What unknown connections may take. */
export interface ArrivalLimits {
  /** The first bytes, and a PROXY header, must be there after so long. */
  readonly firstBytesMs: number
  /** At once; beyond it the oldest one ends, so that a flood of them can't lock out those that go on. */
  readonly max: number
}

const LIMITS: ArrivalLimits = { firstBytesMs: 10_000, max: 2048 }

const TLS_HANDSHAKE = 0x16

const NOT_HERE = 'This port speaks https, not http: begin the address with https://\n'
const PLAIN_REFUSAL = `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${NOT_HERE.length}\r\nConnection: close\r\n\r\n${NOT_HERE}`

/** Why a connection was ended, before a request or beside all of them. */
export type TurnedAway =
  | 'proxy_untrusted'
  | 'proxy_malformed'
  | 'too_slow'
  | 'too_many'
  | 'plain_on_tls'
  | 'handshake_failed'
  | 'http2_resets'
  | 'http2_silent'
  | 'upgrade_out_of_turn'

/** What a listener asks of a connection before its requests. */
export interface Asked {
  readonly proxyHeader: boolean
  readonly tls: boolean
}

interface Arrival {
  readonly peer: Peer
  readonly address: string
  readonly asked: Asked
  readonly next: (peer: Peer) => void
  timer: NodeJS.Timeout | null
  bytes: Buffer
}

const addressOf = (socket: Socket): string =>
  `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`

/** The connections of all listeners that have to show something first. */
export class Arrivals {
  readonly #open = new Map<Socket, Arrival>()
  /** Those in a TLS handshake: the socket that comes out of it is another object with the same addresses. */
  readonly #shaking = new Map<string, { readonly socket: Socket; readonly peer: Peer }>()
  readonly #turnAway: (why: TurnedAway) => void
  readonly #peerAt: (address: string) => Peer | null
  readonly #limits: ArrivalLimits

  /** `peerAt` makes a peer of the address that a balancer gave; null: it may not come in. */
  constructor(
    turnAway: (why: TurnedAway) => void,
    peerAt: (address: string) => Peer | null,
    limits: ArrivalLimits = LIMITS,
  ) {
    this.#turnAway = turnAway
    this.#peerAt = peerAt
    this.#limits = limits
  }

  /** Connections that are not known yet. */
  get size(): number {
    return this.#open.size
  }

  /** Takes a connection; `next` is called when its first bytes are right, and those after a PROXY header are unread again. */
  add(socket: Socket, peer: Peer, asked: Asked, next: (peer: Peer) => void): void {
    const oldest = this.#open.size < this.#limits.max ? undefined : this.#open.keys().next().value
    if (oldest !== undefined) this.#end(oldest, 'too_many')
    const arrival: Arrival = {
      peer,
      address: addressOf(socket),
      asked,
      next,
      timer: setTimeout(() => this.#end(socket, 'too_slow'), this.#limits.firstBytesMs).unref(),
      bytes: Buffer.alloc(0),
    }
    this.#open.set(socket, arrival)
    socket.on('error', destroyThis)
    socket.once('close', () => this.#forget(socket))
    socket.on('readable', this.#onReadable(socket, arrival))
  }

  /** Who is at the other end of a handshake that is done; null: nobody that came by here. */
  claim(socket: Socket): Peer | null {
    const found = this.#shaking.get(addressOf(socket))
    if (found === undefined) return null
    this.#forget(found.socket)
    return found.peer
  }

  /** Ends all. */
  close(): void {
    for (const socket of this.#open.keys()) socket.destroy()
  }

  #onReadable(socket: Socket, arrival: Arrival): () => void {
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      arrival.bytes = arrival.bytes.length === 0 ? chunk : Buffer.concat([arrival.bytes, chunk])
      if (this.#look(socket, arrival)) socket.removeListener('readable', onReadable)
    }
    return onReadable
  }

  /** True when no more bytes are needed, or wanted. */
  #look(socket: Socket, arrival: Arrival): boolean {
    const { asked } = arrival
    let rest = arrival.bytes
    let peer: Peer | null = arrival.peer
    if (asked.proxyHeader) {
      const header = readProxyHeader(rest)
      if (header.kind === 'more') return false
      if (header.kind === 'bad') return this.#end(socket, 'proxy_malformed')
      rest = rest.subarray(header.length)
      if (header.address !== null) peer = this.#peerAt(header.address)
      if (peer === null) return this.#end(socket, null)
    }
    if (asked.tls) {
      if (rest.length === 0) return false
      if (rest[0] !== TLS_HANDSHAKE) return this.#refusePlain(socket, rest)
    }
    this.#goOn(socket, arrival, peer, rest)
    return true
  }

  #goOn(socket: Socket, arrival: Arrival, peer: Peer, rest: Buffer): void {
    if (arrival.timer !== null) clearTimeout(arrival.timer)
    arrival.timer = null
    arrival.bytes = Buffer.alloc(0)
    if (arrival.asked.tls) this.#shaking.set(arrival.address, { socket, peer })
    else {
      this.#forget(socket)
      socket.removeListener('error', destroyThis)
    }
    if (rest.length > 0) socket.unshift(rest)
    arrival.next(peer)
  }

  #refusePlain(socket: Socket, bytes: Buffer): true {
    if (!/^[A-Z]{3,8}( |$)/.test(bytes.toString('latin1', 0, 9))) return this.#end(socket, 'plain_on_tls')
    this.#turnAway('plain_on_tls')
    this.#forget(socket)
    socket.write(PLAIN_REFUSAL)
    endSoon(socket)
    return true
  }

  #end(socket: Socket, why: TurnedAway | null): true {
    if (why !== null) this.#turnAway(why)
    this.#forget(socket)
    socket.destroy()
    return true
  }

  #forget(socket: Socket): void {
    const arrival = this.#open.get(socket)
    if (arrival === undefined) return
    if (arrival.timer !== null) clearTimeout(arrival.timer)
    this.#open.delete(socket)
    if (this.#shaking.get(arrival.address)?.socket === socket) this.#shaking.delete(arrival.address)
  }
}
