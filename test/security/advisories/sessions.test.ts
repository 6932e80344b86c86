// Attacks on sign-in, sessions and cookies that other products had, each with its story; none may work here.
import t from 'tap'
import { password } from '../../support/control-server.ts'
import { always, ask, OK, rawUpstream } from '../../support/gateway-bytes.ts'
import { Browser } from '../../support/gateway-browser.ts'
import { hashOf } from '../../support/gateway-control.ts'
import { originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'
import { startDeployment } from '../../support/proof-deployment.ts'
import { doorsAt, isYes } from '../../support/proof-doors.ts'
import { until } from '../../support/until.ts'

const HOST = 'shop.ws.localhost:8090'
const HOME = 'http://localhost:8090'
const page = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document', 'Accept: text/html']

// The sign-in page kept the session that a browser brought: an attacker planted one, and had it when its victim signed in.
t.test(
  'oauth2-proxy GHSA-f24x-5g9q-753f: a session planted before the sign-in is dead after it',
  async (t) => {
    const place = await startDeployment(t)
    const mia = await place.member('mia')
    const planted = mia.cookies(place.publicUrl).get('postern_session') ?? ''
    await place.member('victim')
    for (const value of [planted, 'of-the-attackers-own-making-43-letters-long-x']) {
      const victim = place.visitor()
      const sent = await victim.ask('/sign-in', {
        method: 'POST',
        headers: {
          Cookie: `postern_session=${value}`,
          Origin: place.publicUrl,
          'Content-Type': 'application/x-www-form-urlencoded',
        },
        body: new URLSearchParams({ username: 'victim', password }).toString(),
      })
      t.equal(sent.status, 303)
      const own = victim.cookies(place.publicUrl).get('postern_session') ?? ''
      t.notSame(own, value)
      const me = async (cookie: string) =>
        place.visitor().ask('/api/v1/me', { headers: { Cookie: `postern_session=${cookie}` } })
      t.match((await me(own)).json(), { username: 'victim' })
      t.equal((await me(value)).status, 401, 'the planted one is nobody’s')
    }
  },
)

// Two cookies of one name, one of them expired, sent the browser in circles between the app and the sign-in.
// Here: two of a name are none; one that was set for all hosts is taken away, and where that can't be, a page says so.
t.test('Coder #19930: a stale cookie beside a good one makes no loop', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop')
  const stale = edge.control.child(edge.control.session('alice', 1), route.workspaceId, 'shop', 1)
  const single = new Browser(edge.port)
  single.cookies('localhost').set('postern_session', edge.control.session('alice'))
  single.cookies('shop.ws.localhost').set('postern_workspace', stale)
  const landed = await single.go(`http://${HOST}/cart`)
  t.match([landed.status, landed.url], [200, `http://${HOST}/cart`], 'a stale one alone is replaced')
  t.ok(single.trail.length <= 5, `in ${single.trail.length} requests`)
  // One that a neighbour's page set for all hosts goes with every request, until it is taken away by its own domain.
  for (const name of ['postern_workspace', 'postern_flow']) {
    const both = new Browser(edge.port)
    both.cookies('localhost').set('postern_session', edge.control.session('alice'))
    both.cookies('shop.ws.localhost').set('postern_workspace', stale)
    let tossed: string | null = `Cookie: ${name}=${stale}`
    let step: Awaited<ReturnType<Browser['request']>> | null = null
    for (let url: string | null = `http://${HOST}/cart/7`; url !== null && both.trail.length < 30;) {
      const isThere: boolean = tossed !== null && url.includes('//shop.')
      step = await both.request(url, { headers: [...page, ...(isThere ? [tossed ?? ''] : [])] })
      if (
        step
          .all('set-cookie')
          .some((line) => line.startsWith(`${name}=; Path=/; Domain=ws.localhost; Max-Age=0`))
      )
        tossed = null
      const next: string | null = step.field('location')
      url = next === null ? null : new URL(next, url).href
    }
    t.match([step?.status, step?.url], [200, `http://${HOST}/cart/7`], name)
    t.equal(both.trail.filter(({ url }) => /authorize/.test(url)).length, 1, `${name}: one turn`)
  }
  // One that comes back whatever is said of it.
  const stuck = new Browser(edge.port)
  stuck.cookies('localhost').set('postern_session', edge.control.session('alice'))
  let step = await stuck.request(`http://${HOST}/cart`, {
    headers: [...page, `Cookie: postern_workspace=${stale}`],
  })
  while (step.field('location') !== null && stuck.trail.length < 30) {
    const next = new URL(step.field('location') ?? '', step.url).href
    step = await stuck.request(next, { headers: [...page, `Cookie: postern_workspace=${stale}`] })
  }
  t.match([step.status, step.field('content-type'), stuck.trail.length], [403, /^text\/html/, 10])
  t.match(step.body, /Allow cookies for this site/, 'a page says what is the matter')
})

