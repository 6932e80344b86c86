/**
 * The example files of nginx and Caddy, run by the real programs before a real gateway: who gets in over HTTP and
 * WebSocket, and what the program in the workspace sees of them, byte for byte.
 */
import t, { type Test } from 'tap'
import type { TestEdge } from '../support/fronts-edge.ts'
import { hashOf } from '../support/gateway-control.ts'
import { frontFacts, secrets, webRoute, type WebPorts } from '../support/fronts-facts.ts'
import { type ExampleFront, exampleFronts, ifInstalled, startScene } from '../support/fronts-scene.ts'
import { namesOf, startUpstream, valuesOf, type Seen, type Upstream } from '../support/fronts-upstream.ts'
import { ask, openSocket, type Answer } from '../support/fronts-visitor.ts'

interface Scene {
  readonly front: number
  readonly edge: TestEdge
  readonly own: Upstream
  readonly open: Upstream
  /** Hosts of the owner's and of the public port. */
  readonly ownHost: string
  readonly openHost: string
}

async function scene(t: Test, front: ExampleFront): Promise<Scene> {
  const [own, open, members] = [
    await startUpstream('own'),
    await startUpstream('open'),
    await startUpstream('members'),
  ]
  for (const upstream of [own, open, members]) t.teardown(() => upstream.close())
  const ports: WebPorts = { own: own.port, open: open.port, members: members.port }
  const { port, edge } = await startScene(t, front, frontFacts(ports))
  return {
    front: port,
    edge,
    own,
    open,
    ownHost: `web-${own.port}.ws.localhost`,
    openHost: `web-${open.port}.ws.localhost`,
  }
}

const page = {
  Accept: 'text/html',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Site': 'none',
}
const mine = (secret: string) =>
  `theme=dark; postern_workspace=${secret}; postern_session=${secrets.adaDashboard}; a=b`
const seenBy = (answer: Answer): Seen => JSON.parse(answer.body) as Seen

/** What must hold of anything that reaches a workspace's program. */
function clean(
  t: Test,
  seen: Seen,
  user: { name: string; email: string; groups: string },
  cookies: string[],
): void {
  t.same(valuesOf(seen, 'cookie'), cookies, 'cookies')
  t.same(valuesOf(seen, 'x-postern-user').join(), user.name)
  t.same(valuesOf(seen, 'x-postern-email').join(), user.email)
  t.same(valuesOf(seen, 'x-postern-groups').join(), user.groups)
  t.equal(namesOf(seen).filter((name) => name === 'x-postern-user').length <= 1, true, 'no alias beside it')
  t.notMatch(JSON.stringify(seen), /forged|pst_|session-of|dashboard-session/)
  t.notOk(namesOf(seen).includes('x-postern-upstream') || namesOf(seen).includes('x-postern-token'))
}
const nobody = { name: '', email: '', groups: '' }
const ada = { name: 'ada', email: 'ada@example.test', groups: 'crew,ops' }

const forged = {
  'X-Postern-User': 'forged',
  'x-postern-email': 'forged',
  'X-Postern-Groups': 'forged',
  X_Postern_User: 'forged',
  'X.Postern.User': 'forged',
  'X-Postern-Upstream': '127.0.0.1:1',
  'X-Forwarded-User': 'forged',
  'X-Forwarded-Host': 'forged.example',
  'X-Forwarded-Uri': '/forged',
  'X-Original-URL': 'http://forged.example/',
}

