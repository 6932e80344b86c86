// Bytes to send come in, in pieces; what came back, as messages, and how the connection stands, comes out.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Message, MessageReader } from './torture-messages.ts'
import { until } from './until.ts'

/** A visitor on a raw socket. */
export interface TortureClient {
  readonly socket: Socket
  readonly reader: MessageReader
  /** Answers so far, those of class 1xx too. */
  readonly answers: readonly Message[]
  /** The other side has said its last. */
  readonly ended: boolean
  readonly closed: boolean
  /** It broke: a reset. */
  readonly broken: boolean
  send(bytes: string): void
  /** Resolves when so many final answers are whole, or the connection is over. */
  answered(finals: number): Promise<void>
  over(): Promise<void>
}

const TIMEOUT_MS = 15_000
const isFinal = (message: Message): boolean => !/^HTTP\/1\.1 1(?!01)/.test(message.line)

/** Where to, and how. */
export interface Dial {
  readonly port: number
  readonly host?: string
  /** Its answers are to HEAD. */
  readonly isHead?: (nth: number) => boolean
}

/** Connects, half-open: its own end doesn't end what it reads. */
export async function tortureClient(dial: Dial): Promise<TortureClient> {
  const { port, host = '127.0.0.1', isHead } = dial
  const socket = connect({ port, host, allowHalfOpen: true, noDelay: true })
  const reader = new MessageReader({ kind: 'answer', ...(isHead && { isHead }) })
  const state = { ended: false, closed: false, broken: false }
  socket.setEncoding('latin1')
  socket.on('data', (bytes: string) => reader.push(bytes))
  socket.on('error', () => (state.broken = true))
  socket.on('end', () => {
    state.ended = true
    reader.end()
    socket.end()
  })
  socket.on('close', () => (state.closed = true))
  await once(socket, 'connect')
  const wait = (what: string, check: () => boolean): Promise<void> =>
    until(check, {
      everyMs: 2,
      timeoutMs: TIMEOUT_MS,
      what: `${what}; so far ${JSON.stringify(reader.messages.map(({ line, whole }) => [line, whole]))} ${reader.pending.slice(0, 200)}`,
    }).then(() => undefined)
  return {
    socket,
    reader,
    answers: reader.messages,
    get ended() {
      return state.ended
    },
    get closed() {
      return state.closed
    },
    get broken() {
      return state.broken
    },
    send: (bytes) => void socket.write(bytes, 'latin1'),
    answered: (finals) =>
      wait(`${finals} answers`, () => {
        if (state.ended || state.closed || reader.fault !== null) return true
        return (
          reader.messages.filter(
            (message) => isFinal(message) && (message.whole || message.framing === 'tunnel'),
          ).length >= finals
        )
      }),
    over: () => wait('the end of a connection', () => state.closed || state.ended),
  }
}
