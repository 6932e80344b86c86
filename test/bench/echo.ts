/** A WebSocket URL on the loopback goes in; round trips per second and their latencies come out. Raw sockets, one message at a time on each. */
import { connect, type Socket } from 'node:net'
import type { Sample } from './rounds.ts'

export interface EchoLoad {
  readonly port: number
  readonly headers: Readonly<Record<string, string>>
  readonly messageBytes: number
  readonly connections: number
}

/** A masked binary frame with the mask 0, so that the bytes are sent as they are (RFC 6455 §5.2). */
function frame(bytes: number): Buffer {
  const extended = bytes < 126 ? 0 : 2
  const head = Buffer.alloc(2 + extended + 4)
  head[0] = 0x82
  head[1] = 0x80 | (extended === 0 ? bytes : 126)
  if (extended > 0) head.writeUInt16BE(bytes, 2)
  return Buffer.concat([head, Buffer.alloc(bytes, 'x')])
}

/** An opened WebSocket, its handshake read. @throws Error for any other answer than 101 */
export function openSocket(port: number, headers: Readonly<Record<string, string>>): Promise<Socket> {
  const lines = [
    'GET /socket HTTP/1.1',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Origin: http://${headers['Host']}`,
    '',
    '',
  ]
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.once('error', reject)
    socket.write(lines.join('\r\n'))
    let said = ''
    const onData = (chunk: Buffer): void => {
      said += chunk.toString('latin1')
      if (!said.includes('\r\n\r\n')) return
      socket.removeListener('data', onData)
      socket.removeListener('error', reject)
      if (said.startsWith('HTTP/1.1 101')) return resolve(socket)
      socket.destroy()
      reject(new Error(`no WebSocket on port ${port}: ${said.slice(0, 80)}`))
    }
    socket.on('data', onData)
  })
}

/** Sends a message and waits for it to come back, over and over, on each connection, for `seconds`. */
export async function echoLoad(load: EchoLoad, seconds: number): Promise<Sample> {
  const message = frame(load.messageBytes)
  // A server's frame is not masked.
  const answerBytes = message.length - 4
  const opening = Array.from({ length: load.connections }, () => openSocket(load.port, load.headers))
  const sockets = await Promise.all(opening)
  const micros: number[] = []
  const began = performance.now()
  const endMs = began + seconds * 1000
  await Promise.all(sockets.map((socket) => talk(socket, message, answerBytes, endMs, micros)))
  const tookMs = performance.now() - began
  for (const socket of sockets) socket.destroy()
  micros.sort((a, b) => a - b)
  return {
    requests: micros.length,
    perSecond: micros.length / (tookMs / 1000),
    p50Micros: micros[micros.length >> 1] ?? 0,
    p99Micros: micros[Math.floor(micros.length * 0.99)] ?? 0,
  }
}

function talk(
  socket: Socket,
  message: Buffer,
  answerBytes: number,
  endMs: number,
  micros: number[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentMs = performance.now()
    let missing = answerBytes
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('a WebSocket was closed under load')))
    socket.on('data', (chunk) => {
      missing -= chunk.length
      if (missing > 0) return
      const nowMs = performance.now()
      micros.push((nowMs - sentMs) * 1000)
      if (nowMs >= endMs) return resolve()
      missing = answerBytes
      sentMs = nowMs
      socket.write(message)
    })
    socket.write(message)
  })
}