async function owner(t: Test, at: Scene): Promise<void> {
  const headers = { Cookie: mine(secrets.adaOnWeb), Authorization: 'Basic YTpi', ...forged }
  const base = { port: at.front, host: at.ownHost }
  const got = await ask({ ...base, path: '/a//b/%2e%2E/c?x=%20&y', headers })
  t.equal(got.status, 200)
  const seen = seenBy(got)
  t.match(seen, { name: 'own', method: 'GET', url: '/a//b/%2e%2E/c?x=%20&y' })
  t.same(valuesOf(seen, 'authorization'), ['Basic YTpi'])
  t.same(valuesOf(seen, 'host'), [`${at.ownHost}:${at.front}`])
  clean(t, seen, ada, ['theme=dark; a=b'])
  const origin = { Origin: `http://${at.ownHost}:${at.front}` }
  const posted = await ask({
    ...base,
    method: 'POST',
    body: 'x'.repeat(300_000),
    headers: { Cookie: `postern_workspace=${secrets.adaOnWeb}`, ...origin },
  })
  t.equal(seenBy(posted).body.length, 300_000)
  clean(t, seenBy(posted), ada, [])
  const token = await ask({ ...base, headers: { Authorization: `Bearer ${secrets.adaToken}` } })
  t.equal(token.status, 200)
  t.same(valuesOf(seenBy(token), 'authorization').join(''), '')
  clean(t, seenBy(token), ada, [])
  t.equal((await ask({ ...base, path: '/unauthorized', headers })).status, 401, 'the app’s own 401 passes')
  const cookies = (await ask({ ...base, path: '/set-cookie', headers })).setCookies
  t.notMatch(cookies.join(), /domain=\.?ws\.localhost/i, 'siblings get no cookie')
  t.equal(cookies.length, 2)
  const mapped = await ask({
    port: at.front,
    host: 'mapped-3000.ws.localhost',
    headers: { Cookie: `theme=dark; postern_workspace=${secrets.adaOnMapped}` },
  })
  t.equal(mapped.status, 200, 'a port that only Postern can dial')
  clean(t, seenBy(mapped), ada, ['theme=dark'])
  const byToken = await ask({
    port: at.front,
    host: 'mapped-3000.ws.localhost',
    method: 'POST',
    body: 'y'.repeat(300_000),
    headers: { 'X-Postern-Token': secrets.adaToken, ...forged },
  })
  t.equal(seenBy(byToken).body.length, 300_000, 'with its body, and by a token')
  clean(t, seenBy(byToken), ada, [])
}

async function strangers(t: Test, at: Scene): Promise<void> {
  const before = at.own.seen.length
  const base = { port: at.front, host: at.ownHost }
  const plain = ({ status, body }: Answer) => ({
    status,
    body: body.replaceAll(/[0-9a-f]{8}[0-9a-z]{4,}/g, ''),
  })
  for (const headers of [{}, page] as Record<string, string>[]) {
    const bobs = { ...headers, Cookie: `postern_workspace=${secrets.bobOnWeb}`, ...forged }
    const foreign = await ask({ ...base, headers: bobs })
    const token = { ...headers, 'X-Postern-Token': secrets.bobToken }
    const absent = await ask({ port: at.front, host: 'nothing-3000.ws.localhost', headers: token })
    t.equal(foreign.status, 404)
    t.same(plain(foreign), plain(absent))
    t.same(plain(await ask({ ...base, headers: token })), plain(absent))
  }
  const program = await ask({ ...base, headers: { Accept: '*/*' } })
  t.equal(program.status, 401)
  const post = await ask({
    ...base,
    method: 'POST',
    body: 'a=b',
    headers: { Cookie: mine(secrets.adaOnWeb) },
  })
  t.equal(post.status, 403, 'a POST without Origin')
  t.equal((await ask({ port: at.front, host: `${at.ownHost}:1` })).status, 401, 'another port in Host')
  t.equal(at.own.seen.length, before, 'nothing of this reached the program')
}

/** Follows the hand-off as a browser would, with a dashboard session, from a deep link; `keeps` says which cookies stay. */
async function follow(
  at: Scene,
  keeps: (pair: string) => boolean,
): Promise<{ answer: Answer; trail: string[] }> {
  const jar = new Map<string, string>([['localhost', `postern_session=${secrets.adaDashboard}`]])
  let url = new URL(`http://${at.ownHost}:${at.front}/deep/link?x=1`)
  const trail: string[] = []
  for (;;) {
    const cookie = jar.get(url.hostname)
    const headers = { ...page, ...(cookie === undefined ? {} : { Cookie: cookie }) }
    const answer = await ask({ port: at.front, host: url.host, path: url.pathname + url.search, headers })
    trail.push(`${answer.status} ${url.hostname}${url.pathname}`)
    for (const line of answer.setCookies) {
      const pair = line.split(';')[0]!
      if (/max-age=0|1970/i.test(line) || !keeps(pair)) continue
      const held = (jar.get(url.hostname) ?? '').split('; ').filter((old) => old !== '')
      const kept = held.filter((old) => old.split('=')[0] !== pair.split('=')[0])
      jar.set(url.hostname, [...kept, pair].join('; '))
    }
    if (answer.status !== 303 || trail.length === 60) return { answer, trail }
    url = new URL(answer.headers['location'] as string, url)
  }
}

