/** Control and gateway as in the product, beside real providers: people sign in there in a browser, and come back. */
import { join } from 'node:path'
import type { Test } from 'tap'
import { openParts, type Parts } from '../../control/open.ts'
import type { OidcProvider } from '../../control/seams.ts'
import { startGateway } from '../../gateway/index.ts'
import { pretendAgent } from './control-agent.ts'
import { listeningLog, password, usualOptions } from './control-server.ts'
import { always, rawUpstream, type RawUpstream } from './gateway-bytes.ts'
import { client, startTestProvider, type TestProvider } from './oidc-provider.ts'
import { Client } from './product-client.ts'
import { freePorts } from './free-port.ts'
import { until } from './until.ts'

export interface OidcStack extends Parts {
  /** Origin of the dashboard. */
  readonly url: string
  readonly port: number
  /** In the order of their ids. */
  readonly providers: readonly TestProvider[]
  readonly log: ReturnType<typeof listeningLog>
  readonly upstream: RawUpstream
  /** The first administrator, `root`, signed in. */
  readonly root: Client
  /** Milliseconds that control's clock is ahead. */
  clock: { aheadMs: number }
  visitor(): Client
  /** A running workspace of this visitor, whose only port is the upstream's; gives its origin. */
  workspace(owner: Client, name: string): Promise<string>
  /** Looks at the time until something is so. */
  sweptUntil(check: () => boolean | Promise<boolean>, what: string): Promise<void>
}

/** What the operator says of a test's provider, unless the test says otherwise. */
const usual = (id: string, issuer: string): OidcProvider => ({
  id,
  name: id === 'one' ? 'Provider One' : `Provider <${id}>`,
  issuer,
  clientId: client.id,
  clientSecret: client.secret,
  scopes: ['openid', 'profile', 'email'],
  parameters: {},
  groupsClaim: 'groups',
  roles: null,
  groups: {},
  allow: { domains: ['corp.example'], groups: [], invitation: false },
  linkByVerifiedEmail: false,
  sessionMs: null,
})

let count = 0

export interface StackOptions {
  /** What differs from the usual, by provider: as many are started. */
  readonly providers: readonly Partial<OidcProvider>[]
  readonly refresh?: boolean
  readonly databaseUrl?: string
}

/** Starts all of it; closed with the test. */
export async function startOidcStack(
  t: Test,
  stateDirectory: string,
  { providers: wanted, refresh = false, databaseUrl }: StackOptions,
): Promise<OidcStack> {
  const [port = 0] = await freePorts(1)
  const url = `http://localhost:${port}`
  const ids = wanted.map((each, index) => each.id ?? ['one', 'two', 'three'][index] ?? 'more')
  const providers = await Promise.all(
    ids.map((id) =>
      startTestProvider({
        redirectUri: `${url}/auth/oidc/${id}/callback`,
        postLogoutRedirectUri: `${url}/sign-in`,
        refresh,
      }),
    ),
  )
  for (const provider of providers) t.teardown(() => provider.close())
  const page = '<title>app</title>'
  const upstream = await rawUpstream(
    always(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\n\r\n${page}`),
  )
  t.teardown(() => upstream.close())
  const log = listeningLog()
  const clock = { aheadMs: 0 }
  const now = (): number => Date.now() + clock.aheadMs
  const parts = await openParts(
    {
      ...usualOptions,
      stateDirectory: join(stateDirectory, `s${++count}`),
      databaseUrl: databaseUrl ?? null,
      publicUrl: url,
      oidcProviders: wanted.map((each, index) => ({
        ...usual(ids[index] ?? '', providers[index]?.issuer ?? ''),
        ...each,
      })),
      log,
      now,
    },
    { n: 4, r: 8, p: 1 },
  )
  t.teardown(() => parts.control.close())
  const gateway = await startGateway({
    listen: [{ host: '127.0.0.1', port }],
    authzListen: null,
    publicUrl: url,
    baseDomain: 'ws.localhost',
    trustedProxies: [],
    control: parts.control.edge,
    app: parts.control.app,
    flowKey: parts.control.flowKey,
    log,
    now,
  })
  t.teardown(() => gateway.close(0))
  await parts.control.feed(gateway.sink)
  const root = new Client(url, port)
  const token = new URL((await parts.control.setupUrl()) ?? '').searchParams.get('token')
  await root.must('POST', '/api/v1/setup', { token, username: 'root', password })
  const agent = await pretendAgent(parts.control.embeddedAgent(), now())
  return {
    ...parts,
    url,
    port,
    providers,
    log,
    upstream,
    root,
    clock,
    visitor: () => new Client(url, port),
    async workspace(owner, name) {
      const ports = [{ port: upstream.port }]
      const { id } = await owner.must<{ id: string }>('POST', '/api/v1/workspaces', {
        name,
        image: 'x',
        ports,
      })
      await agent.obey([{ id, reach: { kind: 'address', host: '127.0.0.1' } }])
      return `http://${name}.ws.localhost:${port}`
    },
    sweptUntil: async (check, what) => {
      const isSo = async (): Promise<boolean> => {
        await parts.sweep()
        return check()
      }
      await until(isSo, { what, timeoutMs: 30_000, everyMs: 50 })
    },
  }
}
