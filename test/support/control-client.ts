/** A caller of a control over HTTP, with one cookie jar or one token; what it is answered. */
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { undescribed } from './control-described.ts'
import type { Problem, WorkspaceView } from '../../control/wire/index.ts'

/** One answer as it may be: a workspace, a list of them, a problem, a token. */
export type Shown = WorkspaceView & Problem & { items: readonly WorkspaceView[]; next: string; token: string }

export interface Answer<T = Shown> {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  /** The body as JSON, by the shapes that tests look at. */
  readonly json: T
}

/** A caller with one cookie jar or one token. */
export interface Client {
  cookie: string
  /** The cookie by which the browser is known to have been signed in with; '' at first. */
  device: string
  call<T = Shown>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer<T>>
}

/** Calls `127.0.0.1:port`; every answer's text goes to `answers` too, and is held to the description of the API. */
export function makeClient(port: number, answers: string[], bearer?: string): Client {
  const self: Client = {
    cookie: '',
    device: '',
    call: <T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
      new Promise<Answer<T>>((resolve, reject) => {
        const sent = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
        const req = request(
          {
            port,
            host: '127.0.0.1',
            method,
            path,
            headers: {
              ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
              ...(sent === undefined || 'transfer-encoding' in headers
                ? {}
                : { 'content-length': String(Buffer.byteLength(sent)) }),
              ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
              ...(self.cookie + self.device === ''
                ? {}
                : { cookie: [self.cookie, self.device].filter(Boolean).join('; ') }),
              ...headers,
            },
          },
          (res) => {
            const chunks: Buffer[] = []
            res.on('data', (chunk: Buffer) => chunks.push(chunk))
            res.on('end', () => {
              const text = Buffer.concat(chunks).toString('utf8')
              answers.push(JSON.stringify(res.headers) + text)
              const set = (name: string): string | undefined =>
                res.headers['set-cookie']?.find((each) => each.startsWith(`${name}=`))?.split(';')[0]
              self.cookie = set('postern_session') ?? self.cookie
              self.device = set('postern_device') ?? self.device
              let json: unknown
              try {
                json = JSON.parse(text)
              } catch {
                json = undefined
              }
              const status = res.statusCode ?? 0
              const strange = undescribed(method, path, status, json)
              if (strange.length > 0) reject(new Error(`${method} ${path}: ${strange.join('; ')}`))
              else resolve({ status, headers: res.headers, text, json: json as T })
            })
          },
        )
        req.on('error', reject)
        req.end(sent)
      }),
  }
  return self
}
