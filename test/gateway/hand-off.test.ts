// Sign-in, set-up and the hand-off between the two hosts, as a browser goes through them.
import t from 'tap'
import { createHash } from 'node:crypto'
import { ask } from '../support/gateway-bytes.ts'
import { Browser } from '../support/gateway-browser.ts'
import { hashOf } from '../support/gateway-control.ts'
import { originOf, startEdge } from '../support/gateway-edge.ts'

const SHOP = 'http://shop.ws.localhost:8090'
const HOME = 'http://localhost:8090'
const alice = { username: 'alice', password: 'alice-password' }

t.test('a signed-out visitor lands on the very path that they asked for', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const browser = new Browser(edge.port)
  const form = await browser.go(`${SHOP}/cart?id=7&x=%2Fy`)
  t.equal(form.status, 200)
  t.match(form.body, /Sign in to Postern/)
  t.match(form.url, /^http:\/\/localhost:8090\/sign-in\?next=/)
  t.notMatch(form.url, /cart/, 'the path never leaves the workspace’s host')
  const next = /name="next" value="([^"]*)"/.exec(form.body)?.[1]?.replaceAll('&amp;', '&') ?? ''
  const landed = await browser.go(`${HOME}/sign-in`, { form: { ...alice, next } })
  t.equal(landed.status, 200)
  t.equal(landed.body, 'ok')
  t.equal(landed.url, `${SHOP}/cart?id=7&x=%2Fy`)
  t.match(edge.upstream.requests[0]?.head, /^GET \/cart\?id=7&x=%2Fy HTTP/)
  t.notMatch(edge.upstream.bytes(), /postern_/)
  t.ok(edge.control.origins.includes('redeem 127.0.0.1 '), 'control hears who brought the code')
  for (const step of browser.trail)
    for (const cookie of step.all('set-cookie')) {
      t.match(cookie, /; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/)
      t.notMatch(cookie, /domain/i)
    }
  for (const step of browser.trail.slice(0, -1)) t.equal(step.field('cache-control'), 'no-store')
  const other = await browser.go(`http://shop-9.ws.localhost:8090/`)
  t.equal(other.status, 503, 'another port of the same workspace is a host of its own')
  t.ok(browser.cookies('shop-9.ws.localhost').has('postern_workspace'))
})

t.test('with TLS in front, cookies are __Host- and Secure', async (t) => {
  const edge = await startEdge(t, { publicUrl: 'https://postern.example', baseDomain: 'apps.example' })
  edge.workspace('shop')
  const answer = await ask(edge.port, { host: 'shop.apps.example', headers: ['Sec-Fetch-Mode: navigate'] })
  t.match(
    answer.field('location'),
    /^https:\/\/postern\.example\/\.postern\/authorize\?host=shop&c=[\w-]{43}$/,
  )
  t.match(
    answer.field('set-cookie'),
    /^__Host-postern_flow=[^;]+; Path=\/; Max-Age=300; HttpOnly; SameSite=Lax; Secure$/,
  )
})

t.test('programs get 401 and a reason, not a redirect', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const answer = await ask(edge.port, { host: 'shop.ws.localhost:8090', headers: ['Sec-Fetch-Mode: cors'] })
  t.equal(answer.status, 401)
  t.match(answer.field('www-authenticate'), /Bearer/)
  t.match(JSON.parse(answer.body), { code: 'unauthenticated', detail: /localhost:8090\/sign-in/ })
})

/** Goes up to the redirect that carries the code, without following it. */
async function codeFor(
  edge: Awaited<ReturnType<typeof startEdge>>,
  browser: Browser,
  url = SHOP,
): Promise<string> {
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  const first = await browser.request(`${url}/path`)
  const second = await browser.request(first.field('location') ?? '')
  t.equal(second.status, 303)
  t.equal(second.field('referrer-policy'), 'no-referrer')
  return second.field('location') ?? ''
}