async function signIn(t: Test, at: Scene): Promise<void> {
  const { answer, trail } = await follow(at, () => true)
  t.equal(answer.status, 200, trail.join(' → '))
  t.match(seenBy(answer), { name: 'own', url: '/deep/link?x=1' })
  clean(t, seenBy(answer), ada, [])
  const loop = await follow(at, (pair) => !pair.startsWith('postern_workspace='))
  t.match(
    loop.answer,
    { status: 403, body: /without its cookie/ },
    'a browser that keeps no session is told so',
  )
  const turns = loop.trail.filter((step) => step.endsWith(`${at.ownHost}/.postern/callback`)).length
  t.ok(turns <= 3, `${turns} turns`)
}

async function publicPort(t: Test, at: Scene): Promise<void> {
  const got = await ask({ port: at.front, host: at.openHost, headers: { ...forged, Cookie: 'theme=dark' } })
  t.equal(got.status, 200)
  t.match(seenBy(got), { name: 'open', url: '/' })
  clean(t, seenBy(got), nobody, ['theme=dark'])
  const post = await ask({ port: at.front, host: at.openHost, method: 'POST', body: 'hello' })
  t.equal(seenBy(post).body, 'hello')
}

async function webSockets(t: Test, at: Scene): Promise<void> {
  const own = { port: at.front, host: at.ownHost, path: '/socket?x=1' }
  const origin = `http://${at.ownHost}:${at.front}`
  const socket = await openSocket({
    ...own,
    headers: { Cookie: mine(secrets.adaOnWeb), Origin: origin, ...forged },
  })
  t.ok(socket.open)
  if (!socket.open) return
  const seen = JSON.parse(await socket.next()) as Seen
  t.match(seen, { name: 'own', url: '/socket?x=1' })
  clean(t, seen, ada, ['theme=dark; a=b'])
  for (const text of ['hello', 'x'.repeat(200_000)]) {
    socket.send(text)
    t.equal(await socket.next(), text)
  }
  socket.close()
  await socket.closed
  const before = at.own.seen.length
  const refused = async (headers: Record<string, string>) => {
    const handshake = await openSocket({ ...own, headers })
    if (handshake.open) handshake.close()
    return handshake.open ? 101 : handshake.status
  }
  t.equal(await refused({ Origin: origin }), 401, 'signed out')
  t.equal(await refused({ Cookie: mine(secrets.adaOnWeb) }), 403, 'no Origin')
  const other = `http://mapped-3000.ws.localhost:${at.front}`
  t.equal(await refused({ Cookie: mine(secrets.adaOnWeb), Origin: other }), 403, 'another workspace')
  t.equal(await refused({ 'X-Postern-Token': secrets.bobToken }), 404, 'another user')
  t.equal(at.own.seen.length, before, 'none of them reached the program')
  const open = await openSocket({ port: at.front, host: at.openHost, headers: forged })
  t.ok(open.open)
  if (open.open) {
    clean(t, JSON.parse(await open.next()) as Seen, nobody, [])
    open.close()
  }
}

/** Pages of the workspace's other ports may ask and read; those of another workspace may not. */
async function siblings(t: Test, at: Scene): Promise<void> {
  const own = { port: at.front, host: at.ownHost }
  const origin = `http://${at.openHost}:${at.front}`
  const asks = { Cookie: mine(secrets.adaOnWeb), 'Sec-Fetch-Site': 'same-site', 'Sec-Fetch-Mode': 'cors' }
  const allow = 'access-control-allow-origin'
  const preflight = { Origin: origin, 'Access-Control-Request-Method': 'PUT', 'Sec-Fetch-Site': 'same-site' }
  const before = at.own.seen.length
  const leave = await ask({ ...own, method: 'OPTIONS', headers: preflight })
  t.match(leave, { status: 204, headers: { [allow]: origin, 'access-control-allow-credentials': 'true' } })
  t.equal(at.own.seen.length, before, 'the program is not asked')
  for (const path of ['/', '/own-cors']) {
    const read = await ask({ ...own, path, headers: { ...asks, Origin: origin } })
    t.match(
      read,
      { status: 200, headers: { [allow]: origin, 'access-control-allow-credentials': 'true' } },
      path,
    )
    t.match(String(read.headers['vary']), /origin/i)
    clean(t, seenBy(read), ada, ['theme=dark; a=b'])
    t.notOk(namesOf(seenBy(read)).includes('x-postern-allow-origin'))
  }
  const put = await ask({ ...own, method: 'PUT', body: 'x', headers: { ...asks, Origin: origin } })
  t.match(put, { status: 200, headers: { [allow]: origin } })
  const other = `http://mapped-3000.ws.localhost:${at.front}`
  const refused = await ask({ ...own, headers: { ...asks, Origin: other } })
  t.equal(refused.status, 403)
  t.notOk(refused.headers[allow])
  const page = await ask({ ...own, path: '/own-cors', headers: { Cookie: mine(secrets.adaOnWeb) } })
  t.equal(page.headers[allow], 'https://of-the-program.example', 'the program’s own word to others stays')
}

