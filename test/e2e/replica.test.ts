/** `postern gateway` beside a server, as real processes: joining, what it passes on, whose address is believed, and its end. */
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import type { GatewayView, TokenView } from '../../control/wire/index.ts'
import { startGatewayProcess } from '../support/product-gateway.ts'
import { adminName, adminPassword, startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

const product = await startProduct(t, { mode: 'split', runtime: 'process' })
const gateway = await startGatewayProcess(t, product)
const list = async (): Promise<readonly GatewayView[]> =>
  (await product.admin.must<{ items: GatewayView[] }>('GET', '/api/v1/gateways')).items

t.test('it joins once by a token, and keeps a credential of its own', async (t) => {
  const [view] = await list()
  t.match(view, { name: String, version: String, connected: true })
  t.ok(Math.abs((view?.lastSeenAtMs ?? 0) - Date.now()) < 60_000)
  t.equal((await stat(gateway.stateDirectory)).mode & 0o777, 0o700)
  t.equal((await stat(join(gateway.stateDirectory, 'credential'))).mode & 0o777, 0o600)
  const credential = (await readFile(join(gateway.stateDirectory, 'credential'), 'utf8')).trim()
  t.match(credential, /^psg_/)
  const body = { name: 'x', machineId: 'x', version: 'x' }
  const { token } = await product.admin.must<{ token: string }>('POST', '/api/v1/gateways/tokens', {
    name: 'once',
  })
  const tryJoin = (bearer: string) => product.client(bearer).api('POST', '/api/gateway/v1/join', body)
  t.equal((await tryJoin(token)).status, 200)
  t.equal((await tryJoin(token)).status, 401, 'the second time')
  t.equal((await tryJoin('psi_' + 'a'.repeat(43))).status, 401)
  const other = (await list()).find(({ name }) => name === 'x')
  await product.admin.must('DELETE', `/api/v1/gateways/${other?.id}`)
  t.equal((await list()).length, 1)
  const member = await product.member('mallory')
  for (const [method, path] of [
    ['GET', '/api/v1/gateways'],
    ['POST', '/api/v1/gateways/tokens'],
    ['DELETE', `/api/v1/gateways/${view?.id}`],
  ] as const)
    t.equal((await member.api(method, path)).status, 403, `${method} ${path}`)
  t.equal((await member.api('POST', '/api/gateway/v1/code', {})).status, 401, 'a session is no gateway')
})

t.test('the dashboard’s host answers through it: pages, API, events, sign-in', async (t) => {
  const visitor = gateway.client()
  t.equal((await visitor.ask('/readyz')).status, 200)
  const page = await visitor.submit('/sign-in', { username: adminName, password: adminPassword })
  t.equal(page.status, 303)
  const own = await visitor.api('GET', '/api/v1/me')
  t.equal(own.json()['username'], adminName)
  t.equal((await product.client().api('GET', '/api/v1/me')).status, 401)
  t.equal((await visitor.ask('/')).headers['x-frame-options'], 'DENY')
  const big = await visitor.api('POST', '/api/v1/workspaces', { name: 'x'.repeat(2_000_000) })
  t.equal(big.status, 413)
  const events = await visitor.socket('/api/v1/events')
  const said: string[] = []
  events.on('message', (data) => void said.push(String(data as Buffer)))
  await until(() => said.some((text) => text.includes('"live"')))
  await visitor.must('POST', '/api/v1/tokens', { name: 'ours' })
  const ended = once(events, 'close')
  const direct = product.client()
  await direct.must('POST', '/api/v1/sessions', { username: adminName, password: adminPassword })
  await direct.must('DELETE', '/api/v1/sessions/current')
  await visitor.must('DELETE', '/api/v1/sessions/current')
  await ended
  t.equal((await visitor.api('GET', '/api/v1/me')).status, 401)
})

/** Signs in from a given address of this machine, and tells the address that the server believes. */
async function addressOf(port: number, localAddress: string, headers = {}): Promise<string> {
  const call = request({
    host: '127.0.0.1',
    port,
    localAddress,
    method: 'POST',
    path: '/api/v1/sessions',
    headers: { Host: new URL(product.url).host, 'Content-Type': 'application/json', ...headers },
  })
  call.end(JSON.stringify({ username: adminName, password: adminPassword }))
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  answer.resume()
  const cookie = String(answer.headers['set-cookie']).split(';')[0]
  const visitor = product.client()
  const { items } = (
    await visitor.ask('/api/v1/sessions', { headers: { Cookie: String(cookie), Accept: 'application/json' } })
  ).json<{ items: { current: boolean; device: string }[] }>()
  return items.find(({ current }) => current)?.device ?? ''
}

t.test('the server believes what a gateway says of its visitor’s address, and nobody else', async (t) => {
  const credential = (await readFile(join(gateway.stateDirectory, 'credential'), 'utf8')).trim()
  t.match(await addressOf(gateway.port, '127.0.0.7'), /127\.0\.0\.7/)
  const forged = { 'X-Postern-Visitor': 'psg_nobodys 9.9.9.9', 'X-Forwarded-For': '9.9.9.9' }
  t.match(await addressOf(gateway.port, '127.0.0.8', forged), /127\.0\.0\.8/)
  t.match(await addressOf(product.port, '127.0.0.8', forged), /127\.0\.0\.8/)
  const { token } = await product
    .client(credential)
    .must<{ token: string }>('POST', '/api/gateway/v1/token', undefined)
  const proven = { 'X-Postern-Visitor': `${token} 9.9.9.9` }
  t.match(await addressOf(product.port, '127.0.0.8', proven), /9\.9\.9\.9/)
  const long = { 'X-Postern-Visitor': `${credential} 9.9.9.9` }
  t.match(
    await addressOf(product.port, '127.0.0.8', long),
    /127\.0\.0\.8/,
    'the credential itself proves nothing here',
  )
})

t.test(
  'an access token of one workspace opens it here too, and the program can check for whom',
  async (t) => {
    const program = `require('node:http').createServer((req, res) => res.end(JSON.stringify(req.headers)))
    .listen(Number(process.env.PORT ?? 3000), '0.0.0.0')`
    const make = (name: string) =>
      product.admin.must<{ id: string }>('POST', '/api/v1/workspaces', {
        name,
        template: 'blank',
        command: ['node', '-e', program],
        ports: [{ port: 3000 }],
      })
    const { id } = await make('shop')
    await make('other')
    const { token } = await product.admin.must<{ token: string }>('POST', '/api/v1/tokens', {
      name: 'shop only',
      workspace: 'shop',
      ports: [3000],
    })
    const visitor = gateway.client()
    const ask = (label: string) =>
      visitor.ask(product.workspaceUrl(label), { headers: { 'X-Postern-Token': token } })
    const answer = await until(
      async () => {
        const got = await ask('shop-3000')
        return got.status === 200 ? got : null
      },
      { timeoutMs: 60_000, everyMs: 100 },
    )
    const told = answer.json<Record<string, string>>()
    t.notOk(told['x-postern-token'])
    const keys = createLocalJWKSet((await visitor.ask('/.well-known/postern/jwks.json')).json())
    const { payload } = await jwtVerify(told['x-postern-assertion'] ?? '', keys, {
      issuer: product.url,
      audience: `shop-3000.${product.baseDomain}`,
    })
    t.match(payload, { username: adminName, workspace: id })
    t.equal((await ask('other-3000')).status, 404)
    t.equal((await ask('shop-3001')).status, 404)
    await until(
      async () => {
        const { items } = await product.admin.must<{ items: TokenView[] }>('GET', '/api/v1/tokens')
        return items.some(({ name, lastUsedAtMs }) => name === 'shop only' && lastUsedAtMs !== null)
      },
      { timeoutMs: 60_000, everyMs: 200, what: 'its last use' },
    )
  },
)

t.test('it starts again without a token; a revoked one ends, and says what to do', async (t) => {
  await gateway.cli.end()
  t.match(gateway.cli.stdout, /"stopped"/)
  await until(async () => (await list())[0]?.connected === false)
  await gateway.start()
  t.equal((await gateway.client().ask('/readyz')).status, 200)
  const [view] = await list()
  await product.admin.must('DELETE', `/api/v1/gateways/${view?.id}`)
  const { code } = await gateway.cli.ended
  t.equal(code, 2)
  t.match(gateway.cli.stderr, /join_refused/)
  gateway.launch()
  t.equal((await gateway.cli.ended).code, 2, 'nor does it start again')
})

t.test('a cap holds for all workers together, whichever of them a connection comes to', async (t) => {
  const many = await startGatewayProcess(t, product, { workers: 3, args: ['--max-sockets-per-user=5'] })
  const visitor = many.client()
  await visitor.must('POST', '/api/v1/sessions', { username: adminName, password: adminPassword })
  const open = async () => visitor.socket('/api/v1/events').catch(() => null)
  const held: Awaited<ReturnType<typeof open>>[] = []
  while (held.filter((socket) => socket !== null).length < 5) held.push(await open())
  // One more may come to a worker that hasn't heard yet; then none does, anywhere.
  let refused = 0
  const isFull = async (): Promise<boolean> => {
    const socket = await open()
    refused = socket === null ? refused + 1 : 0
    socket?.terminate()
    return refused === 30
  }
  await until(isFull, { timeoutMs: 60_000, everyMs: 20, what: 'every worker to refuse' })
  for (const socket of held) socket?.terminate()
  await until(async () => (await open()) !== null, { timeoutMs: 60_000, what: 'room for another' })
})