t.test('a code is good once, in the browser and on the host that it is for, for a minute', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  edge.workspace('other')
  let nowMs = Date.now()
  edge.control.nowMs = () => nowMs
  const browser = new Browser(edge.port)
  const callback = await codeFor(edge, browser)
  const stranger = await new Browser(edge.port).request(callback)
  t.equal(stranger.status, 403, 'another browser')
  const victim = new Browser(edge.port)
  await victim.request(`${SHOP}/`)
  t.equal((await victim.request(callback)).status, 403, 'a browser with a flow of its own')
  t.notOk(victim.cookies('shop.ws.localhost').has('postern_workspace'))
  await browser.request('http://other.ws.localhost:8090/')
  const elsewhere = await browser.request(callback.replace('//shop.', '//other.'))
  t.equal(elsewhere.status, 403, 'another host')
  const flow = browser.cookies('shop.ws.localhost').get('postern_flow') ?? ''
  const good = await browser.request(callback)
  t.equal(good.status, 303)
  t.equal(good.field('location'), '/path')
  browser.cookies('shop.ws.localhost').set('postern_flow', flow)
  t.equal(
    (await browser.request(callback)).field('location'),
    '/path',
    'a second tab goes on with the session that is there',
  )
  browser.cookies('shop.ws.localhost').delete('postern_workspace')
  t.equal((await browser.request(callback)).status, 403, 'a replay makes no second session')
  const late = new Browser(edge.port)
  const lateCallback = await codeFor(edge, late)
  nowMs += 61_000
  t.equal((await late.request(lateCallback)).status, 403, 'late')
  t.equal(edge.upstream.requests.length, 0, 'the callback never reaches the app')
  t.same(edge.log.lines, [])
})

t.test('a flow cookie that was changed, or is another host’s, is none', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  edge.workspace('other')
  const browser = new Browser(edge.port)
  const callback = await codeFor(edge, browser)
  const cookies = browser.cookies('shop.ws.localhost')
  const flow = cookies.get('postern_flow') ?? ''
  const [body = '', seal = ''] = flow.split('.')
  const fields = JSON.parse(Buffer.from(body, 'base64url').toString()) as unknown[]
  fields[4] = '//evil.example/'
  for (const forged of [
    `${Buffer.from(JSON.stringify(fields)).toString('base64url')}.${seal}`,
    `${flow}x`,
    'x',
    `${body}.${'A'.repeat(43)}`,
  ]) {
    cookies.set('postern_flow', forged)
    t.equal((await browser.request(callback)).status, 403)
  }
  cookies.set('postern_flow', flow)
  t.equal((await browser.request(callback)).status, 303)
})

t.test('a browser that keeps no cookies is stopped after three turns', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  let turns = 0
  let step = await browser.request(`${SHOP}/`)
  while (step.status === 303 && turns < 40) {
    browser.cookies('shop.ws.localhost').delete('postern_workspace')
    step = await browser.request(new URL(step.field('location') ?? '', step.url).href)
    turns++
  }
  t.equal(step.status, 403)
  t.match(step.body, /cookies/)
  t.ok(turns < 12, `${turns} turns`)
})

t.test('authorize gives codes only to people who go somewhere, for what they may use', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop')
  edge.workspace('open', {}, 'members')
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  const challenge = createHash('sha256').update('x').digest('base64url')
  const url = (host: string, c = challenge) => `${HOME}/.postern/authorize?host=${host}&c=${c}`
  for (const fetch of [
    'Sec-Fetch-Mode: cors',
    'Sec-Fetch-Mode: no-cors',
    'Sec-Fetch-Dest: iframe',
    'Sec-Fetch-Dest: image',
  ])
    t.equal((await browser.request(url('shop'), { headers: [fetch] })).status, 403, fetch)
  for (const host of ['shop.evil', 'shop@evil', 'SHOP', 'shop-0', '//evil', ''])
    t.equal((await browser.request(url(host))).status, 400, host)
  t.equal((await browser.request(url('shop', 'short'))).status, 400)
  const absent = await browser.request(url('nix'))
  const bob = new Browser(edge.port)
  bob.cookies('localhost').set('postern_session', edge.control.session('bob'))
  const theirs = await bob.request(url('shop'))
  t.equal(absent.status, 404)
  t.equal(theirs.status, 404)
  // The form on it names the host that was asked for.
  const same = (body: string, name: string) =>
    body.replaceAll(`"${name}"`, 'NAME').replace(/Request <code>\w+/, '')
  t.equal(
    same(theirs.body, 'shop'),
    same(absent.body, 'nix'),
    'not yours and not there are one and the same page',
  )
  const root = new Browser(edge.port)
  root.cookies('localhost').set('postern_session', edge.control.session('root'))
  t.equal((await root.request(url('shop'))).status, 404, 'an administrator is not its owner')
  const asked = await bob.request(url('open'))
  t.equal(asked.status, 200)
  t.match(asked.body, /open belongs to alice/)
  const consent = await bob.request(`${HOME}/.postern/authorize`, { form: { host: 'open', c: challenge } })
  t.match(consent.field('location'), /^http:\/\/open\.ws\.localhost:8090\/\.postern\/callback\?code=/)
  const forged = await ask(edge.port, {
    host: 'localhost:8090',
    path: '/.postern/authorize',
    method: 'POST',
    headers: [
      `Cookie: postern_session=${edge.control.session('bob')}`,
      originOf('open'),
      'Content-Type: application/x-www-form-urlencoded',
    ],
    body: `host=open&c=${challenge}`,
  })
  t.equal(forged.status, 403, 'a sibling cannot consent for bob')
  t.equal(route.ownerId, 'alice')
})

