// A script comes in; an app on a raw socket comes out that answers byte for byte, and remembers what came on which connection.
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { type Message, MessageReader } from './torture-messages.ts'

/** A request with the connection that it came on. */
export interface Arrived extends Message {
  readonly connection: Connection
  /** Among all requests of the app, from 1. */
  readonly nth: number
  readonly path: string
}

/** One connection to the app. */
export interface Connection {
  readonly socket: Socket
  /** Among all connections, from 1. */
  readonly id: number
  readonly reader: MessageReader
  /** The other side has ended it, or it broke. */
  ended: boolean
  closed: boolean
}

/** What an app does: at the head of a request, or when all of it has come. */
export interface Script {
  readonly onHead?: (request: Arrived) => void
  readonly onWhole?: (request: Arrived) => void
  /** Takes a connection before a byte of it is read; then nothing is read unless it resumes the socket. */
  readonly onConnection?: (connection: Connection) => void
}

/** An app under a test's control. */
export interface TortureUpstream {
  readonly port: number
  readonly requests: Arrived[]
  readonly connections: Connection[]
  open(): number
  /** Why what came was not HTTP, over all connections. */
  faults(): string[]
  close(): Promise<void>
}

/** The request that every case ends with; whoever gets another answer to it has got somebody else's. */
export const HONEST_PATH = '/honest'
export const HONEST_ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest'

const pathOf = (line: string): string => line.split(' ')[1] ?? ''

/** Starts it on a free port. Requests for `HONEST_PATH` are answered by itself. */
export async function tortureUpstream(script: Script, host = '127.0.0.1'): Promise<TortureUpstream> {
  const requests: Arrived[] = []
  const connections: Connection[] = []
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    let current: Arrived | null = null
    const reader = new MessageReader({
      kind: 'request',
      onHead: (message) => {
        current = Object.assign(message, { connection, nth: requests.length + 1, path: pathOf(message.line) })
        requests.push(current)
        if (current.path !== HONEST_PATH) script.onHead?.(current)
      },
      onWhole: () => {
        if (current === null) return
        if (current.path === HONEST_PATH) socket.write(HONEST_ANSWER)
        else script.onWhole?.(current)
      },
    })
    const connection: Connection = { socket, id: connections.length + 1, reader, ended: false, closed: false }
    connections.push(connection)
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('error', () => (connection.ended = true))
    socket.on('end', () => {
      connection.ended = true
      // A script that wants to talk on after the other side's end says so by taking the connection.
      if (script.onConnection === undefined) socket.end()
    })
    socket.on('close', () => (connection.closed = true))
    socket.on('data', (bytes: string) => reader.push(bytes))
    if (script.onConnection !== undefined) {
      socket.pause()
      script.onConnection(connection)
    }
  })
  server.listen(0, host)
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    requests,
    connections,
    open: () => connections.filter(({ closed }) => !closed).length,
    faults: () => connections.flatMap(({ reader }) => reader.fault ?? []),
    async close() {
      for (const { socket } of connections) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