// A tossed cookie of the hub's own name, from a sibling's page, was read as the hub's: its content ran as script.
t.test(
  'JupyterHub CVE-2024-28233: a cookie of our name that a sibling tossed counts for nothing',
  async (t) => {
    const edge = await startEdge(t, { script: webAndSocket })
    const [shop, evil] = [edge.workspace('shop'), edge.workspace('evil', { ownerId: 'bob' })]
    const own = edge.cookie('alice', shop)
    const bobs = edge.cookie('bob', evil)
    const bobsDashboard = `postern_session=${edge.control.session('bob')}`
    for (const door of doorsAt(edge))
      for (const [what, cookie] of [
        ['instead of hers', bobs],
        ['before hers', `${bobs}; ${own}`],
        ['after hers', `${own}; ${bobs}`],
        ['of markup', `postern_workspace=<script>alert(1)</script>; ${own}`],
        ['of the dashboard', bobsDashboard],
        ['without a name', `=${own}`],
        ['with a blank that is none', `\xa0${own}`],
      ] as const) {
        const answer = await door.try({ host: HOST, headers: [`Cookie: ${cookie}`, originOf('shop')] })
        t.equal(answer.status, 401, `${what} at ${door.name}`)
        t.notMatch(answer.body, /<script>/)
      }
    const dashboard = await ask(edge.port, {
      host: 'localhost:8090',
      path: '/api/v1/me',
      headers: [`Cookie: ${bobsDashboard}; postern_session=${edge.control.session('alice')}`],
    })
    t.equal(dashboard.status, 200)
    t.equal(edge.appCalls.at(-1), 'GET /api/v1/me -', 'two on the dashboard are nobody')
  },
)

// `Sec-Fetch-Mode: no-cors` was taken for a proof that the browser would read nothing, so the check was skipped.
t.test('JupyterHub CVE-2026-40864: no-cors is no proof', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop')
  const session = `Cookie: postern_session=${edge.control.session('alice')}`
  const form = 'Content-Type: application/x-www-form-urlencoded'
  for (const site of ['same-site', 'cross-site', 'none', null])
    for (const mode of ['no-cors', 'navigate', 'cors', 'websocket', 'x']) {
      const headers = [form, `Sec-Fetch-Mode: ${mode}`, ...(site === null ? [] : [`Sec-Fetch-Site: ${site}`])]
      const onDashboard = await ask(edge.port, {
        host: 'localhost:8090',
        path: '/api/v1/workspaces',
        method: 'POST',
        headers: [...headers, session],
        body: 'name=x',
      })
      t.equal(onDashboard.status, 403, `${mode} ${site} on the dashboard`)
      const onWorkspace = await ask(edge.port, {
        host: HOST,
        path: '/',
        method: 'POST',
        headers: [...headers, `Cookie: ${edge.cookie('alice', route)}`],
        body: 'x=1',
      })
      t.equal(onWorkspace.status, 403, `${mode} ${site} on a workspace`)
    }
  t.same(edge.appCalls, [])
  t.same(edge.upstream.requests, [])
})

// A username of a megabyte was written to the log as it came, once for each try.
t.test('JupyterHub CVE-2026-54338: a long name fills no log', async (t) => {
  const place = await startDeployment(t)
  const { log } = place.control
  for (const length of [201, 10_000, 60_000]) {
    const username = 'x'.repeat(length)
    await place.visitor().api('POST', '/api/v1/sessions', { username, password })
    await place.visitor().submit('/sign-in', { username: username.slice(0, 10_000), password })
  }
  await place.visitor().api('POST', '/api/v1/sessions', { username: 'y'.repeat(200), password })
  const lines = [...log.lines, ...place.log.lines]
  t.ok(
    log.lines.some((line) => /sign-in was refused/.test(line)),
    'a refused sign-in is told of, without the name that nobody has',
  )
  t.same(
    lines.filter((line) => /[xy]{41}/.test(line)),
    [],
  )
  t.notMatch(lines.join(''), new RegExp(password))
})

