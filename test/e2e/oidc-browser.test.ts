/** Sign-in at a real provider in a real browser: to the very page of a workspace, out again there too, and through a replica. */
import { join } from 'node:path'
import t from 'tap'
import { client, startTestProvider } from '../support/oidc-provider.ts'
import { startOidcStack } from '../support/oidc-stack.ts'
import { complaints, launch, noBrowser, signIn } from '../support/product-browser.ts'
import { Client, navigation } from '../support/product-client.ts'
import { startGatewayProcess } from '../support/product-gateway.ts'
import { adminName, adminPassword, startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

const root = t.testdir({})
const lack = await noBrowser()
const skip = lack === null ? {} : { skip: lack }
const browser = lack === null ? await launch() : null
t.teardown(() => browser?.close())

/** Pictures for people to look at, where a folder is named. */
const shots = process.env['POSTERN_SHOTS']
const ada = { email: 'ada@corp.example', email_verified: true, preferred_username: 'ada', groups: ['devs'] }

async function tab(width = 1280) {
  if (browser === null) throw new Error('there is no browser')
  const context = await browser.newContext({ viewport: { width, height: 800 } })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const shot = async (name: string): Promise<void> => {
    if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}-${width}.png`) })
  }
  return { context, page, shot }
}

t.test('from a workspace’s page to the provider and back to that very page', skip, async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}, {}] })
  const [one] = stack.providers
  one?.people.set('ada', ada)
  const { page, context, shot } = await tab()
  await page.goto(`${stack.url}/sign-in`)
  await shot('sign-in')
  t.equal(await page.locator('.others a').count(), 2)
  t.equal(await page.textContent('.others a >> nth=1'), 'Sign in with Provider <two>', 'names are text')
  await page.click('text=Sign in with Provider One')
  await page.waitForURL(`${stack.url}/`)
  const visitor = stack.visitor()
  const cookies = async () =>
    Object.fromEntries((await context.cookies(stack.url)).map(({ name, value }) => [name, value]))
  const session = (await cookies())['postern_session'] ?? ''
  const held = await visitor.ask('/api/v1/me', { headers: { Cookie: `postern_session=${session}` } })
  t.equal(held.json()['username'], 'ada')
  await context.clearCookies()

  const shop = await stack.workspace(stack.root, 'shop')
  await page.goto(`${shop}/cart?id=7&to=%2Fx`)
  t.match(page.url(), `${stack.url}/sign-in?next=`)
  await page.click('text=Sign in with Provider One')
  // Somebody else's workspace: signed in, and told the same as of one that isn't there.
  await page.waitForSelector('text=There is nothing here for you')
  await page.waitForURL(/\/\.postern\/authorize/)

  for (const width of [1280, 390]) {
    const phone = await tab(width)
    await phone.page.goto(`${stack.url}/sign-in`)
    await phone.shot('sign-in')
    if (one !== undefined) one.login = null
    await phone.page.click('text=Sign in with Provider One')
    await phone.page.waitForSelector('text=did not sign you in')
    await phone.shot('refused')
    t.equal(
      (await phone.context.cookies(stack.url)).some(({ name }) => name === 'postern_session'),
      false,
    )
    if (one !== undefined) one.login = 'ada'
    await phone.page.click('text=Back to the sign-in')
    await phone.page.click('text=Sign in with Provider One')
    await phone.page.waitForURL(`${stack.url}/`)
    const found = (await phone.context.cookies(stack.url)).find(({ name }) => name === 'postern_session')
    t.match(found, { httpOnly: true, sameSite: 'Lax', domain: 'localhost' })
    if (width === 390) continue
    // Their own workspace: the first page that they asked for, query and all.
    const mine = new Client(stack.url, stack.port)
    mine.token = await tokenOf(stack.url, stack.port, found?.value ?? '')
    const own = await stack.workspace(mine, 'own')
    await phone.context.clearCookies()
    await phone.page.goto(`${own}/cart?id=7&to=%2Fx`)
    await phone.page.click('text=Sign in with Provider One')
    await phone.page.waitForURL(`${own}/cart?id=7&to=%2Fx`)
    t.equal(await phone.page.title(), 'app')
    const heads = stack.upstream.requests.map(({ head }) => head)
    t.equal(heads.filter((head) => head.startsWith('GET /cart?id=7&to=%2Fx ')).length, 1)
    t.same(
      heads.filter((head) => /postern_/.test(head)),
      [],
      'no cookie of ours came along',
    )
  }
})

t.test('an invitation’s link, and on by a provider’s button', skip, async (t) => {
  const allow = { domains: [], groups: [], invitation: true }
  const stack = await startOidcStack(t, root, { providers: [{ allow }, {}] })
  const [one] = stack.providers
  if (one === undefined) throw new Error('it was started')
  for (const [who, width] of [
    ['grace', 1280],
    ['alan', 390],
  ] as const) {
    one.people.set(who, { email: `${who}@else.example`, email_verified: true, preferred_username: who })
    one.login = who
    const { url } = await stack.root.must<{ url: string }>('POST', '/api/v1/invitations', { role: 'auditor' })
    const { page, context, shot } = await tab(width)
    const found = complaints(page)
    await page.goto(url)
    await page.waitForURL(`${stack.url}/invitation`)
    await page.waitForSelector('input[name=token]', { state: 'hidden' })
    await shot('invitation')
    t.equal(await page.locator('.others button').count(), 1, 'the provider that lets the invited in')
    await page.click('text=Join with Provider One')
    await page.waitForURL(`${stack.url}/`)
    const session = (await context.cookies(stack.url)).find(({ name }) => name === 'postern_session')
    const held = { headers: { Cookie: `postern_session=${session?.value}` } }
    t.match((await stack.visitor().ask('/api/v1/me', held)).json(), { username: who, role: 'auditor' })
    t.same(found, [], 'the page’s policy stood in nobody’s way')
    await page.goto(url)
    await page.click('text=Join with Provider One')
    await page.waitForSelector('text=This link does not work any more')
    await context.close()
  }
})

/** An API token of whoever has this session. */
async function tokenOf(url: string, port: number, session: string): Promise<string> {
  const answer = await new Client(url, port).ask('/api/v1/tokens', {
    method: 'POST',
    headers: { Cookie: `postern_session=${session}`, Origin: url, 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: 'theirs' }),
  })
  return String(answer.json()['token'])
}

t.test('the product: configured by its file, in the dashboard, and through a replica', skip, async (t) => {
  const provider = await startTestProvider(null)
  t.teardown(() => provider.close())
  const product = await startProduct(t, {
    mode: 'split',
    runtime: 'process',
    configFile: `oidc_providers:
  - id: one
    name: Provider One
    issuer: ${provider.issuer}
    client_id: ${client.id}
    client_secret: ${client.secret}
    roles: { devs: administrator }
    groups: { devs: developers }
    allow: { groups: [devs] }
`,
  })
  provider.begin({
    redirectUri: `${product.url}/auth/oidc/one/callback`,
    postLogoutRedirectUri: `${product.url}/sign-in`,
  })
  provider.people.set('ada', ada)
  for (const width of [1280, 390]) {
    const { page, shot, context } = await tab(width)
    const found = complaints(page)
    await page.goto(`${product.url}/people`)
    await page.waitForURL(/\/sign-in\?next=%2Fpeople/)
    // The page asked who is signed in; that nobody was is told in the console.
    found.length = 0
    await page.click('text=Sign in with Provider One')
    await page.waitForURL(`${product.url}/people`)
    await page.waitForSelector('td:has-text("Provider One")')
    await shot('people')
    await page.goto(`${product.url}/settings`)
    await page.waitForSelector('text=You sign in by Provider One')
    await shot('settings')
    await page.click('button:has-text("Sign out") >> nth=0')
    await page.waitForURL(`${provider.issuer}/session/end**`)
    t.equal(
      (await context.cookies(product.url)).some(({ name }) => name === 'postern_session'),
      false,
    )
    await page.click('button[type=submit] >> nth=0')
    await page.waitForURL(`${product.url}/sign-in**`)
    t.same(
      found.filter((line) => line.includes(product.url) && !line.includes('401')),
      [],
    )
    await signIn(page, adminName, adminPassword)
    await page.waitForURL(`${product.url}/`)
    await context.close()
  }

  const replica = await startGatewayProcess(t, product, { workers: 2 })
  const visitor = replica.client()
  const there = new Client(provider.issuer, Number(new URL(provider.issuer).port))
  t.match((await visitor.ask('/sign-in', { headers: navigation })).text, /Sign in with Provider One/)
  let url = new URL('/auth/oidc/one?next=%2Fworkspaces', product.url)
  for (let hop = 0; hop < 8; hop++) {
    const who = url.origin === provider.issuer ? there : visitor
    const { headers, status } = await who.ask(url.href, { headers: navigation })
    if (headers.location === undefined) {
      t.equal(status, 200)
      break
    }
    url = new URL(headers.location, url)
  }
  t.equal(url.href, `${product.url}/workspaces`)
  t.equal((await visitor.api('GET', '/api/v1/me')).json()['username'], 'ada')
  const out = await visitor.submit('/sign-out', {})
  t.equal(new URL(String(out.headers.location)).origin, provider.issuer)
  await until(async () => (await visitor.api('GET', '/api/v1/me')).status === 401, {
    what: 'the end everywhere',
  })
  const unknown = await visitor.ask('/auth/oidc/none', { headers: navigation })
  t.equal(unknown.status, 404)
  t.notMatch(product.server.stdout + product.server.stderr, new RegExp(client.secret))
})
