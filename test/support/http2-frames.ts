/** Frames of HTTP/2, made by hand: what no well-behaved client would send (RFC 9113 §4, RFC 7541 §6.2.2). */
import type { TLSSocket } from 'node:tls'

export const Frame = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
}
export const END_STREAM = 1
export const END_HEADERS = 4

/** One frame. */
export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const length: number[] = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128)
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}

/** Fields as HPACK literals that are never indexed, in their order, duplicates included. */
export const fieldBlock = (fields: readonly (readonly [string, string])[]): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0x10]), text(name), text(value)]))

/** The head of a request on a stream. */
export function requestHead(
  stream: number,
  fields: readonly (readonly [string, string])[],
  flags = END_HEADERS | END_STREAM,
): Buffer {
  return frame(Frame.headers, flags, stream, fieldBlock(fields))
}

/** RST_STREAM. */
export function resetFrame(stream: number, code: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(code)
  return frame(Frame.reset, 0, stream, payload)
}

/** What a client begins with: the preface and empty settings. */
export const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  frame(Frame.settings, 0, 0, Buffer.alloc(0)),
])

/** A frame that came. */
export interface SeenFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** Keeps every frame that comes on a socket; the list grows. */
export function framesOf(socket: TLSSocket): readonly SeenFrame[] {
  const frames: SeenFrame[] = []
  let bytes = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3)
      if (bytes.length < 9 + length) return
      frames.push({
        type: bytes.readUInt8(3),
        flags: bytes.readUInt8(4),
        stream: bytes.readUInt32BE(5) & 0x7fffffff,
        payload: bytes.subarray(9, 9 + length),
      })
      bytes = bytes.subarray(9 + length)
    }
  })
  return frames
}
