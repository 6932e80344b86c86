/**
 * Traefik's configuration as Postern serves it, and what a Traefik does by it (a fake one: the real one can't be had here):
 * who gets in, what the program sees, and that an address is only used for the workspace that has it.
 */
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { mayAskAt } from '../../gateway/authz/peers.ts'
import { ROUTERS_MAX, traefikConfig } from '../../gateway/authz/traefik.ts'
import { siteOf } from '../../gateway/host/site.ts'
import { startEdge, type TestEdge } from '../support/fronts-edge.ts'
import { frontFacts, secrets, webPorts, webRoute, type WebPorts } from '../support/fronts-facts.ts'
import { ruleFits, startTraefik, traefikSchema, type FakeTraefik } from '../support/fronts-traefik.ts'
import { namesOf, startUpstream, valuesOf, type Seen, type Upstream } from '../support/fronts-upstream.ts'
import { ask, type Answer } from '../support/fronts-visitor.ts'

interface Scene {
  readonly edge: TestEdge
  readonly traefik: FakeTraefik
  readonly own: Upstream
  readonly open: Upstream
  readonly ports: WebPorts
  visit(
    label: string,
    headers?: Readonly<Record<string, string>>,
    more?: { method?: string; path?: string },
  ): Promise<Answer>
}

const PUBLIC = 8090

async function scene(t: Test): Promise<Scene> {
  const [own, open] = [await startUpstream('own'), await startUpstream('open')]
  const ports: WebPorts = { own: own.port, open: open.port, members: 1 }
  const edge = await startEdge(frontFacts(ports), { publicUrl: `http://localhost:${PUBLIC}` })
  const traefik = await startTraefik(`http://127.0.0.1:${edge.authz}/api/authz/traefik/config`)
  t.teardown(async () => {
    await traefik.close()
    await edge.gateway.close(0)
    await own.close()
    await open.close()
  })
  await traefik.poll()
  return {
    edge,
    traefik,
    own,
    open,
    ports,
    visit: (label, headers = {}, more = {}) =>
      ask({ port: traefik.port, host: `${label}.ws.localhost:${PUBLIC}`, headers, ...more }),
  }
}

const mine = { Cookie: `theme=dark; postern_workspace=${secrets.adaOnWeb}` }
const seenBy = (answer: Answer): Seen => JSON.parse(answer.body) as Seen

