/** Sharing on the real product: groups, grants and the broken glass in the browser, and what ends with them elsewhere. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Page } from 'playwright-core'
import type { GrantView, UserView, WorkspaceView } from '../../control/wire/index.ts'
import { signIn } from '../support/product-browser.ts'
import { productRoot } from '../support/product-process.ts'
import { adminName, adminPassword, startProduct } from '../support/product.ts'
import type { Client } from '../support/product-client.ts'
import { until } from '../support/until.ts'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'

t.setTimeout(180_000)
const webRoot = join(productRoot, 'web', 'dist')
if (!existsSync(join(webRoot, 'index.html'))) await buildDashboard(webRoot)
const browser = await launchBrowser()
t.teardown(() => browser.close())

const phone = { viewport: { width: 390, height: 844 } }
/** Nothing wider than its page. */
const fits = (page: Page) =>
  page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth')

/** They sign in where they are asked to, say yes to being known by somebody else's workspace, and are there. */
async function enter(page: Page, url: string, username: string, password: string): Promise<void> {
  await page.goto(url)
  const yes = page.getByRole('button', { name: 'Open it' })
  await page.locator('input[name=username]').or(yes).first().waitFor()
  if (!(await yes.isVisible())) await signIn(page, username, password)
  await yes.click()
  await page.waitForURL(url)
}

t.test('people, groups and the glass: given, used, taken back', async (t) => {
  const product = await startProduct(t, { runtime: 'process' })
  const [bob, cora] = [await product.member('bob'), await product.member('cora')]
  const ports = [{ port: 3000, name: 'web', visibility: 'shared' }]
  // Processes are not kept apart, so that an administrator makes it; it is the team's, and bob is the team.
  const idOf = async (one: Client) => (await one.must<UserView>('GET', '/api/v1/me')).id
  const { id: team } = await product.admin.must<{ id: string }>('POST', '/api/v1/groups', { name: 'team' })
  const ids = [await idOf(product.admin), await idOf(bob)]
  for (const id of ids) await product.admin.must('POST', `/api/v1/groups/${team}/members/${id}`)
  await product.admin.must('POST', '/api/v1/workspaces', {
    name: 'shop',
    ownerGroup: 'team',
    template: 'node-web',
    ports,
  })
  await product.admin.must('DELETE', `/api/v1/groups/${team}/members/${ids[0]}`)
  const shop = () => product.admin.must<WorkspaceView>('GET', '/api/v1/workspaces/shop')
  await until(async () => (await shop()).phase === 'running', { timeoutMs: 60_000, what: 'it runs' })
  const url = product.workspaceUrl('shop')
  const statusFor = async (page: Page): Promise<number | undefined> => (await page.goto(url))?.status()

  const complaints: string[] = []
  const owner = await openPage(browser, complaints)
  await owner.goto(`${product.url}/workspaces/shop/sharing`)
  await signIn(owner, 'bob', 'password of bob')
  const people = owner.getByRole('region', { name: 'People and groups' })
  await people.getByText('It is shared with nobody else.').waitFor()
  await people.getByRole('button', { name: 'Share' }).click()
  const dialog = owner.getByRole('dialog', { name: 'Share shop' })
  await dialog.getByLabel('User name').fill('nobody')
  await dialog.getByRole('button', { name: 'Share' }).click()
  await dialog.getByText('there is no user of that name').waitFor()
  await dialog.getByLabel('User name').fill('cora')
  await dialog.getByRole('checkbox').check()
  await dialog.getByLabel('Ends').selectOption('24')
  await dialog.getByRole('button', { name: 'Share' }).click()
  const row = people.getByRole('row').filter({ hasText: 'cora' })
  await row.getByText('viewer, port 3000 only').waitFor()
  const visitor = await openPage(browser, [])
  let open = 0
  visitor.on('websocket', (socket) => {
    open++
    socket.on('close', () => open--)
  })
  await enter(visitor, url, 'cora', 'password of cora')
  await until(() => open === 1, { what: 'the socket of the app’s page' })
  await row.getByRole('button', { name: 'Remove cora' }).click()
  await people.getByText('It is shared with nobody else.').waitFor()
  await until(() => open === 0, { what: 'the end of her socket' })
  t.equal(await statusFor(visitor), 404, 'and out, her socket too')

  const admin = await openPage(browser, complaints)
  await admin.goto(`${product.url}/people`)
  await signIn(admin, adminName, adminPassword)
  await admin.getByLabel('Role of cora').waitFor()
  await admin.getByRole('link', { name: 'Groups' }).click()
  await admin.getByLabel('Name of a new group').fill('crew')
  await admin.getByRole('button', { name: 'Make it' }).click()
  const crew = admin.getByRole('region', { name: 'crew' })
  await crew.getByLabel('Who joins crew').selectOption({ label: 'cora' })
  await crew.getByRole('button', { name: 'Add to crew' }).click()
  await crew.getByRole('button', { name: 'take cora out of crew' }).waitFor()
  await people.getByRole('button', { name: 'Share' }).click()
  await dialog.getByLabel('With').selectOption('group')
  await dialog.getByLabel('Group').fill('crew')
  await dialog.getByLabel('As').selectOption('editor')
  await dialog.getByRole('button', { name: 'Share' }).click()
  await people.getByRole('row').filter({ hasText: 'crew' }).getByText('editor').waitFor()
  t.equal((await cora.must<WorkspaceView>('GET', '/api/v1/workspaces/shop')).role, 'editor')
  await crew.getByRole('button', { name: 'take cora out of crew' }).click()
  await crew.getByText('Nobody is in it.').waitFor()
  t.equal((await cora.api('GET', '/api/v1/workspaces/shop')).status, 404)

  const stranger = await admin.context().newPage()
  t.equal(await statusFor(stranger), 404, 'an administrator does not see in')
  await stranger.close()
  await admin.goto(`${product.url}/workspaces/shop/sharing`)
  t.equal(await admin.getByRole('link', { name: /^Open/ }).count(), 0, 'nothing that could be opened')
  await admin.getByRole('button', { name: 'Break the glass' }).click()
  const glass = admin.getByRole('dialog', { name: 'Break the glass of shop' })
  await glass.getByLabel('Why').fill('its disk fills the host')
  await glass.getByRole('button', { name: 'Open it for an hour' }).click()
  await admin.getByText('glass broken').waitFor()
  const tab = await admin.context().newPage()
  await enter(tab, url, adminName, adminPassword)
  const broken = people.getByRole('row').filter({ hasText: 'glass broken' })
  await broken.getByText('its disk fills the host').waitFor()
  await owner.getByRole('link', { name: 'Overview' }).click()
  await owner.getByText('admin opened it as an administrator, for an hour: its disk fills the host').waitFor()
  await owner.goBack()
  await broken.getByRole('button', { name: 'Remove admin' }).click()
  await broken.waitFor({ state: 'detached' })
  t.equal(await statusFor(tab), 404)
  t.equal((await product.admin.must<{ items: GrantView[] }>('GET', '/api/v1/grants')).items.length, 1)

  for (const page of [owner, admin]) {
    await page.setViewportSize(phone.viewport)
    t.ok(await fits(page), `${page.url()} fits a phone`)
  }
  await admin.goto(`${product.url}/groups`)
  await admin.getByRole('region', { name: 'crew' }).waitFor()
  t.ok(await fits(admin), 'the groups too')

  t.same(
    complaints.filter((line) => !/status of (401|404|422)/.test(line)),
    [],
    'nothing else was complained of',
  )
})
