/** A real OpenID provider in this process, on loopback; its people, its tokens' lives and its faults are the test's to set. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWTPayload, decodeJwt, SignJWT } from 'jose'
import type Provider from 'oidc-provider'

export interface TestProviderOptions {
  /** Where browsers are sent back. */
  readonly redirectUri: string
  readonly postLogoutRedirectUri: string
  /** Gives refresh tokens. */
  readonly refresh?: boolean
}

export interface TestProvider {
  readonly issuer: string
  /** Claims of whoever signs in there next, by `sub`. */
  readonly people: Map<string, Record<string, unknown>>
  /** Who signs in there, without being asked; null: they say no. */
  login: string | null
  /** How long ID tokens and access tokens live, in seconds. */
  lifeSeconds: number
  /** `hung`: connections are taken, nothing is answered. */
  state: 'well' | 'hung' | 'broken'
  /** Changes the claims of each ID token, which is then signed anew by the provider's own key, or by another's. */
  tamper: { claims?: (claims: JWTPayload) => JWTPayload; foreignKey?: boolean } | null
  /** It has another key from now on, which its document of keys says, and signs with that. */
  rotated: boolean
  /** Requests, as `METHOD path`. */
  readonly asked: string[]
  /** Knows Postern under these addresses; before that it answers nobody. */
  begin(options: TestProviderOptions): void
  /** Nobody's tokens are good any more. */
  forget(): Promise<void>
  close(): Promise<void>
}

/** The client that the provider knows. */
export const client = { id: 'postern', secret: 'a secret of the client' } as const

const adapterRows = (): { rows: Map<string, object>; adapter: new (name: string) => object } => {
  const rows = new Map<string, Record<string, unknown>>()
  class Adapter {
    readonly #name: string
    constructor(name: string) {
      this.#name = name
    }
    upsert(id: string, payload: Record<string, unknown>): void {
      rows.set(`${this.#name} ${id}`, payload)
    }
    find(id: string): object | undefined {
      return rows.get(`${this.#name} ${id}`)
    }
    findByUid(uid: string): object | undefined {
      for (const [key, row] of rows) if (key.startsWith(this.#name) && row['uid'] === uid) return row
      return undefined
    }
    findByUserCode(): undefined {
      return undefined
    }
    consume(id: string): void {
      const row = rows.get(`${this.#name} ${id}`)
      if (row !== undefined) row['consumed'] = Math.floor(Date.now() / 1000)
    }
    destroy(id: string): void {
      rows.delete(`${this.#name} ${id}`)
    }
    revokeByGrantId(grantId: string): void {
      for (const [key, row] of rows) if (row['grantId'] === grantId) rows.delete(key)
    }
  }
  return { rows, adapter: Adapter }
}

/** Starts one, which knows Postern at once where `options` are given; the caller closes it. */
export async function startTestProvider(options: TestProviderOptions | null): Promise<TestProvider> {
  const { default: Library } = await import('oidc-provider')
  const own = await generateKeyPair('RS256', { extractable: true })
  const foreign = await generateKeyPair('RS256', { extractable: true })
  const key = { ...(await exportJWK(own.privateKey)), kid: 'first', use: 'sig', alg: 'RS256' }
  const { rows, adapter } = adapterRows()
  let handle: (req: IncomingMessage, res: ServerResponse) => void = () => undefined
  const server = createServer((req, res) => {
    self.asked.push(`${req.method} ${req.url?.split('?')[0]}`)
    if (self.state === 'hung') return
    if (self.state === 'broken') return void res.writeHead(503).end('down for <b>work</b>')
    handle(req, res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const self: TestProvider = {
    issuer,
    people: new Map(),
    login: 'ada',
    lifeSeconds: 3600,
    state: 'well',
    tamper: null,
    rotated: false,
    asked: [],
    begin: (asked) => void (handle = handlerOf(Library, self, { ...asked, own, foreign, adapter, key })),
    forget() {
      rows.clear()
      return Promise.resolve()
    },
    async close() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
  if (options !== null) self.begin(options)
  return self
}

type Pair = Awaited<ReturnType<typeof generateKeyPair>>

interface Made extends TestProviderOptions {
  readonly own: Pair
  readonly foreign: Pair
  readonly adapter: unknown
  readonly key: unknown
}

/** The real provider's handler, with the test's hand on who signs in and on what it says. */
function handlerOf(
  Library: typeof Provider,
  self: TestProvider,
  { own, foreign, adapter, key, ...options }: Made,
): (req: IncomingMessage, res: ServerResponse) => void {
  const provider: Provider = new Library(self.issuer, {
    adapter: adapter as never,
    jwks: { keys: [key as never] },
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: [options.redirectUri],
        post_logout_redirect_uris: [options.postLogoutRedirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    ],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['preferred_username', 'groups'],
    },
    conformIdTokenClaims: false,
    cookies: { keys: ['keys of cookies in a test'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: () => Promise.resolve(options.refresh === true),
    ttl: {
      IdToken: () => self.lifeSeconds,
      AccessToken: () => self.lifeSeconds,
      RefreshToken: 86_400,
      Grant: 86_400,
      Session: 86_400,
      Interaction: 600,
    },
    findAccount: (_ctx, sub) =>
      Promise.resolve({ accountId: sub, claims: () => Promise.resolve({ ...self.people.get(sub), sub }) }),
    // Consent is nobody's question here.
    async loadExistingGrant(ctx) {
      const { client: asking, session } = ctx.oidc
      const grant = new provider.Grant({
        ...(asking === undefined ? {} : { clientId: asking.clientId }),
        ...(session?.accountId === undefined ? {} : { accountId: session.accountId }),
      })
      grant.addOIDCScope('openid email profile offline_access')
      await grant.save()
      return grant
    },
  })
  provider.use(async (ctx, next) => {
    await next()
    if (self.rotated && ctx.path === '/jwks')
      ctx.body = {
        keys: [{ ...(await exportJWK(foreign.publicKey)), kid: 'second', use: 'sig', alg: 'RS256' }],
      }
    const body = ctx.body as { id_token?: string } | undefined
    const isSame = self.tamper === null && !self.rotated
    if (isSame || ctx.path !== '/token' || body?.id_token === undefined) return
    const { claims = (same: JWTPayload) => same, foreignKey } = self.tamper ?? {}
    const changed = new SignJWT(claims(decodeJwt(body.id_token)))
    const signer = foreignKey === true || self.rotated ? foreign.privateKey : own.privateKey
    const kid = self.rotated ? 'second' : 'first'
    ctx.body = { ...body, id_token: await changed.setProtectedHeader({ alg: 'RS256', kid }).sign(signer) }
  })
  const callback = provider.callback()
  return (req, res) => {
    if (req.url?.startsWith('/interaction/') !== true) return void callback(req, res)
    const said =
      self.login === null
        ? { error: 'access_denied', error_description: '<script>alert(1)</script>' }
        : { login: { accountId: self.login } }
    provider.interactionFinished(req, res, said).catch((err: unknown) => res.writeHead(500).end(String(err)))
  }
}
