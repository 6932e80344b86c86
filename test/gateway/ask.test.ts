// Asking for access: by whom, from where, and that neither page nor answer says whether there is anything to be let into.
import t from 'tap'
import { ApiError } from '../../control/wire/index.ts'
import { Browser } from '../support/gateway-browser.ts'
import { startEdge } from '../support/gateway-edge.ts'

const HOME = 'http://localhost:8090'
const NAVIGATION = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document', 'Accept: text/html']

/** What a person sees, without what differs between any two requests. */
const plain = (body: string, label: string): string =>
  body.replaceAll(label, 'NAME').replace(/Request <code>[^<]*<\/code>/, '')

async function bobAt(t: Parameters<typeof startEdge>[0]) {
  const edge = await startEdge(t)
  edge.workspace('shop')
  edge.workspace('gone', { phase: 'trashed' })
  const browser = new Browser(edge.port)
  browser.cookies('localhost').set('postern_session', edge.control.session('bob'))
  return { edge, browser }
}

t.test('page and answer are the same for a workspace of another and for none', async (t) => {
  const { edge, browser } = await bobAt(t)
  const labels = ['shop', 'shop-3000', 'gone', 'absent', 'absent-3000']
  const seen: string[] = []
  for (const label of labels) {
    const page = await browser.go(`http://${label}.ws.localhost:8090/x`)
    t.equal(page.status, 404)
    t.match(page.body, /Ask for access/)
    const host = /name="host" value="([^"]*)"/.exec(page.body)?.[1] ?? ''
    t.equal(host, label)
    const answer = await browser.go(`${HOME}/.postern/request-access`, { form: { host } })
    t.equal(answer.status, 200)
    const name = label.replace('-3000', '')
    const fields = answer.fields.filter((field) => !/^(x-request-id|date|content-length):/i.test(field))
    seen.push([plain(page.body, label), plain(answer.body, name), ...fields].join('\n'))
  }
  for (const each of seen) t.equal(each, seen[0])
  t.same(
    edge.control.asked,
    labels.map((label) => `bob ${label}`),
  )
})

t.test('a session whose right was taken away asks from the workspace’s own host', async (t) => {
  const { edge } = await bobAt(t)
  const route = edge.workspace('club', {}, 'owner')
  const host = 'http://club.ws.localhost:8090'
  const cookie = edge.cookie('bob', route)
  const post = (headers: string[]) =>
    new Browser(edge.port).request(`${host}/.postern/request-access`, {
      method: 'POST',
      headers: [
        ...NAVIGATION,
        `Cookie: ${cookie}`,
        'Content-Type: application/x-www-form-urlencoded',
        'Content-Length: 0',
        ...headers,
      ],
    })
  const page = await new Browser(edge.port).request(`${host}/`, {
    headers: [...NAVIGATION, `Cookie: ${cookie}`],
  })
  t.match(page, { status: 404, body: /action="\/\.postern\/request-access"/ })
  t.equal((await post([`Origin: ${host}`])).status, 200)
  t.same(edge.control.asked, ['bob club'])
  for (const origin of ['http://club-3000.ws.localhost:8090', 'http://evil.ws.localhost:8090', HOME, 'null'])
    t.equal((await post([`Origin: ${origin}`])).status, 403, origin)
  t.equal((await post([])).status, 403, 'nor without one')
  t.same(edge.control.asked, ['bob club'])
})

t.test('who may open it is taken there; nobody else asks in a person’s name', async (t) => {
  const { edge, browser } = await bobAt(t)
  edge.workspace('open', {}, 'members')
  const form = { host: 'open' }
  const answer = await browser.request(`${HOME}/.postern/request-access`, { form })
  t.match([answer.status, answer.field('location')], [303, 'http://open.ws.localhost:8090/'])
  const out = new Browser(edge.port)
  t.equal((await out.request(`${HOME}/.postern/request-access`, { form })).status, 401, 'signed out')
  const bad = await browser.request(`${HOME}/.postern/request-access`, { form: { host: 'evil.example/' } })
  t.equal(bad.status, 400)
  const cookies = [...browser.cookies('localhost')].map(([name, value]) => `${name}=${value}`).join('; ')
  for (const origin of ['http://shop.ws.localhost:8090', 'null']) {
    const forged = await out.request(`${HOME}/.postern/request-access`, {
      method: 'POST',
      headers: [
        ...NAVIGATION,
        `Cookie: ${cookies}`,
        `Origin: ${origin}`,
        'Content-Type: application/x-www-form-urlencoded',
        'Content-Length: 0',
      ],
    })
    t.equal(forged.status, 403, origin)
  }
  edge.control.failure = new ApiError('rate_limited', undefined, { retryAfterSeconds: 60 })
  const often = await browser.request(`${HOME}/.postern/request-access`, { form: { host: 'shop' } })
  t.match([often.status, often.field('retry-after')], [429, '60'])
  t.same(edge.control.asked, [])
})
