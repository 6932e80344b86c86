/** The dashboard in a real browser, against the fake server: what a person sees, types and presses. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ApiError } from '../../control/wire/index.ts'
import { until } from '../support/until.ts'
import { buildDashboard, launchBrowser, openPage } from '../support/web-browser.ts'
import { fakeUser, fakeWorkspace } from '../support/web-fake-data.ts'
import { startFakeServer } from '../support/web-fake-server.ts'

t.setTimeout(180_000)
const root = t.testdir()
await buildDashboard(root)
const browser = await launchBrowser()
t.teardown(() => browser.close())

t.test('the first load is small, and each text file has its compressed copies', (t) => {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((f) =>
    /\.(html|js|css|svg)$/.test(f),
  )
  t.ok(files.length >= 4)
  for (const file of files)
    for (const ending of ['.br', '.gz']) t.ok(statSync(join(root, file + ending)).size > 0)
  const index = readFileSync(join(root, 'index.html'), 'utf8')
  const first = files.filter((file) => file === 'index.html' || index.includes(`/${file}`))
  const bytes = (ending: string) => first.reduce((sum, f) => sum + statSync(join(root, f + ending)).size, 0)
  t.ok(bytes('.br') < 66_000, `${bytes('.br')} bytes by brotli`)
  t.ok(bytes('.gz') < 75_000, `${bytes('.gz')} bytes by gzip`)
  t.end()
})

t.test(
  'an empty server: what it is for, the form, its refusals, and the way to a running workspace',
  async (t) => {
    const fake = await startFakeServer(root)
    t.teardown(() => fake.close())
    const complaints: string[] = []
    const page = await openPage(browser, complaints)
    await page.goto(fake.url)
    await page.getByRole('heading', { name: 'No workspaces yet' }).waitFor()
    await page.getByRole('main').getByRole('link', { name: 'New workspace' }).click()
    t.equal(new URL(page.url()).pathname, '/new')

    const dialog = page.getByRole('dialog', { name: 'New workspace' })
    const name = dialog.getByLabel('Name', { exact: true })
    await name.waitFor()
    t.equal(await page.evaluate('document.activeElement.name'), 'name', 'the name has the focus')
    t.ok(
      await dialog.getByRole('radio', { name: /VS Code/ }).isDisabled(),
      'what cannot be had is not offered',
    )
    await dialog.getByText('run npm run images').waitFor()

    await name.fill('Shop')
    await dialog.getByText('small letters, digits and hyphens, and begins').waitFor()
    await name.fill('shop-80')
    await dialog.getByText('would read as a port').waitFor()
    await dialog.getByLabel('Memory').fill('64 GiB')
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByText('At most 8 GiB here.').waitFor()
    t.same(fake.calls, [], 'nothing was sent')

    await name.fill('taken')
    await dialog.getByLabel('Memory').fill('1g')
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByText('That name is taken.').waitFor()
    fake.refuseNext(
      new ApiError('limit_exceeded', undefined, {
        errors: [{ path: 'ports.0.port', message: 'is kept for the IDE' }],
      }),
    )
    await name.fill('shop')
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByText('is kept for the IDE').waitFor()
    await dialog.getByRole('button', { name: 'Create' }).click()

    await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor()
    t.equal(new URL(page.url()).pathname, '/workspaces/shop')
    t.match(fake.calls.at(-1)?.body, { name: 'shop', template: 'node-web', memoryBytes: 1024 ** 3 })

    fake.state.phase('shop', 'starting', 'starting', 'Starting on forge-1')
    await page.getByText('Starting on forge-1').first().waitFor()
    fake.state.phase('shop', 'running', 'running', 'Running: answered on 3000 after 0.6 s')
    await page.getByText('running for 0 s').waitFor()
    await page.getByText('answered on 3000 after 0.6 s').waitFor()
    t.equal(
      await page.getByRole('main').getByRole('link', { name: /^Open/ }).getAttribute('href'),
      'http://shop.ws.localhost:8090/',
    )
    // Chromium itself reports a refused call; nothing else may be there, and no policy violation above all.
    t.same(
      complaints.filter((c) => !/status of 4(09|22)/.test(c)),
      [],
    )
  },
)

t.test(
  'ports and paths: what is advanced is folded away, and nothing restarts for what is the edge’s',
  async (t) => {
    const fake = await startFakeServer(root)
    t.teardown(() => fake.close())
    fake.state.put({ name: 'shop' })
    const complaints: string[] = []
    for (const viewport of [
      { width: 1440, height: 860 },
      { width: 390, height: 844 },
    ]) {
      fake.calls.length = 0
      const page = await openPage(browser, complaints, { viewport })
      await page.goto(`${fake.url}/workspaces/shop/settings`)
      const form = page.getByRole('form', { name: 'Settings of shop' })
      await form.getByLabel('Port', { exact: true }).waitFor()
      t.notOk(await form.getByLabel('The app speaks').isVisible())
      await form.getByText('Advanced').click()
      await form.getByLabel('The app speaks').selectOption({ label: 'HTTPS, with any certificate' })
      await form.getByLabel('Host name that the app sees').selectOption({ label: 'localhost:3000' })
      await form.getByLabel('Forgive answers').check()
      await form.getByText('localhost, HTTPS, forgiving').waitFor()
      await form.getByText('Several ports on one address').click()
      await form.getByRole('button', { name: 'Add a path' }).click()
      await form.getByLabel('Path', { exact: true }).fill('/api/')
      await form.getByText('It holds at once; nothing restarts.').waitFor()
      await form.getByRole('button', { name: 'Save' }).click()
      await form.getByText('A path has no / at its end').waitFor()
      await form.getByLabel('Path', { exact: true }).fill('/api')
      await form.getByRole('button', { name: 'Save' }).click()
      await form.getByText('A port from 1 to 65535.').waitFor()
      await form.getByLabel('Port of path').fill('8000')
      t.same(fake.calls, [], 'nothing was sent')
      await form.getByRole('button', { name: 'Save' }).click()
      await page.getByText('Saved; it holds now').waitFor()
      const port = { port: 3000, name: 'web', visibility: 'owner', cors: 'siblings' }
      t.same(
        fake.calls.map(({ body }) => body),
        [
          {
            ports: [{ ...port, lenient: true, hostHeader: 'local', scheme: 'https' }],
            paths: [{ prefix: '/api', port: 8000 }],
          },
        ],
      )
      t.equal(
        await page.evaluate('document.documentElement.scrollWidth'),
        viewport.width,
        'nothing overflows',
      )
      await page.getByRole('link', { name: 'Overview' }).click()
      await page.getByText('/api → 8000').waitFor()
      await page.goto(`${fake.url}/workspaces/shop/settings`)
      await form.getByLabel('Path', { exact: true }).waitFor()
      await form.getByRole('button', { name: 'Remove path /api' }).click()
      await form.getByLabel('Name of the port').fill('site')
      await form.getByText('Saving restarts what runs in shop.').waitFor()
      fake.state.put({ name: 'shop', spec: fakeWorkspace('w1', 'shop', fakeUser('ada', 'member')).spec })
      await page.context().close()
    }
    t.same(complaints, [])
  },
)

t.test('the keyboard alone: find, move, open, stop, keys, palette', async (t) => {
  const fake = await startFakeServer(root)
  t.teardown(() => fake.close())
  for (const name of ['api', 'shop', 'web']) fake.state.put({ name })
  const complaints: string[] = []
  const page = await openPage(browser, complaints)
  await page.goto(fake.url)
  const focused = () => page.evaluate<string>('document.activeElement.textContent.trim()')
  await page.locator('#row-w1').waitFor()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  t.equal(await page.evaluate('document.activeElement.id'), 'main', 'the first Tab leads past the lists')

  await page.keyboard.press('j')
  await until(async () => (await focused()).startsWith('api'))
  await page.keyboard.press('j')
  await until(async () => (await focused()).startsWith('shop'))
  await page.keyboard.press('s')
  await until(() => fake.calls.some((c) => c.path === '/api/v1/workspaces/w2/stop'))
  await page.keyboard.press('Enter')
  await page.waitForURL('**/workspaces/shop')

  await page.keyboard.press('/')
  await page.keyboard.type('we')
  await page.waitForURL('**?find=we')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/workspaces/web*')
  await page.keyboard.press('Escape')

  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keys' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox').fill('tokens')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/settings/tokens')
  await page.keyboard.press('j')
  await page.keyboard.press('s')
  await page.goBack()
  await page.waitForURL('**/workspaces/web*')
  t.equal(fake.calls.length, 1, 'no key acts on a workspace that isn’t seen')
  await page.keyboard.press('c')
  await page.getByRole('dialog', { name: 'New workspace' }).waitFor()
  t.same(complaints, [])
})

