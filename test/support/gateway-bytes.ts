// Raw sockets for tests of the edge: an upstream that does exactly what a script says, and a client that sends exactly these bytes.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { until } from './until.ts'

/** A request as it reached the upstream, byte for byte. */
export interface SeenRequest {
  /** Request line and fields, without the empty line. */
  readonly head: string
  /** Lines of the head after the request line. */
  readonly fields: readonly string[]
  readonly socket: Socket
  /** All bytes after the head that have come so far. */
  body(): string
}

/** An upstream on a raw socket. */
export interface RawUpstream {
  readonly port: number
  readonly requests: SeenRequest[]
  /** Every byte that ever came, all connections, in order of arrival. */
  bytes(): string
  open(): number
  connections(): number
  close(): Promise<void>
}

export type Script = (request: SeenRequest, nth: number) => void

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Answers 200 `ok` to all. */
export const always =
  (answer: string | Buffer): Script =>
  ({ socket }) =>
    void socket.write(answer)

interface Reading {
  pending: string
  /** Bytes of the body that are still to come; Infinity once the bytes are the script's. */
  owed: number
}

/** Starts it on a free port of 127.0.0.1; `script` is called for each request head. */
export async function rawUpstream(script: Script): Promise<RawUpstream> {
  const requests: SeenRequest[] = []
  const sockets = new Set<Socket>()
  let all = ''
  let connections = 0
  const server: Server = createServer({ allowHalfOpen: false }, (socket) => {
    connections++
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    socket.setEncoding('latin1')
    const reading: Reading = { pending: '', owed: 0 }
    let current: { tail: string } | null = null
    let isChunked = false
    socket.on('data', (chunk: string) => {
      all += chunk
      reading.pending += chunk
      for (;;) {
        if (reading.owed > 0) {
          const part = reading.pending.slice(0, reading.owed)
          if (current !== null) current.tail += part
          reading.owed -= part.length
          reading.pending = reading.pending.slice(part.length)
          if (current !== null && isChunked && /(?:^|\r\n)0\r\n\r\n$/.test(current.tail)) reading.owed = 0
          if (part.length === 0) return
          continue
        }
        const end = reading.pending.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = reading.pending.slice(0, end)
        reading.pending = reading.pending.slice(end + 4)
        const tail = { tail: '' }
        current = tail
        const [, ...fields] = head.split('\r\n')
        const length = /\r\ncontent-length: (\d+)/i.exec(head)
        isChunked = /\r\ntransfer-encoding:/i.test(head)
        reading.owed =
          isChunked || /\r\nupgrade:/i.test(head) ? Number.POSITIVE_INFINITY : Number(length?.[1] ?? 0)
        const request: SeenRequest = { head, fields, socket, body: () => tail.tail }
        requests.push(request)
        script(request, requests.length)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    port,
    requests,
    bytes: () => all,
    open: () => sockets.size,
    connections: () => connections,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A client's connection of which every received byte is kept. */
export interface RawClient {
  readonly socket: Socket
  text(): string
  send(bytes: string | Buffer): void
  /** Resolves when the received text matches. */
  received(pattern: RegExp, timeoutMs?: number): Promise<string>
  closed(timeoutMs?: number): Promise<void>
}

/** Connects to 127.0.0.1 and keeps what comes. */
export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  let isClosed = false
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => (text += chunk))
  socket.on('error', () => undefined)
  socket.on('end', () => socket.end())
  socket.on('close', () => (isClosed = true))
  await once(socket, 'connect')
  return {
    socket,
    text: () => text,
    send: (bytes) => void socket.write(bytes, 'latin1'),
    async received(pattern, timeoutMs = 20_000) {
      await until(() => pattern.test(text), {
        timeoutMs,
        everyMs: 2,
        what: `${pattern} in ${JSON.stringify(text)}`,
      })
      return text
    },
    async closed(timeoutMs = 20_000) {
      await until(() => isClosed, {
        timeoutMs,
        everyMs: 2,
        what: `the end of a connection after ${JSON.stringify(text)}`,
      })
    },
  }
}

/** An answer, parsed just enough. */
export interface Answer {
  readonly status: number
  readonly head: string
  readonly fields: readonly string[]
  readonly body: string
  /** All values of one field. */
  all(name: string): string[]
  field(name: string): string | null
}

/** Splits the bytes of one answer. */
export function parseAnswer(text: string): Answer {
  const end = text.indexOf('\r\n\r\n')
  const head = end < 0 ? text : text.slice(0, end)
  const [line, ...fields] = head.split('\r\n')
  const all = (name: string): string[] =>
    fields
      .filter((field) => field.toLowerCase().startsWith(`${name.toLowerCase()}:`))
      .map((field) => field.slice(name.length + 1).trim())
  return {
    status: Number(line?.split(' ')[1] ?? 0),
    head,
    fields,
    body: end < 0 ? '' : text.slice(end + 4),
    all,
    field: (name) => all(name)[0] ?? null,
  }
}

/** Sends bytes and reads until the connection ends. */
export async function exchange(port: number, bytes: string): Promise<Answer> {
  const client = await rawClient(port)
  client.send(bytes)
  await client.closed()
  return parseAnswer(client.text())
}

/** One request whose connection ends with its answer. */
export interface Ask {
  readonly host: string
  readonly path?: string
  readonly method?: string
  /** Lines without line ends. */
  readonly headers?: readonly string[]
  readonly body?: string
}

/** The bytes of a request, `Connection: close` unless `headers` have one. */
export function requestBytes(ask: Ask): string {
  const headers = [...(ask.headers ?? [])]
  if (!headers.some((line) => /^connection:/i.test(line))) headers.push('Connection: close')
  if (ask.body !== undefined) headers.push(`Content-Length: ${Buffer.byteLength(ask.body)}`)
  return `${ask.method ?? 'GET'} ${ask.path ?? '/'} HTTP/1.1\r\nHost: ${ask.host}\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n${ask.body ?? ''}`
}

/** Asks and reads the answer. */
export const ask = (port: number, request: Ask): Promise<Answer> => exchange(port, requestBytes(request))

/** The bytes of a WebSocket's opening. */
export const webSocketBytes = (request: Ask): string =>
  requestBytes({
    ...request,
    headers: [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ...(request.headers ?? []),
    ],
  })

export const ACCEPTED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
