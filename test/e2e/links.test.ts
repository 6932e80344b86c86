/**
 * The built product in a real browser: its owner makes a link on the sharing page, somebody without an account opens it,
 * works in the app by a WebSocket and on its other port, and is out the moment that the link is revoked. Then a password.
 */
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import t from 'tap'
import type { Page } from 'playwright-core'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { complaints, launch, noBrowser, signIn } from '../support/product-browser.ts'
import { adminName, adminPassword, startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

const ws = createRequire(import.meta.url).resolve('ws')
const slow = 30_000

/** Two ports: a page that holds a WebSocket to its own and calls the other, and what it calls. */
const program = `
const http = require('node:http')
const { WebSocketServer } = require(${JSON.stringify(ws)})
const page = \`<!doctype html><title>app</title><p id=said>connecting</p><p id=other></p><script>
const said = document.getElementById('said'), socket = new WebSocket('ws://' + location.host + '/socket')
socket.onmessage = (m) => (said.textContent = m.data)
socket.onclose = () => (said.textContent = 'closed')
fetch(location.origin.replace('duo.', 'duo-8000.') + '/api', { credentials: 'include', method: 'PUT' })
  .then((r) => r.text(), (err) => String(err)).then((text) => (document.getElementById('other').textContent = text))
</script>\`
const web = http.createServer((req, res) => res.setHeader('content-type', 'text/html').end(page))
new WebSocketServer({ server: web }).on('connection', (socket, req) => socket.send('hello ' + JSON.stringify(req.headers['x-postern-user'])))
web.listen(Number(process.env.PORT_3000), '127.0.0.1')
http.createServer((req, res) => res.end('api for ' + JSON.stringify(req.headers['x-postern-user']))).listen(Number(process.env.PORT_8000), '127.0.0.1')
`

/** For a look at the pages, where POSTERN_SHOTS names a folder. */
async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['POSTERN_SHOTS']
  if (folder === undefined) return
  await mkdir(folder, { recursive: true })
  for (const [width, height] of [
    [1280, 860],
    [390, 844],
  ] as const) {
    await page.setViewportSize({ width, height })
    await page.screenshot({ path: `${folder}/${name}-${width}.png` })
  }
  await page.setViewportSize({ width: 1280, height: 860 })
}

t.test('a link and a password, in a browser', { timeout: 240_000 }, async (t) => {
  const missing = await noBrowser()
  if (missing !== null) return t.comment(missing)
  const product = await startProduct(t, { runtime: 'process' })
  const made = await product.admin.must<WorkspaceView>('POST', '/api/v1/workspaces', {
    name: 'duo',
    template: 'blank',
    command: ['node', '-e', program],
    ports: [
      { port: 3000, name: 'web', visibility: 'link' },
      { port: 8000, name: 'api', visibility: 'link' },
    ],
  })
  await until(
    async () =>
      (await product.admin.must<WorkspaceView>('GET', `/api/v1/workspaces/${made.id}`)).phase === 'running',
    { timeoutMs: 60_000, what: 'running' },
  )
  const browser = await launch()
  t.teardown(() => browser.close())

  const owner = await (await browser.newContext()).newPage()
  owner.setDefaultTimeout(slow)
  const wrong = complaints(owner)
  await owner.goto(`${product.url}/sign-in?next=/workspaces/duo/sharing`)
  await signIn(owner, adminName, adminPassword)
  await owner.waitForURL('**/workspaces/duo/sharing')
  await owner.getByRole('button', { name: 'New link' }).click()
  await owner.getByLabel('Name, for you').fill('demo on Friday')
  await owner.getByLabel('Uses at most').fill('2')
  await shoot(owner, 'new-link')
  await owner.getByRole('button', { name: 'Make the link' }).click()
  const url = (await owner.locator('.secret code').textContent()) ?? ''
  t.match(url, /^http:\/\/duo\.ws\.localhost:\d+\/\.postern\/link#psl_/)
  await shoot(owner, 'link')
  await owner.getByRole('button', { name: 'Done' }).click()
  await owner.getByText('0 of 2').waitFor()

  const guest = await (await browser.newContext()).newPage()
  guest.setDefaultTimeout(slow)
  await guest.goto(url)
  await guest.getByRole('button', { name: 'Open it' }).waitFor()
  await until(() => guest.evaluate('location.hash').then((hash) => hash === ''), { timeoutMs: slow })
  await shoot(guest, 'link-page')
  // Looking at it, as a preview does, has used nothing up.
  await owner.reload()
  await owner.getByText('0 of 2').waitFor()
  await guest.getByRole('button', { name: 'Open it' }).click()
  await guest.getByText('hello ""').waitFor()
  t.equal(guest.url(), product.workspaceUrl('duo', '/'))
  await guest.getByText('api for ""').waitFor()
  t.notMatch(
    String(await guest.evaluate('JSON.stringify(window.navigation?.entries().map((e) => e.url))')),
    /psl_/,
  )
  t.equal(await guest.evaluate('document.cookie'), '')
  // The dashboard knows nobody.
  const elsewhere = await guest.context().newPage()
  elsewhere.setDefaultTimeout(slow)
  await elsewhere.goto(`${product.url}/workspaces`)
  await elsewhere.waitForURL('**/sign-in**')

  await owner.reload()
  await owner.getByText('1 of 2').waitFor()
  await shoot(owner, 'links')
  await owner.getByRole('button', { name: /^Revoke/ }).click()
  await guest.getByText('closed').waitFor()
  await guest.goto(product.workspaceUrl('duo', '/'))
  await guest.waitForURL('**/sign-in**')
  await guest.goto(url)
  await guest.getByRole('button', { name: 'Open it' }).click()
  await guest.getByText('This link opens nothing').waitFor()
  await shoot(guest, 'revoked')

  await product.admin.must('PATCH', `/api/v1/workspaces/${made.id}`, {
    ports: [
      { port: 3000, name: 'web', visibility: 'public' },
      { port: 8000, name: 'api', visibility: 'public' },
    ],
  })
  await owner.getByLabel('New password').fill('open sesame')
  await owner.getByRole('button', { name: 'Set it' }).click()
  await owner.getByText('The whole workspace', { exact: true }).waitFor()
  await shoot(owner, 'password')
  await guest.goto(product.workspaceUrl('duo', '/'))
  await guest.fill('input[name=password]', 'wrong word')
  await guest.getByRole('button', { name: 'Go on' }).click()
  await guest.getByRole('alert').waitFor()
  await shoot(guest, 'password-page')
  await guest.fill('input[name=password]', 'open sesame')
  await guest.getByRole('button', { name: 'Go on' }).click()
  await guest.getByText('hello ""').waitFor()
  await guest.getByText('api for ""').waitFor()
  await owner.getByLabel('New password').fill('another word')
  await owner.getByRole('button', { name: 'Change it' }).click()
  await guest.getByText('closed').waitFor()
  await guest.reload()
  await guest.locator('input[name=password]').waitFor()
  t.same(wrong, [])
})
