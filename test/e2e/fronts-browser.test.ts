/**
 * A real browser before nginx and Caddy that move the bytes themselves: it visits, signs in, comes back to the very URL, uses
 * a WebSocket and the other port of its workspace, is revoked while it visits, and signs out.
 */
import { createHash } from 'node:crypto'
import { chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { type EdgeUnderTest, startEdge } from '../support/gateway-edge.ts'
import type { SeenRequest } from '../support/gateway-bytes.ts'
import { freePort } from '../support/free-port.ts'
import { type ExampleFront, exampleFronts, ifInstalled } from '../support/fronts-scene.ts'
import { noBrowser } from '../support/product-browser.ts'
import { until } from '../support/until.ts'
import { userRow } from '../support/gateway-control.ts'

/** RFC 6455 §4.2.2. */
const acceptOf = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

const page = `<!doctype html><title>app</title><script>
  const socket = new WebSocket('ws://' + location.host + '/ws')
  socket.onmessage = ({ data }) => (document.title = 'said ' + data)
  socket.onerror = () => (document.title = 'refused')
  socket.onclose = () => (document.title = 'ended')
</script>`

/** A page, and a WebSocket that says `hello` at once and chooses `chat` where that is offered. */
function program({ head, socket }: SeenRequest): void {
  const key = /\r\nsec-websocket-key: (.*)/i.exec(head)?.[1]
  if (key === undefined)
    return void socket.write(
      `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\n\r\n${page}`,
    )
  const chosen = /\r\nsec-websocket-protocol: .*\bchat\b/i.test(head)
    ? 'Sec-WebSocket-Protocol: chat\r\n'
    : ''
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n${chosen}\r\n`,
  )
  socket.write(Buffer.from([0x81, 5, ...Buffer.from('hello')]), () => undefined)
}

async function signIn(tab: Page, url: string): Promise<void> {
  await tab.goto(url)
  await tab.fill('input[name=username]', 'alice')
  await tab.fill('input[name=password]', 'alice-password')
  await tab.press('input[name=password]', 'Enter')
  await tab.waitForURL(url)
}

/** What comes of a WebSocket that a page opens with these protocols: what was chosen and said, or that it failed. */
const opened = (tab: Page, url: string, protocols: readonly string[]): Promise<string> =>
  tab.evaluate(
    ({ at, names }) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(at, names)
        socket.onmessage = ({ data }) => {
          resolve(`${socket.protocol} said ${data}`)
          socket.close()
        }
        socket.onerror = () => resolve('failed')
      }),
    { at: url, names: [...protocols] },
  )

/** A page of nobody's opens WebSockets by a token, with and without a protocol of the program's own. */
async function byToken(t: Test, tab: Page, edge: EdgeUnderTest, port: number): Promise<void> {
  const route = edge.workspace('shop')
  const other = edge.workspace('other')
  const bounds = { workspaceId: route.workspaceId, ports: [edge.upstream.port] }
  const token = edge.control.token('alice', ['connect'], null, bounds)
  const at = (name: string) => `ws://${name}-${edge.upstream.port}.ws.localhost:${port}/ws`
  const ours = `postern.token.${token}`
  await tab.goto(`http://localhost:${port}/healthz`)
  t.equal(await opened(tab, at('shop'), [ours]), `${ours} said hello`)
  t.equal(await opened(tab, at('shop'), [ours, 'chat']), 'chat said hello')
  t.equal(await opened(tab, at('shop'), ['chat', ours]), 'chat said hello')
  t.notMatch(edge.upstream.bytes(), token, 'the program never saw it')
  t.equal(await opened(tab, at('shop'), []), 'failed')
  t.equal(await opened(tab, at('shop'), ['chat']), 'failed')
  t.equal(await opened(tab, at(other.name), [ours]), 'failed', 'another workspace')
  t.equal(await opened(tab, at('shop'), [ours.slice(0, -1)]), 'failed')
}

async function journey(t: Test, front: ExampleFront): Promise<void> {
  const port = await freePort()
  const edge = await startEdge(t, {
    publicUrl: `http://localhost:${port}`,
    trustedProxies: ['127.0.0.0/8'],
    script: program,
  })
  const ports = { front: port, postern: edge.port, authz: edge.authzPort }
  const running = await front.start(front.file, ports, t.testdir())
  t.teardown(() => running.stop())
  const route = edge.workspace('shop')
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  t.teardown(() => browser.close())
  const context = await browser.newContext()
  const tab = await context.newPage()
  tab.setDefaultTimeout(20_000)
  const url = `http://shop-${edge.upstream.port}.ws.localhost:${port}/cart/%C3%A9?id=7&b=%2F`
  // At once, but for decisions that are kept for the running second.
  const asksToSignIn = (): Promise<boolean> =>
    until(
      async () => {
        await tab.goto(url)
        return tab.url().startsWith(`http://localhost:${port}/sign-in`)
      },
      { timeoutMs: 15_000, everyMs: 100, what: 'the sign-in' },
    )
  await signIn(tab, url)
  await tab.waitForFunction(`document.title === 'said hello'`)
  t.equal(tab.url(), url, 'back at the very URL, and its WebSocket speaks')
  const bytes = edge.upstream.bytes()
  t.match(bytes, '\r\nX-Postern-User: alice\r\n')
  t.notMatch(bytes, /postern_(?:workspace|session|flow)/)

  edge.control.gone('user', 'alice')
  await tab.waitForFunction(`document.title === 'ended'`)
  t.equal(tab.url(), url, 'revoked while connected: its open WebSocket has ended')
  await asksToSignIn()
  const refused = edge.upstream.requests.length
  await tab.goto(url)
  t.equal(edge.upstream.requests.length, refused, 'nothing more reached the program')

  edge.control.user(userRow('alice'))
  edge.control.route(route)
  await context.clearCookies()
  await signIn(tab, url)
  await tab.waitForFunction(`document.title === 'said hello'`)
  const sessions = (await context.cookies()).find(({ name }) => name === 'postern_session')
  t.ok(sessions?.httpOnly)
  await edge.control.signOut(
    createHash('sha256')
      .update(sessions?.value ?? '')
      .digest('hex'),
  )
  await tab.waitForFunction(`document.title === 'ended'`)
  await asksToSignIn()
  await context.clearCookies()
  await byToken(t, tab, edge, port)
}

const missing = await noBrowser()
for (const front of exampleFronts.filter(({ passesOn }) => !passesOn))
  t.test(front.name, missing === null ? ifInstalled(front) : { skip: missing }, (t) => journey(t, front))

t.test('Postern alone', missing === null ? {} : { skip: missing }, async (t) => {
  const edge = await startEdge(t, { script: program })
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  t.teardown(() => browser.close())
  await byToken(t, await browser.newPage(), edge, edge.port)
})
