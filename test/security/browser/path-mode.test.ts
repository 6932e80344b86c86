// Workspaces by path, on one origin, in a real Chromium: they work as on a host, and what their pages can't do there they can't.
import type { BrowserContext, Page } from 'playwright-core'
import t from 'tap'
import { password } from '../../support/control-server.ts'
import { startIde } from '../../support/path-ide.ts'
import { signIn } from '../../support/product-browser.ts'
import { bases, noScene, startScene } from '../../support/proof-scene.ts'
import { until } from '../../support/until.ts'

const without = await noScene()
const shape = { skip: without ?? false, timeout: 240_000 }

/** Code in a page: a fetch by it; where it ended, status and body, or why not. */
const fetched = (url: string, init: object = {}): string =>
  `fetch(${JSON.stringify(url)}, ${JSON.stringify(init)}).then(async (answer) => answer.status + ' ' + (await answer.text()), () => 'refused')`

/** Code in a page: what a WebSocket says first. */
const heard = (url: string): string => `new Promise((done) => {
  const ws = new WebSocket(new URL(${JSON.stringify(url)}, location.href.replace(/^http/, 'ws')))
  window.held = ws
  ws.onmessage = (event) => done(event.data)
  ws.onerror = ws.onclose = () => done('refused')
})`

const registered = (scope: string | null): string =>
  `navigator.serviceWorker.register('worker.js'${scope === null ? '' : `, { scope: ${JSON.stringify(scope)} }`})
    .then(({ scope }) => new URL(scope).pathname, (err) => err.name)`

