// Open redirects that other gateways had, as one table of payloads, put to every place here that takes a way back.
import t from 'tap'
import { type Answer, ask } from '../../support/gateway-bytes.ts'
import { Browser } from '../../support/gateway-browser.ts'
import { type EdgeUnderTest, originOf, startEdge } from '../../support/gateway-edge.ts'
import { askFront } from '../../support/proof-doors.ts'
import { redirectPayloads as payloads } from '../../support/proof-redirects.ts'
import { startTlsEdge } from '../../support/tls-edge.ts'

const HOME = 'http://localhost:8090'
const SHOP = 'http://shop.ws.localhost:8090'

/** Where a browser goes with that Location; the URL parser is the browsers' own (WHATWG). */
const goesTo = (location: string, from: string): URL => new URL(location, from)

/** Nothing in an answer names another origin, and no payload became a field of its own. */
function problemOf(answer: Answer, from: string, ours: readonly string[]): string | null {
  const places = answer.all('location')
  if (places.length > 1) return `${places.length} Locations`
  if (answer.all('set-cookie').some((line) => /postern_session=planted/.test(line))) return 'a planted cookie'
  if (answer.field('refresh') !== null) return 'a Refresh'
  const [place] = places
  if (place === undefined) return null
  const { origin } = goesTo(place, from)
  return ours.includes(origin) ? null : `goes to ${goesTo(place, from).href}`
}

/** Goes on as a browser does; what is wrong with any hop, or null. */
async function follow(browser: Browser, first: Answer, from: string): Promise<string | null> {
  let [answer, at] = [first, from]
  for (let hop = 0; hop < 12; hop++) {
    const problem = problemOf(answer, at, [HOME, SHOP])
    if (problem !== null) return `${problem} from ${at}`
    const next = answer.field('location')
    if (next === null) return null
    at = goesTo(next, at).href
    answer = await browser.request(at)
  }
  return 'no end of redirects'
}

const signedIn = (edge: EdgeUnderTest): Browser => {
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('alice'))
  return browser
}

