/** Two people's workspaces on sibling hosts, a real browser of the one, and pages of the other's: what attacks in a browser are tried on. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { Test } from 'tap'
import { WebSocketServer } from 'ws'
import { password } from './control-server.ts'
import { launch, noBrowser, signIn } from './product-browser.ts'
import { type Deployment, startDeployment } from './proof-deployment.ts'
import { sharedAuthority } from './tls-authority.ts'
import { listenWithSockets } from './socket-app.ts'

/** What reached an app. */
export interface Arrived {
  readonly method: string
  readonly url: string
  readonly origin: string
  readonly cookie: string
  readonly user: string
  readonly body: string
}

/** An app that knows nothing of attacks: pages, JSON, sockets that echo, and whatever headers a query asks for. */
export interface App {
  readonly port: number
  readonly arrived: Arrived[]
}

/** `h` in a query: header fields of the answer, as JSON pairs; `b`: its body. */
function answer(req: IncomingMessage, res: ServerResponse): void {
  const query = new URLSearchParams((req.url ?? '').split('?')[1] ?? '')
  for (const [name, value] of JSON.parse(query.get('h') ?? '[]') as [string, string | string[]][])
    res.setHeader(name, value)
  if (!res.hasHeader('content-type')) res.setHeader('Content-Type', 'text/html')
  res.setHeader('Cache-Control', 'no-store')
  res.end(query.get('b') ?? '<!doctype html><title>app</title><p id="secret">secret of the app</p>')
}

async function startApp(t: Test): Promise<App> {
  const arrived: Arrived[] = []
  const note = ({ method = '', url = '', headers }: IncomingMessage, body: string): void =>
    void arrived.push({
      method,
      url,
      body,
      origin: headers.origin ?? '',
      cookie: headers.cookie ?? '',
      user: String(headers['x-postern-user'] ?? ''),
    })
  const server = createServer((req, res) => {
    let body = ''
    req.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
    req.on('end', () => {
      note(req, body)
      answer(req, res)
    })
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket, req) => {
    note(req, 'socket')
    socket.send('secret of the socket')
    socket.on('error', () => undefined)
  })
  return { arrived, port: await listenWithSockets(t, server, sockets) }
}

/** One base: `*.ws.localhost` over plain HTTP, or a made-up one over TLS that shares its site with the dashboard. */
export type Base = 'ws.localhost' | 'ws.fort.test'
export const bases: readonly Base[] = ['ws.localhost', 'ws.fort.test']

export interface Scene {
  readonly base: Base
  readonly place: Deployment
  readonly browser: Browser
  /** Of vera, who is signed in on the dashboard and on `shop`; `lair` is public, and mallory's. */
  readonly vera: BrowserContext
  readonly shopId: string
  readonly shopApp: App
  readonly lairApp: App
  /** Origins. */
  readonly home: string
  readonly shop: string
  readonly lair: string
  /** Names of our cookies here. */
  readonly names: { readonly session: string; readonly workspace: string; readonly flow: string }
  /** A tab of vera's on a page of mallory's. */
  lured(path?: string): Promise<Page>
  /** True where vera's browser is let in to her workspace, after as many sign-ins as it takes: her password, at most once. */
  entersShop(): Promise<boolean>
}

/** Why no such test can run here, or null. */
export async function noScene(): Promise<string | null> {
  return (await noBrowser()) ?? (sharedAuthority() === null ? 'openssl is not installed' : null)
}

function certificates() {
  const authority = sharedAuthority()
  if (authority === null) throw new Error('openssl is not installed')
  return [
    authority.issue('desk', ['desk.fort.test', 'paths.fort.test']),
    authority.issue('fort', ['*.ws.fort.test']),
  ]
}

/** Builds the scene; vera is signed in. */
export async function startScene(t: Test, base: Base): Promise<Scene> {
  const root = t.testdir({})
  const web = join(root, 'web')
  mkdirSync(web)
  writeFileSync(join(web, 'index.html'), '<!doctype html><title>the dashboard</title><button>Delete</button>')
  const place = await startDeployment(t, {
    byPath: true,
    ...(base === 'ws.localhost' ? {} : { madeUp: { certificates: certificates() } }),
    control: { webRoot: web, stateDirectory: join(root, 'state') },
  })
  const [shopApp, lairApp] = [await startApp(t), await startApp(t)]
  const [vera, mallory] = [await place.member('vera'), await place.member('mallory')]
  const { id: shopId } = await place.workspace(vera, 'shop', [{ port: shopApp.port }])
  await place.workspace(mallory, 'lair', [{ port: lairApp.port, visibility: 'public' }])
  const rules =
    base === 'ws.localhost'
      ? []
      : [`--host-resolver-rules=MAP *.fort.test 127.0.0.1:${place.tlsPort}`, '--ignore-certificate-errors']
  const browser = await launch(rules)
  t.teardown(() => browser.close())
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  context.setDefaultTimeout(20_000)
  const prefix = base === 'ws.localhost' ? '' : '__Host-'
  const scene: Scene = {
    base,
    place,
    browser,
    vera: context,
    shopId,
    shopApp,
    lairApp,
    home: place.publicUrl,
    shop: place.origin('shop'),
    lair: place.origin('lair'),
    names: {
      session: `${prefix}postern_session`,
      workspace: `${prefix}postern_workspace`,
      flow: `${prefix}postern_flow`,
    },
    async lured(path = '/') {
      const page = await context.newPage()
      await page.goto(`${place.origin('lair')}${path}`)
      return page
    },
    async entersShop() {
      const page = await context.newPage()
      try {
        await page.goto(`${place.origin('shop')}/mine`)
        if (page.url().startsWith(`${place.publicUrl}/sign-in`)) {
          await signIn(page, 'vera', password)
          await page.waitForURL((url) => url.pathname !== '/sign-in')
        }
        await page.waitForLoadState()
        return page.url() === `${place.origin('shop')}/mine` && (await page.title()) === 'app'
      } finally {
        await page.close()
      }
    },
  }
  if (!(await scene.entersShop())) throw new Error('vera does not get into her own workspace')
  return scene
}

/** What arrived at an app as somebody of ours, by a page of mallory's. */
export const crossed = ({ arrived }: App, lair: string): Arrived[] =>
  arrived.filter(({ origin, user }) => user !== '' && (origin === lair || origin === 'null'))
