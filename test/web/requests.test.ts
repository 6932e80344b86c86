/** Sharing in a real browser on the real product: asking for access and granting it, aliases, the cap, another owner. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import t from 'tap'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { productRoot } from '../support/product-process.ts'
import { adminName, adminPassword, startProduct, type Product } from '../support/product.ts'
import { until } from '../support/until.ts'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'

t.setTimeout(240_000)
// The product serves web/dist; from a clean clone it isn't there yet.
const webRoot = join(productRoot, 'web', 'dist')
if (!existsSync(join(webRoot, 'index.html'))) await buildDashboard(webRoot)
const browser = await launchBrowser()
t.teardown(() => browser.close())
/** A folder to look at what is tested; unset: no pictures. */
const pictures = process.env['POSTERN_PICTURES']
async function picture(page: Page, name: string): Promise<void> {
  if (pictures === undefined) return
  await page.screenshot({ path: join(pictures, `${name}-desktop.png`) })
  await page.setViewportSize({ width: 390, height: 844 })
  await page.screenshot({ path: join(pictures, `${name}-phone.png`), fullPage: true })
  await page.setViewportSize({ width: 1440, height: 860 })
}

async function signIn(
  page: Page,
  product: Product,
  username: string,
  password: string,
  path = '/',
): Promise<void> {
  if (path !== '') await page.goto(product.url + path)
  await page.fill('input[name=username]', username)
  await page.fill('input[name=password]', password)
  await page.keyboard.press('Enter')
}

t.test('eve asks, bob grants; then an alias, the cap, and another owner', async (t) => {
  const product = await startProduct(t, { runtime: 'process' })
  await product.hostReady()
  const bob = await product.member('bob')
  await product.member('eve')
  // Where processes are not kept apart, only administrators create.
  await product.admin.must('POST', '/api/v1/workspaces', { name: 'shop', template: 'node-web' })
  await product.admin.must('POST', '/api/v1/workspaces/shop/transfer', { to: 'bob' })
  const shop = (): Promise<WorkspaceView> => bob.must<WorkspaceView>('GET', '/api/v1/workspaces/shop')
  await until(async () => (await shop()).phase === 'running', { timeoutMs: 60_000, what: 'shop runs' })
  const [port] = (await shop()).spec.ports
  await bob.must('PATCH', '/api/v1/workspaces/shop', { ports: [{ port: port?.port, visibility: 'shared' }] })
  const complaints: string[] = []
  const pages = [
    await openPage(browser, complaints),
    await openPage(browser, []),
    await openPage(browser, complaints),
  ]
  const [atBob, atEve, atAdmin] = pages as [Page, Page, Page]
  for (const page of pages) page.setDefaultTimeout(30_000)
  await signIn(atBob, product, 'bob', 'password of bob')
  await atBob.getByRole('link', { name: 'Requests', exact: true }).waitFor()

  await atEve.goto(product.workspaceUrl('shop'))
  await signIn(atEve, product, 'eve', 'password of eve', '')
  await atEve.getByRole('heading', { name: 'There is nothing here for you' }).waitFor()
  await picture(atEve, 'edge-not-found')
  await atEve.getByRole('button', { name: 'Ask for access' }).click()
  await atEve.getByRole('heading', { name: 'Your request is on its way' }).waitFor()
  await picture(atEve, 'edge-asked')

  await atBob.getByRole('link', { name: 'Requests: one waits for you' }).click()
  const asks = atBob.getByRole('article', { name: 'eve asks for shop' })
  await asks.waitFor()
  await picture(atBob, 'requests')
  await asks.getByRole('button', { name: 'For an hour' }).click()
  await atBob.getByText('Nobody waits for you.').waitFor()
  await atEve.goto(product.workspaceUrl('shop'))
  await atEve.getByRole('button', { name: 'Open it' }).click()
  await atEve.waitForURL(product.workspaceUrl('shop'))
  const app = await atEve.content()
  await atEve.goto(`${product.url}/requests`)
  await atEve.getByText('granted').waitFor()

  await atBob.goto(`${product.url}/workspaces/shop/sharing`)
  await atBob.getByLabel('New alias').fill('x-3000')
  await atBob.getByRole('alert').getByText(/port/).waitFor()
  await atBob.getByLabel('New alias').fill('store')
  await atBob.getByLabel('Where it leads').selectOption(String(port?.port))
  await atBob.getByRole('region', { name: 'Aliases' }).getByRole('button', { name: 'Add' }).click()
  await atBob.getByRole('link', { name: /^store\.ws\.localhost/ }).waitFor()
  await picture(atBob, 'aliases')
  await atEve.goto(product.workspaceUrl('store'))
  await atEve.getByRole('button', { name: 'Open it' }).click()
  await atEve.waitForURL(product.workspaceUrl('store'))
  t.equal(await atEve.title(), /<title>([^<]*)/.exec(app)?.[1] ?? '', 'the same app')

  await signIn(atAdmin, product, adminName, adminPassword, '/settings/sharing')
  await atAdmin.getByRole('radio', { name: /^owner/ }).check()
  await atAdmin.getByText('Ports open at most for its owner alone').waitFor()
  await picture(atAdmin, 'cap')
  await atBob.goto(`${product.url}/workspaces/shop`)
  await atBob.getByText('owner (capped)').waitFor()
  await atEve.goto(product.workspaceUrl('store'))
  await atEve.getByRole('heading', { name: 'There is nothing here for you' }).waitFor()
  await atBob.goto(`${product.url}/workspaces/shop/settings`)
  const select = atBob.getByLabel('Who may open the port').first()
  await select.waitFor()
  t.ok(await select.locator('option[value=public]').isDisabled(), 'what is above the cap is not offered')
  await atAdmin.getByRole('radio', { name: /^public/ }).check()
  await until(async () => !(await select.locator('option[value=public]').isDisabled()))

  await bob.must('PUT', '/api/v1/workspaces/shop/password', { password: 'open sesame' })
  await atBob.getByRole('button', { name: 'Give it away' }).click()
  const dialog = atBob.getByRole('dialog', { name: 'Give shop away' })
  await dialog.getByLabel('User name').fill('nobody')
  await dialog.getByRole('button', { name: 'Give it away' }).click()
  await dialog.getByText('nobody of that name can own a workspace').waitFor()
  await picture(atBob, 'transfer')
  await dialog.getByLabel('User name').fill('eve')
  await dialog.getByRole('button', { name: 'Give it away' }).click()
  await atBob.getByText('shop is eve’s now. Ended: 1 password').waitFor()
  await atBob.waitForURL(`${product.url}/workspaces`)
  await until(async () => (await atBob.getByRole('link', { name: /shop/ }).count()) === 0)
  await atEve.goto(`${product.url}/workspaces/shop/sharing`)
  await atEve.getByRole('region', { name: 'Aliases' }).waitFor()
  await atEve.getByText('the former owner’s: it lets nobody in any more').waitFor()
  await picture(atEve, 'lapsed')
  t.same(
    complaints.filter((text) => !/status of 4(?:01|04|09|22)/.test(text)),
    [],
    'the browser complains about nothing',
  )
})
