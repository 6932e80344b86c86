// An answer as the edge gives it in HTTP/1.1 comes in; frames of HTTP/2 go out: nothing of the connection, no reason phrase, resets for half answers.
import { constants, Http2ServerResponse, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'

const DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
])

/** Fields that Node's HTTP/2 sends once only; of several the first counts, as it does for most readers. */
const ONCE: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
])

/** Adds flat fields of HTTP/1.1 to those of an answer of HTTP/2 (RFC 9113 §8.2): small letters, no field of the connection. */
export function addFields(fields: OutgoingHttpHeaders, flat: readonly string[]): void {
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = (flat[i] as string).toLowerCase()
    if (DROPPED.has(name)) continue
    const value = flat[i + 1] as string
    const held = fields[name]
    if (held === undefined) fields[name] = value
    else if (Array.isArray(held)) held.push(value)
    else if (!ONCE.has(name)) fields[name] = [String(held), value]
  }
}

type Heads = OutgoingHttpHeaders | readonly string[]

/** Node's answer with what the edge needs beyond it; the rest is Node's own. */
export class EdgeAnswer extends Http2ServerResponse {
  #hasBody = true
  #isClosed = false

  constructor(stream: ServerHttp2Stream) {
    super(stream)
    if (this.req.method !== 'HEAD') return
    // Of an answer to HEAD that was not given, Node says no end: its place and its program would wait for ever.
    this.once('close', () => (this.#isClosed = true))
    stream.once('close', () => void (this.#isClosed || this.emit('close')))
  }

  /** True when all of it went out and none of it was reset. */
  isWhole(): boolean {
    return this.stream.writableFinished && this.stream.rstCode === constants.NGHTTP2_NO_ERROR
  }

  /** As in HTTP/1.1, the flat form with its duplicates included. */
  override writeHead(status: number, phraseOrFields?: string | Heads, given?: Heads): this {
    const { stream } = this
    if (stream.destroyed || stream.closed) return this
    const head = typeof phraseOrFields === 'string' ? given : (phraseOrFields ?? given)
    const fields = Object.assign(Object.create(null), this.getHeaders()) as OutgoingHttpHeaders
    if (Array.isArray(head)) addFields(fields, head as readonly string[])
    else
      for (const [name, value] of Object.entries((head ?? {}) as OutgoingHttpHeaders))
        if (!DROPPED.has(name.toLowerCase())) fields[name.toLowerCase()] = value
    this.statusCode = status
    fields[':status'] = status
    this.#hasBody = this.req.method !== 'HEAD' && status !== 204 && status !== 205 && status !== 304
    // Node ends it with its head.
    if (status === 205) delete fields['content-length']
    // Only an answer of unknown length can have trailers.
    const waitForTrailers = fields['content-length'] === undefined && this.#hasBody
    stream.respond(fields, { endStream: this.writableEnded, waitForTrailers })
    return this
  }

  override end(...given: unknown[]): this {
    const [chunk] = given
    const isEmpty = typeof chunk === 'string' || Buffer.isBuffer(chunk) ? chunk.length === 0 : false
    if (isEmpty || !this.#hasBody) given.length = 0
    super.end(...(given as Parameters<Http2ServerResponse['end']>))
    const { stream } = this
    // What is still to come of the body is not wanted: said so without calling it an error (RFC 9113 §8.1).
    if (!stream.destroyed && !stream.readableEnded && !stream.endAfterHeaders) {
      if (stream.writableFinished) stream.close(constants.NGHTTP2_NO_ERROR)
      else stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR))
    }
    return this
  }

  /** Where an upgrade took the stream over, nothing is left to give. */
  detachSocket(): void {
    this.removeAllListeners('close')
  }

  /** Half an answer: the stream is reset, so that it can't pass for a whole one. */
  override destroy(): this {
    if (!this.stream.closed) this.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    return this
  }

  /** Takes Node's forms of HTTP/1.1: an object, or pairs with duplicates. */
  override addTrailers(trailers: OutgoingHttpHeaders | readonly (readonly [string, string])[]): void {
    const fields = Object.create(null) as OutgoingHttpHeaders
    for (const [name, value] of Array.isArray(trailers) ? trailers : Object.entries(trailers))
      addFields(fields, [name as string, String(value)])
    super.addTrailers(fields)
  }
}
