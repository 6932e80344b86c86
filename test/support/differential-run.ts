/** One engine: an exchange goes in; what the program got and what the visitor got come out, in a form that can be compared. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { Test } from 'tap'
import { portDefaults } from '../../control/wire/index.ts'
import { answerWrites, type FuzzedCase, requestBytes, staysOpen } from './differential-case.ts'
import { startEdge } from './gateway-edge.ts'

/** Far above what an exchange takes: what hangs for so long hangs. */
const PATIENCE_MS = 3000

/** A message without what may differ between runs. */
export interface Message {
  readonly line: string
  /** In order; names as they came. */
  readonly fields: readonly string[]
  readonly body: string
}

/** What came of one exchange. */
export interface Outcome {
  /** Requests as they reached the program. */
  readonly seen: readonly Message[]
  /** What the visitor got: the program's whole answer, Postern's own by status, or half of one or none. */
  readonly got: 'answer' | 'cut' | `own ${string}`
  readonly answers: readonly Message[]
  /** Bytes after a 101. */
  readonly after: string
}

/** One engine behind a gateway of its own. */
export interface EngineUnderTest {
  run(given: FuzzedCase): Promise<Outcome>
  /** Logged at warn and error. */
  readonly logged: readonly string[]
}

interface Parsed {
  readonly message: Message
  readonly rest: string
  readonly isWhole: boolean
}

