/** A request as the other doors are asked comes in; the answer that it gets over HTTP/2 comes out. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import { type Answer, type Ask, parseAnswer } from './gateway-bytes.ts'
import { END_HEADERS, END_STREAM, Frame, frame, framesOf, PREFACE, requestHead } from './http2-frames.ts'
import { ask2 } from './http2-answer.ts'
import { until } from './until.ts'

type Fields = readonly (readonly [string, string])[]

/** Lines of HTTP/1.1 as fields; those of the connection have no like. */
function fieldsOf(request: Ask): Fields {
  const lines = (request.headers ?? []).map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')]
  })
  return [
    [':method', request.method ?? 'GET'],
    [':scheme', 'https'],
    [':authority', request.host],
    [':path', request.path ?? '/'],
    ...lines.filter(([name]) => name !== 'connection' && name !== 'upgrade'),
  ]
}

function headersOf(fields: Fields): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of fields) {
    const held = headers[name]
    headers[name] = held === undefined ? value : [held, value].flat()
  }
  return headers
}

const titled = (name: string): string => name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase())

function asText(status: number, headers: IncomingHttpHeaders, body: string): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') ? [] : [value ?? ''].flat().map((one) => `${titled(name)}: ${one}`),
  )
  return `HTTP/2 ${status}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`
}

const STATIC_STATUS = [200, 204, 206, 304, 400, 404, 500]
const HUFFMAN_DIGITS = [
  '00000',
  '00001',
  '00010',
  '011001',
  '011010',
  '011011',
  '011100',
  '011101',
  '011110',
  '011111',
]

/** The status at the start of the first field block of a connection (RFC 7541 §6.1, §6.2.1, appendix B). */
function statusOf(block: Buffer): number {
  const first = block[0] ?? 0
  if (first >= 0x88 && first <= 0x8e) return STATIC_STATUS[first - 0x88] ?? 0
  const length = (block[1] ?? 0) & 0x7f
  const value = block.subarray(2, 2 + length)
  if (((block[1] ?? 0) & 0x80) === 0) return Number(value.toString('latin1'))
  let bits = [...value].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  let text = ''
  while (text.length < 3) {
    const digit = HUFFMAN_DIGITS.findIndex((code) => bits.startsWith(code))
    if (digit < 0) return 0
    text += digit
    bits = bits.slice(HUFFMAN_DIGITS[digit]?.length)
  }
  return Number(text)
}

/** What Node's client refuses to send goes by hand-made frames; of the answer only the status is read then. */
async function byHand(port: number, request: Ask): Promise<number> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  const frames = framesOf(socket)
  const hasBody = request.body !== undefined
  socket.write(
    Buffer.concat([
      PREFACE,
      requestHead(1, fieldsOf(request), hasBody ? END_HEADERS : END_HEADERS | END_STREAM),
    ]),
  )
  if (hasBody) socket.write(frame(Frame.data, END_STREAM, 1, Buffer.from(request.body ?? '')))
  const said = await until(() =>
    frames.find(({ type, stream }) => stream === 1 && (type === Frame.headers || type === Frame.reset)),
  )
  socket.destroy()
  return said.type === Frame.reset ? 0 : statusOf(said.payload)
}

/** Asks over HTTP/2, all on one connection. A request that is refused without an answer counts as 400. */
export function http2Door(port: number): (request: Ask) => Promise<Answer> {
  let session: ClientHttp2Session | null = null
  const open = async (): Promise<ClientHttp2Session> => {
    if (session !== null && !session.closed && !session.destroyed) return session
    session = connectHttp2(`https://localhost:${port}`, {
      createConnection: () =>
        connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] }),
    })
    session.on('error', () => undefined)
    await once(session, 'connect')
    return session
  }
  return async (request) => {
    const on = await open()
    let asked
    try {
      asked = ask2(on, headersOf(fieldsOf(request)), request.body)
    } catch {
      return parseAnswer(asText((await byHand(port, request)) || 400, {}, ''))
    }
    const { status, headers, body } = await asked
    return parseAnswer(asText(status || 400, headers, body))
  }
}
