// alone: it measures how soon a right is lost everywhere, and counts every lost request
/** Two gateways of two workers beside a server, under load: revocation, reload, a killed worker, a server that is away. */
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { WebSocket } from 'ws'
import { Load } from '../support/load-client.ts'
import { type Client, navigation } from '../support/product-client.ts'
import { startGatewayProcess, type GatewayProcess } from '../support/product-gateway.ts'
import { adminName, adminPassword, startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

/** Answers at once, slowly on /slow, and says what it hears on a WebSocket. */
const program = `
const http = require('node:http'), { createHash } = require('node:crypto')
const server = http.createServer((req, res) => {
  setTimeout(() => res.end('alive'), req.url === '/slow' ? 50 : 0)
})
server.on('upgrade', (req, socket) => {
  const accept = createHash('sha1').update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n')
  socket.pipe(socket)
  socket.on('error', () => {})
})
server.listen(Number(process.env.PORT ?? 3000), '0.0.0.0')
`

const STALE = '8s'
const product = await startProduct(t, { mode: 'split', runtime: 'process' })
const first = await startGatewayProcess(t, product)
const second = await startGatewayProcess(t, product, { args: [`--stale-for=${STALE}`] })
const both = [first, second]
const host = `shop.ws.localhost:${product.port}`

/** A token of the administrator's, and its id. */
const newToken = () =>
  product.admin.must<{ id: string; token: string }>('POST', '/api/v1/tokens', {
    name: 'test',
    scopes: ['connect'],
  })
const bearer = (token: string) => [`Authorization: Bearer ${token}`]
const ask = async (gateway: GatewayProcess, token: string, path = '/') =>
  gateway.client().ask(`http://${host}${path}`, { headers: { Authorization: `Bearer ${token}` } })

await product.admin.must('POST', '/api/v1/workspaces', {
  name: 'shop',
  template: 'node-web',
  command: ['node', '-e', program],
  ports: [{ port: 3000, visibility: 'members' }],
})
const load = await newToken()
for (const gateway of both)
  await until(async () => (await ask(gateway, load.token)).text === 'alive', {
    timeoutMs: 60_000,
    what: 'the program behind both gateways',
  })

/** WebSockets on both gateways, spread over their workers; each promise gives the time of its end. */
async function openSockets(
  open: (gateway: GatewayProcess) => Promise<WebSocket>,
): Promise<Promise<number>[]> {
  const ends: Promise<number>[] = []
  for (const gateway of [...both, ...both, ...both, ...both]) {
    const socket = await open(gateway)
    ends.push(once(socket, 'close').then(() => performance.now()))
  }
  return ends
}

/** Asks on new connections until nobody is let in any more; gives the time of the last yes. */
async function lastYes(status: (gateway: GatewayProcess) => Promise<number>): Promise<number> {
  let lastMs = 0
  let refusals = 0
  await until(
    async () => {
      const answers = await Promise.all([...both, ...both].map(status))
      if (!answers.includes(200)) return ++refusals > 10
      lastMs = performance.now()
      refusals = 0
      return false
    },
    { timeoutMs: 20_000, everyMs: 40, what: 'every gateway to refuse' },
  )
  return lastMs
}

async function measure(
  t: Test,
  what: string,
  given: {
    readonly sockets: Promise<number>[]
    readonly status: (gateway: GatewayProcess) => Promise<number>
    readonly revoke: () => Promise<unknown>
  },
): Promise<void> {
  const fromMs = performance.now()
  const yes = lastYes(given.status)
  await given.revoke()
  const answeredMs = performance.now() - fromMs
  const socketsMs = Math.max(...(await Promise.all(given.sockets))) - fromMs
  const requestsMs = (await yes) - fromMs
  t.comment(
    `${what}: sockets dead after ${Math.round(socketsMs)} ms, the last request let in after ${Math.round(requestsMs)} ms, told after ${Math.round(answeredMs)} ms`,
  )
  // From when the change is answered: how long a starved machine takes until then says nothing of gateways.
  t.ok(socketsMs - answeredMs < 1000, `${what}: sockets`)
  t.ok(requestsMs - answeredMs < 1000, `${what}: requests`)
}

const stopAll = (loads: readonly Load[]) => Promise.all(loads.map((each) => each.stop()))

const showTo = (visibility: string) =>
  product.admin.must('PATCH', '/api/v1/workspaces/shop', { ports: [{ port: 3000, visibility }] })

async function measureGrant(t: Test, url: string): Promise<void> {
  await showTo('shared')
  const viewer = await product.member('cora')
  const { token } = await viewer.must<{ token: string }>('POST', '/api/v1/tokens', {
    name: 'x',
    scopes: ['connect'],
  })
  const grant = await product.admin.must<{ id: string }>('POST', '/api/v1/grants', {
    subject: { kind: 'user', id: 'cora' },
    object: { kind: 'workspace', id: 'shop' },
  })
  await measure(t, 'grant', {
    sockets: await openSockets((gateway) =>
      gateway.client().socket(url, { headers: { Authorization: `Bearer ${token}` } }),
    ),
    status: async (gateway) => (await ask(gateway, token)).status,
    revoke: () => product.admin.must('DELETE', `/api/v1/grants/${grant.id}`),
  })
}

async function measureLink(t: Test, url: string): Promise<void> {
  await showTo('link')
  const link = await product.admin.must<{ id: string; url: string }>(
    'POST',
    '/api/v1/workspaces/shop/links',
    {},
  )
  const body = new URLSearchParams({ token: new URL(link.url).hash.slice(1) }).toString()
  const guests = new Map<GatewayProcess, Client>()
  for (const gateway of both) {
    const guest = gateway.client()
    await guest.ask(`${url}.postern/link`, {
      method: 'POST',
      headers: {
        ...navigation,
        Origin: `http://${host}`,
        'Content-Type': 'application/x-www-form-urlencoded',
      },
      body,
    })
    t.equal((await guest.ask(url)).text, 'alive', 'a guest by a link')
    guests.set(gateway, guest)
  }
  const of = (gateway: GatewayProcess): Client => guests.get(gateway) as Client
  await measure(t, 'link', {
    sockets: await openSockets((gateway) => of(gateway).socket(url)),
    status: async (gateway) => (await of(gateway).ask(url)).status,
    revoke: () => product.admin.must('DELETE', `/api/v1/workspaces/shop/links/${link.id}`),
  })
}

t.test('a lost right is lost on every worker within a second, open sockets included', async (t) => {
  const loads = both.map(({ port }) => new Load({ port, host, headers: bearer(load.token), connections: 4 }))
  const token = await newToken()
  const authorization = { Authorization: `Bearer ${token.token}` }
  await measure(t, 'token', {
    sockets: await openSockets((gateway) =>
      gateway.client().socket(`http://${host}/`, { headers: authorization }),
    ),
    status: async (gateway) => (await ask(gateway, token.token)).status,
    revoke: () => product.admin.must('DELETE', `/api/v1/tokens/${token.id}`),
  })
  const url = `http://${host}/`
  const visitors = new Map<GatewayProcess, Client>()
  for (const gateway of both) {
    const visitor = gateway.client()
    await visitor.must('POST', '/api/v1/sessions', { username: adminName, password: adminPassword })
    t.equal(
      (await visitor.browse(url)).text,
      'alive',
      'a hand-off from page to page, whatever worker has which',
    )
    visitors.set(gateway, visitor)
  }
  const of = (gateway: GatewayProcess): Client => visitors.get(gateway) as Client
  await measure(t, 'session', {
    sockets: await openSockets((gateway) => of(gateway).socket(url)),
    status: async (gateway) => (await of(gateway).ask(url)).status,
    revoke: () => Promise.all(both.map((gateway) => of(gateway).must('DELETE', '/api/v1/sessions/current'))),
  })
  const member = await product.member('bob')
  const theirs = await member.must<{ token: string }>('POST', '/api/v1/tokens', {
    name: 'x',
    scopes: ['connect'],
  })
  const { id } = (await member.api('GET', '/api/v1/me')).json<{ id: string }>()
  await measure(t, 'user', {
    sockets: await openSockets((gateway) =>
      gateway.client().socket(url, { headers: { Authorization: `Bearer ${theirs.token}` } }),
    ),
    status: async (gateway) => (await ask(gateway, theirs.token)).status,
    revoke: () => product.admin.must('PATCH', `/api/v1/users/${id}`, { disabled: true }),
  })
  await measureGrant(t, url)
  await measureLink(t, url)
  await stopAll(loads)
  for (const { served, failures } of loads) {
    t.ok(served > 100, `${served} requests beside it`)
    t.same(failures, [])
  }
})

t.test('a reload loses no request; a killed worker only those that it had', async (t) => {
  const before = await first.workers()
  const loads = ['/', '/slow'].map(
    (path) => new Load({ port: first.port, host, headers: bearer(load.token), connections: 8, path }),
  )
  t.teardown(() => stopAll(loads))
  const served = () => loads.reduce((sum, each) => sum + each.served, 0)
  const failures = () => loads.flatMap((each) => each.failures)
  await until(() => served() > 100)
  const socket = await first
    .client()
    .socket(`http://${host}/`, { headers: { Authorization: `Bearer ${load.token}` } })
  const ended = once(socket, 'close')
  first.cli.child.kill('SIGHUP')
  await until(() => /new workers serve/.test(first.cli.stdout), { timeoutMs: 30_000, what: 'new workers' })
  const [code] = (await ended) as [number]
  t.equal(code, 1006, 'a close that clients come back from')
  await until(() => before.every((pid) => !alive(pid)), {
    timeoutMs: 20_000,
    what: 'the old workers to end',
  })
  const atMs = served()
  await until(() => served() > atMs + 100)
  t.same(failures(), [], 'none was lost, and none refused')

  const [victim = 0] = await first.workers()
  process.kill(victim, 'SIGKILL')
  await until(() => /a worker was replaced/.test(first.cli.stdout), { timeoutMs: 30_000, what: 'another' })
  const laterMs = served()
  await until(() => served() > laterMs + 100)
  await stopAll(loads)
  t.ok(failures().length <= 16, `${failures().length} of 16 connections were its own`)
  t.same(
    [...new Set(failures())].filter((each) => each !== 'cut'),
    [],
    'they were under way',
  )
  t.equal((await first.workers()).length, 2)
  const metrics = await (await fetch(`http://127.0.0.1:${first.authzPort}/metrics`)).text()
  const counted = Number(/^postern_gateway_proxied_total (\d+)$/m.exec(metrics)?.[1])
  t.ok(counted > atMs, `the sum keeps what ended workers counted: ${counted} of ${served()}`)
  t.match(metrics, /^postern_gateway_workers 2$/m)
})

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test('while the server is away a gateway goes on, for as long as was said; then it recovers', async (t) => {
  const stale = async (): Promise<string> => {
    const metrics = await (await fetch(`http://127.0.0.1:${second.authzPort}/metrics`)).text()
    return /^postern_gateway_stale (\d)$/m.exec(metrics)?.[1] ?? ''
  }
  product.server.child.kill('SIGSTOP')
  const fromMs = performance.now()
  t.equal((await ask(second, load.token)).status, 200)
  await until(() => /does not feed this gateway/.test(second.cli.stdout), { timeoutMs: 15_000 })
  const noticedMs = performance.now() - fromMs
  t.ok(noticedMs < 8000, `noticed after ${Math.round(noticedMs)} ms`)
  const refused = await until(
    async () => {
      const answer = await ask(second, load.token)
      return answer.status === 503 ? answer : null
    },
    { timeoutMs: 30_000 },
  )
  t.ok(performance.now() - fromMs > 5000, 'not before its time')
  t.equal(refused.json()['code'], 'control_away')
  t.equal((await second.client().ask('/readyz')).status, 503)
  t.equal(await stale(), '1')
  t.equal((await ask(first, load.token)).status, 200, 'the other has more patience')
  product.server.child.kill('SIGCONT')
  await until(async () => (await stale()) === '0', { timeoutMs: 20_000, what: 'the end of its staleness' })
  await until(() => /control is back/.test(second.cli.stdout))
  await until(async () => (await ask(second, load.token)).status === 200, { timeoutMs: 20_000 })
})

t.test(
  'another process of control is another epoch: the set is taken anew, and what it says holds',
  async (t) => {
    const resets = () => second.cli.stdout.match(/all facts are taken anew/g)?.length ?? 0
    const before = resets()
    const token = await newToken()
    await product.server.end('SIGKILL')
    t.equal((await ask(second, token.token)).status, 200, 'while it is away')
    await product.startServer()
    await until(() => resets() > before, { timeoutMs: 20_000 })
    await product.admin.must('DELETE', `/api/v1/tokens/${token.id}`)
    t.equal((await ask(second, token.token)).status, 401, 'known when the change is answered')
    t.equal((await ask(second, load.token)).status, 200)
  },
)
