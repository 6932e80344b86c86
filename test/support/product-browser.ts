/** A real Chromium for tests of the product; says why not where it can't be started. */
import { access } from 'node:fs/promises'
import { chromium, type Browser, type Page } from 'playwright-core'

const executablePath = '/usr/bin/chromium'

/** The reason why no browser test can run here, or null. */
export async function noBrowser(): Promise<string | null> {
  return access(executablePath).then(
    () => null,
    () => 'Chromium is not installed (Debian: apt-get install chromium)',
  )
}

/** Starts a browser that makes no request of its own, with more of its flags. */
export function launch(args: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  })
}

/** Fills in the sign-in card that the page shows and sends it. */
export async function signIn(page: Page, username: string, password: string): Promise<void> {
  await page.fill('input[name=username]', username)
  await page.fill('input[name=password]', password)
  await page.press('input[name=password]', 'Enter')
}

/** Everything that a page complains about: console errors, refused policies, failed scripts. */
export function complaints(page: Page): string[] {
  const found: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') found.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (err) => found.push(err.message))
  return found
}
