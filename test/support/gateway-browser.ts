// A browser as far as the edge can tell: a cookie jar per host, Fetch Metadata, and redirects followed between hosts.
import { type Answer, ask } from './gateway-bytes.ts'

interface Step extends Answer {
  readonly url: string
}

/** What a navigation says of itself. */
const NAVIGATION = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document', 'Accept: text/html']

/** A cookie jar that keeps host-only cookies apart, as browsers do. */
export class Browser {
  readonly jar = new Map<string, Map<string, string>>()
  readonly trail: Step[] = []
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  cookies(host: string): Map<string, string> {
    let cookies = this.jar.get(host)
    if (cookies === undefined) this.jar.set(host, (cookies = new Map()))
    return cookies
  }

  /** One request; cookies are sent and kept. */
  async request(
    url: string,
    more: { method?: string; headers?: string[]; form?: Record<string, string> } = {},
  ): Promise<Step> {
    const [, host = '', path = '/'] = /^http:\/\/([^/]+)(.*)$/.exec(url) ?? []
    const name = host.split(':')[0] ?? ''
    const cookies = [...this.cookies(name)].map(([key, value]) => `${key}=${value}`)
    const headers = [...(more.headers ?? NAVIGATION)]
    if (cookies.length > 0) headers.push(`Cookie: ${cookies.join('; ')}`)
    if (more.form !== undefined)
      headers.push('Content-Type: application/x-www-form-urlencoded', `Origin: http://${host}`)
    const answer = await ask(this.#port, {
      host,
      path: path === '' ? '/' : path,
      method: more.form === undefined ? (more.method ?? 'GET') : 'POST',
      headers,
      ...(more.form === undefined ? {} : { body: new URLSearchParams(more.form).toString() }),
    })
    for (const line of answer.all('set-cookie')) this.#keep(name, line)
    const step = { ...answer, url }
    this.trail.push(step)
    return step
  }

  /** Follows redirects, at most 20, as browsers do. */
  async go(url: string, more: { form?: Record<string, string> } = {}): Promise<Step> {
    let step = await this.request(url, more)
    for (let i = 0; i < 20 && step.field('location') !== null; i++)
      step = await this.request(new URL(step.field('location') ?? '', step.url).href)
    return step
  }

  #keep(host: string, line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    // With a domain it is another cookie, of hosts that this jar keeps apart.
    if (attributes.some((attribute) => /^domain=/i.test(attribute))) return
    const at = pair.indexOf('=')
    const isGone = attributes.some((attribute) => /^max-age=0$/i.test(attribute))
    if (isGone) this.cookies(host).delete(pair.slice(0, at))
    else this.cookies(host).set(pair.slice(0, at), pair.slice(at + 1))
  }
}
