/** A visitor of a front in tests: connects to 127.0.0.1 whatever the host's name, follows nothing by itself. */
import { once } from 'node:events'
import { request } from 'node:http'
import { WebSocket } from 'ws'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly setCookies: readonly string[]
  readonly body: string
}

export interface Ask {
  readonly port: number
  /** Sent as Host, with the port unless it has one. */
  readonly host: string
  readonly path?: string
  readonly method?: string
  /** Flat names and values may repeat; an object is enough otherwise. */
  readonly headers?: Readonly<Record<string, string>> | readonly string[]
  readonly body?: string
}

const hostOf = (ask: Ask): string => (ask.host.includes(':') ? ask.host : `${ask.host}:${ask.port}`)
const flat = (headers: Ask['headers']): string[] =>
  headers === undefined
    ? []
    : Array.isArray(headers)
      ? [...(headers as readonly string[])]
      : Object.entries(headers as Readonly<Record<string, string>>).flat()

/** One request on a connection of its own. */
export function ask(options: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { port, path = '/', method = 'GET', body } = options
    const length = body === undefined ? [] : ['Content-Length', String(Buffer.byteLength(body))]
    const headers = ['Host', hostOf(options), ...length, ...flat(options.headers)]
    const out = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({
          status: answer.statusCode!,
          headers: answer.headers,
          setCookies: answer.headers['set-cookie'] ?? [],
          body: Buffer.concat(parts).toString(),
        }),
      )
    })
    out.on('upgrade', (_answer, socket) => {
      socket.destroy()
      reject(new Error('upgraded'))
    })
    out.on('error', reject)
    out.end(body)
  })
}

/** What came of a WebSocket handshake: messages until it closes, or the status that refused it. */
export type Handshake =
  | {
      readonly open: true
      next(): Promise<string>
      send(text: string): void
      close(): void
      closed: Promise<void>
    }
  | { readonly open: false; readonly status: number }

/** Opens a WebSocket through the front. */
export async function openSocket(options: Ask): Promise<Handshake> {
  const headers: Record<string, string> = {}
  const pairs = flat(options.headers)
  for (let i = 0; i < pairs.length; i += 2) headers[pairs[i]!] = pairs[i + 1]!
  const socket = new WebSocket(`ws://127.0.0.1:${options.port}${options.path ?? '/'}`, {
    headers: { ...headers, Host: hostOf(options) },
  })
  const inbox: string[] = []
  const waiting: ((text: string) => void)[] = []
  socket.on('message', (data: Buffer) => {
    const take = waiting.shift()
    if (take) take(data.toString())
    else inbox.push(data.toString())
  })
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('unexpected-response', (_request, answer) => {
      resolve({ open: false, status: answer.statusCode! })
      answer.destroy()
    })
    socket.on('open', () => {
      resolve({
        open: true,
        next: () => {
          const held = inbox.shift()
          return held === undefined ? new Promise((take) => waiting.push(take)) : Promise.resolve(held)
        },
        send: (text) => socket.send(text),
        close: () => socket.terminate(),
        closed: once(socket, 'close').then(() => undefined),
      })
    })
  })
}
