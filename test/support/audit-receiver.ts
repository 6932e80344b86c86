/** A receiver of webhooks, written from the text of the Standard Webhooks convention alone: it checks what it is sent. */
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly id: string
  readonly timestamp: number
  readonly path: string
  readonly body: { readonly type: string; readonly timestamp: string; readonly data: Record<string, unknown> }
  readonly text: string
  /** By the secret that the receiver was given. */
  readonly genuine: boolean
  readonly headers: IncomingMessage['headers']
}

/** What it answers to the n-th message on a path: a status with a body, or nothing ever. */
export type Script = (
  path: string,
  n: number,
) => { status: number; headers?: Record<string, string>; body?: string } | 'silence'

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly got: Received[]
  /** Connections that were made, whether anything was sent or not. */
  connections(): number
  secret: string
  script: Script
  /** Ends all connections, whatever waits on them. */
  hangUp(): void
  close(): Promise<void>
}

/** base64 of the HMAC-SHA256 over `id.timestamp.payload`, by Web Crypto. */
async function signatureOf(secret: string, signed: string): Promise<string> {
  const raw = Uint8Array.from(atob(secret.replace(/^whsec_/, '')), (each) => each.charCodeAt(0))
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', raw, algorithm, false, ['sign'])
  const bytes = new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(signed)))
  return btoa(String.fromCharCode(...bytes))
}

/** Listens on a free port of 127.0.0.1; answers 204 unless its script says otherwise. */
export async function startReceiver(): Promise<Receiver> {
  const got: Received[] = []
  const counts = new Map<string, number>()
  let connections = 0
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      void (async () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const header = (name: string): string => String(req.headers[name] ?? '')
        const [id, timestamp] = [header('webhook-id'), header('webhook-timestamp')]
        const expected =
          self.secret === '' ? '' : await signatureOf(self.secret, `${id}.${timestamp}.${text}`)
        const given = header('webhook-signature').split(' ')
        const path = req.url ?? ''
        const n = (counts.get(path) ?? 0) + 1
        counts.set(path, n)
        const answer = self.script(path, n)
        got.push({
          id,
          timestamp: Number(timestamp),
          path,
          body: JSON.parse(text) as Received['body'],
          text,
          genuine: expected !== '' && given.includes(`v1,${expected}`),
          headers: req.headers,
        })
        if (answer !== 'silence') res.writeHead(answer.status, answer.headers).end(answer.body ?? '')
      })()
    })
  })
  server.on('connection', () => connections++)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  const self: Receiver = {
    url: `http://127.0.0.1:${port}`,
    port,
    got,
    connections: () => connections,
    secret: '',
    script: () => ({ status: 204 }),
    hangUp: () => server.closeAllConnections(),
    async close() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
  return self
}
