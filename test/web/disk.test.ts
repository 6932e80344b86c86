/** The size of a disk on the real product, in a real browser: asked for, counted, refused beyond the quota, grown. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Limits, WorkspaceView } from '../../control/wire/index.ts'
import { clearDisks, diskMounts } from '../support/disk-mounts.ts'
import { productRoot } from '../support/product-process.ts'
import { startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'

t.setTimeout(240_000)
const MIB = 1024 ** 2
const pictures = process.env['PICTURES']
const webRoot = join(productRoot, 'web', 'dist')
if (!existsSync(join(webRoot, 'index.html'))) await buildDashboard(webRoot)
const browser = await launchBrowser()
t.teardown(() => browser.close())

t.test('a workspace with a disk of its own, from the form to the byte beyond', async (t) => {
  const product = await startProduct(t, { runtime: 'process' })
  const mounts = (): string[] => diskMounts(product.home)
  await product.hostReady()
  const limits = await product.admin.must<Limits>('GET', '/api/v1/limits')
  if (limits.diskBytes === undefined) {
    t.comment('skipped: this machine holds no disks')
    return
  }
  const all = async (): Promise<readonly WorkspaceView[]> =>
    (await product.admin.must<{ items: WorkspaceView[] }>('GET', '/api/v1/workspaces')).items
  const purge = async (): Promise<void> => {
    for (const { id } of await all())
      await product.admin.must('DELETE', `/api/v1/workspaces/${id}?purge=true`)
    await until(async () => (await all()).length === 0, { timeoutMs: 60_000 })
  }
  t.teardown(async () => {
    await purge().catch(() => undefined)
    clearDisks(product.home)
  })
  const complaints: string[] = []
  const page = await openPage(browser, complaints, { viewport: { width: 1280, height: 900 } })
  const picture = async (name: string): Promise<void> => {
    if (pictures === undefined) return
    for (const [screen, width, height] of [
      ['desktop', 1280, 900],
      ['phone', 390, 844],
    ] as const) {
      await page.setViewportSize({ width, height })
      await page.screenshot({ path: `${pictures}/${screen}-${name}.png` })
    }
    await page.setViewportSize({ width: 1280, height: 900 })
  }
  await page.goto(`${product.url}/sign-in`)
  await page.fill('input[name=username]', 'admin')
  await page.fill('input[name=password]', 'correct horse battery')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'No workspaces yet' }).waitFor()
  complaints.length = 0

  await page.goto(`${product.url}/people`)
  await page.getByRole('link', { name: 'Quota of admin' }).click()
  const quota = page.getByRole('dialog', { name: 'Quota of admin' })
  await quota.getByLabel('Disk of all that are there').fill('300m')
  await quota.getByRole('button', { name: 'Set the quota' }).click()
  await quota.getByText('0 B of 300 MiB').waitFor()
  await picture('disk-quota')

  await page.goto(`${product.url}/new`)
  const dialog = page.getByRole('dialog', { name: 'New workspace' })
  await dialog.getByLabel('Name', { exact: true }).fill('shop')
  const disk = dialog.getByLabel('Disk')
  t.equal(await disk.getAttribute('placeholder'), '10 GiB', 'what it gets without a size')
  await dialog.getByText('Your quota leaves 300 MiB').waitFor()
  await disk.fill('1g')
  await dialog.getByText('Your quota leaves 300 MiB').waitFor()
  await disk.fill('100m')
  await dialog.getByText('Your quota leaves').waitFor({ state: 'detached' })
  await picture('disk-create')
  await dialog.getByRole('button', { name: 'Create' }).click()
  await page.getByText(/running for \d/).waitFor()
  await page.getByText('at most 100 MiB').waitFor()
  await picture('disk-workspace')

  const [home = ''] = mounts()
  t.equal(mounts().length, 1, 'it is really there')
  const { uid } = statSync(home)
  const full = (): boolean => {
    try {
      // As the workspace's own user, as a program of its would.
      execFileSync('dd', ['if=/dev/zero', `of=${home}/big`, 'bs=1M', 'count=120'], {
        uid,
        gid: uid,
        stdio: 'ignore',
      })
      return false
    } catch {
      return true
    }
  }
  t.ok(full(), 'the byte beyond is refused')
  await writeFile(join(home, 'kept'), 'kept')

  await page.goto(`${product.url}/workspaces/shop/settings`)
  await page.getByLabel('Disk').fill('80m')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('At least 100 MiB.').waitFor()
  await page.getByLabel('Disk').fill('1g')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText(/The quota is 0.29 GiB of disk/).waitFor()
  await page.getByLabel('Disk').fill('200m')
  await picture('disk-grow')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved; it is being applied').waitFor()
  await until(async () => (await all())[0]?.observedGeneration === 2, { timeoutMs: 60_000 })
  await until(async () => (await all())[0]?.phase === 'running', { timeoutMs: 60_000 })
  t.equal(readFileSync(join(home, 'kept'), 'utf8'), 'kept')
  t.notOk(full(), 'what didn’t fit does now')
  t.equal(statSync(join(home, 'big')).size, 120 * MIB)
  t.match((await product.admin.must<Limits>('GET', '/api/v1/limits')).quota.diskBytes, {
    used: 200 * MIB,
    max: 300 * MIB,
  })
  await purge()
  t.same(mounts(), [], 'nothing stays mounted')
  // Browsers tell of each answer that isn't a success.
  t.same(
    complaints.filter((text) => !/409/.test(text)),
    [],
  )
})
