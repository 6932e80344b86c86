// A request of HTTP/2 comes in; the same request as the edge reads those of HTTP/1.1 comes out (RFC 9113 §8.3).
import type { IncomingMessage } from 'node:http'
import { Http2ServerRequest, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { ReadableOptions } from 'node:stream'
import { canonicalHost } from '../host/host.ts'
import { webSocketKey } from './websocket.ts'

/** The fields as HTTP/1.1 would have them; `hasBody`: the request goes on after its head. */
export function plainFields(raw: readonly string[], hasBody: boolean): string[] {
  const fields: string[] = []
  let authority: string | null = null
  let isWebSocket = false
  let isFramed = !hasBody
  let host: string | null = null
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    if (name === ':authority') authority = value
    else if (name === ':protocol') isWebSocket = value === 'websocket'
    else if (name.charCodeAt(0) === 0x3a) continue
    else {
      if (name === 'sec-websocket-key') continue
      if (name === 'host') host = value
      if (name === 'content-length') isFramed = true
      fields.push(name, value)
    }
  }
  // Two that differ stay two, which the door refuses as it does in HTTP/1.1.
  if (authority !== null && (host === null || canonicalHost(host) !== canonicalHost(authority)))
    fields.unshift('host', authority)
  // The key and its answer belong to HTTP/1.1; one of the visitor's would mean nothing (RFC 8441 §5).
  if (isWebSocket)
    fields.push('connection', 'Upgrade', 'upgrade', 'websocket', 'sec-websocket-key', webSocketKey())
  else if (!isFramed) fields.push('transfer-encoding', 'chunked')
  return fields
}

/** A request over HTTP/2, with the raw fields of HTTP/1.1: `host` first, no pseudo fields, a body of unknown length as chunked. */
export class EdgeRequest extends Http2ServerRequest {
  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: ReadableOptions,
    rawHeaders: readonly string[],
  ) {
    super(stream, headers, options, plainFields(rawHeaders, !stream.endAfterHeaders))
  }
}

/** The request as one of HTTP/2; null: it came by HTTP/1.1. */
export function overHttp2(req: IncomingMessage): EdgeRequest | null {
  return (req as unknown) instanceof EdgeRequest ? (req as unknown as EdgeRequest) : null
}