t.test('the document has what Traefik can serve itself, and changes with the table', async (t) => {
  const at = await scene(t)
  const { own, open, members } = at.ports
  const names = async (): Promise<string[]> => Object.keys((await at.traefik.poll()).http.routers).sort()
  t.same(await names(), ['postern', `w-web-${own}`, `w-web-${open}`, `w-web-${members}`].sort())
  const { routers, services, middlewares } = (await at.traefik.poll()).http
  t.same(services[`w-web-${own}`]?.loadBalancer.servers, [{ url: `http://127.0.0.1:${own}` }])
  const router = routers[`w-web-${own}`]!
  t.match(
    router.rule,
    `Host(\`web-${own}.ws.localhost\`) || Host(\`shop-${own}.ws.localhost\`) || Host(\`web.ws.localhost\`)`,
  )
  for (const name of router.middlewares ?? []) t.ok(middlewares[name], name)
  const guard = middlewares[`w-web-${own}`]
  t.ok(guard !== undefined && 'forwardAuth' in guard && !guard.forwardAuth.trustForwardHeader)

  const asked = (label: string, headers: Record<string, string> = {}, path = '/', method = 'GET') => {
    const fields = new Map(Object.entries(headers))
    const host = `${label}.ws.localhost`
    return ruleFits(router.rule, { host, path, method, headers: fields })
  }
  t.ok(asked(`web-${own}`))
  t.ok(asked('web'))
  t.notOk(asked(`web-${own}`, { upgrade: 'WebSocket' }))
  t.notOk(asked(`web-${own}`, { 'sec-websocket-protocol': 'postern.token.pst_x' }))
  t.notOk(asked(`web-${open}`))
  t.notOk(asked(`web-${own}`, {}, '/.postern/enter'))
  t.notOk(asked(`web-${own}`, { upgrade: 'h2c' }))
  t.notOk(asked(`web-${own}`, { 'sec-fetch-site': 'same-site' }))
  t.notOk(asked(`web-${own}`, { 'access-control-request-method': 'PUT' }, '/', 'OPTIONS'))
  t.ok(asked(`web-${own}`, {}, '/', 'OPTIONS'))

  const row = webRoute(at.ports)
  const tell = (change: Partial<typeof row>) =>
    at.edge.apply([{ kind: 'route', key: row.workspaceId, row: { ...row, ...change } }])
  tell({ paths: [{ prefix: '/api', port: open }] })
  t.notMatch(
    (await at.traefik.poll()).http.routers[`w-web-${own}`]?.rule,
    /Host\(`web\.ws/,
    'a composed host is Postern’s',
  )
  tell({ ports: row.ports.map((port) => ({ ...port, lenient: port.port === own })) })
  t.notOk((await names()).includes(`w-web-${own}`), 'a lenient port is Postern’s')
  tell({ phase: 'stopped', reach: { kind: 'none' } })
  t.same(await names(), ['postern'])
  tell({})
  t.equal((await names()).length, 4)
})

t.test('a document has an end: what is beyond it goes through Postern', (t) => {
  const routes = Array.from({ length: ROUTERS_MAX }, (_, i) => ({
    ...webRoute(webPorts),
    workspaceId: `w${i}`,
    name: `web${i}`,
  }))
  const site = siteOf('http://localhost:8090', 'ws.localhost')
  const made = traefikConfig({ site, routes, authz: '127.0.0.1:8091', postern: '127.0.0.1:8090' })
  t.equal(Object.keys(made.http.routers).length, ROUTERS_MAX + 1)
  t.equal(Object.keys(made.http.services).length, ROUTERS_MAX + 1)
  t.ok(traefikSchema.safeParse(made).success)
  t.end()
})

t.test('who gets in, and what the program sees', async (t) => {
  const at = await scene(t)
  const label = `web-${at.ports.own}`
  const claims = Object.fromEntries(
    [
      'X-Postern-User',
      'X_Postern_User',
      'X.Postern.User',
      'X-Postern_User',
      'X_POSTERN-EMAIL',
      'X-Postern-Upstream',
      'X-Postern-Allow-Origin',
      'X_Forwarded_For',
      'X-Forwarded-User',
      'X-Forwarded-Host',
      'X-Forwarded-Prefix',
      'Remote_User',
      'X-Auth-Request-User',
      'X-Real-IP',
      'Forwarded',
    ].map((name) => [name, 'forged']),
  )
  const got = await at.visit(
    label,
    { ...mine, ...claims, Authorization: 'Basic YTpi' },
    { path: '/a//b?x=%20' },
  )
  t.equal(got.status, 200)
  const seen = seenBy(got)
  t.match(seen, { name: 'own', url: '/a//b?x=%20' })
  t.notMatch(JSON.stringify(seen), /forged|session-of/)
  t.same(valuesOf(seen, 'cookie'), ['theme=dark'])
  t.same(valuesOf(seen, 'authorization'), ['Basic YTpi'])
  t.same(valuesOf(seen, 'x-postern-user'), ['ada'])
  t.equal(namesOf(seen).filter((name) => name === 'x-postern-user').length, 1)
  t.same(valuesOf(seen, 'host'), [`${label}.ws.localhost:${PUBLIC}`])

  t.equal((await at.visit(label)).status, 401)
  const person = await at.visit(
    label,
    { Accept: 'text/html', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' },
    { path: '/deep?x=1' },
  )
  t.match(person, {
    status: 303,
    headers: { location: `http://${label}.ws.localhost:${PUBLIC}/.postern/enter?to=%2Fdeep%3Fx%3D1` },
  })
  t.equal((await at.visit(label, { Cookie: `postern_workspace=${secrets.bobOnWeb}` })).status, 404)
  t.equal((await at.visit(label, mine, { method: 'POST' })).status, 403)
  t.match(seenBy(await at.visit(`web-${at.ports.open}`)), { name: 'open' })
  t.match(seenBy(await at.visit('shop', { 'X-Postern-Token': secrets.adaToken })), { name: 'own' })
  t.match(JSON.parse((await ask({ port: at.traefik.port, host: 'localhost' })).body), { dashboard: true })
  const sibling = {
    ...mine,
    Origin: `http://web-${at.ports.open}.ws.localhost:${PUBLIC}`,
    'Sec-Fetch-Site': 'same-site',
  }
  const read = await at.visit(label, sibling)
  t.match(
    read,
    { status: 200, headers: { 'access-control-allow-origin': sibling.Origin } },
    'through Postern',
  )
  const mapped = await at.visit('mapped-3000', { Cookie: `postern_workspace=${secrets.adaOnMapped}` })
  t.match(seenBy(mapped), { name: 'own' }, 'a port that only Postern can dial')
  const sleepy = await at.visit('sleepy-3000', {
    Cookie: `postern_workspace=${secrets.adaOnSleepy}`,
    Accept: 'text/html',
  })
  t.match(sleepy, { status: 503, body: /\/\.postern\/start/ })
})

