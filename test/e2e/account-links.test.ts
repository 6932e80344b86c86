/** Invitation and reset links in a real Chromium, at a gateway beside the server, with script and without; and at the server itself. */
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startGatewayProcess } from '../support/product-gateway.ts'
import { complaints, launch, noBrowser } from '../support/product-browser.ts'
import { startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)
const lacks = await noBrowser()
const product = await startProduct(t, { runtime: 'process' })
const gateway = await startGatewayProcess(t, product, { workers: 1 })
const { admin } = product
const phrase = 'a phrase of one’s own'
const secrets: string[] = []

async function link(path: string, body?: object): Promise<string> {
  const { url } = await admin.must<{ url: string }>('POST', path, body)
  secrets.push(new URL(url).hash.slice(1))
  return url
}
const secretOf = (url: string): string => new URL(url).hash.slice(1)

t.test('links are opened in a browser', { skip: lacks ?? false }, async (t) => {
  // The dashboard's host leads to the gateway: so does a balancer that has taken the server out.
  const browser = await launch([
    `--host-resolver-rules=MAP localhost:${product.port} 127.0.0.1:${gateway.port}`,
  ])
  t.teardown(() => browser.close())
  const invitation = await link('/api/v1/invitations', { email: 'bob@example.org', role: 'member' })
  const page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(30_000)
  const wrong = complaints(page)
  const asked: string[] = []
  page.on('request', (request) => asked.push(`${request.url()} ${request.headers()['referer'] ?? ''}`))
  await page.goto(invitation)
  t.match(await page.textContent('h1'), /invited/)
  t.equal(await page.isVisible('input[name=token]'), false, 'the link has filled in its secret')
  await page.fill('input[name=username]', 'bob')
  await page.fill('input[name=password]', 'password123')
  await page.click('button')
  t.match(await page.textContent('[role=alert]'), /most common/)
  t.equal(await page.inputValue('input[name=username]'), 'bob', 'what was right stays')
  await page.fill('input[name=password]', phrase)
  await page.click('button')
  await page.waitForURL(`${product.url}/**`)
  const me = await page.evaluate(async () => (await fetch('/api/v1/me')).json() as Promise<unknown>)
  t.match(me, { username: 'bob', role: 'member', email: 'bob@example.org' })
  t.notOk(asked.join('\n').includes(secretOf(invitation)), 'no URL and no Referer has the secret')

  await page.goto(invitation)
  await page.fill('input[name=username]', 'eve')
  await page.fill('input[name=password]', phrase)
  await page.click('button')
  t.match(await page.textContent('h1'), /does not work any more/)
  t.same(
    wrong.filter((line) => !/40[13]|422/.test(line)),
    [],
    'nothing to complain about',
  )

  // Another browser, without script: the secret is copied by hand.
  const { items } = await admin.must<{ items: { id: string; username: string }[] }>('GET', '/api/v1/users')
  const bob = items.find(({ username }) => username === 'bob')
  const reset = await link(`/api/v1/users/${bob?.id}/reset-link`)
  const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage()
  plain.setDefaultTimeout(30_000)
  await plain.goto(reset)
  t.equal(await plain.isVisible('input[name=token]'), true)
  await plain.fill('input[name=token]', ` ${secretOf(reset)} `)
  await plain.fill('input[name=password]', 'bob’s second phrase')
  await plain.click('button')
  await until(async () => (await plain.context().cookies()).some(({ name }) => name === 'postern_session'))
  const status = async () => (await page.goto(`${product.url}/api/v1/me`))?.status()
  await until(async () => (await status()) === 401, { what: 'the first browser to be signed out' })
  const names = (await plain.context().cookies()).map(({ name, httpOnly }) => `${name} ${httpOnly}`).sort()
  t.same(names, ['postern_device true', 'postern_session true'])
})

t.test('the server’s own edge does the same, and refuses forms of other sites', async (t) => {
  const eve = await product.member('eve')
  const { id } = await eve.must<{ id: string }>('GET', '/api/v1/me')
  const reset = await link(`/api/v1/users/${id}/reset-link`)
  const visitor = product.client()
  const fields = { token: secretOf(reset), password: phrase }
  const cross = await visitor.ask('/reset', {
    method: 'POST',
    headers: {
      Origin: 'http://evil.ws.localhost',
      'Sec-Fetch-Site': 'same-site',
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams(fields).toString(),
  })
  t.equal(cross.status, 403)
  t.equal((await eve.api('GET', '/api/v1/me')).status, 200, 'it did nothing')
  t.equal((await eve.ask('/reset', { method: 'HEAD' })).status, 405)
  // Somebody else's session is planted in this browser; it must not outlive the sign-in.
  await product.member('mallory')
  const planted = product.client()
  await planted.must('POST', '/api/v1/sessions', { username: 'mallory', password: 'password of mallory' })
  const before = planted.cookies('/').get('postern_session')
  t.equal((await planted.submit('/reset', fields)).status, 303)
  t.equal((await planted.must('GET', '/api/v1/me'))['username'], 'eve')
  const old = await visitor.ask('/api/v1/me', { headers: { Cookie: `postern_session=${before}` } })
  t.equal(old.status, 401)
  t.match((await planted.submit('/reset', fields)).text, /does not work any more/)
})

t.test('no log has a secret of a link', async (t) => {
  t.ok(secrets.length >= 1)
  const files: string[] = []
  for (const entry of await readdir(product.home, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && /log/.test(entry.name)) files.push(join(entry.parentPath, entry.name))
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')))
  const all = [
    ...texts,
    product.server.stdout,
    product.server.stderr,
    gateway.cli.stdout,
    gateway.cli.stderr,
  ].join('')
  t.ok(all.length > 500, 'there are logs')
  for (const secret of secrets) t.notOk(all.includes(secret.slice(4)))
})
