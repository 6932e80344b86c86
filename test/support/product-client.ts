/** A visitor of a running Postern: requests and WebSockets to 127.0.0.1 with the Host of a URL, and a cookie jar of a browser's kind. */
import { once } from 'node:events'
import { request, type IncomingHttpHeaders } from 'node:http'
import { WebSocket } from 'ws'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
  /** Parsed when asked. */
  json<T = Record<string, unknown>>(): T
}

export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
  readonly signal?: AbortSignal
}

/** What a browser sends when a person opens a page. */
export const navigation = {
  Accept: 'text/html,application/xhtml+xml',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Dest': 'document',
} as const

/** One visitor; cookies are host-only, and kept per host without port, as browsers do. */
export class Client {
  /** Origin of the dashboard. */
  readonly url: string
  /** Sent as bearer with every call of `api`. */
  token: string | undefined
  readonly #port: number
  readonly #jar = new Map<string, Map<string, string>>()

  /** `url` is the public URL; requests go to `127.0.0.1:port`. */
  constructor(url: string, port: number, token?: string) {
    this.url = url
    this.#port = port
    this.token = token
  }

  /** Asks for an absolute URL, or a path of the dashboard. Follows nothing. */
  async ask(target: string, ask: Ask = {}): Promise<Answer> {
    const url = new URL(target, this.url)
    const call = request({
      host: '127.0.0.1',
      port: this.#port,
      method: ask.method ?? 'GET',
      path: url.pathname + url.search,
      headers: { Host: url.host, ...this.#cookieHeader(url), ...ask.headers },
      agent: false,
      ...(ask.signal ? { signal: ask.signal } : {}),
    })
    call.end(ask.body)
    const [answer] = (await once(call, 'response')) as [import('node:http').IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk as Buffer)
    this.#keep(url, answer.headers['set-cookie'] ?? [])
    const body = Buffer.concat(chunks)
    const text = body.toString()
    return {
      status: answer.statusCode ?? 0,
      headers: answer.headers,
      body,
      text,
      json: () => JSON.parse(text),
    }
  }

  /** A call of the users' API with a JSON body; by session cookie it carries the dashboard's Origin. */
  api(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.ask(path, {
      method,
      headers: {
        Accept: 'application/json',
        ...(this.token === undefined ? { Origin: this.url } : { Authorization: `Bearer ${this.token}` }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  /** As `api`, and anything but a 2xx is an Error that shows the answer. */
  async must<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.api(method, path, body)
    if (answer.status < 200 || answer.status > 299)
      throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text.slice(0, 500)}`)
    return answer.text === '' ? ({} as T) : answer.json<T>()
  }

  /** Opens a page as a person would: follows redirects across hosts, keeping cookies. @throws Error after 20 hops, as browsers do */
  async browse(target: string): Promise<Answer & { readonly url: string; readonly hops: readonly string[] }> {
    let url = new URL(target, this.url).href
    const hops: string[] = []
    for (let hop = 0; hop < 20; hop++) {
      hops.push(url)
      const answer = await this.ask(url, { headers: navigation })
      const next = answer.headers.location
      if (answer.status < 300 || answer.status > 399 || next === undefined) return { ...answer, url, hops }
      url = new URL(next, url).href
    }
    throw new Error(`more than 20 redirects: ${hops.join(' → ')}`)
  }

  /** Submits a form of a page, as `browse` does. */
  submit(target: string, fields: Readonly<Record<string, string>>): Promise<Answer> {
    const url = new URL(target, this.url)
    return this.ask(url.href, {
      method: 'POST',
      headers: {
        ...navigation,
        Origin: url.origin,
        'Sec-Fetch-Site': 'same-origin',
        'Content-Type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams(fields).toString(),
    })
  }

  /** Opens a WebSocket with cookies and the Origin of its own host (or the one given). @throws Error `Unexpected server response: N` */
  async socket(
    target: string,
    options: { origin?: string; headers?: Record<string, string>; protocols?: string[] } = {},
  ): Promise<WebSocket> {
    const url = new URL(target, this.url)
    const socket = new WebSocket(
      `ws://127.0.0.1:${this.#port}${url.pathname}${url.search}`,
      options.protocols ?? [],
      {
        origin: options.origin ?? url.origin.replace(/^ws/, 'http'),
        headers: { Host: url.host, ...this.#cookieHeader(url), ...options.headers },
      },
    )
    await once(socket, 'open')
    return socket
  }

  /** The cookies for a host, by name. */
  cookies(target: string): ReadonlyMap<string, string> {
    return this.#jar.get(new URL(target, this.url).hostname) ?? new Map<string, string>()
  }

  /** Ready for a `Cookie` field; none: no field. */
  #cookieHeader(url: URL): { Cookie?: string } {
    const pairs = [...this.cookies(url.href)].map(([name, value]) => `${name}=${value}`)
    return pairs.length === 0 ? {} : { Cookie: pairs.join('; ') }
  }

  #keep(url: URL, lines: readonly string[]): void {
    const jar = this.#jar.get(url.hostname) ?? new Map<string, string>()
    this.#jar.set(url.hostname, jar)
    for (const line of lines) {
      const [pair = '', ...attributes] = line.split(';')
      // One for a domain is another cookie: those are only ever taken away here.
      if (attributes.some((attribute) => /^\s*domain=/i.test(attribute))) continue
      const cut = pair.indexOf('=')
      const gone = attributes.some((a) => /^\s*(max-age=0|expires=thu, 01 jan 1970)/i.test(a))
      if (gone) jar.delete(pair.slice(0, cut).trim())
      else jar.set(pair.slice(0, cut).trim(), pair.slice(cut + 1).trim())
    }
  }
}
