/** Who may use a host and a template, and a group as owner: said in the browser, on the real product, and felt at once. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import type { GrantView, HostView, UserView, WorkspaceView } from '../../control/wire/index.ts'
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
const product = await startProduct(t, { runtime: 'process' })
const { admin } = product
const bob = await product.member('bob')
const idOf = async (one: typeof admin) => (await one.must<UserView>('GET', '/api/v1/me')).id
const { id: team } = await admin.must<{ id: string }>('POST', '/api/v1/groups', { name: 'team' })
for (const id of [await idOf(admin), await idOf(bob)])
  await admin.must('POST', `/api/v1/groups/${team}/members/${id}`)
const [host] = (await admin.must<{ items: HostView[] }>('GET', '/api/v1/hosts')).items
const hostName = host?.name ?? ''

const complaints: string[] = []
/** Somebody's page, signed in at a path. */
async function pageOf(username: string, password: string, path: string): Promise<Page> {
  const page = await openPage(browser, complaints, { viewport: { width: 1280, height: 860 } })
  await page.goto(product.url + path)
  await signIn(page, username, password)
  await page.locator('main h1').waitFor({ state: 'attached' })
  return page
}
const office = await pageOf(adminName, adminPassword, '/hosts')
const member = await pageOf('bob', 'password of bob', '/workspaces')
/** Nothing wider than a phone, and what matters can be touched. */
async function fitsPhone(t: Test, what: string): Promise<void> {
  await office.setViewportSize({ width: 390, height: 844 })
  const over = await office.evaluate('document.documentElement.scrollWidth - innerWidth')
  t.equal(over, 0, `${what} fits a phone`)
  await office.setViewportSize({ width: 1280, height: 860 })
}

await t.test(
  'a host: restricted, granted and taken back, and who is left out reads why, at once',
  async (t) => {
    const shut = member.getByText('No host here is open to you')
    const apart = member.getByText('Workspaces are not kept apart here')
    await apart.waitFor()
    await office.getByRole('link', { name: /^Who may use it/ }).click()
    const who = office.getByRole('region', { name: `Who may use it: ${hostName}` })
    await who.getByText('Everybody gets workspaces on it').waitFor()
    await who.getByRole('button', { name: 'Restrict' }).click()
    await who.getByText('Nobody is named yet').waitFor()
    await shut.waitFor()

    const add = who.getByRole('button', { name: 'Grant' })
    await add.click()
    const dialog = office.getByRole('dialog', { name: `Grant the use of ${hostName}` })
    await dialog.getByLabel('To').selectOption('group')
    await dialog.getByLabel('Group').fill('nobodies')
    await dialog.getByLabel('Group').press('Enter')
    await dialog.getByText('there is no group of that name').waitFor()
    t.same(
      await dialog.getByRole('checkbox').evaluateAll((all) => all.map((each) => each.getAttribute('value'))),
      ['create', 'gpu', 'bind-mounts', 'host-network'],
    )
    await dialog.getByRole('checkbox', { name: 'create' }).uncheck()
    t.ok(await dialog.getByRole('button', { name: 'Grant' }).isDisabled(), 'for nothing is no grant')
    await dialog.getByRole('checkbox', { name: 'create' }).check()
    await dialog.getByRole('checkbox', { name: 'gpu' }).check()
    await dialog.getByLabel('Ends').selectOption('24')
    await fitsPhone(t, 'the dialog')
    await dialog.getByLabel('Group').fill('team')
    await dialog.getByRole('button', { name: 'Grant' }).click()
    const row = who.getByRole('row').filter({ hasText: 'team' })
    await row.getByText('gpu').waitFor()
    await dialog.waitFor({ state: 'detached' })
    t.ok(await add.evaluate((button) => button === button.ownerDocument.activeElement), 'the focus is back')
    const [given] = (await admin.must<{ items: GrantView[] }>('GET', '/api/v1/grants')).items
    t.match(given, { subject: { name: 'team' }, object: { kind: 'host' }, capabilities: ['create', 'gpu'] })
    t.ok((given?.expiresAtMs ?? 0) > Date.now())
    await apart.waitFor()
    await fitsPhone(t, 'the host')

    await row.getByRole('button', { name: 'Remove team' }).click()
    await shut.waitFor()
    await who.getByRole('button', { name: 'Open to everybody' }).click()
    await who.getByText('Everybody gets workspaces on it').waitFor()
    await apart.waitFor()
  },
)