t.test('an address that has become another’s is not used for the former workspace', async (t) => {
  const at = await scene(t)
  const label = `web-${at.ports.own}`
  t.equal((await at.visit(label, mine)).status, 200)
  const row = webRoute(at.ports)
  const before = at.own.seen.length
  at.edge.apply([
    {
      kind: 'route',
      key: row.workspaceId,
      row: { ...row, incarnation: 'i-2', reach: { kind: 'address', host: '127.0.0.2' } },
    },
  ])
  t.match(
    await at.visit(label, mine),
    { status: 503, headers: { 'retry-after': '1' } },
    'until Traefik asks again',
  )
  t.equal(at.own.seen.length, before)
  at.edge.apply([{ kind: 'route', key: row.workspaceId, row: { ...row, incarnation: 'i-3' } }])
  t.equal((await at.visit(label, mine)).status, 503, 'another instance at the same address')
  await at.traefik.poll()
  t.equal((await at.visit(label, mine)).status, 200)
})

t.test('the provider answers Traefik only', async (t) => {
  const at = await scene(t)
  const path = '/api/authz/traefik/config'
  const host = '127.0.0.1'
  t.equal((await ask({ port: at.edge.main, host: `localhost:${PUBLIC}`, path })).status, 404)
  t.equal((await ask({ port: at.edge.authz, host, path, method: 'POST' })).status, 405)
  t.equal((await ask({ port: at.edge.authz, host: 'x@y:1', path })).status, 400)
  const unknowing = await startEdge([], { publicUrl: 'http://localhost:8090', withoutFacts: true })
  t.teardown(() => unknowing.gateway.close(0))
  t.equal((await ask({ port: unknowing.authz, host, path })).status, 503, 'Traefik keeps what it has')

  const peer =
    (ip: string, trusted = false) =>
    () => ({ ip, trusted })
  const req = {} as Parameters<ReturnType<typeof mayAskAt>>[0]
  t.ok(mayAskAt({ path: '/run/x' }, peer(''))(req))
  for (const address of ['127.0.0.1', '::1', 'localhost'])
    t.ok(mayAskAt({ host: address, port: 1 }, peer('127.0.0.1'))(req))
  for (const address of ['0.0.0.0', '::', '10.0.0.1']) {
    t.notOk(mayAskAt({ host: address, port: 1 }, peer('10.0.0.9'))(req), address)
    t.ok(mayAskAt({ host: address, port: 1 }, peer('10.0.0.9', true))(req), 'a trusted proxy')
    t.ok(mayAskAt({ host: address, port: 1 }, peer('127.0.0.1'))(req), 'this machine')
  }
})

t.test('Traefik’s example asks for the document, and nothing else is needed', async (t) => {
  const file = readFileSync(
    new URL('../../../examples/forward-auth/traefik/decide.yml', import.meta.url),
    'utf8',
  )
  t.match(parse(file), {
    providers: { http: { endpoint: 'http://127.0.0.1:8091/api/authz/traefik/config' } },
  })
})
