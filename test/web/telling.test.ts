/** The audit's page and the webhooks' in the browser, on the real product: found, exported, seen as it comes; told and dead. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import { openDatabase } from '../../control/store/open.ts'
import type { AuditRow, HookView } from '../../control/wire/index.ts'
import { startReceiver } from '../support/audit-receiver.ts'
import { signIn } from '../support/product-browser.ts'
import { productRoot } from '../support/product-process.ts'
import { adminName, adminPassword, startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'

t.setTimeout(180_000)
const webRoot = join(productRoot, 'web', 'dist')
if (!existsSync(join(webRoot, 'index.html'))) await buildDashboard(webRoot)
const browser = await launchBrowser()
t.teardown(() => browser.close())
const product = await startProduct(t, { runtime: 'process', args: ['--hook-targets=any'] })
const { admin } = product
await product.member('bob')
/** One more row of the audit, named. */
const group = (name: string) => admin.must<{ id: string }>('POST', '/api/v1/groups', { name })

const complaints: string[] = []
async function pageOf(username: string, password: string, path: string): Promise<Page> {
  const page = await openPage(browser, complaints, { viewport: { width: 1280, height: 860 } })
  await page.goto(product.url + path)
  await signIn(page, username, password)
  await page.locator('main h1').waitFor({ state: 'attached' })
  return page
}
async function fitsPhone(t: Test, page: Page, what: string): Promise<void> {
  await page.setViewportSize({ width: 390, height: 844 })
  const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
  t.equal(over, 0, `${what} fits a phone`)
  await page.setViewportSize({ width: 1280, height: 860 })
}

const page = await pageOf(adminName, adminPassword, '/audit')
const rows = page.locator('tbody tr')

await t.test(
  'the audit is filtered by its URL, exported as it is filtered, and comes by itself',
  async (t) => {
    const rowOf = (name: string) => rows.filter({ hasText: name })
    await page.getByText('session: begin').first().waitFor()
    await group('zebra')
    await rowOf('zebra').waitFor()
    await page.getByRole('combobox').first().selectOption('group.*')
    await page.waitForURL('**/audit?action=group.*')
    await until(async () => (await rows.count()) === 1, { timeoutMs: 30_000, what: 'the one row of a group' })
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Export' }).click(),
    ])
    const lines = (await readFile(await file.path(), 'utf8')).trimEnd().split('\n')
    const told = lines.map((line) => (JSON.parse(line) as AuditRow).action)
    t.same(told, ['group.create'], 'what is filtered away is not in the file')

    await admin.must('POST', '/api/v1/users', {
      username: 'cora',
      password: 'password of cora',
      role: 'member',
    })
    await group('yak')
    await rowOf('yak').waitFor()
    t.same(
      await rows.locator('td:nth-child(4)').allInnerTexts(),
      ['yak', 'zebra'],
      'filters hold for what comes',
    )
    await page.getByLabel('Who').fill('nobody')
    await page.getByLabel('Who').press('Enter')
    await page.getByText('Nothing like that').waitFor()
    await page.getByRole('link', { name: 'Show all' }).click()
    await rowOf('zebra').waitFor()
    await fitsPhone(t, page, 'the audit')
  },
)

await t.test('what is read does not move: new rows wait for the reader', async (t) => {
  for (let i = 0; i < 40; i++) await group(`herd-${i}`)
  await rows.filter({ hasText: 'herd-39' }).waitFor()
  const seen = rows.filter({ hasText: 'herd-5' })
  await seen.scrollIntoViewIfNeeded()
  const top = async () => Math.round((await seen.boundingBox())?.y ?? 0)
  const before = await top()
  await group('late')
  const news = page.getByRole('button', { name: /^\d+ new/ })
  await news.waitFor()
  t.equal(await top(), before)
  t.equal(await rows.filter({ hasText: 'late' }).count(), 0)
  await news.click()
  await rows.filter({ hasText: 'late' }).waitFor()
  await news.waitFor({ state: 'detached' })
  t.equal(await page.evaluate('document.getElementById("main").scrollTop'), 0)
})

