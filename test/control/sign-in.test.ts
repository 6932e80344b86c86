/** Who may try how often to sign in, and by what password: floods from many addresses, both sides of them. */
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { hashToken } from '../../control/credentials/tokens.ts'
import { signInLimit } from '../../control/credentials/sign-in-limit.ts'
import type { Attempt } from '../../control/credentials/sign-in-limit.ts'
import { BUDGETS_MAX, budgetsOf, refund, spend } from '../../control/credentials/tries.ts'
import { passwordProblem } from '../../control/wire/index.ts'
import type { SessionView } from '../../control/wire/index.ts'
import { controlServer, password } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
let count = 0
async function serve(t: Test): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`) })
  t.teardown(() => server.close())
  return server
}

const address = (n: number): string => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
const guess = (client: Client, ip: string, username: string, secret = 'not the password') =>
  client.call('POST', '/api/v1/sessions', { username, password: secret }, { 'x-test-ip': ip })

/** 300 addresses guess one name; what each was told. */
async function flood(server: ControlServer, username: string): Promise<number[]> {
  const statuses: number[] = []
  for (let n = 0; n < 300; n++)
    statuses.push((await guess(server.client(), address(n + 1000), username)).status)
  return statuses
}

await t.test('who floods one name from many addresses keeps its owner out of nothing', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const known = server.client()
  await guess(known, '192.0.2.1', 'ada', password)
  t.match(known.device, /^postern_device=[\w-]{22}\.[\w-]{43}$/, 'the browser is remembered')
  const statuses = await flood(server, 'ada')
  t.equal(statuses.filter((status) => status === 401).length, 20, 'the flood had twenty guesses in all')
  t.equal(statuses.filter((status) => status === 429).length, 280)
  t.same(await flood(server, 'nobody-of-that-name'), statuses, 'and learns nothing of who has an account')

  const roaming = server.client()
  roaming.device = known.device
  t.equal(
    (await guess(roaming, '198.51.100.7', 'ada', password)).status,
    201,
    'the owner’s browser, anywhere',
  )
  t.equal(
    (await guess(server.client(), '192.0.2.1', 'ada', password)).status,
    201,
    'another browser at an address that the owner is signed in from',
  )
  const stranger = await guess(server.client(), '203.0.113.9', 'ada', password)
  t.match(stranger, { status: 429, json: { code: 'rate_limited', detail: /signed in with/ } })
  t.ok(Number(stranger.headers['retry-after']) > 0)
  t.equal((await ada.call('GET', '/api/v1/me')).status, 200)
  server.clock.now += 61_000
  t.equal((await guess(server.client(), '203.0.113.9', 'ada', password)).status, 201, 'a place a minute')
})

await t.test('a remembered browser has a budget, and it is of its own user and its own', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  await server.member(ada, 'bob')
  const browser = server.client()
  await guess(browser, '192.0.2.1', 'bob', password)
  const { device } = browser
  const tries: number[] = []
  for (let n = 0; n < 14; n++) {
    const client = server.client()
    client.device = device
    tries.push((await guess(client, address(n), 'bob')).status)
  }
  t.same(
    tries,
    [...Array<number>(10).fill(401), ...Array<number>(4).fill(429)],
    'ten guesses, wherever it is',
  )
  const other = server.client()
  await guess(other, '192.0.2.1', 'bob', password)
  t.match(other.cookie, /postern_session/, 'another browser of the same user goes on')
  for (const [name, cookie] of [
    ['of bob', device],
    ['made up', `postern_device=${'a'.repeat(22)}.${'b'.repeat(43)}`],
    ['broken', 'postern_device=x'],
  ] as const) {
    const eve = server.client()
    eve.device = cookie
    for (let n = 0; n < 5; n++) await guess(eve, `198.51.100.${name.length}`, 'ada')
    t.equal((await guess(eve, `198.51.100.${name.length}`, 'ada')).status, 429, `${name}: a stranger to ada`)
  }
})

await t.test('an address that guesses many names is stopped, a /64 counts as one', async (t) => {
  const server = await serve(t)
  await server.setUp()
  for (const network of ['2001:db8:1:2', '2001:db8:1', '2001:db8']) {
    const statuses: number[] = []
    for (let n = 1; n <= 40; n++)
      statuses.push((await guess(server.client(), `${network}::${n}`, `name${n}`)).status)
    t.equal(statuses.filter((status) => status === 401).length, 30, network)
  }
  t.equal((await guess(server.client(), '2001:db8:1:3::1', 'ada', password)).status, 201)
})

await t.test('a million of names and addresses fill no memory, and free nobody who owes', async (t) => {
  let now = 1_000_000
  const limit = signInLimit(() => now)
  const attempt = (username: string, ip: string): Attempt => ({ username, ip, familiar: { by: 'nothing' } })
  for (let n = 0; n < 20; n++) limit.spend(attempt('ada', address(n)))
  t.throws(() => limit.spend(attempt('ada', '192.0.2.1')), { code: 'rate_limited' })
  for (let n = 0; n < 120_000; n++) limit.spend(attempt(`name${n}`, address(n + 100)))
  t.ok(limit.size <= 4 * BUDGETS_MAX, `${limit.size} budgets`)
  t.throws(() => limit.spend(attempt('ada', '192.0.2.1')), { code: 'rate_limited' }, 'still locked')
  now += 61_000
  limit.spend(attempt('ada', '192.0.2.1'))
  t.throws(() => limit.spend(attempt('ada', '192.0.2.2')), { code: 'rate_limited' }, 'one a minute')
})

await t.test('a flood of keys frees no guesser, whatever is guessed', async (t) => {
  let now = 1_000_000
  const budgets = budgetsOf({ burst: 30, refillMs: 4000 }, () => now)
  const guess = (key: string): void => spend([[budgets, key]])
  for (let n = 0; n < 30; n++) guess('guesser')
  for (let n = 0; n < 3 * BUDGETS_MAX; n++) guess(address(n))
  t.ok(budgets.size <= BUDGETS_MAX)
  t.throws(() => guess('guesser'), { code: 'rate_limited', retryAfterSeconds: 4 })
  now += 4000
  guess('guesser')
  t.throws(() => guess('guesser'), { code: 'rate_limited' }, 'one at each refill')
  refund([[budgets, 'guesser']])
  guess('guesser')
})

await t.test('passwords that guessers try first are refused, with a sentence at the field', async (t) => {
  const ada = { username: 'ada', email: 'ada.lovelace@example.org' }
  const refused = [
    ['short', /at least 10/],
    ['x'.repeat(1025), /at most 1024/],
    ['ada.lovelace@example.org', /user name or e-mail/],
    ['ADA.LOVELACE', /user name or e-mail/],
    ['adaadaada2026', /user name and digits/],
    ['Password123', /most common/],
    ['QWERTYUIOP', /most common/],
    ['1234567890', /most common/],
    ['ｐａｓｓｗｏｒｄ１２３', /most common/],
    ['aaaaaaaaaaaa', /repeated/],
    ['abcabcabcabc', /repeated/],
  ] as const
  for (const [secret, says] of refused) t.match(passwordProblem(secret, ada), says, secret.slice(0, 30))
  for (const secret of [password, '8472910384', 'ada likes hats', 'a new and longer one', 'ünïcödé wörds'])
    t.equal(passwordProblem(secret, ada), null, secret)
  fc.assert(
    fc.property(fc.string({ minLength: 10, maxLength: 40 }), fc.string(), (secret, username) => {
      const problem = passwordProblem(secret, { username })
      return problem === null || problem.length > 10
    }),
  )
  const server = await serve(t)
  const admin = await server.setUp('root')
  const weak = await admin.call('POST', '/api/v1/users', { username: 'bob', password: 'password123' })
  t.match(weak, { status: 422, json: { errors: [{ path: 'password', message: /most common/ }] } })
  const bob = await server.member(admin, 'bob')
  const { id } = (await bob.call('GET', '/api/v1/me')).json
  t.match(await admin.call('PATCH', `/api/v1/users/${id}`, { password: 'bob-1234567890' }), {
    status: 422,
    json: { errors: [{ path: 'password', message: /user name and digits/ }] },
  })
  const change = { currentPassword: password, newPassword: '1234567890' }
  t.match(await bob.call('POST', '/api/v1/me/password', change), {
    status: 422,
    json: { errors: [{ path: 'newPassword', message: /most common/ }] },
  })
  t.equal((await bob.call('GET', '/api/v1/me')).status, 200, 'a refused change changes nothing')
})

await t.test('a session that was planted before the sign-in is dead after it', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const eve = await server.member(ada, 'eve')
  const planted = eve.cookie
  const victim = server.client()
  victim.cookie = planted
  t.equal((await guess(victim, '192.0.2.1', 'ada', password)).status, 201)
  t.not(victim.cookie, planted)
  t.match(await victim.call('GET', '/api/v1/me'), { json: { username: 'ada' } })
  t.equal((await eve.call('GET', '/api/v1/me')).status, 401, 'what eve planted opens nothing')
  const { items } = (await victim.call<{ items: SessionView[] }>('GET', '/api/v1/sessions')).json
  t.match(
    items.find(({ current }) => current),
    { via: 'password', address: '192.0.2.1' },
  )
})

await t.test(
  'sessions are listed with their last use; one’s others, or all of a user’s, end at once',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const bob = await server.member(ada, 'bob')
    const { id } = (await bob.call('GET', '/api/v1/me')).json
    const list = async (client: Client, path = '/api/v1/sessions') =>
      (await client.call<{ items: SessionView[] }>('GET', path)).json.items
    const [phone, tablet] = [server.client(), server.client()]
    for (const client of [phone, tablet]) await guess(client, '192.0.2.7', 'bob', password)
    t.equal((await list(bob)).length, 3)

    // A child on a workspace host is what is used all day; the last use of its parent moves with it.
    const made = (await bob.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x' })).json
    const parentHash = hashToken(phone.cookie.split('=')[1] ?? '')
    const nonce = 'a nonce of the browser'
    const challenge = Buffer.from(hashToken(nonce), 'hex').toString('base64url')
    const { edge } = server.control
    const given = { userId: id, parentHash, workspaceId: made.id, challenge }
    const child = async (label: string) =>
      (await edge.redeemCode({ nonce, label, code: await edge.issueCode({ ...given, label }) }, null)).token
    const [one, two] = [await child('one'), await child('one-3000')]
    const lastUse = async () => (await list(phone)).find(({ current }) => current)?.lastUsedAtMs ?? 0
    for (let minute = 0; minute < 60; minute++) {
      server.clock.now += 60_000
      await edge.sessionUsed(hashToken(minute % 2 === 0 ? one : two))
      const known = await server.deployment.feed
        .db('sessions')
        .where({ hash: parentHash })
        .first('last_used_at_ms')
      const used = Number((known as { last_used_at_ms: number }).last_used_at_ms)
      t.ok(server.clock.now - used < 5 * 60_000, `true within five minutes, after ${minute} minutes`)
    }
    t.ok((await lastUse()) > 0)
    await edge.sessionUsed('nobody’s')

    const path = `/api/v1/users/${id}/sessions`
    t.equal((await list(ada, path)).length, 3, 'an administrator sees where bob is signed in')
    t.match(await list(ada, path), [{ current: false }, { current: false }, { current: false }])
    for (const [method, where] of [
      ['GET', path],
      ['DELETE', path],
      ['DELETE', `${path}/x`],
    ] as const)
      t.equal((await bob.call(method, where)).status, 403, `${method} ${where} is not bob’s`)
    t.equal((await ada.call('DELETE', `${path}/nowhere`)).status, 404)
    t.equal((await ada.call('GET', '/api/v1/users/nobody/sessions')).status, 404)
    const current = (await list(tablet)).find((each) => each.current)
    t.equal((await ada.call('DELETE', `${path}/${current?.id}`)).status, 204)
    t.equal((await tablet.call('GET', '/api/v1/me')).status, 401)

    const sessions = () => [...server.facts.rows.keys()].filter((key) => key.startsWith('session '))
    t.ok(sessions().includes(`session ${hashToken(one)}`))
    t.equal((await bob.call('DELETE', '/api/v1/sessions')).status, 204)
    t.equal((await bob.call('GET', '/api/v1/me')).status, 200, 'this one stays')
    t.equal((await phone.call('GET', '/api/v1/me')).status, 401, 'the others end')
    for (const each of [one, two])
      t.notOk(sessions().includes(`session ${hashToken(each)}`), 'with all children')
    t.equal((await ada.call('DELETE', path)).status, 204)
    t.equal((await bob.call('GET', '/api/v1/me')).status, 401)
    t.equal(sessions().length, 1, 'only ada is signed in')
  },
)
