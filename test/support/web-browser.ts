/** A real browser against a dashboard that was built from these very sources; what its console complains about is kept. */
import { fileURLToPath } from 'node:url'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { build } from 'vite'

const web = fileURLToPath(new URL('../../../web/', import.meta.url))

/** Builds the dashboard into a folder. */
export async function buildDashboard(outDir: string): Promise<void> {
  await build({ root: web, configFile: `${web}vite.config.ts`, logLevel: 'error', build: { outDir } })
}

/** Chromium without a window. */
export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  })
}

/** A page in a context of its own; every error, policy violation and warning of its console goes to `complaints`. */
export async function openPage(
  browser: Browser,
  complaints: string[],
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 860 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (err) => complaints.push(err.stack ?? err.message))
  return page
}
