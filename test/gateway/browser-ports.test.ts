// A real browser on the ports of two workspaces: what pages of one may do to its own other ports, and may not to the other's.
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { portDefaults } from '../../control/wire/index.ts'
import { startEdge } from '../support/gateway-edge.ts'
import { launch, noBrowser, signIn } from '../support/product-browser.ts'
import { listenWithSockets } from '../support/socket-app.ts'

/** An app that knows nothing of CORS: it says what it was asked, and echoes on WebSockets. */
async function app(t: Test) {
  const seen: string[] = []
  const note = ({ method, headers, url }: IncomingMessage) =>
    void seen.push(`${method} ${headers.host?.split('.')[0]}${url} ${headers.origin ?? ''}`)
  const server = createServer((req, res) => {
    note(req)
    const isKept = req.url === '/kept'
    res.writeHead(req.method === 'OPTIONS' ? 405 : 200, {
      'Content-Type': req.url === '/page' ? 'text/html' : 'application/json',
      'Cache-Control': isKept ? 'max-age=600' : 'no-store',
      'X-App': 'here',
    })
    res.end(req.url === '/page' ? '<!doctype html><title>page</title>' : JSON.stringify(req.method))
    req.resume()
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket, req) => {
    note(req)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  return { seen, port: await listenWithSockets(t, server, sockets) }
}

/** Run in the page: what a call to another place gives. */
const calls = (base: string, path = ''): string => `(async () => {
  const call = (path, init) => fetch('http://${base}${path}' + path, { credentials: 'include', ...init }).then(
    async (answer) => [answer.status, answer.status < 400 ? await answer.json() : '', answer.headers.get('x-app')],
    () => 'refused',
  )
  const socket = new Promise((done) => {
    const ws = new WebSocket('ws://${base}${path}/socket')
    ws.onopen = () => ws.send('echo')
    ws.onmessage = (event) => done(event.data)
    ws.onerror = () => done('refused')
  })
  return {
    get: await call('/plain', {}),
    put: await call('/data', { method: 'PUT', headers: { 'content-type': 'application/json', 'x-csrf': '1' }, body: '{}' }),
    socket: await socket,
  }
})()`

const allowed = { get: [200, 'GET', 'here'], put: [200, 'PUT', 'here'], socket: 'echo' }
const refused = { get: 'refused', put: 'refused', socket: 'refused' }

const without = await noBrowser()

await t.test(
  'ports of a workspace, in a browser',
  { skip: without ?? false, timeout: 120_000 },
  async (t) => {
    const [front, api] = [await app(t), await app(t)]
    const held = createServer().listen(0, '127.0.0.1')
    await once(held, 'listening')
    const { port } = held.address() as AddressInfo
    held.close()
    await once(held, 'close')
    const edge = await startEdge(t, {
      listen: [{ host: '127.0.0.1', port }],
      publicUrl: `http://localhost:${port}`,
    })
    const ports = [front, api].map((each) => ({ ...portDefaults, port: each.port }))
    const shop = edge.workspace('shop', {
      ports,
      defaultPort: front.port,
      paths: [{ prefix: '/api', port: api.port }],
    })
    edge.workspace('rival', { ports, defaultPort: front.port })
    const at = (label: string): string => `${label}.ws.localhost:${port}`
    const browser = await launch()
    t.teardown(() => browser.close())
    const context = await browser.newContext()
    const tab = await context.newPage()
    const run = async (code: string): Promise<unknown> => tab.evaluate(code)
    const page = `http://${at(`shop-${front.port}`)}/page`

    await tab.goto(page)
    await signIn(tab, 'alice', 'alice-password')
    await tab.waitForURL(page)
    t.same(await run(calls(at(`shop-${api.port}`))), allowed, 'right after the sign-in on one port')
    t.match(api.seen.toSorted(), [/^GET/, /^GET/, /^PUT/], 'no preflight reached the app')
    await tab.goto(`http://${at(`rival-${api.port}`)}/page`)
    await tab.goto(`http://${at(`rival-${front.port}`)}/page`)
    t.same(await run(calls(at(`rival-${api.port}`))), allowed, 'the other workspace’s own')
    await tab.goto(page)
    for (const other of [`rival-${api.port}`, `rival-${front.port}`, 'rival', 'nobody-3000'])
      t.same(await run(calls(at(other))), refused, other)
    const crossed = [...front.seen, ...api.seen].filter((line) => /rival\S* http:\/\/shop/.test(line))
    t.same(crossed, [], 'nothing of it reached an app, though she is signed in there')

    await tab.goto(`http://${at(`shop-${api.port}`)}/kept`)
    await tab.goto(page)
    const kept = await run(
      `fetch('http://${at(`shop-${api.port}`)}/kept', { credentials: 'include' }).then((a) => a.status, () => 0)`,
    )
    t.equal(kept, 200, 'what the browser kept for the port itself is not taken for it')

    await tab.goto(`http://${at('shop')}/page`)
    api.seen.length = 0
    t.same(await run(calls(at('shop'), '/api')), allowed, 'a composed host')
    t.match(api.seen.toSorted(), [
      /^GET shop\/api\/plain $/,
      /^GET shop\/api\/socket/,
      /^PUT shop\/api\/data http:\/\/shop\./,
    ])
    t.notMatch(front.seen.join('\n'), /\/api/, 'paths go where they are said to go')

    await tab.goto(page)
    await context.clearCookies({ domain: `shop-${api.port}.ws.localhost` })
    t.same(
      await run(calls(at(`shop-${api.port}`))),
      { get: [401, '', null], put: [401, '', null], socket: 'refused' },
      'signed out there: the page can read that it is',
    )
    await tab.goto(`http://${at(`shop-${api.port}`)}/page`)
    edge.control.route({ ...shop, ports: ports.map((each) => ({ ...each, cors: 'app' as const })) })
    await tab.goto(page)
    t.same(await run(calls(at(`shop-${api.port}`))), refused, 'where CORS is the app’s own, and it has none')
  },
)
