// What a page of one workspace may try on its siblings and on the dashboard, in a real Chromium that is signed in to both.
import type { Page } from 'playwright-core'
import t from 'tap'
import { bases, crossed, noScene, type Scene, startScene } from '../../support/proof-scene.ts'

const without = await noScene()
const shape = { skip: without ?? false, timeout: 240_000 }

/** Code in a page: opens a WebSocket; what becomes of it. */
const socketTo = (url: string, protocols = '[]'): string => `new Promise((done) => {
  const ws = new WebSocket(${JSON.stringify(url.replace(/^http/, 'ws'))}, ${protocols})
  ws.onmessage = (event) => done(event.data)
  ws.onerror = ws.onclose = () => done('refused')
})`

/** Code in a page: a fetch with the visitor's cookies; status and body, or why not. */
const fetched = (url: string, init: object): string =>
  `fetch(${JSON.stringify(url)}, ${JSON.stringify({
    credentials: 'include',
    ...init,
  })}).then(async (answer) => answer.type + ' ' + answer.status + ' ' + (await answer.text()), () => 'refused')`

/** Sends a form of a page of mallory's, into a frame that may go nowhere; resolves when that has an answer. */
async function submit(
  page: Page,
  form: {
    action: string
    method: string
    enctype: string
    fields: Record<string, string>
    target: '_blank' | 'frame' | '_top'
  },
): Promise<void> {
  const code = `(() => {
    const { action, method, enctype, fields, target } = ${JSON.stringify(form)}
    const frame = document.createElement('iframe')
    frame.name = 'frame'
    document.body.append(frame)
    const sent = document.createElement('form')
    Object.assign(sent, { action, method, enctype, target })
    for (const [name, value] of Object.entries(fields)) {
      const field = document.createElement('input')
      Object.assign(field, { name, value })
      sent.append(field)
    }
    document.body.append(sent)
    sent.submit()
  })()`
  await page.evaluate(code)
}

/** All that mallory would change of vera's, as vera sees it. */
async function stateOf({ place, vera, home }: Scene): Promise<string> {
  const cookies = await vera.cookies(home)
  const Cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
  const look = async (path: string) => {
    const { status, text } = await place.visitor().ask(path, { headers: { Cookie } })
    return [path, status, path.endsWith('sessions') ? '' : text]
  }
  const paths = ['/api/v1/me', '/api/v1/workspaces', '/api/v1/tokens', '/api/v1/sessions']
  return JSON.stringify(await Promise.all(paths.map(look)))
}

