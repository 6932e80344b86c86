/**
 * A fake Traefik for tests, as the real one can't be had: it takes its configuration from an HTTP provider, chooses a router
 * by rule and priority, asks forward auth as Traefik does, and sends the request on with what the answer says. HTTP only.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'

const flush = z.strictObject({ flushInterval: z.string().regex(/^-?\d+(ms|s)$/) })

/** Traefik v3's dynamic configuration, as far as it is documented and used here; nothing else may be in it. */
export const traefikSchema = z.strictObject({
  http: z.strictObject({
    routers: z.record(
      z.string().regex(/^[A-Za-z0-9_-]+$/),
      z.strictObject({
        rule: z.string().min(1),
        service: z.string(),
        priority: z.int().positive(),
        middlewares: z.array(z.string()).optional(),
        entryPoints: z.array(z.string()).optional(),
      }),
    ),
    middlewares: z.record(
      z.string(),
      z.union([
        z.strictObject({
          headers: z.strictObject({ customRequestHeaders: z.record(z.string(), z.string()) }),
        }),
        z.strictObject({
          forwardAuth: z.strictObject({
            address: z.url(),
            trustForwardHeader: z.boolean(),
            authResponseHeaders: z.array(z.string()),
          }),
        }),
      ]),
    ),
    services: z.record(
      z.string(),
      z.strictObject({
        loadBalancer: z.strictObject({
          servers: z.array(z.strictObject({ url: z.url() })).min(1),
          passHostHeader: z.boolean(),
          responseForwarding: flush,
        }),
      }),
    ),
  }),
})
export type TraefikDocument = z.infer<typeof traefikSchema>

/** A header's name as Go keeps it: `x_postern_user` is another header than `X-Postern-User`, in any case. */
const canonical = (name: string): string => name.toLowerCase()
const regex = (text: string): RegExp =>
  text.startsWith('(?i)') ? new RegExp(text.slice(4), 'i') : new RegExp(text)

/** Whether a rule of Traefik v3 fits: its matchers are answered, and `&&`, `||`, `!` and brackets read as they are. */
export function ruleFits(
  rule: string,
  asked: { host: string; path: string; method: string; headers: Map<string, string> },
): boolean {
  const matchers: Record<string, (a: string, b: string) => boolean> = {
    Host: (host) => asked.host === host,
    HostRegexp: (host) => regex(host).test(asked.host),
    PathPrefix: (prefix) => decodeURI(asked.path).startsWith(prefix),
    Method: (method) => asked.method === method,
    Header: (name, value) => asked.headers.get(canonical(name)) === value,
    HeaderRegexp: (name, value) => regex(value).test(asked.headers.get(canonical(name)) ?? '\n'),
  }
  const text = rule.replace(
    /([A-Za-z]+)\(`([^`]*)`(?:, `([^`]*)`)?\)/g,
    (_, name: string, a: string, b = '') => {
      const matcher = matchers[name]
      if (matcher === undefined) throw new Error(`no such matcher: ${name}`)
      return matcher(a, b) ? 'T' : 'F'
    },
  )
  return evaluate(text.replaceAll(' ', ''))
}

/** A formula of T, F, `!`, `&&`, `||` and brackets. */
function evaluate(text: string): boolean {
  let now = text
  for (;;) {
    const next = now
      .replaceAll('!T', 'F')
      .replaceAll('!F', 'T')
      .replace(/\(([TF])\)/g, '$1')
      .replace(/(?<!!)([TF])&&([TF])/, (_, a, b) => (a === 'T' && b === 'T' ? 'T' : 'F'))
    const simpler =
      next === now
        ? now.replace(
            /(^|\()([TF])\|\|([TF])(?=$|\)|\|)/,
            (_, open: string, a, b) => `${open}${a === 'T' || b === 'T' ? 'T' : 'F'}`,
          )
        : next
    if (simpler === now) break
    now = simpler
  }
  if (now !== 'T' && now !== 'F') throw new Error(`unreadable rule: ${text} → ${now}`)
  return now === 'T'
}

const HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

