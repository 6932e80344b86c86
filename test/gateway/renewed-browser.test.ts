// A name that has another owner now, in a real browser: the former owner's service worker must not greet the visitor.
import { type BrowserContext, chromium } from 'playwright-core'
import t from 'tap'
import { freePort } from '../support/free-port.ts'
import { startEdge } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

/** Of the former owner: it lets navigations through, or redeems the code itself, and says so in every answer. */
const WORKERS = {
  passing: `onfetch = (event) => event.respondWith(fetch(event.request).then(mark, mark))`,
  redeeming: `onfetch = (event) => event.respondWith(
    (event.request.url.includes('/.postern/callback')
      ? fetch(event.request.url, { redirect: 'manual', credentials: 'include' })
      : fetch(event.request)
    ).then(mark, mark))`,
}
const worker = (kind: keyof typeof WORKERS): string => `
  oninstall = () => skipWaiting()
  onactivate = (event) => event.waitUntil(clients.claim())
  const mark = async (answer) => {
    if (!(answer instanceof Response) || answer.type === 'opaqueredirect' || !answer.ok) return answer
    return new Response('<title>hijacked</title>', { headers: { 'content-type': 'text/html' } })
  }
  ${WORKERS[kind]}`

const oldPage = `<!doctype html><title>old</title><script>
  localStorage.setItem('left', 'behind')
  navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then(() => { document.title = 'installed' })
</script>`
const newPage = `<!doctype html><title>new</title><script>
  localStorage.setItem('kept', (localStorage.getItem('kept') ?? '') + 'x')
</script>`

const answer = (type: string, body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nCache-Control: no-store\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

t.setTimeout(180_000)
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
t.teardown(() => browser.close())

for (const kind of ['passing', 'redeeming'] as const)
  await t.test(`the old service worker is gone with the first session (${kind})`, async (t) => {
    const port = await freePort()
    const site = `http://shop.ws.localhost:${port}`
    let isOld = true
    const edge = await startEdge(t, {
      listen: [{ host: '127.0.0.1', port }],
      publicUrl: `http://localhost:${port}`,
      script: ({ head, socket }) =>
        void socket.write(
          !isOld
            ? answer('text/html', newPage)
            : head.startsWith('GET /sw.js')
              ? answer('text/javascript', worker(kind))
              : answer('text/html', oldPage),
        ),
    })
    const old = edge.workspace('shop', { ownerId: 'bob' }, 'members')
    const context: BrowserContext = await browser.newContext()
    t.teardown(() => context.close())
    await context.addCookies([
      {
        name: 'postern_session',
        value: edge.control.session('alice'),
        url: `http://localhost:${port}`,
      },
    ])
    const tab = await context.newPage()
    /** Goes there; somebody else's workspace asks once. */
    const open = async (): Promise<string> => {
      await tab.goto(`${site}/`)
      if (tab.url().includes('/.postern/authorize')) await tab.click('button')
      await tab.waitForURL(`${site}/`)
      return tab.title()
    }
    await open()
    await until(async () => (await tab.title()) === 'installed')
    t.equal(await open(), 'hijacked', 'it greets whoever comes: the test can fail')

    // Purged, freed by an administrator, and taken by alice.
    edge.control.gone('route', old.workspaceId)
    isOld = false
    edge.workspace('shop', { workspaceId: 'another0shop', ownerId: 'alice' })
    edge.control.reused.set('shop', Date.now())
    await tab.goto('about:blank')
    await open().catch(() => 'the worker broke the first visit')
    t.equal(await open(), 'new')
    t.same(
      await tab.evaluate(`navigator.serviceWorker.getRegistrations().then((all) => all.length)`),
      0,
      'no worker is left',
    )
    t.equal(await tab.evaluate(`localStorage.getItem('left')`), null)
    const kept = await tab.evaluate<string>(`localStorage.getItem('kept')`)

    // Another session on the same browser keeps what the new app stored.
    await context.clearCookies({ name: 'postern_workspace' })
    t.equal(await open(), 'new')
    t.equal(await tab.evaluate(`localStorage.getItem('kept')`), `${kept}x`)
  })
