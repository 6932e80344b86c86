/** A program: attacks on the edge's plain port over loopback, bounded in count and time; what was answered comes out. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { fieldsOf } from './soak-edge.ts'

/** What the worker is told. */
export interface AttackOrder {
  readonly kind: AttackKind
  readonly port: number
  /** Connections at once. */
  readonly connections: number
  /** It ends by itself after so long, in ms; */
  readonly forMs: number
  /** or, where this answer is waited for, when it has come, at most 30 s later. */
  readonly code?: string
}

/** How often each status was answered; `closed`: ended without an answer. */
export type Answers = Readonly<Record<string, number>>

export type AttackKind = keyof typeof attacks

/** A TLS 1.2 ClientHello's beginning (RFC 8446 §4.1.2). */
const CLIENT_HELLO = Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), randomBytes(508)])

const ada = fieldsOf('ada')
const GET = `GET /small HTTP/1.1\r\n${ada}\r\n`

/** What one connection sends; it goes on until it is closed or `isOver`. */
type Attack = (socket: Socket, isOver: () => boolean) => void

/** Writes the pieces that `next` gives, as fast as they are taken. */
function pour(socket: Socket, isOver: () => boolean, next: () => string | Buffer): void {
  const go = (): void => {
    while (!socket.destroyed && !isOver()) if (!socket.write(next())) return void socket.once('drain', go)
    socket.destroy()
  }
  go()
}

/** Writes a piece now and then. */
function drip(socket: Socket, isOver: () => boolean, everyMs: number, piece: string): void {
  const timer = setInterval(() => {
    if (socket.destroyed || isOver()) {
      clearInterval(timer)
      socket.destroy()
    } else socket.write(piece)
  }, everyMs)
}

const attacks = {
  garbage: (socket) => void socket.write(randomBytes(600)),
  tls: (socket) => void socket.write(CLIENT_HELLO),
  /** One head of more bytes than any. */
  'long head': (socket, isOver) => {
    socket.write(`GET /small HTTP/1.1\r\n${ada}`)
    pour(socket, isOver, () => `x-${'a'.repeat(500)}: ${'b'.repeat(1500)}\r\n`)
  },
  /** One head of more fields than any program sends, though of few bytes. */
  'many fields': (socket) => void socket.write(`GET /small HTTP/1.1\r\n${ada}${'a:b\r\n'.repeat(3000)}\r\n`),
  'long target': (socket) => void socket.write(`GET /${'a'.repeat(80_000)} HTTP/1.1\r\n${ada}\r\n`),
  /** Requests without end on one connection, whose answers nobody reads. */
  'pipelining, unread': (socket, isOver) => {
    socket.pause()
    pour(socket, isOver, () => GET.repeat(100))
  },
  /** The same, and the answers are read. */
  pipelining: (socket, isOver) => pour(socket, isOver, () => GET.repeat(100)),
  'slow head': (socket, isOver) => {
    socket.write(`GET /small HTTP/1.1\r\n${ada}`)
    drip(socket, isOver, 500, 'x: y\r\n')
  },
  'slow body': (socket, isOver) => {
    socket.write(
      `POST /sink HTTP/1.1\r\n${ada}Origin: http://soak.ws.localhost:8090\r\nContent-Length: 100000\r\n\r\n`,
    )
    drip(socket, isOver, 500, 'x')
  },
  /** Asks for bytes without end, and reads none. */
  'slow read': (socket, isOver) => {
    socket.pause()
    socket.write(`GET /endless HTTP/1.1\r\n${ada}\r\n`)
    drip(socket, isOver, 500, '')
  },
  'large form': (socket) =>
    void socket.write(
      `POST /sign-in HTTP/1.1\r\nHost: localhost:8090\r\nOrigin: http://localhost:8090\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(50_000)}`,
    ),
  /** Requests that the app never answers, as many as there are connections. */
  'held requests': (socket) => void socket.write(`GET /hold HTTP/1.1\r\n${ada}\r\n`),
  'idle connections': (socket, isOver) => drip(socket, isOver, 500, ''),
} satisfies Record<string, Attack>

/** On a loaded machine an answer takes its time. */
const PATIENCE_MS = 30_000

function run({ kind, port, connections, forMs, code }: AttackOrder): Promise<Answers> {
  const answers: Record<string, number> = {}
  const endMs = performance.now() + forMs
  const isOver = (): boolean => {
    const nowMs = performance.now()
    if (nowMs < endMs) return false
    return code === undefined || code in answers || nowMs >= endMs + PATIENCE_MS
  }
  const open = new Set<Socket>()
  return new Promise((resolve) => {
    const again = (): void => {
      if (!isOver()) attack()
      else if (open.size === 0) resolve(answers)
    }
    const attack = (): void => {
      const socket = connect({ port, host: '127.0.0.1' })
      open.add(socket)
      let text = ''
      // Of a flood of answers the first status is enough, and any refusal after it.
      socket.on('data', (chunk: Buffer) => {
        const said = text.slice(-12) + chunk.toString('latin1')
        for (const [, status = ''] of said.matchAll(/HTTP\/1\.1 (\d{3}) /g))
          answers[status] = (answers[status] ?? 0) + 1
        text = said.replace(/HTTP\/1\.1 \d{3} /g, '').slice(-12) || ' '
      })
      socket.on('error', () => undefined)
      socket.on('close', () => {
        if (text === '') answers['closed'] = (answers['closed'] ?? 0) + 1
        open.delete(socket)
        setTimeout(again, 5)
      })
      const attackOnce: Attack = attacks[kind]
      socket.on('connect', () => attackOnce(socket, isOver))
    }
    for (let i = 0; i < connections; i++) attack()
    const look = setInterval(() => {
      if (!isOver()) return
      clearInterval(look)
      for (const socket of open) socket.destroy()
    }, 50)
  })
}

if (parentPort !== null) {
  const answers = await run(workerData as AttackOrder)
  parentPort.postMessage(answers)
}