t.test('where path mode is on, an owner is offered the address by path beside the others', async (t) => {
  const fake = await startFakeServer(root)
  t.teardown(() => fake.close())
  const { urls } = fake.state.put({ name: 'shop' })
  const byPath = 'https://paths.example.net:8443/dev/shop/ide/'
  fake.state.put({ name: 'shop', urls: { ...urls, path: byPath } })
  const complaints: string[] = []
  for (const viewport of [
    { width: 1440, height: 860 },
    { width: 390, height: 844 },
  ]) {
    const page = await openPage(browser, complaints, { viewport })
    await page.goto(`${fake.url}/workspaces/shop`)
    const ports = page.getByRole('region', { name: 'Ports' })
    const open = ports.getByRole('link', { name: 'Open by path' })
    t.equal(await open.getAttribute('href'), byPath)
    await ports.getByText('paths.example.net:8443/dev/shop/ide').waitFor()
    await ports.getByText('shop-3000.ws.localhost:8090').first().waitFor()
    const isWide = await page.evaluate('document.documentElement.scrollWidth > innerWidth')
    t.notOk(isWide, `nothing sticks out at ${viewport.width}`)
    await page.close()
  }
  t.same(complaints, [])
})

t.test('a changed spec sends what changed; the trash gives back; purging asks for the name', async (t) => {
  const fake = await startFakeServer(root)
  t.teardown(() => fake.close())
  const { spec } = fake.state.put({ name: 'shop' })
  fake.state.put({ name: 'shop', spec: { ...spec, env: [{ name: 'API_KEY', secret: true }] } })
  const complaints: string[] = []
  const page = await openPage(browser, complaints)
  await page.goto(`${fake.url}/workspaces/shop/settings`)
  await page.getByLabel('CPU').fill('3')
  await page.getByRole('button', { name: 'Add a variable' }).click()
  await page.getByLabel('Name of the variable').last().fill('MODE')
  await page.getByLabel('Value of MODE').fill('test')
  await page.getByRole('link', { name: 'Overview' }).click()
  await page.getByRole('region', { name: 'Ports' }).waitFor()
  await page.goBack()
  t.equal(await page.getByLabel('Value of MODE').inputValue(), 'test', 'what was typed is still there')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved; it is being applied').waitFor()
  t.same(fake.calls.at(-1)?.body, {
    cpu: 3,
    env: [
      { name: 'API_KEY', secret: true },
      { name: 'MODE', secret: false, value: 'test' },
    ],
  })

  await page.getByLabel('More to do with shop').click()
  await page.getByRole('button', { name: 'Delete shop' }).click()
  await page.waitForURL('**/workspaces')
  await page.getByRole('button', { name: 'Undo' }).click()
  await until(() => fake.calls.at(-1)?.path === '/api/v1/workspaces/w1/start')

  await page.goto(`${fake.url}/workspaces/shop`)
  await page.getByLabel('More to do with shop').click()
  await page.getByRole('button', { name: 'Delete shop' }).click()
  await page.getByRole('link', { name: /Trash/ }).click()
  await page.getByText(/deleted for ever in \d d/).waitFor()
  await page.getByRole('button', { name: 'Delete for ever shop' }).click()
  const dialog = page.getByRole('dialog', { name: 'Delete for ever' })
  const confirm = dialog.getByRole('button', { name: 'Delete for ever' })
  t.ok(await confirm.isDisabled())
  await dialog.getByRole('textbox').fill('shop')
  await confirm.click()
  await page.getByText('The trash is empty').waitFor()
  t.equal(fake.state.workspaces.size, 0)
  t.same(complaints, [])
})