const places: readonly { what: string; go(edge: EdgeUnderTest, payload: string): Promise<string | null> }[] =
  [
    {
      what: 'the sign-in page of somebody who is signed in',
      async go(edge, payload) {
        const browser = signedIn(edge)
        const url = `${HOME}/sign-in?next=${encodeURIComponent(payload)}`
        return follow(browser, await browser.request(url), url)
      },
    },
    {
      what: 'the sign-in form',
      async go(edge, payload) {
        const browser = new Browser(edge.port)
        const page = await browser.request(`${HOME}/sign-in?next=${encodeURIComponent(payload)}`)
        if (/evil/.test(page.body) && !/value="\//.test(page.body)) return 'the form keeps another origin'
        const form = { username: 'alice', password: 'alice-password', next: payload }
        const answer = await browser.request(`${HOME}/sign-in`, { form })
        if (answer.status !== 303) return `${answer.status}`
        return follow(browser, answer, HOME)
      },
    },
    {
      what: 'the way in of a front',
      async go(edge, payload) {
        const browser = signedIn(edge)
        const url = `${SHOP}/.postern/enter?to=${encodeURIComponent(payload)}`
        return follow(browser, await browser.request(url), url)
      },
    },
    {
      what: 'the Start button',
      async go(edge, payload) {
        const route = edge.workspace('shop')
        const answer = await ask(edge.port, {
          host: 'shop.ws.localhost:8090',
          path: '/.postern/start',
          method: 'POST',
          headers: [
            `Cookie: ${edge.cookie('alice', route)}`,
            originOf('shop'),
            'Content-Type: application/x-www-form-urlencoded',
          ],
          body: new URLSearchParams({ back: payload }).toString(),
        })
        if (answer.status !== 303) return `${answer.status}`
        return problemOf(answer, SHOP, [SHOP])
      },
    },
    {
      what: 'the page before a password',
      async go(edge, payload) {
        const cookie = `Cookie: ${edge.cookie('alice', edge.workspace('shop'))}`
        const path = `/.postern/password?to=${encodeURIComponent(payload)}`
        const at = { host: 'shop.ws.localhost:8090', path, headers: [cookie, 'Accept: text/html'] }
        const answer = await ask(edge.port, at)
        return answer.status === 303 ? problemOf(answer, SHOP, [SHOP]) : `${answer.status}`
      },
    },
    {
      what: 'the form of a password',
      async go(edge, payload) {
        const answer = await ask(edge.port, {
          host: 'shop.ws.localhost:8090',
          path: '/.postern/password',
          method: 'POST',
          headers: [
            `Cookie: ${edge.cookie('alice', edge.workspace('shop'))}`,
            originOf('shop'),
            'Accept: text/html',
            'Content-Type: application/x-www-form-urlencoded',
          ],
          body: new URLSearchParams({ to: payload, password: 'x' }).toString(),
        })
        return answer.status === 303 ? problemOf(answer, SHOP, [SHOP]) : `${answer.status}`
      },
    },
  ]

// A suffix of a host, an encoded blank, or `/\` led from the sign-in to a page of the attacker's, which asked for the
// password again. Here: each way back is a local path, on the host that it was meant for.
t.test(
  'oauth2-proxy GHSA-4mf2-f3wh-gvf2, GHSA-5m6c-jp6f-2vcv, GHSA-j7px-6hwj-hpjg, GHSA-qqxw-m5fj-f7gv, JupyterHub CVE-2026-33709, CVE-2019-10255: no way back leads elsewhere',
  async (t) => {
    const edge = await startEdge(t)
    edge.workspace('shop')
    for (const { what, go } of places)
      for (const payload of payloads) t.equal(await go(edge, payload), null, `${what}: ${encodeURI(payload)}`)
    for (const { what, go } of places)
      t.equal(await go(edge, '/cart?id=7&to=//x'), null, `${what} takes a path`)
    const browser = signedIn(edge)
    const kept = await browser.go(`${SHOP}/.postern/enter?to=${encodeURIComponent('/cart?id=7')}`)
    t.equal(kept.url, `${SHOP}/cart?id=7`, 'and goes there')
  },
)

/** Targets that a visitor may ask for, and that come back in a Location. */
const targets = payloads.filter(
  (payload) => /^[/?]/.test(payload) && !/[\r\n\t\u0000 #\\]|[^\u0000-\u00ff]/.test(payload),
)

// The same by the request's own target: `GET //evil.example` was sent back, after the sign-in, as a Location.
t.test('Koa CVE-2025-8129, JupyterHub CVE-2019-10255: the target of a request is no way out', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  t.ok(targets.length >= 12)
  for (const path of targets.filter((target) => target.startsWith('/'))) {
    const browser = signedIn(edge)
    const first = await browser.request(`${SHOP}${path}`)
    t.equal(first.status, 303, path)
    t.equal(await follow(browser, first, `${SHOP}/`), null, path)
    for (const family of ['forward-auth', 'auth-request', 'ext-authz'] as const) {
      const headers = ['Accept: text/html', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document']
      const answer = await askFront(edge, family, { host: 'shop.ws.localhost:8090', path, headers })
      t.equal(answer.status, family === 'auth-request' ? 401 : 303, `${path} at ${family}`)
      t.equal(await follow(signedIn(edge), answer, `${SHOP}/`), null, `${path} at ${family}`)
    }
  }
})

// `http://h//evil.example` was redirected to https as `//evil.example`.
t.test('Koa CVE-2025-32379: the redirect to https keeps its host', async (t) => {
  const edge = await startTlsEdge(t, {
    listen: [{ host: '127.0.0.1', port: 0, speaks: 'redirect' }],
    certificates: [],
  })
  for (const path of targets) {
    if (!path.startsWith('/')) continue
    for (const host of ['shop.ws.test', 'postern.test']) {
      const answer = await ask(edge.port, { host, path })
      t.equal(answer.status, 308, path)
      t.equal(problemOf(answer, `http://${host}/`, [`https://${host}`]), null, path)
      t.notMatch(answer.body, /<|evil/)
    }
  }
  for (const host of ['evil.example', 'shop.ws.test.evil.example', 'shop.ws.test@evil.example'])
    t.equal((await ask(edge.port, { host })).field('location'), null, host)
})
