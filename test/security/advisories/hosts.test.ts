// Attacks on how a request finds its workspace that other gateways had, each with its story; none may work here.
import t from 'tap'
import { routeNeeds } from '../../../control/authorization/authorization.ts'
import { type EdgeRoute, portDefaults, type Visibility } from '../../../control/wire/index.ts'
import { pretendAgent } from '../../support/control-agent.ts'
import { always, ask, exchange, OK, rawUpstream } from '../../support/gateway-bytes.ts'
import { startEdge, webAndSocket } from '../../support/gateway-edge.ts'
import { startDeployment } from '../../support/proof-deployment.ts'
import { doorsAt, isYes } from '../../support/proof-doors.ts'
import { sourceFiles, withoutComments } from '../../support/repo-files.ts'

const NO_PAGE = 'Accept: */*'
const at = (port: number, visibility: Visibility) => ({ ...portDefaults, port, visibility })

// The router matched a decoded path, the policy a raw one (or the other way round): `/x/..%2fadmin` was public, and admin.
// Here: which port a path of a composed host means is asked once, for policy and upstream; the bytes pass as they came.
t.test(
  'Traefik GHSA-6jwx-7vp4-9847, CVE-2025-66490, GHSA-gm3x-23wp-hc2c: one reading of a path',
  async (t) => {
    const edge = await startEdge(t)
    const admin = await rawUpstream(always(OK))
    t.teardown(() => admin.close())
    const open = edge.upstream
    edge.workspace('shop', {
      ports: [at(open.port, 'public'), at(admin.port, 'owner')],
      defaultPort: open.port,
      paths: [{ prefix: '/admin', port: admin.port }],
    })
    const ways = [
      '/x/..%2fadmin',
      '/x/..%2Fadmin/',
      '/x/%2e%2e/admin',
      '/x/%2E%2E%2Fadmin',
      '/x/../admin',
      '/./admin',
      '//admin',
      '///admin/',
      '/%61dmin',
      '/admi%6e/',
      '/x/..;/admin',
      '/;a=b/admin',
      '/x%00/../admin',
      '/ADMIN',
      '/dev/a%2f..%2fb/ide',
      '/x%5c..%5cadmin',
      '/admin/../x',
      '/admin/%2e%2e/x',
    ]
    for (const path of ways) {
      const before = open.requests.length
      const { status } = await ask(edge.port, { host: 'shop.ws.localhost', path, headers: [NO_PAGE] })
      const isAdmin = path.startsWith('/admin/')
      t.equal(status, isAdmin ? 401 : 200, path)
      if (!isAdmin)
        t.match(
          open.requests[before]?.head,
          new RegExp(`^GET ${path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')} HTTP`),
        )
      for (const door of doorsAt(edge)) {
        const answer = await door.try({ host: 'shop.ws.localhost', path, headers: [NO_PAGE] })
        if (!isAdmin && !isYes(answer.status)) t.fail(`${path} at ${door.name}: ${answer.status}`)
        const upstream = answer.field('x-postern-upstream')
        if (upstream !== null) t.equal(upstream, `127.0.0.1:${open.port}`, `${path} at ${door.name}`)
      }
    }
    t.same(admin.requests, [], 'nobody who isn’t its owner came to admin')
  },
)

// `app.example.` with its dot fell to the defaults of another router, which asked for no certificate.
t.test('Traefik CVE-2022-23632: a host with its trailing dot is the same host', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const token = `X-Postern-Token: ${edge.control.token('alice', ['connect'])}`
  for (const door of doorsAt(edge).filter(({ name }) => name !== 'upgrade'))
    for (const dot of ['', '.', '.:8090']) {
      const host = `shop.ws.localhost${dot}`
      t.equal((await door.try({ host, headers: [NO_PAGE] })).status, 401, `${host} at ${door.name}`)
      t.equal((await door.try({ host, headers: [NO_PAGE, token] })).status, 200, `${host} at ${door.name}`)
    }
  for (const door of doorsAt(edge))
    for (const host of ['shop.ws.localhost..', '.shop.ws.localhost', 'shop..ws.localhost'])
      t.ok((await door.try({ host, headers: [NO_PAGE, token] })).status >= 400, `${host} at ${door.name}`)
})