interface Reply {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

function send(url: string, method: string, headers: Map<string, string>, body: Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const out = request(url, { method, headers: Object.fromEntries(headers), agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const { rawHeaders, headers } = answer
        resolve({ status: answer.statusCode!, rawHeaders, headers, body: Buffer.concat(parts) })
      })
    })
    out.on('error', reject)
    out.end(body)
  })
}

export interface FakeTraefik {
  readonly port: number
  /** Asks the provider again, as it does every few seconds. @throws ZodError for what Traefik would not take */
  poll(): Promise<TraefikDocument>
  close(): Promise<void>
}

/** Starts it with the provider at `endpoint`. */
export async function startTraefik(endpoint: string): Promise<FakeTraefik> {
  let document: TraefikDocument | null = null
  const poll = async (): Promise<TraefikDocument> => {
    const answer = await send(endpoint, 'GET', new Map(), Buffer.alloc(0))
    if (answer.status !== 200) throw new Error(`the provider answered ${answer.status}`)
    return (document = traefikSchema.parse(JSON.parse(answer.body.toString())))
  }
  const server = createServer((req, res) => {
    serve(document, req, res).catch(() => res.writeHead(502).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    poll,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function serve(
  document: TraefikDocument | null,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of req) parts.push(part as Buffer)
  const body = Buffer.concat(parts)
  const headers = new Map<string, string>()
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = canonical(req.rawHeaders[i]!)
    headers.set(
      name,
      headers.has(name) ? `${headers.get(name)}, ${req.rawHeaders[i + 1]}` : req.rawHeaders[i + 1]!,
    )
  }
  // At the entry point, what a visitor claims in these is taken away.
  for (const name of ['for', 'host', 'port', 'proto', 'server', 'uri', 'method', 'tls-client-cert'])
    headers.delete(`x-forwarded-${name}`)
  headers.delete('x-real-ip')
  const host = headers.get('host') ?? ''
  const asked = {
    host: host.replace(/:\d+$/, '').toLowerCase(),
    path: req.url!.split('?')[0]!,
    method: req.method!,
    headers,
  }
  const fitting = Object.values(document?.http.routers ?? {}).filter(({ rule }) => ruleFits(rule, asked))
  const [router] = fitting.sort((a, b) => b.priority - a.priority)
  if (document === null || router === undefined) return void res.writeHead(404).end()
  for (const name of HOP) headers.delete(name)
  headers.set('x-forwarded-for', '127.0.0.1')
  headers.set('x-forwarded-host', host)
  headers.set('x-forwarded-proto', 'http')
  for (const name of router.middlewares ?? []) {
    const refusal = await apply(document, name, { req, headers })
    if (refusal !== null) return void res.writeHead(refusal.status, [...refusal.rawHeaders]).end(refusal.body)
  }
  const { url } = document.http.services[router.service]!.loadBalancer.servers[0]!
  if (body.length > 0) headers.set('content-length', String(body.length))
  const answer = await send(`${url}${req.url}`, req.method!, headers, body)
  res.writeHead(answer.status, [...answer.rawHeaders]).end(answer.body)
}

/** One middleware; a refusal ends the request. */
async function apply(
  document: TraefikDocument,
  name: string,
  { req, headers }: { req: IncomingMessage; headers: Map<string, string> },
): Promise<Reply | null> {
  const middleware = document.http.middlewares[name]
  if (middleware === undefined) throw new Error(`no such middleware: ${name}`)
  if ('headers' in middleware) {
    for (const [header, value] of Object.entries(middleware.headers.customRequestHeaders))
      if (value === '') headers.delete(canonical(header))
      else headers.set(canonical(header), value)
    return null
  }
  const { address, authResponseHeaders } = middleware.forwardAuth
  const question = new Map(headers)
  question.delete('host')
  question.delete('content-length')
  question.set('x-forwarded-method', req.method!)
  question.set('x-forwarded-uri', req.url!)
  const answer = await send(address, 'GET', question, Buffer.alloc(0))
  if (answer.status < 200 || answer.status > 299) return answer
  for (const header of authResponseHeaders) {
    headers.delete(canonical(header))
    const value = answer.headers[canonical(header)]
    if (value !== undefined) headers.set(canonical(header), String(value))
  }
  return null
}