// A sign-out in one tab left the sessions that other tabs had begun on the servers of the user.
t.test('JupyterHub GHSA-cw7p-q79f-m2v7: a sign-out takes every child with it', async (t) => {
  const app = await rawUpstream(always(OK))
  t.teardown(() => app.close())
  const place = await startDeployment(t)
  const mia = await place.member('mia')
  for (const name of ['one', 'two']) await place.workspace(mia, name, [{ port: app.port }])
  const hosts = ['one', 'two', `one-${app.port}`, `two-${app.port}`].map((label) => `${place.origin(label)}/`)
  for (const host of hosts) t.equal((await mia.browse(host)).status, 200, host)
  const children = hosts.map((host) => mia.cookies(host).get('postern_workspace') ?? '')
  const ofOther = await place.member('other')
  t.equal((await mia.submit('/sign-out', {})).status, 303)
  const alone = place.visitor()
  for (const [n, host] of hosts.entries()) {
    const { status } = await alone.ask(host, { headers: { Cookie: `postern_workspace=${children[n]}` } })
    t.equal(status, 401, `${host} after the sign-out`)
  }
  t.equal((await ofOther.api('GET', '/api/v1/me')).status, 200, 'nobody else is signed out')
})

// `https://app\.base` as an unanchored expression also matched `https://app.base.evil.com`.
t.test('jupyter-server CVE-2026-40110: an origin that only begins or ends like ours', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const session = `Cookie: postern_session=${edge.control.session('alice')}`
  const near = (origin: string): string[] => [
    `${origin}.evil.example`,
    `${origin}@evil.example`,
    `${origin}0`,
    `${origin}/`,
    origin.replace('://', '://evil.'),
    origin.replace('://', '://evil'),
    origin.replace('http:', 'https:'),
    origin.replaceAll('.', 'x').replace('localhost', 'localhosx'),
    origin.replace(':8090', ''),
    `null, ${origin}`,
    ` ${origin}.`,
    origin.toUpperCase(),
  ]
  for (const origin of near(HOME)) {
    const headers = [session, `Origin: ${origin}`, 'Content-Type: application/json']
    const path = '/api/v1/workspaces'
    t.equal(
      (await ask(edge.port, { host: 'localhost:8090', path, method: 'POST', headers, body: '{}' })).status,
      403,
      origin,
    )
    const [, upgrade] = doorsAt(edge)
    t.equal(
      (await upgrade?.try({ host: 'localhost:8090', path: '/api/v1/events', headers }))?.status,
      403,
      origin,
    )
  }
  for (const origin of near(`http://${HOST}`))
    for (const door of doorsAt(edge)) {
      const headers = [`Cookie: ${edge.cookie('alice', route)}`, `Origin: ${origin}`]
      const { status } = await door.try({
        host: HOST,
        method: door.name === 'upgrade' ? 'GET' : 'POST',
        headers,
      })
      t.equal(status, 403, `${origin} at ${door.name}`)
    }
  t.same(edge.upstream.requests, [])
  t.same(edge.appCalls, [])
})

// Cookies that were given before a password was changed went on to work after it.
t.test('jupyter-server CVE-2026-40934: a new password ends the sessions of the old one', async (t) => {
  const app = await rawUpstream(always(OK))
  t.teardown(() => app.close())
  const place = await startDeployment(t)
  const here = await place.member('mia')
  await place.workspace(here, 'shop', [{ port: app.port }])
  const { id } = await here.must<{ id: string }>('GET', '/api/v1/me')
  const thief = async () => {
    const one = place.visitor()
    await one.must('POST', '/api/v1/sessions', { username: 'mia', password: now })
    t.equal((await one.browse(`${place.origin('shop')}/`)).status, 200)
    return one
  }
  const isOut = async (who: typeof here, how: string) => {
    t.equal((await who.api('GET', '/api/v1/me')).status, 401, `the dashboard after ${how}`)
    t.equal((await who.ask(`${place.origin('shop')}/`)).status, 401, `the workspace after ${how}`)
  }
  let now = password
  const first = await thief()
  const next = 'a new password of hers'
  await here.must('POST', '/api/v1/me/password', { currentPassword: now, newPassword: next })
  now = next
  await isOut(first, 'her own change')
  t.equal((await here.api('GET', '/api/v1/me')).status, 200, 'the one that changed it stays')
  const second = await thief()
  await place.administrator.must('PATCH', `/api/v1/users/${id}`, { password })
  now = password
  await isOut(second, 'an administrator’s change')
  await isOut(here, 'an administrator’s change')
})

// WebSockets were opened without a look at Origin: any site, or a sibling, used the IDE's terminal as its visitor.
t.test('code-server CVE-2023-26114, Gitpod CVE-2023-0957: a WebSocket from a sibling’s page', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  edge.workspace('evil', { ownerId: 'bob' })
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  const [, upgrade] = doorsAt(edge)
  const from = async (...headers: string[]) =>
    (await upgrade?.try({ host: HOST, path: '/terminal', headers: [cookie, ...headers] }))?.status
  t.equal(await from(originOf('evil'), 'Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: websocket'), 403)
  t.equal(await from('Origin: https://evil.example'), 403)
  t.equal(await from('Origin: null'), 403)
  t.equal(await from(), 403, 'nothing said')
  t.equal(await from(`Origin: ${HOME}`), 403, 'the dashboard’s page')
  t.same(edge.upstream.requests, [])
  t.equal(await from(originOf('shop')), 101)
})