// CORS believed the owner's name in a host; and whoever registered an app under another tenant's id took it over.
// Here: whose a host is, the table says; an agent says nothing of workspaces that are not on its own host.
t.test('Coder #26085, #26086, #26103: names and ids that were only claimed', async (t) => {
  const app = await rawUpstream(always(OK))
  const other = await rawUpstream(always(OK))
  t.teardown(() => Promise.all([app.close(), other.close()]))
  const place = await startDeployment(t)
  const [mia, eve] = [await place.member('mia'), await place.member('eve')]
  const { id } = await place.workspace(mia, 'shop', [{ port: app.port }])
  await place.workspace(eve, 'shop-mia', [{ port: other.port }])
  await mia.browse(`${place.origin('shop')}/`)
  for (const label of ['shop-mia', 'mia', 'shop-mia-80', 'mia--shop', 'x-mia', 'shops-1']) {
    const headers = { Origin: place.origin(label), 'Sec-Fetch-Site': 'same-site' }
    const answer = await mia.ask(`${place.origin('shop')}/`, { headers })
    t.same([answer.status, answer.headers['access-control-allow-origin']], [403, undefined], label)
  }
  const taken = await eve.api('POST', '/api/v1/workspaces', { name: 'shop', image: 'any:1', id })
  t.ok(taken.status >= 400, 'the name, or an id of one’s own choice')
  const again = await eve.api('POST', '/api/v1/workspaces', { name: 'shop', image: 'any:1' })
  t.equal(again.status, 409)
  t.match((await eve.api('PATCH', `/api/v1/workspaces/${id}`, { name: 'mine' })).status, 404)
  const before = app.requests.length
  const stranger = await pretendAgent(place.control.control.embeddedAgent(), Date.now(), {
    machineId: 'machine-two',
    name: 'there',
  })
  const reach = { kind: 'ports', host: '127.0.0.1', ports: { [app.port]: other.port } } as const
  await stranger
    .report({
      workspaces: [{ id, state: 'running', generation: 1, incarnation: 'stolen', reach, startedAtMs: 1 }],
    })
    .catch(() => undefined)
  t.equal((await mia.ask(`${place.origin('shop')}/`)).status, 200)
  t.equal(app.requests.length, before + 1, 'its requests go where they went')
  t.same(other.requests, [])
})

// `/proxy/<port>` took a port that was none: `/proxy/evil.com` sent the session cookie there.
t.test('code-server CVE-2025-47269: a port is digits, and no host', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  edge.workspace('shop', {}, 'public')
  const token = `X-Postern-Token: ${edge.control.token('alice', ['connect'])}`
  const labels = [
    'shop-evil.com',
    'shop-0',
    'shop-65536',
    'shop-80@x',
    'shop-080',
    'shop-+80',
    'shop--80',
    'shop-8o',
    'shop-80.',
    'shop-0x50',
    'shop-127.0.0.1',
    'shop-99999999999',
    'shop-80:22',
  ]
  for (const door of doorsAt(edge))
    for (const label of labels) {
      const { status } = await door.try({ host: `${label}.ws.localhost`, headers: [token, NO_PAGE] })
      t.ok([400, 403, 404, 421].includes(status), `${label} at ${door.name}: ${status}`)
    }
  t.same(edge.upstream.requests, [])
})

// The route was found by a piece of host and path: `evilshop-3000.base`, or `/shop-3000.base/` on another host, was it too.
t.test('http-proxy-middleware CVE-2026-55602: no piece of a name is a name', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const { port } = edge.upstream
  edge.workspace('shop', {}, 'public')
  const host = `shop-${port}.ws.localhost`
  const elsewhere = [
    `evil.${host}`,
    `${host}.evil.example`,
    `${host}x`,
    `${host}_`,
    `shop-${port}xws.localhost`,
    `evil-ws.localhost`,
    `evilws.localhost`,
    'ws.localhost',
    `evil@${host}`,
    `evil:x@localhost`,
  ]
  for (const door of doorsAt(edge)) {
    const refused = door.name === 'auth-request' ? [403] : [400, 421]
    for (const name of elsewhere) {
      const { status } = await door.try({ host: name, path: `/${host}/`, headers: [NO_PAGE] })
      t.ok(refused.includes(status), `${name} at ${door.name}: ${status}`)
    }
    const { status } = await door.try({ host: `evil${host}`, path: `/${host}/`, headers: [NO_PAGE] })
    t.equal(status, 401, `another workspace’s name at ${door.name}`)
  }
  t.same(edge.upstream.requests, [])
})