/** Takes a message apart; null: its head isn't whole. `bodiless`: it has none whatever its head says. */
function parse(
  bytes: string,
  bodiless: (line: string) => boolean,
  isEnded: boolean,
  untilEnd: boolean,
): Parsed | null {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [line = '', ...fields] = bytes.slice(0, end).split('\r\n')
  const after = bytes.slice(end + 4)
  const of = (body: string, rest: string, isWhole: boolean): Parsed => ({
    message: { line, fields, body },
    rest,
    isWhole,
  })
  const value = (name: string) =>
    fields
      .find((field) => field.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim()
  if (bodiless(line)) return of('', after, true)
  if (value('transfer-encoding') !== undefined) {
    let body = ''
    let rest = after
    for (;;) {
      const size = /^([0-9a-f]+)\r\n/i.exec(rest)
      if (size === null) return of(body, '', false)
      const length = parseInt(size[1] as string, 16)
      rest = rest.slice(size[0].length)
      if (length === 0) {
        const trailers = /^((?:[^\r\n]+\r\n)*)\r\n/.exec(rest)
        return trailers === null
          ? of(body, '', false)
          : of(`${body}|${trailers[1]}`, rest.slice(trailers[0].length), true)
      }
      body += rest.slice(0, length)
      if (rest.length < length + 2) return of(body, '', false)
      rest = rest.slice(length + 2)
    }
  }
  const length = value('content-length')
  if (length === undefined) return untilEnd ? of(after, '', isEnded) : of('', after, true)
  return of(after.slice(0, Number(length)), after.slice(Number(length)), after.length >= Number(length))
}

/** Fields that say when or by which request. */
const steady = (message: Message): Message => ({
  ...message,
  fields: message.fields.filter((field) => !/^(date: (?!sun, 06 nov 1994)|x-request-id:)/i.test(field)),
  body: message.body.replace(/"requestId":"[^"]*"/, '"requestId":"-"'),
})

/** Each request has an id of its own. */
const anyId = (field: string): string => field.replace(/^(X-Request-Id): .*/, '$1: -')

/** A program that reads one request whole (but for `early`), says its lines and ends as it is told. */
async function program(t: Test) {
  let given: FuzzedCase | null = null
  let bytes: string[] = []
  const sockets = new Set<Socket>()
  const speak = async (socket: Socket, isUpgrade: boolean): Promise<void> => {
    if (given === null) return
    const { answer } = given
    for (const write of answerWrites(given)) {
      if (socket.destroyed) break
      await new Promise((written) => socket.write(write, written))
      await turn()
    }
    if (isUpgrade && / 101 /.test(answer.line)) socket.write('\x81\x02hi', 'latin1')
    if (answer.end === 'reset') socket.resetAndDestroy()
    else if (!staysOpen(given)) socket.end()
  }
  const server = createServer((socket) => {
    sockets.add(socket)
    const at = bytes.push('') - 1
    const mine = bytes
    let hasSpoken = false
    socket.setEncoding('latin1')
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
    socket.on('data', (chunk: string) => {
      mine[at] += chunk
      const request = parse(mine[at] as string, () => false, false, false)
      if (request === null || hasSpoken || (!request.isWhole && given?.answer.early !== true)) return
      hasSpoken = true
      void speak(socket, /\r\nupgrade: websocket/i.test(mine[at] as string))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return {
    port: (server.address() as AddressInfo).port,
    /** Forgets what was, and takes the next exchange. */
    expect(next: FuzzedCase): void {
      for (const socket of sockets) socket.destroy()
      given = next
      bytes = []
    },
    seen(): Message[] {
      const messages: Message[] = []
      for (const stream of bytes)
        for (let rest = stream; rest !== '';) {
          const parsed = parse(rest, () => false, true, false)
          if (parsed === null) {
            messages.push({ line: '', fields: [], body: rest })
            break
          }
          const { line, fields, body } = parsed.message
          messages.push({ line, fields: fields.map(anyId), body: body + (parsed.isWhole ? '' : '…') })
          rest = parsed.rest
          if (/^upgrade:/im.test(parsed.message.fields.join('\n'))) break
        }
      return messages
    },
  }
}

/** A visitor who says all of it, and hears until the end; who hears nothing for `patienceMs` leaves. */
async function visit(port: number, bytes: string, patienceMs: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let heard = ''
  socket.setEncoding('latin1')
  socket.setTimeout(patienceMs, () => socket.destroy())
  socket.on('data', (chunk: string) => (heard += chunk))
  socket.on('error', () => undefined)
  socket.write(bytes, 'latin1')
  await new Promise((closed) => socket.once('close', closed))
  return heard
}

const isBodiless = (method: string) => (line: string) =>
  method === 'HEAD' || /^HTTP\/1\.[01] (1\d\d|204|304)/.test(line)

function outcomeOf(given: FuzzedCase, heard: string, seen: readonly Message[]): Outcome {
  const answers: Message[] = []
  let rest = heard.replace(/(?<="requestId":")\w+/g, (id) => '-'.repeat(id.length))
  for (;;) {
    const parsed = parse(rest, isBodiless(given.request.method), true, true)
    if (parsed === null || !parsed.isWhole) {
      if (parsed !== null) answers.push(steady(parsed.message))
      return { seen, got: 'cut', answers, after: '' }
    }
    answers.push(steady(parsed.message))
    rest = parsed.rest
    if (parsed.message.line.startsWith('HTTP/1.1 101')) return { seen, got: 'answer', answers, after: rest }
    if (parsed.message.line.startsWith('HTTP/1.1 1')) continue
    // To HEAD only the head says so; no program of these tests says those statuses.
    const own = /^HTTP\/1\.1 (400|502|504) /.exec(parsed.message.line)?.[1]
    return { seen, got: own === undefined ? 'answer' : `own ${own}`, answers, after: rest }
  }
}

/** Starts a gateway whose one workspace is served by that engine. */
export async function startEngine(t: Test, lenient: boolean): Promise<EngineUnderTest> {
  const edge = await startEdge(t)
  const upstream = await program(t)
  const { port } = upstream
  const route = edge.workspace('shop', { ports: [{ ...portDefaults, lenient, port }], defaultPort: port })
  const cookie = edge.cookie('alice', route)
  let nth = 0
  return {
    logged: edge.log.lines,
    async run(given) {
      upstream.expect(given)
      // A new incarnation has no connections of the last one.
      edge.control.route({ ...route, incarnation: `shop-${++nth}` })
      const bytes = requestBytes(given, 'shop.ws.localhost:8090', cookie, 'http://shop.ws.localhost:8090')
      const heard = await visit(edge.port, bytes, PATIENCE_MS)
      return outcomeOf(given, heard, upstream.seen())
    },
  }
}