for (const base of bases)
  await t.test(`workspaces by path, ${base}`, shape, async (t) => {
    const scene = await startScene(t, base)
    const { place, home, lair, lairApp } = scene
    const { pathUrl } = place
    const [left, right] = [await startIde(t, 'left'), await startIde(t, 'right')]
    const user = 'olga'
    const owner = await place.member(user)
    await place.workspace(owner, 'left', [{ port: left.port }])
    await place.workspace(owner, 'right', [{ port: right.port }])
    const at = (name: string, path = ''): string => `${pathUrl}/dev/${name}/ide/${path}`
    const context = await scene.browser.newContext({ ignoreHTTPSErrors: true })
    context.setDefaultTimeout(20_000)
    const page = await context.newPage()

    await t.test('sign-in leads to the very page, and relative links work', async (t) => {
      await page.goto(at('left', '?a=%2Fb'))
      t.match(page.url(), `${home}/sign-in`)
      await signIn(page, user, password)
      await opens(page, 'left', at('left', '?a=%2Fb'))
      t.equal(await page.title(), 'left')
      t.equal(await page.textContent('#told'), 'script ran')
      t.equal(await page.evaluate('getComputedStyle(document.querySelector("p")).color'), 'rgb(1, 2, 3)')
      await page.click('a')
      await page.waitForURL(at('left', 'sub/page'))
      await page.click('a')
      await page.waitForURL(at('left'))
      await page.goto(at('left', 'login'))
      t.equal(page.url(), at('left', 'sub/page'), 'its redirect stays below the prefix')
      await page.goto(`${pathUrl}/dev/left/ide`)
      t.equal(page.url(), at('left'))
      t.equal(await page.evaluate(heard('ws')), 'socket of left')
      t.notMatch(left.arrived.join('\n'), /postern_/)
      t.match(left.arrived.join('\n'), `GET /js/app.js ${user} `)
    })

    await t.test('each has its cookies for itself, ours and its own', async (t) => {
      // A page of one can't open another unseen: what it opens shows the dashboard's question, cut off from it.
      const [popup] = await Promise.all([
        context.waitForEvent('page'),
        page.evaluate('window.popup = open("/dev/right/ide/")'),
      ])
      await popup.getByRole('button', { name: 'Open it' }).waitFor()
      t.ok(await page.evaluate('popup.closed'), 'it has no hold on it')
      t.match(await page.evaluate(fetched('/dev/right/ide/secret')), /^401 /)
      t.equal(right.arrived.length, 0)
      await opens(popup, 'right', at('right'))
      await popup.close()
      await page.goto(at('right'))
      t.equal(await page.title(), 'right')
      const ours = (await context.cookies(at('left'))).filter(({ name }) => name.includes('postern'))
      t.same(
        ours.map(({ name }) => name).toSorted(),
        ['postern_path_left', 'postern_pathflow_left'].map((name) =>
          place.tlsPort === 0 ? name : `__Secure-${name}`,
        ),
      )
      for (const { httpOnly, secure, path, sameSite } of ours)
        t.same([httpOnly, secure, path, sameSite], [true, place.tlsPort !== 0, '/dev/left/', 'Lax'])
      t.equal(await page.evaluate('document.cookie'), '', 'left’s own cookie is not right’s')
      await page.goto(at('left'))
      t.equal(await page.evaluate('document.cookie'), 'mine=left', 'and one that claims the host is nowhere')
      t.same(await context.cookies(`${pathUrl}/`), [], 'nothing of ours or theirs is for the whole origin')
    })

    await t.test('a service worker’s scope ends with its prefix', async (t) => {
      for (const scope of ['/', '/dev/', '/dev/left/', '/dev/right/ide/'])
        t.equal(await page.evaluate(registered(scope)), 'SecurityError', scope)
      t.equal(await page.evaluate(registered(null)), '/dev/left/ide/')
      await page.evaluate('navigator.serviceWorker.ready')
      await until(() => page.evaluate('navigator.serviceWorker.controller !== null'), { timeoutMs: 20_000 })
      t.equal(await page.evaluate(fetched('probe')), '200 from the worker')
      await page.goto(at('right'))
      t.equal(await page.evaluate('navigator.serviceWorker.controller'), null)
      t.equal(await page.evaluate(fetched('probe')), '200 network')
    })

    await t.test('what a page asks of the whole origin is not done', async (t) => {
      await page.goto(at('left', 'wipe'))
      t.equal(await page.title(), 'wiped')
      const answer = await page.goto(at('right'))
      t.ok(answer?.request().redirectedFrom() === null)
      t.equal(await page.title(), 'right', 'still signed in')
      t.equal(await page.evaluate('navigator.serviceWorker.getRegistrations().then((all) => all.length)'), 1)
    })

    await t.test(
      'the truth about one owner’s workspaces: what is open by path can be read by all that is',
      async (t) => {
        t.equal(await page.evaluate(fetched('/dev/left/ide/secret')), '200 secret of left')
      },
    )

    await t.test('another owner’s, and the dashboard, they cannot', async (t) => {
      for (const path of ['/dev/lair/ide/', `/dev/lair/${lairApp.port}/`]) {
        t.match(await page.evaluate(fetched(path)), /^401 /, `${path}, public on its host`)
        t.equal(await page.evaluate(heard(path)), 'refused')
      }
      t.match(await page.evaluate(fetched('/api/v1/me')), /^404 /, 'there is no API')
      t.equal(await page.evaluate(fetched(`${home}/api/v1/me`, { credentials: 'include' })), 'refused')
      t.equal(await page.evaluate(heard(`${home.replace(/^http/, 'ws')}/api/v1/events`)), 'refused')
      await page.goto(at('lair'))
      t.match(page.url(), `${home}/.postern/authorize`)
      t.match(await page.textContent('h1'), /nothing here for you/)
      t.equal(lairApp.arrived.length, 0)
    })

    await t.test('nor a page of another’s workspace, by path or by host, in the same browser', async (t) => {
      const before = [left.arrived.length, right.arrived.length]
      await page.goto(`${lair}/`)
      await page.evaluate(fetched(at('left', 'secret'), { credentials: 'include', mode: 'no-cors' }))
      t.equal(await page.evaluate(heard(at('left', 'ws').replace(/^http/, 'ws'))), 'refused')
      const mallory = await signedIn(
        scene.browser.newContext({ ignoreHTTPSErrors: true }),
        at('lair'),
        'mallory',
      )
      t.equal(await mallory.title(), 'app')
      t.match(await mallory.evaluate(fetched('/dev/left/ide/secret')), /^401 /)
      t.equal(await mallory.evaluate(heard('/dev/left/ide/ws')), 'refused')
      await mallory.goto(at('left'))
      t.match(await mallory.textContent('h1'), /nothing here for you/)
      await mallory.context().close()
      // The owner's own browser may look for a newer worker, or an icon, whenever it likes.
      const since = [...left.arrived.slice(before[0]), ...right.arrived.slice(before[1])]
      t.same(
        since.filter((line) => !/^GET \/(?:worker\.js|favicon\.ico) /.test(line) || line.includes('mallory')),
        [],
      )
    })

    await t.test('a cookie of our name, tossed by a neighbour, costs one sign-in', async (t) => {
      await page.goto(at('left'))
      const name = place.tlsPort === 0 ? 'postern_path_right' : '__Secure-postern_path_right'
      const secure = place.tlsPort === 0 ? '' : '; Secure'
      for (const path of ['/dev/right/ide', '/dev/right', '/dev/right/ide/', '/'])
        await page.evaluate(`document.cookie = ${JSON.stringify(`${name}=tossed; Path=${path}${secure}`)}`)
      await page.goto(at('right'))
      await opens(page, 'right', at('right'))
      t.equal(await page.title(), 'right')
    })

    await t.test('signing out ends it, open sockets too', async (t) => {
      await page.goto(at('left'))
      t.equal(await page.evaluate(heard('ws')), 'socket of left')
      const desk = await context.newPage()
      await desk.goto(`${home}/api/v1/me`)
      t.equal(
        await desk
          .evaluate(fetched('/sign-out', { method: 'POST', redirect: 'manual' }))
          .then((said) => String(said).slice(0, 2)),
        '0 ',
      )
      await until(() => page.evaluate('held.readyState === WebSocket.CLOSED'), { timeoutMs: 20_000 })
      t.match(await page.evaluate(fetched('secret')), /^401 /)
      await page.goto(at('left'))
      t.match(page.url(), `${home}/sign-in`)
    })
  })

/** Says yes to the dashboard's question, and is where it leads. */
async function opens(page: Page, name: string, url: string): Promise<void> {
  await page.getByRole('heading', { name: `Open ${name} by path?` }).waitFor()
  await page.getByRole('button', { name: 'Open it' }).click()
  await page.waitForURL(url)
}

async function signedIn(made: Promise<BrowserContext>, url: string, username: string): Promise<Page> {
  const context = await made
  context.setDefaultTimeout(20_000)
  const page = await context.newPage()
  await page.goto(url)
  await signIn(page, username, password)
  await opens(page, 'lair', url)
  return page
}
