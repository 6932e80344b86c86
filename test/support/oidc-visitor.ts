/** A visitor of the stack who also goes to the providers, with a cookie jar for each; every step can be looked at. */
import type { OidcStack } from './oidc-stack.ts'
import { type Answer, Client, navigation } from './product-client.ts'

export interface Arrival extends Answer {
  readonly url: string
  /** Every address on the way. */
  readonly hops: readonly string[]
}

export class OidcVisitor {
  readonly here: Client
  readonly #stack: OidcStack
  readonly #there = new Map<string, Client>()

  constructor(stack: OidcStack) {
    this.#stack = stack
    this.here = stack.visitor()
  }

  #clientFor(url: URL): Client {
    const provider = this.#stack.providers.find(({ issuer }) => issuer === url.origin)
    if (provider === undefined) return this.here
    let client = this.#there.get(url.origin)
    if (client === undefined) this.#there.set(url.origin, (client = new Client(url.origin, Number(url.port))))
    return client
  }

  /** Follows redirects between dashboard, providers and workspace hosts, as far as an address that `stop` names. */
  async go(target: string, stop: RegExp | null = null): Promise<Arrival> {
    let url = new URL(target, this.#stack.url)
    const hops: string[] = []
    for (let hop = 0; hop < 20; hop++) {
      hops.push(url.href)
      const answer = await this.#clientFor(url).ask(url.href, { headers: navigation })
      const { location } = answer.headers
      if (location === undefined) return { ...answer, url: url.href, hops }
      const next = new URL(location, url)
      if (stop?.test(next.href) === true) return { ...answer, url: next.href, hops }
      url = next
    }
    throw new Error(`more than 20 redirects: ${hops.join(' → ')}`)
  }

  /** Signs in at a provider, and lands where `next` says. */
  signIn(id = 'one', next = '/workspaces'): Promise<Arrival> {
    return this.go(`/auth/oidc/${id}?next=${encodeURIComponent(next)}`)
  }

  /** As far as the way back from the provider: the address of the callback, not asked for yet. */
  async answerOf(id = 'one', next = '/workspaces'): Promise<URL> {
    const { url } = await this.go(`/auth/oidc/${id}?next=${encodeURIComponent(next)}`, /\/callback\?/)
    return new URL(url)
  }

  /** Who is signed in; null: nobody. */
  async me(): Promise<{ id: string; username: string; role: string; email: string | null } | null> {
    const answer = await this.here.api('GET', '/api/v1/me')
    return answer.status === 200 ? answer.json() : null
  }
}
