// An alias of one port, through every door: the same decision as on the port's own host, sessions bound to the label.
import t from 'tap'
import { Browser } from '../support/gateway-browser.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'
import { rawUpstream } from '../support/gateway-bytes.ts'
import { namedPort, portsOfHost } from '../../gateway/decide/ports.ts'
import { traefikConfig } from '../../gateway/authz/traefik.ts'
import { siteOf } from '../../gateway/host/site.ts'
import { portDefaults } from '../../control/wire/index.ts'
import { routeRow } from '../support/gateway-control.ts'

const second = await rawUpstream(webAndSocket)
t.teardown(() => second.close())

/** shop: the default app on one port, and the alias `docs` of another, `store` of the default app. */
async function shop(t: Parameters<typeof startEdge>[0], visibility: 'owner' | 'public' = 'owner') {
  const edge = await startEdge(t, { script: webAndSocket })
  const ports = [
    { ...portDefaults, port: edge.upstream.port },
    { ...portDefaults, port: second.port, visibility },
  ]
  const route = edge.workspace('shop', {
    ports,
    aliases: ['docs', 'store'],
    aliasPorts: [{ name: 'docs', port: second.port }],
    // Were the alias's host composed of them, its port would be another.
    paths: [{ prefix: '/api', port: edge.upstream.port }],
  })
  return { edge, route }
}

t.test('an alias opens its port at every door, for whom the port opens', async (t) => {
  const { edge, route } = await shop(t)
  for (const door of doorsOf(edge)) {
    const ask = (label: string, who: string, bound = label) =>
      door.try({
        host: `${label}.ws.localhost:8090`,
        path: '/api/x',
        headers: [`Cookie: ${edge.cookie(who, route, bound)}`, originOf(label)],
      })
    const before = second.requests.length
    t.ok([200, 101].includes((await ask('docs', 'alice')).status), `${door.name}: the owner`)
    if (door.name !== 'forward-auth') {
      t.equal(second.requests.length, before + 1, `${door.name}: it went to the alias's port`)
      t.match(second.requests.at(-1)?.head, /host: docs\.ws\.localhost:8090\r\n/i)
    }
    t.ok([200, 101].includes((await ask('store', 'alice')).status), `${door.name}: the default app`)
    t.notOk([200, 101].includes((await ask('docs', 'bob')).status), `${door.name}: not another's`)
    t.notOk([200, 101].includes((await ask('docs', 'root')).status), `${door.name}: nor the administrator's`)
    for (const bound of ['shop', 'store', `docs-${second.port}`, `shop-${second.port}`])
      t.equal(
        (await ask('docs', 'alice', bound)).status,
        401,
        `${door.name}: a session of ${bound} is none here`,
      )
  }
})

t.test('what is public by its port is so by its alias, and by no other', async (t) => {
  const { edge, route } = await shop(t, 'public')
  for (const door of doorsOf(edge)) {
    const ask = (label: string) => door.try({ host: `${label}.ws.localhost:8090`, path: '/', headers: [] })
    t.ok([200, 101].includes((await ask('docs')).status), door.name)
    t.equal((await ask('store')).status, 401, `${door.name}: the default app is not`)
  }
  edge.control.route({ ...route, aliases: ['store'], aliasPorts: [] })
  for (const door of doorsOf(edge)) {
    const { status } = await door.try({ host: 'docs.ws.localhost:8090', path: '/', headers: [] })
    t.equal(status, 401, `${door.name}: gone at once`)
  }
})

t.test('the hand-off is for the alias’s own label, and comes back to it', async (t) => {
  const { edge } = await shop(t)
  const browser = new Browser(edge.port)
  const session = edge.control.session('alice')
  browser.cookies('localhost').set('postern_session', session)
  const landed = await browser.go('http://docs.ws.localhost:8090/guide?page=2')
  t.equal(landed.url, 'http://docs.ws.localhost:8090/guide?page=2')
  t.equal(landed.status, 200)
  const token = browser.cookies('docs.ws.localhost').get('postern_workspace') ?? ''
  t.not(token, '')
  const tried = await new Browser(edge.port).request('http://shop.ws.localhost:8090/', {
    headers: [`Cookie: postern_workspace=${token}`],
  })
  t.equal(tried.status, 401, 'it opens no other host of the workspace')
  const stranger = new Browser(edge.port)
  stranger.cookies('localhost').set('postern_session', edge.control.session('bob'))
  const refused = await stranger.go('http://docs.ws.localhost:8090/guide')
  const absent = await stranger.go('http://nothing.ws.localhost:8090/guide')
  const plain = (body: string) => body.replaceAll(/[0-9a-z]{8,}/g, '').replaceAll('nothing', 'docs')
  t.same([refused.status, plain(refused.body)], [404, plain(absent.body)], 'as what is not there')
})

t.test('where an alias leads, and what Traefik is told of it', (t) => {
  const route = routeRow('shop', {
    defaultPort: 3000,
    aliases: ['constructor', 'store'],
    aliasPorts: [{ name: 'constructor', port: 4000 }],
    ports: [3000, 4000].map((port) => ({ ...portDefaults, port })),
  })
  t.equal(namedPort(route, { name: 'constructor', port: null }), 4000)
  t.equal(namedPort(route, { name: 'constructor', port: 3000 }), 3000, 'the label’s own port first')
  t.equal(namedPort(route, { name: 'store', port: null }), null)
  t.equal(namedPort({ ...route, aliasPorts: undefined }, { name: 'constructor', port: null }), null)
  t.same(portsOfHost(route, { name: 'constructor', port: null }), [4000])
  t.same(portsOfHost(route, { name: 'store', port: null }), [3000])
  const site = siteOf('http://localhost:8090', 'ws.localhost')
  const { routers } = traefikConfig({ site, routes: [route], authz: 'a:1', postern: 'p:1' }).http
  const hosts = (port: number) =>
    [...(routers[`${route.workspaceId}-${port}`]?.rule ?? '').matchAll(/Host\(`([^`]+)`\)/g)].map(
      ([, host]) => host,
    )
  t.same(
    new Set(hosts(3000)),
    new Set([
      'constructor-3000.ws.localhost',
      'shop-3000.ws.localhost',
      'shop.ws.localhost',
      'store-3000.ws.localhost',
      'store.ws.localhost',
    ]),
  )
  t.same(
    new Set(hosts(4000)),
    new Set([
      'constructor-4000.ws.localhost',
      'constructor.ws.localhost',
      'shop-4000.ws.localhost',
      'store-4000.ws.localhost',
    ]),
  )
  t.end()
})
