/** Access tokens in the dashboard, in a real browser: one of a workspace and some ports is made, listed and ended. */
import { join } from 'node:path'
import t from 'tap'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'
import { startFakeServer } from '../support/web-fake-server.ts'

t.setTimeout(180_000)
const root = t.testdir()
await buildDashboard(root)
const browser = await launchBrowser()
t.teardown(() => browser.close())

/** Where pictures go; '': nowhere. */
const pictures = process.env['POSTERN_PICTURES'] ?? ''

for (const [size, viewport] of [
  ['wide', { width: 1440, height: 860 }],
  ['phone', { width: 390, height: 844 }],
] as const)
  t.test(`a token of one workspace, ${size}`, async (t) => {
    const fake = await startFakeServer(root)
    t.teardown(() => fake.close())
    fake.state.put({ name: 'shop' })
    const complaints: string[] = []
    const page = await openPage(browser, complaints, { viewport })
    const show = async (name: string): Promise<void> => {
      if (pictures !== '') await page.screenshot({ path: join(pictures, `tokens-${name}-${size}.png`) })
    }
    await page.goto(`${fake.url}/settings/tokens?add`)
    const dialog = page.getByRole('dialog', { name: 'New access token' })
    await dialog.getByLabel('Name', { exact: true }).fill('ci')
    t.equal(await dialog.getByRole('textbox', { name: 'Ports' }).count(), 0, 'ports are those of a workspace')
    await dialog.getByRole('checkbox', { name: /admin/ }).check()
    await dialog.getByLabel('For', { exact: true }).selectOption({ label: 'shop only' })
    t.equal(await dialog.getByRole('checkbox', { name: /admin/ }).count(), 0, 'no single workspace has that')
    await dialog.getByRole('textbox', { name: 'Ports' }).fill('3000, 8080')
    await show('new')
    await dialog.getByRole('button', { name: 'Make the token' }).click()
    await dialog.getByText('It is shown only now').waitFor()
    const sent = fake.calls.find(({ path }) => path === '/api/v1/tokens')?.body
    t.match(sent, {
      name: 'ci',
      scopes: ['workspaces:read', 'workspaces:write', 'connect'],
      workspace: 'w1',
      ports: [3000, 8080],
    })
    await dialog.getByRole('button', { name: 'Done' }).click()
    await page.getByText('ports 3000, 8080').waitFor()
    await page.getByRole('main').getByRole('link', { name: 'shop' }).waitFor()
    await show('list')
    const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
    t.equal(over, 0, 'it fits')
    t.same(complaints, [])
  })