t.test(
  'a lost connection is said, and mends by itself; a lost session leads to the sign-in and back',
  async (t) => {
    const fake = await startFakeServer(root)
    t.teardown(() => fake.close())
    fake.state.put({ name: 'shop' })
    const page = await openPage(browser, [])
    await page.goto(`${fake.url}/workspaces/shop`)
    await page.getByText('live', { exact: true }).waitFor()
    fake.cut(true)
    await page.getByText(/No connection since/).waitFor()
    t.ok(await page.getByRole('button', { name: 'Stop shop' }).isDisabled())
    fake.state.put({ name: 'shop', phase: 'stopped', want: 'stopped' })
    fake.cut(false)
    await page.getByText('live', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Start shop' }).waitFor()

    fake.state.me = null
    fake.cut(false)
    await page.waitForURL(`**/sign-in?next=${encodeURIComponent('/workspaces/shop')}`)
  },
)

t.test(
  'dark and on a phone: nothing overflows, what matters is 44 px, the list is a page of its own',
  async (t) => {
    const fake = await startFakeServer(root)
    t.teardown(() => fake.close())
    fake.state.put({ name: 'shop' })
    fake.state.put({ name: 'a-name-of-forty-characters-and-no-blanks' })
    const complaints: string[] = []
    const options = { viewport: { width: 390, height: 844 }, colorScheme: 'dark', hasTouch: true } as const
    const page = await openPage(browser, complaints, options)
    await page.goto(fake.url)
    await page.getByRole('link', { name: /^shop/ }).click()
    const open = page.getByRole('main').getByRole('link', { name: /^Open/ })
    t.ok(((await open.boundingBox())?.height ?? 0) >= 44)
    t.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(23, 24, 25)')
    const wide = [
      '/workspaces',
      '/workspaces/shop',
      '/workspaces/shop/settings',
      '/new',
      '/trash',
      '/templates',
    ]
    const more = [
      '/workspaces/a-name-of-forty-characters-and-no-blanks',
      '/templates/node-web',
      '/hosts',
      '/hosts/forge-1',
      '/people',
      '/settings/account',
    ]
    for (const path of [...wide, ...more, '/settings/sessions', '/settings/tokens?add', '/nowhere']) {
      await page.goto(fake.url + path)
      // The code of many pages comes when they are opened.
      await page.locator('main h1').waitFor({ state: 'attached' })
      const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
      t.equal(over, 0, `${path} fits`)
    }
    t.same(complaints, [])
  },
)

t.test('five thousand workspaces: a few rows are drawn, and one is found', async (t) => {
  const fake = await startFakeServer(root)
  t.teardown(() => fake.close())
  for (let i = 0; i < 5000; i++) fake.state.put({ name: `w${String(i).padStart(4, '0')}x` })
  const complaints: string[] = []
  const page = await openPage(browser, complaints)
  await page.goto(fake.url)
  await page
    .getByRole('link', { name: /^w0000x/ })
    .first()
    .waitFor()
  t.ok((await page.locator('aside [role=listitem]').count()) < 60)
  await page.locator('#find').fill('w4321x')
  await page
    .locator('aside')
    .getByRole('link', { name: /^w4321x/ })
    .waitFor()
  t.same(complaints, [])
})

t.test('what failed says its code and cause, and can be tried again', async (t) => {
  const fake = await startFakeServer(root)
  t.teardown(() => fake.close())
  const page = await openPage(browser, [])
  const users = '**/api/v1/users?*'
  await page.route(users, (route) =>
    route.fulfill({
      status: 503,
      contentType: 'application/problem+json',
      body: JSON.stringify(new ApiError('unavailable').problem('req-77')),
    }),
  )
  await page.goto(`${fake.url}/people`)
  const failure = page.getByRole('alert')
  await failure.getByText('The server cannot decide right now.').waitFor()
  t.match(await failure.innerText(), /Try again in a moment[^]*unavailable[^]*req-77/)
  await page.unroute(users)
  await failure.getByRole('button', { name: 'Try again' }).click()
  await page.getByRole('cell', { name: 'grace', exact: true }).waitFor()

  fake.state.put({ name: 'shop' })
  fake.refuseNext(new ApiError('cap_reached'))
  await page.goto(`${fake.url}/workspaces/shop`)
  await page.getByRole('button', { name: 'Stop shop' }).click()
  await page.getByText('No more may run or be there. Stop or delete one first.').waitFor()
})

t.test('a member is not offered what only administrators may', async (t) => {
  const fake = await startFakeServer(root)
  t.teardown(() => fake.close())
  fake.state.me = fakeUser('grace', 'member')
  const complaints: string[] = []
  const page = await openPage(browser, complaints)
  await page.goto(`${fake.url}/hosts`)
  await page.getByText('This page is for administrators').waitFor()
  t.equal(await page.getByRole('link', { name: 'People' }).count(), 0)
  t.same(complaints, [])
})