// The proxied port was sent the IDE's own session cookie; one route of the proxy had no check; a list in X-Forwarded-Host
// passed as a host.
t.test(
  'code-server 4.124.2, 4.5.2, 4.13.0: no cookie leaks, every route asks, a list is no host',
  async (t) => {
    const edge = await startEdge(t, { script: webAndSocket })
    const route = edge.workspace('shop')
    const { port } = edge.upstream
    const dashboard = edge.control.session('alice')
    const all = [
      'postern_session',
      'postern_flow',
      '__Host-postern_session',
      '__Host-postern_workspace',
      '__Host-postern_flow',
    ]
    const others = all.map((name) => `${name}=${dashboard}`).join('; ')
    const [http, upgrade, forwardAuth] = doorsAt(edge)
    for (const door of [http, upgrade])
      await door?.try({
        host: HOST,
        headers: [`Cookie: theme=dark; ${others}; ${edge.cookie('alice', route)}`, originOf('shop')],
      })
    t.equal(edge.upstream.requests.length, 2)
    for (const { head } of edge.upstream.requests) {
      t.match(head, /\r\nCookie: theme=dark\r\n/)
      t.notMatch(head, /postern_/)
    }
    for (const door of doorsAt(edge))
      for (const label of ['shop', `shop-${port}`, 'shop-1', 'shop-65535', 'nix', 'nix-80'])
        for (const path of [
          '/',
          '/proxy/3000/',
          '/absproxy/3000/',
          '/healthz',
          '/login',
          '/_static/x',
          '/.postern',
          '/.well-known/x',
        ]) {
          const { status } = await door.try({
            host: `${label}.ws.localhost:8090`,
            path,
            headers: ['Accept: */*'],
          })
          t.equal(status, 401, `${label}${path} at ${door.name}`)
        }
    t.equal(edge.upstream.requests.length, 2)
    for (const host of [`${HOST}, ${HOST}`, `${HOST},x`, `a, ${HOST}`, `${HOST} ${HOST}`])
      t.ok(
        ((await forwardAuth?.try({ host, headers: [`Cookie: ${edge.cookie('alice', route)}`] }))?.status ??
          0) >= 400,
        host,
      )
  },
)

// Where the session couldn't be read, for odd bytes or as its store was away, the outpost answered 200.
// Here: one byte beside our cookie, each of them at each place, at every door; `;` and blanks are all that may stand there.
t.test('authentik CVE-2026-25748, #18063: no byte in a cookie makes a yes of a no', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop')
  const secret = edge.cookie('alice', route).split('=')[1] ?? ''
  const places: readonly [what: string, (byte: string) => string, harmless: RegExp][] = [
    ['before the name', (byte) => `${byte}postern_workspace=${secret}`, /[ \t;]/],
    ['in the name', (byte) => `postern${byte}_workspace=${secret}`, /(?!)/],
    ['after the name', (byte) => `postern_workspace${byte}=${secret}`, /[ \t]/],
    ['before the value', (byte) => `postern_workspace=${byte}${secret}`, /[ \t]/],
    ['in the value', (byte) => `postern_workspace=${secret.slice(0, 8)}${byte}${secret.slice(8)}`, /(?!)/],
    ['after the value', (byte) => `postern_workspace=${secret}${byte}`, /[ \t;]/],
    ['in another’s', (byte) => `a${byte}=b${byte}; postern_workspace=${secret}`, /[^\0\r\n]/],
  ]
  const doors = doorsAt(edge).filter(({ name }) => name === 'http' || name === 'forward-auth')
  for (const door of doors)
    for (const [what, cookie, harmless] of places) {
      const wrong: string[] = []
      const one = async (code: number): Promise<void> => {
        const byte = String.fromCharCode(code)
        // Node ends a connection that sends control bytes before anybody looks at it.
        const { status } = await door.try({ host: HOST, headers: [`Cookie: ${cookie(byte)}`, 'Accept: */*'] })
        const isControl = code < 0x20 || code === 0x7f
        const may = harmless.test(byte) && !(isControl && code !== 9)
        if (isYes(status) !== may && !(isControl && !isYes(status))) wrong.push(`${code}: ${status}`)
      }
      for (let from = 0; from < 256; from += 32)
        await Promise.all(Array.from({ length: 32 }, (_, n) => one(from + n)))
      t.same(wrong, [], `${what} at ${door.name}`)
    }
  edge.control.gone('session', hashOf(secret))
  await until(
    async () =>
      (await doors[0]?.try({ host: HOST, headers: [`Cookie: postern_workspace=${secret}`] }))?.status === 401,
  )
})