// The key of a cache was two strings joined, so that two pairs had one key, and one's requests went to the other's upstream.
t.test('@fastify/reply-from GHSA-v574-6498-x57v: pairs that read alike when joined stay two', async (t) => {
  const edge = await startEdge(t)
  const upstreams = await Promise.all(Array.from({ length: 4 }, () => rawUpstream(always(OK))))
  t.teardown(() => Promise.all(upstreams.map((each) => each.close())))
  const pairs: [name: string, incarnation: string, port: number][] = [
    ['a', 'i-1', 2345],
    ['b', 'i-12', 345],
    ['c', 'i-123', 45],
    ['d', 'i-1:2', 345],
  ]
  for (const [n, [name, incarnation, port]] of pairs.entries()) {
    const reach: EdgeRoute['reach'] = {
      kind: 'ports',
      host: '127.0.0.1',
      ports: { [port]: upstreams[n]?.port ?? 0 },
    }
    edge.workspace(name, { incarnation, reach, ports: [at(port, 'public')], defaultPort: port })
  }
  for (let round = 0; round < 3; round++)
    for (const [name, , port] of pairs)
      t.equal((await ask(edge.port, { host: `${name}-${port}.ws.localhost` })).status, 200)
  for (const [n, [name, , port]] of pairs.entries()) {
    const hosts = upstreams[n]?.requests.map(({ fields }) =>
      fields.find((line) => /^host: /i.test(line))?.slice(6),
    )
    t.same([...new Set(hosts)], [`${name}-${port}.ws.localhost`])
    t.equal(hosts?.length, 3)
  }
})

// An `@` in Host made a library's `ctx.hostname` another host; `ctx.back` and `ctx.redirect` believed Referer and put their
// address into markup; headers of a proxy took an expression minutes to read.
t.test(
  'Koa CVE-2026-27959, CVE-2025-62595, CVE-2025-8129, CVE-2025-25200, CVE-2025-32379: its guesses are not ours',
  async (t) => {
    const edge = await startEdge(t, { trustedProxies: ['127.0.0.1'] })
    edge.workspace('shop', {}, 'public')
    for (const host of [
      'evil:x@localhost',
      'evil@localhost',
      'localhost@evil',
      'evil:8090@localhost:8090',
      'user:pass@shop.ws.localhost',
    ])
      for (const path of ['/', '/sign-in', '/api/v1/me', '/.postern/authorize']) {
        const answer = await ask(edge.port, {
          host,
          path,
          headers: ['Accept: text/html', 'Referer: //evil.example/'],
        })
        t.equal(answer.status, 421, `${host}${path}`)
        t.notMatch(answer.head + answer.body, /evil/)
      }
    const files = sourceFiles(/^(gateway|control)\/.*\.ts$/)
    t.ok(files.length > 100)
    const guesses =
      /\bctx\.(?:back|host|hostname|ip|ips|protocol|secure|origin|href|redirect|subdomains)\b|\.proxy\s*=\s*true|proxy:\s*true/
    t.same(
      files.filter(({ text }) => guesses.test(withoutComments(text))).map(({ path }) => path),
      [],
    )
    for (const part of ['10.0.0.1,', ' ', ',', 'x', '1.1.1.1 ', '[::1],', '%']) {
      const long = part.repeat(12_000 / part.length)
      const beganMs = performance.now()
      const answer = await exchange(
        edge.port,
        `GET / HTTP/1.1\r\nHost: shop.ws.localhost\r\nX-Forwarded-For: ${long}\r\nX-Forwarded-Proto: ${'a'.repeat(1500)}\r\nConnection: close\r\n\r\n`,
      )
      t.equal(answer.status, 200, part)
      // An expression that goes wrong takes minutes; a loaded machine, a second.
      t.ok(performance.now() - beganMs < 5000, part)
    }
  },
)

// A link with parameters, opened by a person who was signed in, made a workspace of the attacker's template.
t.test('Coder GHSA-m3cr-vc2j-pm27: nothing is changed by GET', async (t) => {
  const place = await startDeployment(t)
  const mia = await place.member('mia')
  const { id } = await place.workspace(mia, 'shop', [])
  const state = async () =>
    JSON.stringify([
      await mia.must('GET', '/api/v1/workspaces'),
      await mia.must('GET', '/api/v1/me'),
      (await mia.must<{ items: unknown[] }>('GET', '/api/v1/tokens')).items,
    ])
  const before = await state()
  const changing = Object.keys(routeNeeds).filter(
    (key) => !key.startsWith('GET ') && key.includes(' /api/v1/'),
  )
  t.ok(changing.length > 15)
  for (const key of changing) {
    const [method = '', route = ''] = key.split(' ')
    const path = route.replace(':id', id).replace(':name', 'shop')
    const query = `?name=x&image=any:1&_method=${method}&purge=true&start=1`
    for (const verb of ['GET', 'HEAD'])
      for (const headers of [
        {},
        { 'X-HTTP-Method-Override': method, 'X-Method-Override': method, 'X-HTTP-Method': method },
      ]) {
        const { status } = await mia.ask(path + query, { method: verb, headers })
        const isRead = `GET ${route}` in routeNeeds
        if (isRead) t.ok(status < 500, `${verb} ${path}`)
        else t.ok(status === 405 || status === 404, `${verb} ${path}: ${status}`)
      }
  }
  t.equal(await state(), before)
  for (const path of ['/sign-out', '/.postern/start', '/setup'])
    t.ok([404, 405, 409].includes((await mia.ask(path)).status), path)
  t.equal((await mia.api('GET', '/api/v1/me')).status, 200, 'and is signed in')
})

