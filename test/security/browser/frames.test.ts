// Frames, openers, service workers and planted sign-ins: what else a page of one workspace may try on others, in a real Chromium.
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { password } from '../../support/control-server.ts'
import { bases, noScene, type Scene, startScene } from '../../support/proof-scene.ts'
import { until } from '../../support/until.ts'

const without = await noScene()
const shape = { skip: without ?? false, timeout: 240_000 }

/** Code in a page: puts an address into a frame; resolves when that has loaded something, an error page included. */
const framed = (url: string, tag: string): string => `new Promise((done) => {
  const frame = document.createElement(${JSON.stringify(tag)})
  frame.onload = frame.onerror = done
  frame[${JSON.stringify(tag === 'object' ? 'data' : 'src')}] = ${JSON.stringify(url)}
  frame.width = frame.height = 300
  document.body.append(frame)
  const patienceMs = 3000
  if (frame.localName === 'embed') setTimeout(done, patienceMs)
})`

/** What every frame of a page shows. */
async function shownIn(page: Page): Promise<string> {
  const frames = page.frames().filter((frame) => frame !== page.mainFrame())
  const texts = await Promise.all(frames.map((frame) => frame.content().catch(() => '')))
  return texts.join('\n')
}

async function framing(t: Test, scene: Scene): Promise<void> {
  const { shop, lair, home, shopApp } = scene
  const page = await scene.lured()
  await page.evaluate(framed(`${lair}/?b=its-own`, 'iframe'))
  t.match(await shownIn(page), /its-own/, 'its own is shown')
  const arrived = shopApp.arrived.length
  for (const url of [
    `${shop}/`,
    `${home}/`,
    `${home}/sign-in`,
    `${home}/api/v1/me`,
    `${home}/.postern/authorize?host=shop&c=${'a'.repeat(43)}`,
    `${home}/setup`,
  ])
    for (const tag of ['iframe', 'object', 'embed']) await page.evaluate(framed(url, tag))
  const shown = await shownIn(page)
  t.notMatch(shown, /secret of the app|the dashboard<|vera|name="?password/, 'nothing of hers is')
  t.equal(shopApp.arrived.length, arrived, 'and her app is not asked')
  await page.close()
}

async function openers(t: Test, scene: Scene): Promise<void> {
  const { shop, lair, home, vera } = scene
  const page = await scene.lured()
  const opened = async (url: string): Promise<Page> => {
    const [tab] = await Promise.all([
      vera.waitForEvent('page'),
      page.evaluate(`window.tab = window.open(${JSON.stringify(url)}); 0`),
    ])
    await tab.waitForLoadState()
    return tab
  }
  for (const url of [`${home}/`, `${home}/sign-in`]) {
    const tab = await opened(url)
    // COOP: the opener and the opened don't know each other.
    await until(async () => page.evaluate('window.tab.closed'), { what: `the opener to lose ${url}` })
    t.equal(await tab.evaluate('window.opener'), null, url)
    t.equal(
      await page.evaluate(
        `(() => { try { return String(window.tab.document) } catch { return 'refused' } })()`,
      ),
      'refused',
    )
    await tab.close()
  }
  const tab = await opened(`${shop}/`)
  t.equal(await tab.title(), 'app', 'a link to her workspace opens it')
  const reads = [
    'window.tab.document.title',
    'window.tab.document.cookie',
    'window.tab.location.href',
    'window.tab.localStorage.length',
    'window.tab.fetch',
  ]
  for (const code of reads)
    t.equal(
      await page.evaluate(`(() => { try { return String(${code}) } catch { return 'refused' } })()`),
      'refused',
      code,
    )
  await tab.close()
  // Opened by her workspace, mallory’s page finds the door shut the other way as well.
  const hers = await vera.newPage()
  await hers.goto(`${shop}/`)
  const [theirs] = await Promise.all([
    vera.waitForEvent('page'),
    hers.evaluate(`window.open(${JSON.stringify(`${lair}/`)}); 0`),
  ])
  await theirs.waitForLoadState()
  t.equal(
    await theirs.evaluate(
      `(() => { try { return String(window.opener?.document.title) } catch { return 'refused' } })()`,
    ),
    'refused',
  )
  await theirs.close()
  await hers.close()
  await page.close()
}

/** Code in a page: registers a worker; its scope, or why not. */
const registered = (script: string, scope: string): string =>
  `navigator.serviceWorker.register(${JSON.stringify(script)}, { scope: ${JSON.stringify(scope)} }).then((one) => one.scope, (err) => 'refused ' + err.name)`

async function workers(t: Test, scene: Scene): Promise<void> {
  const { lair, shop, home } = scene
  const page = await scene.lured()
  const code =
    'self.addEventListener("fetch", (event) => { if (event.request.url.includes("/caught")) event.respondWith(new Response("caught by the worker")) })'
  const fields = (more: [string, string][]): string =>
    encodeURIComponent(JSON.stringify([['Content-Type', 'text/javascript'], ...more]))
  const script = (path: string, more: [string, string][] = []): string =>
    `${path}?h=${fields(more)}&b=${encodeURIComponent(code)}`
  t.equal(
    await page.evaluate(registered(script('/app/sw.js'), '/app/')),
    `${lair}/app/`,
    'its own, in its place',
  )
  for (const [where, scope] of [
    [script('/app/sw.js'), '/'],
    [script('/app/sw.js'), '/.postern/'],
    [`${shop}${script('/sw.js')}`, `${shop}/`],
    [script('/sw.js'), `${shop}/`],
    [script('/sw.js'), `${home}/`],
    ['/.postern/sw.js', '/.postern/'],
    [script('/.postern/callback'), '/.postern/'],
    [script('/.postern/enter'), '/'],
  ] as const)
    t.match(await page.evaluate(registered(where, scope)), /^refused /, `${where.slice(0, 30)} for ${scope}`)
  // A worker of the whole host may see navigations to /.postern/: what is answered there is of no use to it.
  t.match(await page.evaluate(registered(script('/sw.js'), '/')), `${lair}/`)
  await page.goto(`${lair}/caught`)
  await until(async () => {
    await page.goto(`${lair}/caught`)
    return (await page.content()).includes('caught by the worker')
  })
  t.ok(await scene.entersShop(), 'on other hosts it catches nothing')
  const asked = await scene.vera.newPage()
  const answer = await asked.goto(`${shop}/caught`)
  t.notMatch(await answer?.text(), /caught by/)
  await asked.close()
  await page.close()
}

async function plantedSignIns(t: Test, scene: Scene): Promise<void> {
  const { place, shop, home, lair, vera, shopApp, names } = scene
  // Mallory walks the hand-off in a browser of her own, up to the code, on a workspace that both may use.
  const owner = place.visitor()
  await owner.must('POST', '/api/v1/sessions', { username: 'mallory', password })
  await place.workspace(owner, 'plaza', [{ port: shopApp.port, visibility: 'members' }])
  const plaza = place.origin('plaza')
  const page = { Accept: 'text/html', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }
  const first = await owner.ask(`${plaza}/`, { headers: page })
  const second = await owner.ask(first.headers.location ?? '', { headers: page })
  const callback = second.headers.location ?? ''
  t.match(callback, `${plaza}/.postern/callback?code=`)
  const tab = await vera.newPage()
  // Her own page sends vera there: without mallory’s flow in vera’s browser, the code is worth nothing, and is spent.
  const injected = await tab.goto(callback)
  t.equal(injected?.status(), 403, 'mallory’s code in vera’s browser')
  t.same(
    (await vera.cookies(plaza)).filter(({ name }) => name === names.workspace),
    [],
  )
  t.equal((await owner.ask(callback, { headers: page })).status >= 300, true)
  // The question of mallory’s flow, asked by vera’s browser: the code that comes out is bound to a nonce that vera hasn’t.
  const question = (await place.visitor().ask(`${shop}/`, { headers: page })).headers.location ?? ''
  await tab.goto(question)
  t.match(tab.url(), new RegExp(`^${shop}/`), 'it ends on her own host')
  t.notMatch(await tab.content(), /mallory/)
  const spent = tab.url()
  const replay = place.visitor()
  t.equal(
    (await replay.ask(spent, { headers: page })).status === 200,
    false,
    'and its address is of no use to anybody',
  )
  // A form of mallory’s page signs vera in as mallory.
  const lure = await scene.lured()
  await lure.evaluate(`(() => {
    const form = document.createElement('form')
    Object.assign(form, { action: ${JSON.stringify(`${home}/sign-in`)}, method: 'post' })
    for (const [name, value] of [['username', 'mallory'], ['password', ${JSON.stringify(password)}]]) {
      const field = document.createElement('input')
      Object.assign(field, { name, value })
      form.append(field)
    }
    document.body.append(form)
    form.submit()
  })()`)
  await lure.waitForURL(`${home}/sign-in`)
  const who = await vera.newPage()
  t.match(
    await (await who.goto(`${home}/api/v1/me`))?.json(),
    { username: 'vera' },
    'nobody is signed in by another’s form',
  )
  // A stranger’s workspace asks before it opens: a link alone doesn’t bring vera onto its host signed in.
  await who.goto(`${plaza}/`)
  t.match(who.url(), `${home}/.postern/authorize`)
  t.match(await who.textContent('main'), /mallory/, 'whose it is is said')
  t.ok(shopApp.arrived.every(({ user }) => user !== 'mallory'))
  t.equal((await lure.evaluate('location.origin')) === lair, false)
  for (const each of [tab, lure, who]) await each.close()
}

for (const base of bases)
  await t.test(`frames, openers, workers and sign-ins, ${base}`, shape, async (t) => {
    const scene = await startScene(t, base)
    await t.test('framing', (t) => framing(t, scene))
    await t.test('window.opener', (t) => openers(t, scene))
    await t.test('service workers', (t) => workers(t, scene))
    await t.test('planted sign-ins', (t) => plantedSignIns(t, scene))
    t.ok(await scene.entersShop(), 'and vera is in, as before')
    t.ok(scene.shopApp.arrived.every(({ user }) => user !== 'mallory'))
  })
