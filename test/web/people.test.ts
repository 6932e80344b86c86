/** Invitations, reset links, sessions and quotas in a real browser, against the fake server. */
import t from 'tap'
import { quotaLines, quotaProblems, viaText } from '../../web/src/lib/quota.ts'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'
import { startFakeServer } from '../support/web-fake-server.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)
const GIB = 1024 ** 3
const pictures = process.env['PICTURES']

t.test('what a quota leaves, and what it would refuse', (t) => {
  const standing = {
    workspaces: { used: 3, max: 5 },
    running: { used: 2, max: null },
    cpu: { used: 3, max: 4.5 },
    memoryBytes: { used: GIB, max: 2 * GIB },
    diskBytes: { used: 8 * GIB, max: 10 * GIB },
  }
  t.same(
    quotaLines(standing).map(({ label, text }) => `${label} ${text}`),
    ['Workspaces 3 of 5', 'CPU 3 of 4.5', 'Memory 1 GiB of 2 GiB', 'Disk 8 GiB of 10 GiB'],
    'what has no bound is no line',
  )
  t.same(quotaProblems(standing, { cpu: 1.5, memoryBytes: GIB, diskBytes: 2 * GIB }), [], 'to the last bit')
  t.match(quotaProblems(standing, { cpu: 2, memoryBytes: 2 * GIB, diskBytes: 3 * GIB }), [
    { path: 'cpu', message: /leaves 1.5 cores/ },
    { path: 'memoryBytes', message: /leaves 1 GiB/ },
    { path: 'diskBytes', message: /leaves 2 GiB; stopped/ },
  ])
  const full = { workspaces: { used: 5, max: 5 }, running: { used: 9, max: 3 } }
  t.match(quotaProblems(full, { cpu: 9, memoryBytes: null, diskBytes: null }), [
    { path: '', message: /5 of 5 workspaces/ },
    { path: '', message: /9 of 3 running/ },
  ])
  t.same(['password', 'oidc:company', 'sorcery'].map(viaText), ['password', 'company', 'sorcery'])
  t.end()
})

const root = t.testdir()
await buildDashboard(root)
const browser = await launchBrowser()
t.teardown(() => browser.close())

for (const [screen, viewport] of [
  ['desktop', { width: 1440, height: 860 }],
  ['phone', { width: 390, height: 800 }],
] as const)
  t.test(`people on a ${screen}`, async (t) => {
    const fake = await startFakeServer(root)
    t.teardown(() => fake.close())
    const complaints: string[] = []
    const page = await openPage(browser, complaints, { viewport })
    page.setDefaultTimeout(30_000)
    const picture = async (name: string) => {
      if (pictures !== undefined) await page.screenshot({ path: `${pictures}/${screen}-${name}.png` })
    }
    await page.goto(`${fake.url}/people`)
    await page.getByRole('link', { name: 'Invite' }).click()
    const invite = page.getByRole('dialog', { name: 'Invite somebody' })
    await invite.getByLabel('E-mail').fill('hedy@example.org')
    await invite.getByLabel('Role').selectOption('auditor')
    await invite.getByLabel('pilots').check()
    await picture('invite')
    await invite.getByRole('button', { name: 'Make a link' }).click()
    await invite.getByText('/invitation#psv_fake').waitFor()
    t.match(fake.calls.at(-1)?.body, { email: 'hedy@example.org', role: 'auditor', groups: ['g1'] })
    await picture('invited')
    await invite.getByRole('button', { name: 'Done' }).click()
    await page.getByRole('cell', { name: 'hedy@example.org', exact: true }).waitFor()
    await picture('people')
    await page.getByRole('button', { name: 'Revoke hedy@example.org' }).click()
    await page.getByRole('heading', { name: 'Invitations' }).waitFor({ state: 'detached' })

    await page.getByRole('link', { name: 'Reset link for grace' }).click()
    const reset = page.getByRole('dialog', { name: 'Reset link for grace' })
    await reset.getByRole('button', { name: 'Make a link' }).click()
    await reset.getByText('/reset#psr_fake').waitFor()
    await picture('reset')
    await reset.getByRole('button', { name: 'Done' }).click()

    await page.getByRole('link', { name: 'Sessions of grace' }).click()
    const sessions = page.getByRole('dialog', { name: 'Where grace is signed in' })
    await sessions.getByText('company').waitFor()
    await picture('sessions')
    await sessions.getByRole('button', { name: 'End all' }).click()
    await until(() => fake.calls.at(-1)?.path === '/api/v1/users/u-grace/sessions')
    await page.keyboard.press('Escape')

    await page.getByRole('link', { name: 'Quota of grace' }).click()
    const quota = page.getByRole('dialog', { name: 'Quota of grace' })
    await quota.getByLabel('Running at once').fill('many')
    await quota.getByRole('button', { name: 'Set the quota' }).click()
    await quota.getByText('This is no amount').waitFor()
    await quota.getByLabel('Running at once').fill('2')
    await quota.getByLabel('Memory of all that run').fill('16g')
    await quota.getByRole('button', { name: 'Set the quota' }).click()
    await quota.getByText('4 run, 2 may: they go on.').waitFor()
    t.match(fake.calls.at(-1)?.body, { maxRunning: 2, memoryBytes: 16 * GIB, cpu: null })
    await picture('quota')
    await page.goto(`${fake.url}/settings/sessions`)
    await page.getByText('signed in by').first().waitFor({ state: 'attached' })
    await picture('settings')
    await page.getByRole('button', { name: 'End all others' }).click()
    await until(
      () => fake.calls.at(-1)?.method === 'DELETE' && fake.calls.at(-1)?.path === '/api/v1/sessions',
    )

    fake.state.limits = {
      ...fake.state.limits,
      quota: { ...fake.state.limits.quota, running: { used: 10, max: 10 } },
    }
    await page.goto(`${fake.url}/new`)
    const create = page.getByRole('dialog', { name: 'New workspace' })
    await create.getByText('You have 10 of 10 running').waitFor()
    await create.getByLabel('Memory').fill('4 GiB')
    await create.getByText('Your quota leaves 2 GiB').waitFor()
    await create.getByLabel('Name', { exact: true }).fill('shop')
    const before = fake.calls.length
    await create.getByRole('button', { name: 'Create' }).click()
    await picture('create')
    t.equal(fake.calls.length, before, 'what would be refused is not asked for')
    t.same(complaints, [])
    await page.context().close()
  })
