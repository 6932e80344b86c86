// A stream that asks for a WebSocket (RFC 8441) comes in; a socket as after an upgrade of HTTP/1.1 comes out, for all that knows only those.
import { createHash, randomBytes } from 'node:crypto'
import {
  constants,
  type Http2ServerRequest,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { Duplex } from 'node:stream'
import { addFields } from './answer.ts'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** Of the head that an upgrade is accepted with. */
const HEAD_MAX_BYTES = 64 * 1024

/** A key for the upgrade towards the program; the visitor's HTTP/2 has none. */
export const webSocketKey = (): string => randomBytes(16).toString('base64')

/** What accepts a key (RFC 6455 §4.2.2). */
const acceptOf = (key: string): string => createHash('sha1').update(`${key}${GUID}`).digest('base64')

/** The fields of a 101 without those of the upgrade itself; null: it is none, or accepts another key. */
export function acceptedFields(head: string, key: string): OutgoingHttpHeaders | null {
  const [line = '', ...lines] = head.split('\r\n')
  if (!line.startsWith('HTTP/1.1 101 ')) return null
  const flat: string[] = []
  let accept = ''
  for (const field of lines) {
    const colon = field.indexOf(':')
    const name = field.slice(0, colon)
    const value = field.slice(colon + 1).trim()
    if (name.toLowerCase() === 'sec-websocket-accept') accept = value
    else flat.push(name, value)
  }
  if (accept !== acceptOf(key)) return null
  const fields = Object.create(null) as OutgoingHttpHeaders
  fields[':status'] = 200
  addFields(fields, flat)
  return fields
}

/** The socket of a request for a WebSocket, which gets the fields of an upgrade where libraries look for them. */
export function streamSocket(req: Http2ServerRequest): StreamSocket {
  const key = req.rawHeaders.at(-1) ?? ''
  Object.assign(req.headers, { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key })
  return new StreamSocket(req.stream, key)
}

/** The bytes of one WebSocket over an HTTP/2 stream. What is written first is the head of a 101, which becomes a 200. */
export class StreamSocket extends Duplex {
  bytesRead = 0
  bytesWritten = 0
  readonly #stream: ServerHttp2Stream
  readonly #key: string
  #head: Buffer | null = Buffer.alloc(0)

  constructor(stream: ServerHttp2Stream, key: string) {
    super({ allowHalfOpen: true })
    this.#stream = stream
    this.#key = key
    stream.on('data', (chunk: Buffer) => {
      this.bytesRead += chunk.length
      if (!this.push(chunk)) stream.pause()
    })
    stream.on('end', () => this.push(null))
    stream.on('error', () => undefined)
    stream.on('close', () => this.destroy())
    stream.pause()
  }

  override _read(): void {
    this.#stream.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
    this.bytesWritten += chunk.length
    if (this.#head === null) return this.#pass(chunk, done)
    this.#head = Buffer.concat([this.#head, chunk])
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) return done(this.#head.length > HEAD_MAX_BYTES ? new Error('the head has no end') : null)
    const fields = acceptedFields(this.#head.toString('latin1', 0, end), this.#key)
    if (fields === null) return this.#refuse(done)
    const rest = this.#head.subarray(end + 4)
    this.#head = null
    this.#stream.respond(fields)
    if (rest.length > 0) this.#pass(rest, done)
    else done()
  }

  override _final(done: (err?: Error | null) => void): void {
    if (this.#stream.destroyed) done()
    else this.#stream.end(done)
  }

  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    const isOver = this.readableEnded && this.writableFinished
    if (!this.#stream.closed && !isOver) this.#stream.close(constants.NGHTTP2_CANCEL)
    done(err)
  }

  #pass(chunk: Buffer, done: (err?: Error | null) => void): void {
    if (this.#stream.destroyed || this.#stream.closed) done(new Error('the stream is closed'))
    else this.#stream.write(chunk, done)
  }

  /** The program accepted a key that it was not sent. */
  #refuse(done: (err?: Error | null) => void): void {
    this.#stream.respond({ ':status': 502 }, { endStream: true })
    done(new Error('the upgrade was not accepted as asked'))
  }
}