await t.test(
  'a template and an image: who holds no grant does not hear of the one, nor names the other',
  async (t) => {
    await office.goto(`${product.url}/templates`)
    await office.getByRole('link', { name: 'Node web app' }).click()
    const who = office.getByRole('region', { name: 'Who may use it: Node web app' })
    await who.getByRole('button', { name: 'Restrict' }).click()
    await who.getByText('Nobody is named yet').waitFor()
    await member.goto(`${product.url}/templates`)
    await member.getByRole('link', { name: 'Blank' }).waitFor()
    t.equal(await member.getByRole('link', { name: 'Node web app' }).count(), 0)
    await member.goto(`${product.url}/templates/node-web`)
    const none = member.getByText('only who was granted it may use it')
    await none.waitFor()
    const said = await none.textContent()
    await member.goto(`${product.url}/templates/never-was`)
    await none.waitFor()
    t.equal(await none.textContent(), said?.replace('node-web', 'never-was'), 'as of one that is not there')

    await who.getByRole('button', { name: 'Grant' }).click()
    const dialog = office.getByRole('dialog', { name: 'Grant the use of Node web app' })
    t.equal(await dialog.getByRole('checkbox').count(), 0)
    await dialog.getByLabel('User name').fill('bob')
    await dialog.getByRole('button', { name: 'Grant' }).click()
    await who.getByRole('row').filter({ hasText: 'bob' }).waitFor()
    await fitsPhone(t, 'the template')
    await member.goto(`${product.url}/templates/node-web`)
    await member.getByText('You hold one').waitFor()
    t.equal(await member.getByRole('button', { name: 'Grant' }).count(), 0, 'a member looks')

    await office.goto(`${product.url}/templates`)
    await office.getByLabel('Image to restrict').fill('docker.io/library/node:22')
    await office.getByRole('button', { name: 'Restrict' }).click()
    const image = office.getByRole('region', { name: 'node: node' })
    await image.getByText('Nobody is named yet').waitFor()
    await fitsPhone(t, 'the templates')
    await image.getByRole('button', { name: 'Open to everybody' }).click()
    await office.getByText('everybody may name any image').waitFor()
  },
)

await t.test('a group as owner: its quota is shown, and counts', async (t) => {
  await admin.must('PUT', `/api/v1/quotas/group/${team}`, { maxWorkspaces: 1 })
  await office.goto(`${product.url}/new?template=node-web`)
  const dialog = office.getByRole('dialog', { name: 'New workspace' })
  await dialog.getByLabel('Owner').selectOption({ label: 'the group team' })
  await dialog.getByText('Of team, together').waitFor()
  await dialog.getByText('0 of 1', { exact: true }).waitFor()
  await dialog.getByLabel('Name', { exact: true }).fill('ours')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await office.waitForURL('**/workspaces/ours')
  const made = await bob.must<WorkspaceView>('GET', '/api/v1/workspaces/ours')
  t.match(made, { ownerGroup: { name: 'team' }, role: 'owner' })
  await member.goto(`${product.url}/workspaces`)
  await member.getByRole('link', { name: /^ours/ }).first().waitFor()

  await office.goto(`${product.url}/new?template=node-web`)
  await dialog.getByLabel('Owner').selectOption({ label: 'the group team' })
  const full = dialog.getByText('team has 1 of 1 workspaces')
  await full.waitFor()
  await dialog.getByLabel('Name', { exact: true }).fill('more')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await dialog.getByLabel('Owner').selectOption({ label: 'me' })
  await full.waitFor({ state: 'detached' })
  t.equal((await admin.api('GET', '/api/v1/workspaces/more')).status, 404, 'it was not even asked for')
  await admin.must('DELETE', `/api/v1/quotas/group/${team}`)
  await dialog.getByLabel('Owner').selectOption({ label: 'the group team' })
  await dialog.getByText('it counts for your quota').waitFor()
  await fitsPhone(t, 'the form')
  const isGone = async () => (await admin.api('GET', '/api/v1/workspaces/ours')).status === 404
  await admin.must('DELETE', `/api/v1/workspaces/ours?purge=true`)
  await until(isGone, { timeoutMs: 30_000, what: 'ours to be purged' })
})

await t.test(
  'an administrator joins a group that opens others’ workspaces: why is asked, and read',
  async (t) => {
    await admin.must('POST', '/api/v1/groups', { name: 'guests' })
    const { id: diary } = await admin.must<WorkspaceView>('POST', '/api/v1/workspaces', {
      name: 'diary',
      template: 'node-web',
    })
    await admin.must('POST', `/api/v1/workspaces/${diary}/transfer`, { to: 'bob' })
    await bob.must('POST', '/api/v1/grants', {
      subject: { kind: 'group', id: 'guests' },
      object: { kind: 'workspace', id: 'diary' },
    })
    await office.goto(`${product.url}/groups`)
    const group = office.getByRole('region', { name: 'guests' })
    await group.getByLabel('Who joins guests').selectOption({ label: adminName })
    await group.getByRole('button', { name: 'Add to guests' }).click()
    const dialog = office.getByRole('dialog', { name: 'Join guests' })
    await dialog.getByText('Their owners see that you joined it').waitFor()
    await fitsPhone(t, 'the question')
    t.same((await admin.must<WorkspaceView>('GET', '/api/v1/workspaces/diary')).role, null)
    await dialog.getByLabel('Why').fill('to mend its start')
    await dialog.getByRole('button', { name: 'Join' }).click()
    await group.getByRole('button', { name: `take ${adminName} out of guests` }).waitFor()
    await dialog.waitFor({ state: 'detached' })
    t.equal((await admin.must<WorkspaceView>('GET', '/api/v1/workspaces/diary')).role, 'viewer')
    await member.goto(`${product.url}/workspaces/diary`)
    await member.getByText('joined the group guests, which opens it: to mend its start').first().waitFor()
    const isGone = async () => (await admin.api('GET', '/api/v1/workspaces/diary')).status === 404
    await admin.must('DELETE', `/api/v1/workspaces/diary?purge=true`)
    await until(isGone, { timeoutMs: 30_000, what: 'diary to be purged' })
  },
)

t.same(
  complaints.filter((line) => !/status of (401|422)/.test(line)),
  [],
  'nothing else was complained of',
)