for (const base of bases)
  await t.test(`a sibling's requests, ${base}`, shape, async (t) => {
    const scene = await startScene(t, base)
    const { place, shop, lair, home, shopApp, shopId: id } = scene
    const before = await stateOf(scene)
    t.match(before, /vera/)
    const page = await scene.lured()

    await t.test('WebSocket hijack', async (t) => {
      t.equal(await page.evaluate(socketTo(`${lair}/ws`)), 'secret of the socket', 'its own opens')
      for (const url of [
        `${shop}/ws`,
        `${place.origin(`shop-${shopApp.port}`)}/ws`,
        `${home}/api/v1/events`,
        `${home}/api/gateway/v1/changes`,
      ])
        for (const protocols of ['[]', '["pst_x"]'])
          t.equal(await page.evaluate(socketTo(url, protocols)), 'refused', url)
    })

    await t.test('reading', async (t) => {
      for (const url of [
        `${shop}/`,
        `${shop}/.postern/start`,
        `${home}/api/v1/me`,
        `${home}/api/v1/workspaces`,
        `${home}/`,
        `${home}/sign-in`,
      ])
        for (const [what, init] of [
          ['cors', {}],
          ['with a preflight', { headers: { 'x-postern': '1' } }],
          ['no-cors', { mode: 'no-cors' }],
          ['manual', { redirect: 'manual', mode: 'no-cors' }],
        ] as const) {
          const seen = (await page.evaluate(fetched(url, init))) as string
          t.match(seen, /^(refused|opaque(redirect)? 0 )$/, `${what}: ${url}`)
        }
      const script = (url: string): string => `new Promise((done) => {
        const tag = document.createElement('script')
        tag.onload = () => done('ran')
        tag.onerror = () => done('refused')
        tag.src = ${JSON.stringify(url)}
        document.head.append(tag)
      })`
      const asScript = `/x.js?h=${encodeURIComponent('[["Content-Type","text/javascript"]]')}&b=${encodeURIComponent('window.stolen = 1')}`
      t.equal(await page.evaluate(script(`${lair}${asScript}`)), 'ran', 'its own does')
      await page.evaluate('delete window.stolen')
      for (const url of [`${shop}${asScript}`, `${home}/api/v1/me`, `${home}/api/v1/workspaces`])
        t.equal(await page.evaluate(script(url)), 'refused', `a script tag: ${url}`)
      t.equal(await page.evaluate('typeof window.stolen'), 'undefined')
      const image = (url: string): string => `new Promise((done) => {
        const tag = new Image()
        tag.onload = () => done('seen')
        tag.onerror = () => done('refused')
        tag.src = ${JSON.stringify(url)}
      })`
      const pixel = `/i.svg?h=${encodeURIComponent('[["Content-Type","image/svg+xml"]]')}&b=${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')}`
      t.equal(await page.evaluate(image(`${lair}${pixel}`)), 'seen', 'its own is')
      t.equal(await page.evaluate(image(`${shop}${pixel}`)), 'refused')
      const style = `new Promise((done) => {
        const tag = document.createElement('link')
        Object.assign(tag, { rel: 'stylesheet', href: ${JSON.stringify(`${shop}/?h=${encodeURIComponent('[["Content-Type","text/css"]]')}&b=*{}`)} })
        tag.onload = () => done('read')
        tag.onerror = () => done('refused')
        document.head.append(tag)
      })`
      t.equal(await page.evaluate(style), 'refused', 'a style sheet')
    })

    await t.test('unsafe requests', async (t) => {
      const json = JSON.stringify({ name: 'planted', image: 'any:1' })
      const targets: readonly (readonly [string, string])[] = [
        [`${shop}/pay`, 'POST'],
        [`${shop}/.postern/start`, 'POST'],
        [`${home}/api/v1/workspaces`, 'POST'],
        [`${home}/api/v1/workspaces/${id}/stop`, 'POST'],
        [`${home}/api/v1/workspaces/${id}`, 'DELETE'],
        [`${home}/api/v1/workspaces/${id}?purge=true&_method=DELETE`, 'POST'],
        [`${home}/api/v1/tokens`, 'POST'],
        [`${home}/api/v1/me/password`, 'POST'],
        [`${home}/api/v1/sessions/current`, 'DELETE'],
        [`${home}/sign-out`, 'POST'],
        [`${home}/sign-in`, 'POST'],
        [`${home}/.postern/authorize`, 'POST'],
      ]
      const bodies: readonly Record<string, string>[] = [
        { 'Content-Type': 'text/plain' },
        { 'Content-Type': 'application/x-www-form-urlencoded' },
        { 'Content-Type': 'application/json' },
        { 'Content-Type': 'text/plain', 'X-HTTP-Method-Override': 'DELETE' },
      ]
      for (const [url, method] of targets) {
        for (const headers of bodies) {
          const init = { method, headers, body: json }
          t.equal(
            await page.evaluate(fetched(url, init)),
            'refused',
            `${method} ${url} as ${headers['Content-Type']}`,
          )
        }
        if (method === 'POST') {
          const blind = { method, mode: 'no-cors', headers: { 'Content-Type': 'text/plain' }, body: json }
          t.match(await page.evaluate(fetched(url, blind)), /^opaque 0 $/, `no-cors ${url}`)
          await page.evaluate(`navigator.sendBeacon(${JSON.stringify(url)}, ${JSON.stringify(json)})`)
        }
      }
      for (const [url] of targets.filter((each) => each[1] === 'POST'))
        for (const [enctype, target] of [
          ['application/x-www-form-urlencoded', 'frame'],
          [url.endsWith('/pay') ? 'multipart/form-data' : 'text/plain', '_top'],
        ] as const) {
          const from = await scene.lured()
          const arrived = from.waitForResponse((answer) => answer.url() === url)
          const fields = {
            '{"name":"planted","image":"any:1","a': 'b"}',
            username: 'mallory',
            password: 'correct horse battery',
            back: '/',
            _method: 'DELETE',
          }
          await submit(from, { action: url, method: 'post', enctype, fields, target })
          const status = (await arrived).status()
          t.ok(status === 403 || status === 415, `${enctype} to ${url} in ${target}: ${status}`)
          await from.close()
        }
    })

    t.same(crossed(shopApp, lair), [], 'nothing of it reached the app as vera')
    t.notMatch(JSON.stringify(shopApp.arrived), /planted/)
    t.equal(await stateOf(scene), before, 'and nothing of hers is changed')
    t.ok(await scene.entersShop())
  })
