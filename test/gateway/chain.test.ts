// One sign-in, all declared ports of a workspace: each host gets a session of its own, and the visitor lands where they wanted.
import t, { type Test } from 'tap'
import { ApiError, type EdgePort, portDefaults } from '../../control/wire/index.ts'
import { ask } from '../support/gateway-bytes.ts'
import { Browser } from '../support/gateway-browser.ts'
import { startEdge } from '../support/gateway-edge.ts'

const urlOf = (label: string, path = '/'): string => `http://${label}.ws.localhost:8090${path}`
const more = [8001, 8002, 8003, 8004, 8005]

/** A workspace with the upstream's port and others; a browser of one who is signed in on the dashboard. */
async function open(t: Test, others: readonly (number | Partial<EdgePort>)[] = more, userId = 'alice') {
  const edge = await startEdge(t)
  const ports = [edge.upstream.port, ...others].map((each) =>
    typeof each === 'number' ? { ...portDefaults, port: each } : { ...portDefaults, port: 1, ...each },
  )
  const route = edge.workspace('shop', { ports })
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session(userId))
  const signedIn = (label: string): boolean =>
    browser.cookies(`${label}.ws.localhost`).has('postern_workspace')
  return { edge, browser, route, signedIn, first: `shop-${edge.upstream.port}` }
}

t.test('one sign-in is one for the other ports too, five in all', async (t) => {
  const { edge, browser, first, signedIn } = await open(t, [{ port: 7000, cors: 'app' }, ...more])
  const landed = await browser.go(urlOf(first, '/cart?id=7&to=//evil'))
  t.equal(landed.url, urlOf(first, '/cart?id=7&to=//evil'))
  t.equal(landed.body, 'ok')
  t.same([first, ...more.map((port) => `shop-${port}`), 'shop-7000', 'shop'].map(signedIn), [
    true,
    true,
    true,
    true,
    true,
    false,
    false,
    false,
  ])
  t.ok(browser.trail.length <= 20, `${browser.trail.length} steps`)
  const tokens = [first, 'shop-8001', 'shop-8002'].map((label) =>
    browser.cookies(`${label}.ws.localhost`).get('postern_workspace'),
  )
  t.equal(new Set(tokens).size, 3, 'no two hosts share a session')
  for (const step of browser.trail.slice(0, -1)) {
    t.equal(step.field('cache-control'), 'no-store')
    t.equal(step.field('referrer-policy'), 'no-referrer')
  }
  for (const step of browser.trail.slice(0, -2))
    t.notMatch(step.field('location') ?? '', /cart/, 'the path stays where it was asked for')
  t.equal(edge.upstream.requests.length, 1, 'no app saw any of it')
  const again = browser.trail.length
  await browser.go(urlOf('shop-8005'))
  t.ok(signedIn('shop-8005'))
  t.ok(browser.trail.length - again <= 9, 'hosts where they are signed in are passed by at once')
  const call = await ask(edge.port, {
    host: `shop-8001.ws.localhost:8090`,
    method: 'PUT',
    headers: [`Cookie: postern_workspace=${tokens[1]}`, `Origin: ${urlOf(first).slice(0, -1)}`],
  })
  t.equal(call.status, 503, 'nothing listens there, but the call was let through')
})

t.test('a workspace of one port is as quick as ever', async (t) => {
  const { browser, first } = await open(t, [])
  await browser.go(urlOf(first, '/x'))
  t.equal(browser.trail.length, 4)
})

t.test('what fails on one host keeps nobody from landing', async (t) => {
  const { edge, browser, first, signedIn } = await open(t)
  const issue = edge.control.issueCode.bind(edge.control)
  edge.control.issueCode = (grant) =>
    grant.label === 'shop-8001' ? Promise.reject(new ApiError('internal')) : issue(grant)
  const redeem = edge.control.redeemCode.bind(edge.control)
  edge.control.redeemCode = (given, origin) =>
    given.label === 'shop-8002' ? Promise.reject(new Error('away')) : redeem(given, origin)
  const landed = await browser.go(urlOf(first, '/x'))
  t.equal(landed.url, urlOf(first, '/x'))
  t.same([first, ...more.map((port) => `shop-${port}`)].map(signedIn), [
    true,
    false,
    false,
    true,
    true,
    false,
  ])
  t.match(edge.log.lines, [/one port/, /one port/])
})

