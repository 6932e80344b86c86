/** The dashboard on the real product, on plain processes: from the set-up link to an opened, changed and deleted workspace. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { productRoot } from '../support/product-process.ts'
import { startProduct, type Product } from '../support/product.ts'
import { until } from '../support/until.ts'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'

t.setTimeout(180_000)
// The product serves web/dist; from a clean clone it isn't there yet.
const webRoot = join(productRoot, 'web', 'dist')
if (!existsSync(join(webRoot, 'index.html'))) await buildDashboard(webRoot)
const browser = await launchBrowser()
t.teardown(() => browser.close())

const workspace = async (product: Product, name: string): Promise<WorkspaceView> =>
  product.admin.must<WorkspaceView>('GET', `/api/v1/workspaces/${name}`)

t.test('a person sets up, creates, opens, stops, starts, changes, deletes and brings back', async (t) => {
  const product = await startProduct(t, { runtime: 'process', setup: false })
  const complaints: string[] = []
  const page = await openPage(browser, complaints)

  await page.goto(product.setupUrl ?? '')
  await page.fill('input[name=username]', 'ada')
  await page.fill('input[name=password]', 'correct horse battery')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'No workspaces yet' }).waitFor()
  await product.admin.must('POST', '/api/v1/sessions', { username: 'ada', password: 'correct horse battery' })
  await product.hostReady()
  complaints.length = 0

  await page.keyboard.press('c')
  const dialog = page.getByRole('dialog', { name: 'New workspace' })
  await dialog.getByLabel('Name', { exact: true }).fill('shop')
  await dialog.locator('input[value=node-web]').check({ force: true })
  t.equal(await dialog.getByLabel('Memory').count(), 0, 'a limit that processes don’t hold is not offered')
  t.ok(await dialog.locator('input[value=code-server]').isDisabled(), 'nor a template that needs a container')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await page.getByText(/running for \d/).waitFor()
  t.equal(new URL(page.url()).pathname, '/workspaces/shop')

  const open = page.getByRole('main').getByRole('link', { name: /^Open/ })
  const [tab] = await Promise.all([page.context().waitForEvent('page'), open.click()])
  await tab.waitForURL(product.workspaceUrl('shop'))
  await tab
    .getByText(/workspace/i)
    .first()
    .waitFor()
  await tab.close()

  await page.getByRole('button', { name: 'Stop shop' }).click()
  await page.getByRole('button', { name: 'Start shop' }).waitFor()
  await page.getByText('ada stopped it').waitFor()
  await page.keyboard.press('s')
  await page.getByText(/running for \d/).waitFor()

  await page.getByRole('navigation', { name: /Views/ }).getByRole('link', { name: 'Settings' }).click()
  await page.getByRole('button', { name: 'Add a variable' }).click()
  await page.getByLabel('Name of the variable').fill('API_KEY')
  await page.getByLabel('Value of API_KEY').fill('s3cret')
  await page.getByRole('checkbox', { name: 'secret' }).check()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved; it is being applied').waitFor()
  t.same((await workspace(product, 'shop')).spec.env, [{ name: 'API_KEY', secret: true }])
  await page.getByPlaceholder('kept; type to replace').waitFor()
  await page.getByText(/running for \d/).waitFor()

  await page.getByLabel('More to do with shop').click()
  await page.getByRole('button', { name: 'Delete shop' }).click()
  await page.getByRole('button', { name: 'Undo' }).click()
  await until(async () => (await workspace(product, 'shop')).phase === 'running', { timeoutMs: 20_000 })

  await page.goto(`${product.url}/workspaces/shop`)
  await page.getByLabel('More to do with shop').click()
  await page.getByRole('button', { name: 'Delete shop' }).click()
  await page.getByRole('link', { name: /^Trash/ }).click()
  await page.getByRole('button', { name: 'Delete for ever shop' }).click()
  const ask = page.getByRole('dialog', { name: 'Delete for ever' })
  await ask.getByRole('textbox').fill('shop')
  await ask.getByRole('button', { name: 'Delete for ever' }).click()
  await page.getByText('The trash is empty').waitFor()
  t.same(complaints, [])
})