t.test('a session made by sign-in is new, the one brought along ends, and `next` stays here', async (t) => {
  const edge = await startEdge(t)
  const browser = new Browser(edge.port)
  const planted = edge.control.session('bob')
  browser.cookies('localhost').set('postern_session', planted)
  const nexts = [
    '//evil',
    '/\\evil',
    'http://evil',
    '\\\\evil',
    '/\tevil',
    '/ok\r\nX: y',
    'javascript:alert(1)',
    '',
    '/%09/evil',
    '/ok?x=1',
  ]
  for (const next of nexts) {
    const answer = await new Browser(edge.port).request(`${HOME}/sign-in`, { form: { ...alice, next } })
    const location = new URL(answer.field('location') ?? '', HOME)
    t.equal(answer.status, 303)
    t.equal(location.origin, HOME, JSON.stringify(next))
  }
  const answer = await browser.request(`${HOME}/sign-in`, { form: { ...alice, next: '/ok?x=1' } })
  t.equal(answer.field('location'), '/ok?x=1')
  const fresh = browser.cookies('localhost').get('postern_session') ?? ''
  t.not(fresh, planted)
  const as = async (token: string) => {
    await ask(edge.port, {
      host: 'localhost:8090',
      path: '/api/v1/me',
      headers: [`Cookie: postern_session=${token}`],
    })
    return edge.appCalls.at(-1)
  }
  t.equal(await as(planted), 'GET /api/v1/me -')
  t.equal(await as(fresh), 'GET /api/v1/me alice')
  const wrong = await browser.request(`${HOME}/sign-in`, { form: { username: '<b>alice', password: 'no' } })
  t.equal(wrong.status, 401)
  t.match(wrong.body, /role="alert"[^]*value="&lt;b&gt;alice"/)
  const siblings = await ask(edge.port, {
    host: 'localhost:8090',
    path: '/sign-in',
    method: 'POST',
    headers: [originOf('shop'), 'Content-Type: application/x-www-form-urlencoded'],
    body: 'username=alice&password=alice-password',
  })
  t.equal(siblings.status, 403, 'a sibling cannot sign a browser in')
  t.same(siblings.all('set-cookie'), [])
})

t.test('sign-out ends the session and every workspace session that came of it', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const browser = new Browser(edge.port)
  await browser.request(`${HOME}/sign-in`, { form: { ...alice, next: '/' } })
  t.equal((await browser.go(`${SHOP}/`)).body, 'ok')
  const child = browser.cookies('shop.ws.localhost').get('postern_workspace') ?? ''
  const forged = await ask(edge.port, {
    host: 'localhost:8090',
    path: '/sign-out',
    method: 'POST',
    headers: [
      `Cookie: postern_session=${browser.cookies('localhost').get('postern_session')}`,
      originOf('shop'),
    ],
  })
  t.equal(forged.status, 403)
  t.equal((await browser.request(`${HOME}/sign-out`, { form: {} })).field('location'), '/sign-in')
  t.notOk(browser.cookies('localhost').has('postern_session'))
  const after = await ask(edge.port, {
    host: 'shop.ws.localhost:8090',
    headers: [`Cookie: postern_workspace=${child}`],
  })
  t.equal(after.status, 401)
  t.equal(hashOf('').length, 64)
})