/** One host of two ports: each path leads to its own, whoever asked for the other just before. */
async function composed(t: Test, at: Scene): Promise<void> {
  const web = webRoute({ own: at.own.port, open: at.open.port, members: 1 })
  const row = { ...web, workspaceId: 'w-composed', name: 'composed', aliases: [] }
  const paths = [
    { prefix: '/', port: at.own.port },
    { prefix: '/api', port: at.open.port },
  ]
  at.edge.apply([{ kind: 'route', key: row.workspaceId, row: { ...row, paths } }])
  const visit = async (path: string, token: string | null): Promise<string> => {
    const headers: Record<string, string> = token === null ? {} : { 'X-Postern-Token': token }
    const answer = await ask({ port: at.front, host: 'composed.ws.localhost', path, headers })
    return answer.status === 200 ? seenBy(answer).name : String(answer.status)
  }
  const { adaToken, bobToken } = secrets
  for (const [path, own] of [
    ['/', 'own'],
    ['/api', 'open'],
    ['/api/x?y=/', 'open'],
    ['/apix', 'own'],
    ['/API', 'own'],
    ['/x/../api', 'own'],
    ['/%61pi', 'own'],
    ['//api', 'own'],
    ['/?x=/api', 'own'],
  ] as const) {
    t.equal(await visit(path, adaToken), own, path)
    t.equal(await visit(path, bobToken), own === 'open' ? 'open' : '404', `${path}, another user`)
    t.equal(await visit(path, null), own === 'open' ? 'open' : '401', `${path}, nobody`)
  }
}

async function elsewhere(t: Test, at: Scene): Promise<void> {
  const dashboard = await ask({ port: at.front, host: 'localhost' })
  t.match(JSON.parse(dashboard.body), { dashboard: true })
  const sleepy = await ask({
    port: at.front,
    host: 'sleepy-3000.ws.localhost',
    headers: { ...page, Cookie: `postern_workspace=${secrets.adaOnSleepy}` },
  })
  t.equal(sleepy.status, 503)
  t.match(sleepy.body, /\/\.postern\/start/, 'with a Start button')
  for (const path of [
    '/api/authz/auth-request',
    '/api/authz/auth-request/dial',
    '/api/authz/forward-auth',
    '/.postern/decision',
  ]) {
    const headers = { 'X-Original-URL': `http://${at.openHost}/`, 'X-Original-Method': 'GET' }
    const answer = await ask({ port: at.front, host: at.ownHost, path, headers })
    t.not(answer.status, 200, `${path} is not a visitor’s to ask`)
    for (const name of ['x-postern-upstream', 'upstream']) t.notOk(answer.headers[name])
  }
}

/** Last, as it ends Ada's session. WebSockets are Postern's to move whoever moves the rest, and so to end. */
async function revocation(t: Test, at: Scene): Promise<void> {
  const own = { port: at.front, host: at.ownHost }
  const headers = { Cookie: mine(secrets.adaOnWeb), Origin: `http://${at.ownHost}:${at.front}` }
  const socket = await openSocket({ ...own, headers })
  t.ok(socket.open)
  if (!socket.open) return
  await socket.next()
  at.edge.apply([{ kind: 'gone', of: 'session', key: hashOf(secrets.adaOnWeb) }])
  await socket.closed
  t.equal((await ask({ ...own, headers })).status, 401)
}

for (const front of exampleFronts)
  t.test(front.name, ifInstalled(front), async (t) => {
    const at = await scene(t, front)
    await t.test('the owner', (t) => owner(t, at))
    await t.test('strangers', (t) => strangers(t, at))
    await t.test('the sign-in', (t) => signIn(t, at))
    await t.test('a public port', (t) => publicPort(t, at))
    await t.test('WebSockets', (t) => webSockets(t, at))
    await t.test('siblings', (t) => siblings(t, at))
    await t.test('a composed host', (t) => composed(t, at))
    await t.test('everything else', (t) => elsewhere(t, at))
    await t.test('revocation', (t) => revocation(t, at))
  })
