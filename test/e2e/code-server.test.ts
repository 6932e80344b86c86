// alone: networks that come and go make browsers of other tests give up what they load
/** VS Code in the browser, through the edge: a real code-server in a container, a real Chromium before it. */
import Docker from 'dockerode'
import t from 'tap'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { launch, noBrowser, signIn } from '../support/product-browser.ts'
import { needImages } from '../support/product-images.ts'
import { adminName, adminPassword, startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

const missing = (await noBrowser()) ?? (await needImages(new Docker(), ['code-server']))

t.test(
  'code-server opens, and its terminal runs a command',
  { skip: missing ?? false, timeout: 120_000 },
  async (t) => {
    const product = await startProduct(t, { runtime: 'docker' })
    const made = await product.admin.must<WorkspaceView>('POST', '/api/v1/workspaces', {
      name: 'ide',
      template: 'code-server',
    })
    const browser = await launch()
    t.teardown(() => browser.close())
    const page = await browser.newPage()
    await page.goto(made.urls.default)
    await signIn(page, adminName, adminPassword)
    await page.waitForSelector('.monaco-workbench', { timeout: 60_000 })
    t.equal(new URL(page.url()).origin, new URL(made.urls.default).origin, 'on the workspace’s own host')
    await page.waitForSelector('.explorer-folders-view', { timeout: 30_000 })
    await page.keyboard.press('Control+Backquote')
    await page.waitForSelector('.terminal.xterm', { timeout: 30_000 })
    // The first keys are lost until the shell has drawn its prompt, and the terminal is a canvas: type until it shows.
    await until(
      async () => {
        await page.locator('.terminal.xterm textarea').first().focus()
        await page.keyboard.type('touch made-$((6*7)).txt\n')
        return page.locator('.explorer-folders-view').getByText('made-42.txt').first().isVisible()
      },
      { timeoutMs: 60_000, everyMs: 1_000, what: 'the file in the explorer' },
    )
    t.pass('the file made in the terminal shows in the explorer')
  },
)