// `..` and `%2e%2e` led from the base path of one app to the rest of its host.
// Here: `/dev/<workspace>/ide/` leads to the workspace's own host, with which the dashboard shares nothing; path mode, where
// it is on, refuses what could leave.
t.test(
  '@fastify/reply-from GHSA-2q7r-29rg-6m5h, GHSA-qmw8-3v4g-gwj4: no path leaves its workspace',
  async (t) => {
    const edge = await startEdge(t)
    edge.workspace('shop')
    edge.workspace('other', { ownerId: 'bob' })
    const session = `Cookie: postern_session=${edge.control.session('alice')}`
    const page = [session, 'Accept: text/html', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document']
    const rests = [
      '/',
      '/a?b=c',
      '/../../other/ide/',
      '/..%2f..%2fother/ide',
      '/%2e%2e/%2e%2e/api/v1/me',
      '//evil.example/',
      '/\u0025\u0035\u0063evil.example',
      '/..;/',
      '/../../../sign-out',
      '/.//evil.example',
    ]
    for (const rest of rests) {
      const answer = await ask(edge.port, {
        host: 'localhost:8090',
        path: `/dev/shop/ide${rest}`,
        headers: page,
      })
      t.equal(answer.status, 303, rest)
      const to = new URL(answer.field('location') ?? '', 'http://localhost:8090')
      t.equal(to.origin, 'http://shop.ws.localhost:8090', rest)
    }
    // Served by path, on an origin of its own, what any reader could take out of it is refused; the rest is its app's.
    const paths = await startEdge(t, { pathUrl: 'http://paths.localhost:8090' })
    const { workspaceId } = paths.workspace('shop')
    const child = paths.control.child(paths.control.session('alice'), workspaceId, '/dev/shop')
    for (const rest of rests) {
      const before = paths.upstream.requests.length
      const { status } = await ask(paths.port, {
        host: 'paths.localhost:8090',
        path: `/dev/shop/ide${rest}`,
        headers: [`Cookie: postern_path_shop=${child}`, NO_PAGE],
      })
      const isServed = !/^\/(?:\.\.|%2e%2e)/.test(rest)
      t.equal(status, isServed ? 200 : 400, rest)
      const heads = paths.upstream.requests.slice(before).map(({ head }) => head.split('\r\n')[0])
      t.same(heads, isServed ? [`GET ${rest} HTTP/1.1`] : [], rest)
    }
    t.same(paths.appCalls, [])
    const ask2 = (path: string, headers: readonly string[], method = 'GET') =>
      ask(edge.port, { host: 'localhost:8090', path, method, headers })
    // The form to ask for access names the host that was asked for; where no host is asked for, there is none.
    const same = (text: string): string =>
      text.replace(/<code>\w+<\/code>|"requestId":"\w+"|<form[^]*?<\/form>/g, '')
    const absent = await ask2('/dev/absent/ide/', page)
    t.equal(absent.status, 404)
    for (const path of [
      '/dev/other/ide/',
      '/dev/shop/idea',
      '/dev/shop',
      '/dev/SHOP/ide/',
      '/dev/shop%2fide',
      '/dev//ide/',
      '/dev/',
    ])
      t.same(
        [(await ask2(path, page)).status, same((await ask2(path, page)).body)],
        [404, same(absent.body)],
        path,
      )
    const anybody = page.slice(1)
    for (const path of ['/dev/shop/ide/', '/dev/other/ide/', '/dev/absent/ide/'])
      t.equal((await ask2(path, anybody)).field('location'), `/sign-in?next=${encodeURIComponent(path)}`)
    const sibling = [session, 'Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: empty']
    for (const path of ['/dev/shop/ide/', '/dev/absent/ide/'])
      t.equal((await ask2(path, sibling)).status, 403, `${path} asked by a page of elsewhere`)
    t.equal((await ask2('/dev/shop/ide/', page, 'POST')).status, 404)
    t.same(edge.appCalls, [], 'the dashboard saw none of it')
    t.same(edge.upstream.requests, [], 'and no app')
  },
)
