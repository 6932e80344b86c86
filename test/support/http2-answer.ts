/** A request on an HTTP/2 connection comes in; its answer, read whole however it ends, comes out. */
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'

/** An answer over HTTP/2. */
export interface Answer2 {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders
  /** Statuses and fields of informational answers. */
  readonly hints: readonly IncomingHttpHeaders[]
  /** 0: ended well; else the code that the stream was reset with. */
  readonly reset: number
}

/** One request over HTTP/2; `:authority` is in `fields`. Resolves however the stream ends. */
export function ask2(
  session: ClientHttp2Session,
  fields: Readonly<Record<string, string | string[]>>,
  body?: string,
): Promise<Answer2> {
  const stream = session.request({ ':path': '/', ...fields }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return readAnswer2(stream)
}

/** Reads a stream to its end, however that comes. */
export function readAnswer2(stream: ReturnType<ClientHttp2Session['request']>): Promise<Answer2> {
  return new Promise((resolve) => {
    let headers: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    const hints: IncomingHttpHeaders[] = []
    let text = ''
    stream.setEncoding('latin1')
    stream.on('response', (fields) => (headers = fields))
    stream.on('headers', (fields) => hints.push(fields))
    stream.on('trailers', (fields) => (trailers = fields))
    stream.on('data', (chunk: string) => (text += chunk))
    stream.on('error', () => undefined)
    stream.on('close', () =>
      resolve({
        status: Number(headers[':status'] ?? 0),
        headers,
        body: text,
        trailers,
        hints,
        reset: stream.rstCode ?? 0,
      }),
    )
  })
}
