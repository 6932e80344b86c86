// Path mode on an origin of its own: what is served there, to whom, how its answers are narrowed, and how it ends.
import t, { type Test } from 'tap'
import { type Answer, ask, rawClient, type Script, webSocketBytes } from '../support/gateway-bytes.ts'
import { Browser } from '../support/gateway-browser.ts'
import { hashOf } from '../support/gateway-control.ts'
import { doorsOf, type EdgeUnderTest, startEdge, webAndSocket } from '../support/gateway-edge.ts'

const PATHS = 'http://paths.localhost:8090'
const HOST = 'paths.localhost:8090'
const HOME = 'http://localhost:8090'
const OWN = `Origin: ${PATHS}`
const label = (name: string): string => `/dev/${name}`

const start = (test: Test, script: Script = webAndSocket): Promise<EdgeUnderTest> =>
  startEdge(test, { pathUrl: PATHS, script })

/** The Cookie line of a session of path mode, which control made. */
function papers(edge: EdgeUnderTest, userId: string, name: string): string {
  const session = edge.control.child(edge.control.session(userId), `id0000${name}`, label(name))
  return `Cookie: postern_path_${name}=${session}`
}

const at = (edge: EdgeUnderTest, path: string, headers: readonly string[] = []): Promise<Answer> =>
  ask(edge.port, { host: HOST, path, headers: ['Accept: */*', ...headers] })

t.test('its owner signs in, lands on the very path, and the app knows only its own', async (t) => {
  const edge = await start(t)
  edge.workspace('shop')
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  const question = await browser.go(`${PATHS}/dev/shop/ide/cart?id=7&x=%2Fy`)
  t.match(question.body, /Open shop by path\?/)
  t.match(question.field('cross-origin-opener-policy'), 'same-origin')
  t.match(question.field('content-security-policy'), /frame-ancestors 'none'/)
  const form = { host: label('shop'), c: new URL(question.url).searchParams.get('c') ?? '' }
  const authorize = `${HOME}/.postern/authorize`
  const crossed = await ask(edge.port, {
    host: 'localhost:8090',
    path: '/.postern/authorize',
    method: 'POST',
    headers: [
      `Cookie: postern_session=${browser.cookies('localhost').get('postern_session')}`,
      OWN,
      'Sec-Fetch-Site: same-site',
      'Content-Type: application/x-www-form-urlencoded',
    ],
    body: new URLSearchParams(form).toString(),
  })
  t.equal(crossed.status, 403, 'a page there can’t say yes for them')
  const landed = await browser.go(authorize, { form })
  t.equal(landed.status, 200, landed.head)
  t.equal(landed.url, `${PATHS}/dev/shop/ide/cart?id=7&x=%2Fy`)
  const [request] = edge.upstream.requests
  t.match(request?.head, /^GET \/cart\?id=7&x=%2Fy HTTP/)
  t.ok(request?.fields.includes('X-Forwarded-Prefix: /dev/shop/ide'))
  t.ok(request?.fields.includes(`X-Forwarded-Host: ${HOST}`))
  t.ok(request?.fields.includes('X-Postern-User: alice'))
  t.notMatch(edge.upstream.bytes(), /postern_/)
  const cookies = browser.trail
    .filter(({ url }) => url.startsWith(PATHS))
    .flatMap((step) => step.all('set-cookie'))
  t.ok(cookies.length >= 2)
  for (const cookie of cookies)
    t.match(
      cookie,
      /^postern_path(?:flow)?_shop=[^;]*; Path=\/dev\/shop\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/,
    )
  const byPort = await browser.go(`${PATHS}/dev/shop/${edge.upstream.port}/x`)
  t.equal(byPort.status, 200, 'its other ports have the same session')
  t.match(edge.upstream.requests.at(-1)?.head, /^GET \/x HTTP/)
  t.ok(edge.upstream.requests.at(-1)?.fields.includes(`X-Forwarded-Prefix: /dev/shop/${edge.upstream.port}`))
})