/** Goes up to the hop whose Location fits, without following it. */
async function upTo(browser: Browser, url: string, location: RegExp): Promise<URL> {
  let step = await browser.request(url)
  for (let i = 0; i < 20; i++) {
    const next = new URL(step.field('location') ?? 'http://none', step.url)
    if (location.test(next.href)) return next
    step = await browser.request(next.href)
  }
  throw new Error('no such hop')
}

t.test('a code is for its host and its browser', async (t) => {
  const { edge, browser, first, signedIn } = await open(t)
  const hop = await upTo(browser, urlOf(first, '/x'), /shop-8001.*callback\?code/)
  const thief = new Browser(edge.port)
  await thief.request(hop.href)
  t.notOk(thief.cookies('shop-8001.ws.localhost').has('postern_workspace'), 'another browser')
  const landed = await browser.go(hop.href)
  t.equal(landed.url, urlOf(first, '/x'))
  t.ok(signedIn('shop-8002'))
  const other = await open(t)
  const moved = await upTo(other.browser, urlOf(other.first, '/x'), /shop-8001.*callback\?code/)
  moved.host = moved.host.replace('8001', '8002')
  await other.browser.request(moved.href)
  t.notOk(other.signedIn('shop-8002'), 'another host')
})

t.test('a chain is its person’s alone, and leads nowhere else', async (t) => {
  const { edge, browser, first, route } = await open(t, [{ port: 8001, visibility: 'members' }])
  const hop = await upTo(browser, urlOf(first, '/x'), /shop-8001.*enter\?chain/)
  const bob = new Browser(edge.port)
  bob.cookies('localhost').set('postern_session', edge.control.session('bob'))
  const asked = await bob.go(hop.href)
  t.match(asked.body, /alice/, 'bob is asked as anybody is whom a link brings')
  t.notOk(bob.cookies('shop-8001.ws.localhost').has('postern_workspace'))
  for (const value of [
    '',
    'x',
    'x.y',
    `${hop.searchParams.get('chain') ?? ''}A`,
    hop.searchParams.get('chain')?.slice(1) ?? '',
  ]) {
    const step = await new Browser(edge.port).request(urlOf('shop-8001', `/.postern/enter?chain=${value}`))
    t.match(
      step.field('location'),
      /^http:\/\/localhost:8090\/\.postern\/authorize\?host=shop-8001&c=[\w-]{43}$/,
    )
  }
  const elsewhere = await bob.request(urlOf('evil', `/.postern/enter${hop.search}`))
  t.match(elsewhere.field('location'), /authorize\?host=evil&c=[\w-]{43}$/, 'not on another host')
  const now = edge.control.nowMs
  edge.control.nowMs = () => now() + 301_000
  const late = await new Browser(edge.port).request(hop.href)
  t.notMatch(late.field('location'), /chain/, 'not for ever')
  edge.control.nowMs = now
  edge.control.route({ ...route, ports: [] })
  const closed = await browser.go(hop.href)
  t.equal(closed.url, urlOf(first, '/x'), 'a port that is no longer declared: its owner may still')
  const landing = await new Browser(edge.port).request(urlOf('shop', '/.postern/landed?to=//evil'))
  t.equal(landing.field('location'), '/')
})

t.test('consent to somebody else’s workspace is asked for once', async (t) => {
  const open8 = { visibility: 'members' } as const
  const edge = await startEdge(t)
  const { port } = edge.upstream
  const ports = [port, 8001, 8002].map((each) => ({ ...portDefaults, port: each, ...open8 }))
  edge.workspace('shop', { ports: [...ports, { ...portDefaults, port: 8003 }] })
  const bob = new Browser(edge.port)
  bob.cookies('localhost').set('postern_session', edge.control.session('bob'))
  const asked = await bob.go(urlOf(`shop-${port}`, '/x'))
  t.match(asked.body, /alice/)
  const challenge = /name="c" value="([^"]+)"/.exec(asked.body)?.[1] ?? ''
  const landed = await bob.go('http://localhost:8090/.postern/authorize', {
    form: { host: `shop-${port}`, c: challenge },
  })
  t.equal(landed.url, urlOf(`shop-${port}`, '/x'))
  t.equal(landed.body, 'ok')
  const has = (label: string): boolean => bob.cookies(`${label}.ws.localhost`).has('postern_workspace')
  t.same(['shop-8001', 'shop-8002', 'shop-8003'].map(has), [true, true, false])
})
