/** Things done ten thousand times over: each opens a connection to the edge, and takes it away in its own way. */
import { connect, type Socket } from 'node:net'
import { fieldsOf, type Person, type SoakEdge } from './soak-edge.ts'

export interface Churn {
  readonly name: string
  /** Does it once; resolves when this side has no connection any more. @throws Error for an unexpected answer */
  once(edge: SoakEdge): Promise<void>
}

const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

/** The bytes of a WebSocket's opening by that person. */
export const socketBytes = (person: Person, path = '/socket'): string => {
  const fields = fieldsOf(person)
  const host = /Host: (\S+)/.exec(fields)?.[1]
  return `GET ${path} HTTP/1.1\r\n${fields}Origin: http://${host}\r\n${UPGRADE}\r\n`
}

/** Sends the bytes and calls `act` with the first of the answer; rejects when it does not begin with `status`. */
export function begin(
  edge: Pick<SoakEdge, 'port'>,
  bytes: string,
  status: number,
  act: (socket: Socket, first: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: edge.port, host: '127.0.0.1' })
    let isBegun = false
    socket.on('error', (err) => (isBegun ? undefined : reject(err)))
    socket.on('close', () => (isBegun ? resolve() : reject(new Error('closed before an answer'))))
    socket.once('data', (chunk: Buffer) => {
      isBegun = true
      if (chunk.toString('latin1', 9, 12) === String(status)) return act(socket, chunk)
      reject(new Error(chunk.toString('latin1').slice(0, 200)))
      socket.destroy()
    })
    socket.write(bytes)
  })
}

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\n${fieldsOf('ada')}${more}\r\n`

/** A WebSocket that says a word, and ends politely or by force. */
const sockets: Churn = {
  name: 'WebSocket opened and closed',
  once: (edge) =>
    begin(edge, socketBytes('ada'), 101, (socket) => {
      socket.write('word')
      socket.once('data', () => ((socket.localPort ?? 0) % 2 === 0 ? socket.end() : socket.resetAndDestroy()))
    }),
}

/** A download that never ends, given up in its first bytes. */
const downloads: Churn = {
  name: 'download aborted',
  once: (edge) => begin(edge, get('/endless'), 200, (socket) => void socket.destroy()),
}

const refused: Churn = {
  name: 'upgrade refused by the app',
  once: (edge) => begin(edge, socketBytes('ada', '/refused'), 403, (socket) => void socket.resume()),
}

const denied: Churn = {
  name: 'upgrade refused by the edge',
  once: (edge) =>
    begin(
      edge,
      socketBytes('ada').replace('session-of-ada', 'nobody'),
      401,
      (socket) => void socket.resume(),
    ),
}

/** An upload that breaks off in the middle of its body. */
const uploads: Churn = {
  name: 'upload broken off',
  once: (edge) =>
    new Promise((resolve) => {
      const socket = connect({ port: edge.port, host: '127.0.0.1' })
      socket.on('error', () => undefined)
      socket.on('close', () => resolve())
      socket.write(
        `POST /sink HTTP/1.1\r\n${fieldsOf('ada')}Origin: http://soak.ws.localhost:8090\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(20_000)}`,
        () => socket.destroy(),
      )
    }),
}

export const churns = { sockets, downloads, uploads, refused, denied } as const

/** Does it `count` times, `abreast` at once. */
export async function churn(edge: SoakEdge, { once }: Churn, count: number, abreast = 32): Promise<void> {
  let left = count
  const work = async (): Promise<void> => {
    while (left-- > 0) await once(edge)
  }
  await Promise.all(Array.from({ length: abreast }, work))
}