t.test('under TLS its cookies are __Secure-, since __Host- would go to all paths', async (t) => {
  const edge = await startEdge(t, {
    publicUrl: 'https://postern.example',
    baseDomain: 'apps.example',
    pathUrl: 'https://postern.example:8443',
  })
  edge.workspace('shop')
  const navigation = ['Sec-Fetch-Mode: navigate']
  const answer = await ask(edge.port, {
    host: 'postern.example:8443',
    path: '/dev/shop/ide/',
    headers: navigation,
  })
  t.match(
    answer.field('location'),
    /^https:\/\/postern\.example\/\.postern\/authorize\?host=\/dev\/shop&c=[\w-]{43}$/,
  )
  t.match(
    answer.field('set-cookie'),
    /^__Secure-postern_pathflow_shop=[^;]+; Path=\/dev\/shop\/; Max-Age=300; HttpOnly; SameSite=Lax; Secure$/,
  )
  t.match(edge.gateway.warnings.join(' '), /another port of the dashboard's own host/)
  const shared = await ask(edge.port, {
    host: 'postern.example',
    path: '/dev/shop/ide/',
    headers: navigation,
  })
  t.match(shared.field('location'), /^\/sign-in\?next=/, 'the same name without the port is the dashboard')
  const other = await ask(edge.port, { host: 'postern.example:443', path: '/' })
  t.equal(other.body, 'app')
  const plain = await startEdge(t, {
    publicUrl: 'https://postern.example',
    baseDomain: 'apps.example',
    pathUrl: 'https://paths.example:8443',
    listen: [{ host: '127.0.0.1', port: 0, speaks: 'redirect' }],
  })
  const led = await ask(plain.port, { host: 'paths.example', path: '/dev/shop/ide/x?y' })
  t.equal(led.field('location'), 'https://paths.example:8443/dev/shop/ide/x?y', 'from plain http too')
})

t.test('the dashboard’s session and a host’s are nothing there, and the other way round', async (t) => {
  const edge = await start(t)
  const route = edge.workspace('shop')
  const dashboard = edge.control.session('alice')
  const host = edge.cookie('alice', route)
  const path = papers(edge, 'alice', 'shop')
  const value = path.slice(path.lastIndexOf('=') + 1)
  for (const cookie of [
    `postern_session=${dashboard}`,
    host,
    `postern_path_shop=${dashboard}`,
    `postern_path_shop=${host.slice(host.indexOf('=') + 1)}`,
    `postern_path_stall=${value}`,
    `postern_path_shop=${value}; postern_path_shop=${value}`,
    `__Secure-postern_path_shop=${value}`,
  ])
    t.equal((await at(edge, '/dev/shop/ide/', [`Cookie: ${cookie}`])).status, 401, cookie)
  for (const name of ['postern_workspace', 'postern_path_shop', 'postern_session'])
    for (const where of ['shop.ws.localhost:8090', 'localhost:8090']) {
      const path = where.startsWith('shop') ? '/' : '/api/v1/me'
      const answer = await ask(edge.port, { host: where, path, headers: [`Cookie: ${name}=${value}`] })
      t.not(answer.body, 'ok', `${name} at ${where}`)
    }
  t.notOk(edge.appCalls.some((call) => call.endsWith('alice')))
  t.equal(edge.upstream.requests.length, 0)
  t.equal((await at(edge, '/dev/shop/ide/', [path])).status, 200)
  const all = `${path}; postern_session=${dashboard}; __Host-postern_session=x; postern_path_stall=y; mine=1`
  await at(edge, '/dev/shop/ide/', [all])
  t.ok(edge.upstream.requests.at(-1)?.fields.includes('Cookie: mine=1'), 'none of ours reaches the app')
})

t.test('nobody but who owns it alone, whatever else they may', async (t) => {
  const edge = await start(t)
  const shown = async (name: string, line: string): Promise<string> => {
    const { head, body } = await at(edge, `/dev/${name}/ide/x`, [line])
    return `${head}\n${body}`.replace(/\r\nDate: [^\r]*|"requestId":"[^"]*"/gi, '').replaceAll(name, 'NAME')
  }
  for (const visibility of ['owner', 'shared', 'members', 'link', 'public'] as const) {
    const grants = [
      { subjectKind: 'user', subjectId: 'bob', role: 'manager', ports: null, expiresAtMs: null },
    ] as const
    edge.workspace('shop', { grants }, visibility)
    for (const userId of ['bob', 'root']) {
      // What no hand-off gives them: a session there, as who owned it before still has.
      const answer = await shown('shop', papers(edge, userId, 'shop'))
      t.match(answer, /^HTTP\/1\.1 404 /, `${userId} at ${visibility}`)
      const browser = new Browser(edge.port)
      browser.cookies('localhost').set('postern_session', edge.control.session(userId))
      const asked = async (name: string): Promise<string> => {
        const { status, url, body } = await browser.go(`${PATHS}/dev/${name}/ide/`)
        t.equal(status, 404)
        t.match(url, `${HOME}/.postern/authorize?host=/dev/${name}&`)
        return body.replace(/<code>\w+<\/code>/g, '').replaceAll(name, 'NAME')
      }
      t.equal(await asked('shop'), await asked('zqxj'))
      t.notMatch(await asked('shop'), /<form/, 'there is no access by path to ask for')
    }
    t.match(await shown('shop', 'Accept: */*'), /^HTTP\/1\.1 401 /)
    t.equal(await shown('shop', 'Accept: */*'), await shown('zqxj', 'Accept: */*'))
    for (const userId of ['alice', 'bob']) {
      const token = edge.control.token(userId, ['connect', 'admin'])
      const answer = await shown('shop', `X-Postern-Token: ${token}`)
      t.match(answer, /^HTTP\/1\.1 404 /, `a token of ${userId} at ${visibility}`)
      t.equal(answer, await shown('zqxj', `X-Postern-Token: ${token}`), 'as what isn’t there')
    }
  }
  const group = { id: 'crew', name: 'crew' }
  edge.control.user({
    id: 'alice',
    username: 'alice',
    email: 'a@example.com',
    role: 'member',
    groups: [group],
  })
  edge.workspace('ours', { ownerGroupId: 'crew' })
  t.equal((await at(edge, '/dev/ours/ide/', [papers(edge, 'alice', 'ours')])).status, 404, 'a group’s')
  edge.workspace('named', { aliases: ['docs'] })
  const alias = `Cookie: postern_path_docs=${edge.control.child(edge.control.session('alice'), 'id0000named', '/dev/docs')}`
  t.not((await at(edge, '/dev/docs/ide/', [alias])).status, 200, 'an alias has no path')
  t.equal(edge.upstream.requests.length, 0)
})

t.test('nothing else is there: no dashboard, no API, no other page of ours, no forward auth', async (t) => {
  const edge = await start(t)
  edge.workspace('shop')
  const cookies = `${papers(edge, 'alice', 'shop')}; postern_session=${edge.control.session('alice')}`
  t.equal((await at(edge, '/healthz')).status, 200)
  t.equal((await at(edge, '/readyz')).status, 200)
  for (const path of [
    '/',
    '/sign-in',
    '/api/v1/me',
    '/api/agent/v1/desired',
    '/api/gateway/v1/changes',
    '/metrics',
    '/.postern/authorize?host=shop&c=x',
    '/dev/',
    '/dev/shop',
    '/dev/shop/',
    '/dev/shop/x/',
    '/dev/shop/.postern/callback',
    '/dev/Shop/ide/',
    '/dev/shop/03000/',
    '/dev/shop/65536/',
    '/dev/shop/ide%2f/',
    '/dev/shop/%69de/',
    '/%64ev/shop/ide/',
    '//dev/shop/ide/',
    '/dev//shop/ide/',
    '/dev/shop/ide;x/',
    '/dev/shop-3000/ide/',
    ...['enter', 'link', 'password', 'landed', 'join', 'authorize'].map(
      (own) => `/dev/shop/ide/.postern/${own}`,
    ),
  ])
    t.equal((await at(edge, path, [cookies])).status, 404, path)
  t.same(edge.appCalls, [])
  for (const path of ['/api/v1/events', '/dev/shop', '/dev/shop/x/']) {
    const [, upgrade] = doorsOf(edge)
    t.equal(
      (await upgrade?.try({ host: HOST, path, headers: [cookies, OWN] }))?.status,
      404,
      `${path} by upgrade`,
    )
  }
  const [, , front] = doorsOf(edge)
  const told = await front?.try({ host: HOST, path: '/dev/shop/ide/', headers: [cookies] })
  t.equal(told?.status, 421, 'forward auth has no say on it')
  t.equal(edge.upstream.requests.length, 0)
})

t.test('a prefix is never left, and what stays in it stays byte for byte', async (t) => {
  const edge = await start(t)
  edge.workspace('shop')
  const cookie = papers(edge, 'alice', 'shop')
  for (const rest of [
    '/..',
    '/../x',
    '/a/../../x',
    '/%2e%2e/x',
    '/%2E./x',
    '/a/%2e%2e/%2e%2e/b/ide/',
    '/..%2fx',
    '/a%2f..%2f..%2fx',
    '/..%5cx',
    '/a//../../x',
    '/..;/x',
    '/..%3b/x',
    '/./../x',
  ]) {
    const answer = await at(edge, `/dev/shop/ide${rest}`, [cookie])
    t.equal(answer.status, 400, rest)
    t.equal(edge.upstream.requests.length, 0, rest)
  }
  for (const rest of [
    '/',
    '/?',
    '//',
    '///evil.example/x',
    '/a/../b',
    '/a/./b/',
    '/a/b/../../x',
    '/a%2f..%2fb',
    '/a%5cb',
    '/%252e%252e/x',
    '/...',
    '/..a',
    '/%00',
    '/%zz%',
    "/a;b=c,d:e@f!$&'()*+",
    '/a?x=/../../y',
    '/.hidden/%2ex',
    '/dev/other/ide/',
  ]) {
    t.equal((await at(edge, `/dev/shop/ide${rest}`, [cookie])).status, 200, rest)
    t.match(edge.upstream.requests.at(-1)?.head.split('\r\n')[0], `GET ${rest} HTTP/1.1`)
  }
  for (const [bare, moved] of [
    ['/dev/shop/ide', '/dev/shop/ide/'],
    ['/dev/shop/3000?a=/b', '/dev/shop/3000/?a=/b'],
  ] as const)
    for (const method of ['GET', 'HEAD', 'POST']) {
      const answer = await ask(edge.port, { host: HOST, path: bare, method })
      t.equal(answer.status, 308)
      t.equal(answer.field('location'), moved)
    }
})

t.test('a socket goes the same way, from that origin only', async (t) => {
  const edge = await start(t)
  edge.workspace('shop')
  const cookie = papers(edge, 'alice', 'shop')
  const [, upgrade] = doorsOf(edge)
  const open = (headers: readonly string[], path = '/dev/shop/ide/ws?a') =>
    upgrade?.try({ host: HOST, path, headers })
  t.equal((await open([cookie, OWN]))?.status, 101)
  t.match(edge.upstream.requests[0]?.head, /^GET \/ws\?a HTTP/)
  for (const origin of [HOME, 'http://shop.ws.localhost:8090', 'http://paths.localhost', 'null'])
    t.equal((await open([cookie, `Origin: ${origin}`]))?.status, 403, origin)
  t.equal((await open([cookie]))?.status, 403, 'nobody’s')
  t.equal((await open([OWN]))?.status, 401)
  t.equal((await open([papers(edge, 'bob', 'shop'), OWN]))?.status, 404)
  t.equal((await open([cookie, OWN], '/dev/shop/ide/../x'))?.status, 400)
  const post = await ask(edge.port, {
    host: HOST,
    path: '/dev/shop/ide/x',
    method: 'POST',
    headers: [cookie, 'Origin: http://evil.ws.localhost:8090', 'Accept: */*'],
    body: 'x',
  })
  t.equal(post.status, 403)
  t.equal(edge.upstream.requests.length, 1)
})

t.test('what ends a right ends it there: answers and sockets', async (t) => {
  const ends: readonly (readonly [
    string,
    (edge: EdgeUnderTest, secrets: { parent: string; child: string }) => unknown,
  ])[] = [
    ['the session there', ({ control }, { child }) => control.gone('session', hashOf(child))],
    ['signing out', ({ control }, { parent }) => control.signOut(hashOf(parent))],
    ['the user', ({ control }) => control.gone('user', 'alice')],
    ['another owner', (edge) => edge.workspace('shop', { ownerId: 'bob' })],
    ['a group as owner', (edge) => edge.workspace('shop', { ownerGroupId: 'crew' })],
  ]
  for (const [what, end] of ends) {
    const edge = await start(t)
    edge.workspace('shop')
    const parent = edge.control.session('alice')
    const child = edge.control.child(parent, 'id0000shop', '/dev/shop')
    const client = await rawClient(edge.port)
    const headers = [`Cookie: postern_path_shop=${child}`, OWN]
    client.send(webSocketBytes({ host: HOST, path: '/dev/shop/ide/', headers }))
    await client.received(/^HTTP\/1\.1 101 /)
    await end(edge, { parent, child })
    await client.closed()
    t.not((await at(edge, '/dev/shop/ide/', headers)).status, 200, what)
  }
})

t.test('no answer of control, no yes: unready, suspended, a store that throws, odd cookies', async (t) => {
  const unready = await startEdge(t, { pathUrl: PATHS, isUnready: true })
  t.equal((await at(unready, '/dev/shop/ide/')).status, 503)
  const edge = await start(t)
  edge.workspace('shop', {}, 'public')
  const cookie = papers(edge, 'alice', 'shop')
  edge.gateway.suspend(true)
  t.equal((await at(edge, '/dev/shop/ide/', [cookie])).status, 503)
  edge.gateway.suspend(false)
  t.equal((await at(edge, '/dev/shop/ide/', [cookie])).status, 200)
  for (const odd of ['', ' ', ';', '=', '"x"', '%00', '\xa0', 'a b', `${'x'.repeat(9000)}`])
    for (const line of [
      `Cookie: postern_path_shop=${odd}`,
      `Cookie: \xa0${cookie.slice(8)}`,
      `Cookie: POSTERN_PATH_SHOP${cookie.slice(cookie.indexOf('='))}`,
    ])
      t.equal((await at(edge, '/dev/shop/ide/', [line])).status, 401, JSON.stringify(line.slice(0, 60)))
  edge.control.failure = new Error('the store is broken')
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  const question = new URL((await browser.go(`${PATHS}/dev/shop/ide/`)).url)
  const { status } = await browser.go(`${HOME}/.postern/authorize`, {
    form: Object.fromEntries(question.searchParams),
  })
  t.equal(status, 500)
  t.equal(edge.upstream.requests.length, 1)
})

t.test('a stopped one is started from its page, and the way back has the prefix', async (t) => {
  const edge = await start(t)
  edge.workspace('shop', { phase: 'stopped', incarnation: '' })
  const cookie = papers(edge, 'alice', 'shop')
  const page = await at(edge, '/dev/shop/ide/a?b', [cookie, 'Sec-Fetch-Mode: navigate'])
  t.equal(page.status, 503)
  t.match(page.body, /action="\/dev\/shop\/ide\/\.postern\/start"/)
  t.match(page.body, /name="back" value="\/dev\/shop\/ide\/a\?b"/)
  t.match(page.field('content-security-policy'), PATHS)
  const press = (origin: string): Promise<Answer> =>
    ask(edge.port, {
      host: HOST,
      path: '/dev/shop/ide/.postern/start',
      method: 'POST',
      headers: [cookie, `Origin: ${origin}`, 'Content-Type: application/x-www-form-urlencoded'],
      body: 'back=%2Fdev%2Fshop%2Fide%2Fa%3Fb',
    })
  t.equal((await press('http://evil.ws.localhost:8090')).status, 403)
  t.same(edge.control.started, [])
  t.equal((await press(PATHS)).field('location'), '/dev/shop/ide/a?b')
  t.same(edge.control.started, ['id0000shop alice'])
  edge.workspace('shop', { defaultPort: null })
  const none = await at(edge, '/dev/shop/ide/', [cookie, 'Sec-Fetch-Mode: navigate'])
  t.match(none.body, `${PATHS}/dev/shop/${edge.upstream.port}/`)
})