await t.test('a webhook: made, its secret once, what was delivered, and what is dead', async (t) => {
  const receiver = await startReceiver()
  t.teardown(() => receiver.close())
  receiver.script = (path) => ({ status: path === '/broken' ? 500 : 204 })
  await page.goto(`${product.url}/hooks`)
  const main = page.getByRole('main')
  const make = async (name: string, path: string): Promise<string> => {
    await main.getByRole('link', { name: 'Add a webhook' }).first().click()
    const dialog = page.getByRole('dialog', { name: 'Add a webhook' })
    await dialog.getByLabel('Name').fill(name)
    await dialog.getByLabel('URL').fill(receiver.url + path)
    await dialog.getByRole('checkbox', { name: /Workspaces/ }).uncheck()
    await dialog.getByRole('button', { name: 'Add it' }).click()
    await dialog.getByText('Choose at least one.').waitFor()
    await dialog.getByRole('checkbox', { name: /Everything/ }).check()
    await dialog.getByRole('button', { name: 'Add it' }).click()
    await dialog.getByText('It is shown only now').waitFor()
    const secret = await dialog.getByText(/^whsec_/).innerText()
    const copy = dialog.getByRole('button', { name: 'Copy the secret' })
    t.ok(await copy.evaluate((button) => button === button.ownerDocument.activeElement), 'ready to be copied')
    await page.mouse.click(5, 5)
    t.ok(await copy.isVisible(), 'a click beside it takes nothing away')
    await dialog.getByRole('button', { name: 'Done' }).click()
    await page.getByRole('region', { name }).waitFor()
    t.notMatch(await page.content(), secret, 'and never again')
    return secret
  }
  receiver.secret = await make('works', '/fine')
  await group('told')
  await until(() => receiver.got.some(({ path, body }) => path === '/fine' && body.type === 'group.create'), {
    timeoutMs: 30_000,
    what: 'the message',
  })
  t.ok(receiver.got.find(({ body }) => body.type === 'group.create')?.genuine, 'signed by that very secret')
  const dialogOf = (name: string) => page.getByRole('dialog', { name: `Deliveries of ${name}` })
  await page.getByRole('link', { name: 'Deliveries of works' }).click()
  const delivered = dialogOf('works').getByRole('row').filter({ hasText: 'group.create' })
  await delivered.getByText('delivered').waitFor()
  await fitsPhone(t, page, 'the deliveries')
  await page.keyboard.press('Escape')

  await make('broken', '/broken')
  await group('lost')
  await until(
    () => receiver.got.some(({ path, body }) => path === '/broken' && body.type === 'group.create'),
    {
      timeoutMs: 30_000,
      what: 'the try',
    },
  )
  // Its ten tries take a day: while the server rests, all but the last are over.
  await page.goto('about:blank')
  await product.server.end()
  const { db, close } = await openDatabase({ stateDirectory: product.stateDirectory, databaseUrl: null })
  const late = { attempts: 9, next_at_ms: 0 }
  t.ok((await db('deliveries').where({ state: 'waiting' }).update(late)) > 0)
  await close()
  await product.startServer()
  const isDead = async () =>
    (await admin.must<{ items: HookView[] }>('GET', '/api/v1/hooks')).items.some(
      ({ deliveries }) => deliveries.dead > 0,
    )
  await until(isDead, { timeoutMs: 30_000, what: 'it dies' })
  await page.goto(`${product.url}/hooks`)
  await page
    .getByRole('region', { name: 'broken' })
    .getByText(/^\d+ dead$/)
    .waitFor()
  await page.getByRole('link', { name: 'Deliveries of broken' }).click()
  const dialog = dialogOf('broken')
  await dialog.getByLabel('Show').selectOption('dead')
  const dead = dialog.getByRole('row').filter({ hasText: 'answered 500, 10 tried' }).first()
  await dead.waitFor()
  receiver.script = () => ({ status: 204 })
  const before = receiver.got.length
  await dead.getByRole('button', { name: /^Send anew/ }).click()
  await until(() => receiver.got.slice(before).some(({ path }) => path === '/broken'), {
    timeoutMs: 30_000,
    what: 'it anew',
  })
  await dialog.getByLabel('Show').selectOption('delivered')
  await dialog.getByText('delivered', { exact: true }).nth(1).waitFor()
})

await t.test('a member sees what is theirs, and no hooks', async (t) => {
  const bob = await pageOf('bob', 'password of bob', '/audit')
  await bob.getByText('What you did, and what was done to your account').waitFor()
  await bob.getByText('session: begin').first().waitFor()
  t.equal(await bob.locator('tbody tr').filter({ hasText: 'herd' }).count(), 0)
  await bob.goto(`${product.url}/hooks`)
  await bob.getByText('Only administrators see webhooks').waitFor()
})

t.same(
  complaints.filter((line) => !/status of (401|422)/.test(line)),
  [],
  'nothing else was complained of',
)