t.test('set-up makes the first administrator once', async (t) => {
  const edge = await startEdge(t)
  edge.control.isSetupOpen = true
  const browser = new Browser(edge.port)
  const form = await browser.request(`${HOME}/setup?token=the-setup-token`)
  t.match(form.body, /name="token" value="the-setup-token"/)
  const first = { username: 'root', password: 'long enough', email: '' }
  const wrong = await browser.request(`${HOME}/setup`, { form: { ...first, token: 'no' } })
  t.equal(wrong.status, 403)
  t.match(wrong.body, /role="alert"/)
  const short = await browser.request(`${HOME}/setup`, {
    form: { ...first, token: 'the-setup-token', password: 'short' },
  })
  t.equal(short.status, 422)
  t.match(short.body, /password: at least 10 characters/)
  const made = await browser.request(`${HOME}/setup`, { form: { ...first, token: 'the-setup-token' } })
  t.equal(made.field('location'), '/')
  t.ok(browser.cookies('localhost').has('postern_session'))
  const again = await browser.request(`${HOME}/setup?token=the-setup-token`)
  t.equal(again.status, 409)
  t.match(again.body, /set up already/)
})

t.test('the Start button starts, from its own page only, and leads back', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop', { phase: 'stopped', reason: 'Nothing used it for 2 h.' })
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  const page = await browser.go(`${SHOP}/cart?id=7`)
  t.equal(page.status, 503)
  t.match(page.field('retry-after'), /^\d+$/)
  t.match(page.body, /shop is stopped[^]*name="back" value="\/cart\?id=7"[^]*Nothing used it for 2 h\./)
  const cookie = `Cookie: postern_workspace=${browser.cookies('shop.ws.localhost').get('postern_workspace')}`
  const post = (headers: string[]) =>
    ask(edge.port, {
      host: 'shop.ws.localhost:8090',
      path: '/.postern/start',
      method: 'POST',
      headers: ['Content-Type: application/x-www-form-urlencoded', ...headers],
      body: 'back=%2F%2Fevil',
    })
  t.equal((await post([cookie, originOf('other')])).status, 403, 'not from a sibling')
  t.equal((await post([cookie])).status, 403, 'not without Origin')
  t.equal((await post([originOf('shop')])).status, 401, 'not signed out')
  t.same(edge.control.started, [])
  t.equal(
    (await post([cookie, 'Origin: null', 'Sec-Fetch-Site: same-origin'])).field('location'),
    '/',
    'back only to this host',
  )
  const back = await browser.request(`${SHOP}/.postern/start`, { form: { back: '/cart?id=7' } })
  t.equal(back.field('location'), '/cart?id=7')
  t.same(edge.control.started, [`${route.workspaceId} alice`, `${route.workspaceId} alice`])
  edge.control.route({ ...route, phase: 'starting', reason: '' })
  const waking = await browser.request(`${SHOP}/cart?id=7`)
  t.match(waking.body, /shop is waking up/)
  edge.control.route({ ...route, phase: 'running' })
  t.equal((await browser.request(`${SHOP}/cart?id=7`)).body, 'ok')
})

t.test('pages are small, inert and sealed by their policy', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop', { phase: 'failed', reason: '<script>alert(1)</script>' })
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  const pages = [
    await browser.go(`${SHOP}/"><script>`),
    await new Browser(edge.port).request(`${HOME}/sign-in?next=%22%3E%3Cscript%3E`),
    await browser.request('http://evil.example/'),
    await browser.request(`${HOME}/.postern/nothing`),
  ]
  for (const page of pages) {
    t.match(page.field('content-type'), /^text\/html/)
    t.ok(page.body.length < 12_000, `${page.body.length} bytes`)
    t.notMatch(page.body, /<script/)
    const style = /<style>([^]*)<\/style>/.exec(page.body)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    t.match(page.field('content-security-policy'), `style-src 'sha256-${hash}'`)
    t.match(page.field('content-security-policy'), /default-src 'none';.*frame-ancestors 'none'/)
    t.match(page.body, /Request <code>\w{10,}<\/code>/)
  }
})
