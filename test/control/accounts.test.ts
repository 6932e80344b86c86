/** Set-up, sign-in, sessions, tokens and users, over real HTTP and by the facts that a gateway gets. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openParts } from '../../control/open.ts'
import { hashToken } from '../../control/credentials/tokens.ts'
import type { EdgeFact, SessionView, TokenView, UserView } from '../../control/wire/index.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer, factTable, listeningLog, password, roomy } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
let count = 0
async function serve(t: Test): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`) })
  t.teardown(() => server.close())
  return server
}
const origin = { ip: '10.0.0.1', userAgent: 'tests', requestId: 'r' }
const keys = (server: ControlServer, kind: EdgeFact['kind']): string[] =>
  [...server.facts.rows.keys()].filter((key) => key.startsWith(`${kind} `))

await t.test('set-up is open once, to the bearer of the link', async (t) => {
  const server = await serve(t)
  const link = (await server.control.setupUrl()) ?? ''
  t.match(link, /^http:\/\/localhost:8090\/setup\?token=[A-Za-z0-9_-]{43}$/)
  t.equal(await server.control.setupUrl(), link, 'the same link as long as it runs')
  const token = new URL(link).searchParams.get('token') ?? ''
  const person = { username: 'ada', password }
  const visitor = server.client()
  const wrong = await visitor.call('POST', '/api/v1/setup', { ...person, token: 'x' })
  t.match(wrong, { status: 403, json: { code: 'forbidden' } })
  t.equal(await server.control.edge.setupOpen(), true)
  const weak = await visitor.call('POST', '/api/v1/setup', { token, username: 'Ada!', password: 'short' })
  t.match(weak, { status: 422, json: { code: 'invalid_body' } })
  t.same(weak.json.errors?.map(({ path }) => path).sort(), ['password', 'username'])
  const done = await visitor.call('POST', '/api/v1/setup', { ...person, token, email: 'ada@example.org' })
  t.match(done, { status: 201, json: { username: 'ada', role: 'administrator' } })
  t.match(
    done.headers['set-cookie']?.[0],
    /^postern_session=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=7776000; HttpOnly; SameSite=Lax$/,
  )
  t.equal((await visitor.call('GET', '/api/v1/me')).status, 200, 'signed in at once')
  const late = await server.client().call('POST', '/api/v1/setup', { ...person, username: 'eve', token })
  t.match(late, { status: 409, json: { code: 'setup_closed' } })
  t.equal(await server.control.setupUrl(), null)
})

async function race(t: Test, sides: ControlServer['control'][]): Promise<void> {
  const tries = await Promise.allSettled(
    Array.from({ length: 4 }, async (_, n) => {
      const side = sides[n % sides.length]
      const token = new URL((await side?.setupUrl()) ?? '').searchParams.get('token') ?? ''
      return side?.edge.setup({ token, username: `racer${n}`, password }, { ...origin, ip: `10.0.0.${n}` })
    }),
  )
  t.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1, 'exactly one wins')
  for (const each of tries) if (each.status === 'rejected') t.match(each.reason, { code: 'setup_closed' })
}

await t.test('visitors who set up at once make one administrator', async (t) => {
  const server = await serve(t)
  await race(t, [server.control])
  t.equal(keys(server, 'user').length, 1)
})

const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())
await t.test(
  'so do visitors of two servers on one PostgreSQL',
  { skip: postgres === null && 'PostgreSQL is not installed' },
  async (t) => {
    const databaseUrl = (await postgres?.database('setup')) ?? ''
    const servers = await Promise.all(
      ['a', 'b'].map((name) => controlServer({ stateDirectory: join(root, `pg-${name}`), databaseUrl })),
    )
    await race(
      t,
      servers.map(({ control }) => control),
    )
    const [one] = servers
    t.equal(one === undefined ? 0 : (await one.deployment.feed.db('users')).length, 1)
    await Promise.all(servers.map((server) => server.close()))
  },
)

await t.test('sign-in tells nobody more than right or wrong, and slows down who guesses', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const stranger = server.client()
  const from = (ip: string, username: string, secret: string) =>
    stranger.call('POST', '/api/v1/sessions', { username, password: secret }, { 'x-test-ip': ip })
  const wrong = await from('10.1.1.1', 'ada', 'not the password')
  const nobody = await from('10.1.1.1', 'nobody', 'not the password')
  t.equal(wrong.status, 401)
  const but = (text: string): string => text.replace(/"requestId":"r\d+"/, '')
  t.equal(but(wrong.text), but(nobody.text))
  for (let n = 0; n < 4; n++) await from('10.1.1.1', 'ada', 'guess')
  const limited = await from('10.1.1.1', 'ada', password)
  t.match(limited, { status: 429, json: { code: 'rate_limited' } })
  t.match(Number(limited.headers['retry-after']) > 0, true)
  t.equal((await from('10.2.2.2', 'ada', password)).status, 201, 'the owner, elsewhere, is not locked out')
  server.clock.now += 80_000
  t.equal((await from('10.1.1.1', 'ada', password)).status, 201, 'after a pause it works')
  const form = await server
    .client()
    .call('POST', '/api/v1/sessions', 'username=ada', { 'content-type': 'application/x-www-form-urlencoded' })
  t.match(form, { status: 415, json: { code: 'unsupported_media_type' } }, 'no form of another site signs in')
  t.equal((await ada.call('GET', '/api/v1/me')).status, 200)
})

await t.test('sessions are listed, revoked, and end by themselves', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const phone = server.client()
  await phone.call('POST', '/api/v1/sessions', { username: 'ada', password }, { 'user-agent': 'phone' })
  const list = async () => (await ada.call<{ items: SessionView[] }>('GET', '/api/v1/sessions')).json.items
  const [first, second] = (await list()).sort((a, b) => Number(b.current) - Number(a.current))
  t.match([first, second], [{ current: true }, { current: false, device: /phone/ }])
  t.equal((await ada.call('DELETE', `/api/v1/sessions/${second?.id}`)).status, 204)
  t.equal((await phone.call('GET', '/api/v1/me')).status, 401, 'the sink knew before the answer')
  t.equal((await ada.call('DELETE', `/api/v1/sessions/${second?.id}`)).status, 404)
  server.clock.now += 13 * 86_400_000
  t.equal((await ada.call('GET', '/api/v1/me')).status, 200)
  server.clock.now += 13 * 86_400_000
  t.equal((await ada.call('GET', '/api/v1/me')).status, 200, 'use keeps it alive')
  server.clock.now += 14 * 86_400_000
  t.equal((await ada.call('GET', '/api/v1/me')).status, 401)
  await server.sweep()
  t.same(keys(server, 'session'), [], 'what expired is gone')
  const again = server.client()
  await again.call('POST', '/api/v1/sessions', { username: 'ada', password })
  const out = await again.call('DELETE', '/api/v1/sessions/current')
  t.match(out, { status: 204, headers: { 'set-cookie': [/^postern_session=; Path=\/; Max-Age=0/] } })
  t.same(keys(server, 'session'), [])
})

await t.test('no session outlives 90 days', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  for (let day = 0; day < 90; day += 10) {
    t.equal((await ada.call('GET', '/api/v1/me')).status, 200, `day ${day}`)
    server.clock.now += 10 * 86_400_000
  }
  t.equal((await ada.call('GET', '/api/v1/me')).status, 401)
})

await t.test('tokens act within their scopes, until they end', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const make = async (body: object) => (await ada.call('POST', '/api/v1/tokens', body)).json
  const reader = await make({
    name: 'reads',
    scopes: ['workspaces:read'],
    expiresAt: new Date(server.clock.now + 60_000).toISOString(),
  })
  t.match(reader.token, /^pst_[A-Za-z0-9_-]{43}$/)
  const client = server.client(reader.token)
  t.equal((await client.call('GET', '/api/v1/workspaces')).status, 200)
  t.match(await client.call('POST', '/api/v1/workspaces', { name: 'x' }), {
    status: 403,
    json: { code: 'missing_scope' },
  })
  t.match(await client.call('GET', '/api/v1/users'), { status: 403 })
  t.match(
    await client.call('POST', '/api/v1/tokens', { name: 'more' }),
    { status: 403 },
    'makes no stronger one',
  )
  const plain = server.client((await make({ name: 'plain' })).token)
  t.match(
    await plain.call('GET', '/api/v1/workspaces?owner=all'),
    { status: 403 },
    'an administrator’s token without admin is a member’s',
  )
  const whole = server.client((await make({ name: 'whole', scopes: ['admin'] })).token)
  t.equal((await whole.call('GET', '/api/v1/users')).status, 200)
  const connect = server.client((await make({ name: 'c', scopes: ['connect'] })).token)
  t.equal((await connect.call('GET', '/api/v1/workspaces')).status, 403)
  await server.sweep()
  const shown = await ada.call<{ items: TokenView[] }>('GET', '/api/v1/tokens')
  t.match(
    shown.json.items.find(({ name }) => name === 'reads'),
    { scopes: ['workspaces:read'], lastUsedAtMs: server.clock.now },
  )
  t.notOk(shown.text.includes('pst_'), 'shown once')
  const past = await ada.call('POST', '/api/v1/tokens', { name: 'x', expiresAt: '2001-01-01T00:00:00Z' })
  t.match(past, { status: 422, json: { errors: [{ path: 'expiresAt' }] } })
  server.clock.now += 61_000
  t.equal((await client.call('GET', '/api/v1/workspaces')).status, 401)
  const id = shown.json.items.find(({ name }) => name === 'whole')?.id
  t.equal((await ada.call('DELETE', `/api/v1/tokens/${id}`)).status, 204)
  t.equal((await whole.call('GET', '/api/v1/users')).status, 401)
  await server.sweep()
  t.equal(keys(server, 'token').length, 2, 'expired ones are gone')
})

await t.test(
  'administrators make, change and remove users; what a user is signed in by goes with it',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const bob = await server.member(ada, 'bob')
    const { id } = (await bob.call<UserView>('GET', '/api/v1/me')).json
    const { token } = (await bob.call('POST', '/api/v1/tokens', { name: 't' })).json
    t.match(await bob.call('GET', '/api/v1/users'), { status: 403, json: { code: 'forbidden' } })
    t.match(await ada.call('POST', '/api/v1/users', { username: 'bob', password }), {
      status: 409,
      json: { code: 'name_taken' },
    })
    await server.control.feed(factTable())
    t.match(await ada.call('PATCH', `/api/v1/users/${id}`, { disabled: true }), {
      status: 200,
      json: { disabled: true },
    })
    t.equal((await bob.call('GET', '/api/v1/me')).status, 401)
    t.equal((await server.client(token).call('GET', '/api/v1/workspaces')).status, 401)
    t.equal(keys(server, 'user').length, 1)
    t.match(await server.client().call('POST', '/api/v1/sessions', { username: 'bob', password }), {
      status: 401,
    })
    await ada.call('PATCH', `/api/v1/users/${id}`, { disabled: false, password: 'a new and longer one' })
    t.equal(
      (
        await server
          .client()
          .call('POST', '/api/v1/sessions', { username: 'bob', password }, { 'x-test-ip': 'x' })
      ).status,
      401,
    )
    await bob.call(
      'POST',
      '/api/v1/sessions',
      { username: 'bob', password: 'a new and longer one' },
      { 'x-test-ip': 'y' },
    )
    t.equal((await bob.call('GET', '/api/v1/me')).status, 200)
    t.equal((await ada.call('DELETE', `/api/v1/users/${id}`)).status, 204)
    t.equal((await bob.call('GET', '/api/v1/me')).status, 401)
    const me = (await ada.call<UserView>('GET', '/api/v1/me')).json
    for (const change of [{ disabled: true }, { role: 'member' }])
      t.match(await ada.call('PATCH', `/api/v1/users/${me.id}`, change), {
        status: 409,
        json: { code: 'last_administrator' },
      })
    t.match(await ada.call('DELETE', `/api/v1/users/${me.id}`), { status: 409 })
    t.equal((await ada.call('GET', '/api/v1/users')).status, 200, 'a refused change changes nothing')
  },
)

await t.test('a new password ends the other sessions, and API tokens unless they are kept', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const other = server.client()
  await other.call('POST', '/api/v1/sessions', { username: 'ada', password })
  const tokenOf = async () => {
    const made = await other.call<{ token: string }>('POST', '/api/v1/tokens', { name: 'laptop' })
    return server.client(made.json.token)
  }
  const bob = await server.member(ada, 'bob')
  const bobs = server.client((await bob.call('POST', '/api/v1/tokens', { name: 'ci' })).json.token)
  const byToken = await tokenOf()
  const look = async (who: Client) => (await who.call('GET', '/api/v1/workspaces')).status
  t.equal(await look(byToken), 200)
  const change = { currentPassword: 'wrong', newPassword: 'another good one' }
  t.match(await ada.call('POST', '/api/v1/me/password', change), {
    status: 401,
    json: { code: 'invalid_credentials' },
  })
  t.equal(await look(byToken), 200, 'a refused change ends nothing')
  t.equal(
    (await ada.call('POST', '/api/v1/me/password', { ...change, currentPassword: password })).status,
    204,
  )
  t.equal((await ada.call('GET', '/api/v1/me')).status, 200)
  t.equal((await other.call('GET', '/api/v1/me')).status, 401)
  t.equal(await look(byToken), 401)
  t.match((await ada.call('GET', '/api/v1/tokens')).json, { items: [] })
  t.equal(await look(bobs), 200, 'and nobody else’s')
  await other.call('POST', '/api/v1/sessions', { username: 'ada', password: change.newPassword })
  const kept = await tokenOf()
  const again = { currentPassword: change.newPassword, newPassword: 'yet another good one', keepTokens: true }
  t.equal((await ada.call('POST', '/api/v1/me/password', again)).status, 204)
  t.equal((await other.call('GET', '/api/v1/me')).status, 401)
  t.equal(await look(kept), 200, 'who says so keeps them')
  const audit = await ada.call<{ items: object[] }>('GET', '/api/v1/audit?action=password.change&outcome=ok')
  t.match(audit.json.items, [{ details: { keepTokens: true } }, { details: { keepTokens: false } }])
})

await t.test(
  'the hand-off to a workspace host is good once, in time, for the right browser and host',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const { edge } = server.control
    const made = (await ada.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x' })).json
    const parentHash = hashToken(ada.cookie.split('=')[1] ?? '')
    const userId = made.owner.id
    const nonce = 'a nonce of the browser'
    const challenge = Buffer.from(hashToken(nonce), 'hex').toString('base64url')
    const issue = () =>
      edge.issueCode({ userId, parentHash, workspaceId: made.id, label: 'one-3000', challenge })
    const right = { nonce, label: 'one-3000' }
    const code = await issue()
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, () => edge.redeemCode({ ...right, code }, origin)),
    )
    t.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1, 'once')
    await t.rejects(edge.redeemCode({ nonce, label: 'one-3001', code: await issue() }, origin), {
      code: 'forbidden',
    })
    await t.rejects(edge.redeemCode({ nonce: 'x', label: 'one-3000', code: await issue() }, origin), {
      code: 'forbidden',
    })
    const spent = await issue()
    await t.rejects(edge.redeemCode({ nonce: 'x', label: 'one-3000', code: spent }, origin))
    await t.rejects(
      edge.redeemCode({ ...right, code: spent }, origin),
      { code: 'forbidden' },
      'a wrong try spends it',
    )
    await t.rejects(edge.redeemCode({ ...right, code: 'made up' }, origin), { code: 'forbidden' })
    const old = await issue()
    server.clock.now += 61_000
    await t.rejects(edge.redeemCode({ ...right, code: old }, origin), { code: 'forbidden' })
    const child = await edge.redeemCode({ ...right, code: await issue() }, origin)
    const fact = server.facts.rows.get(`session ${hashToken(child.token)}`)
    t.match(fact, { row: { userId, workspace: { parentHash, workspaceId: made.id, label: 'one-3000' } } })
    const asDashboard = server.client()
    asDashboard.cookie = `postern_session=${child.token}`
    t.equal((await asDashboard.call('GET', '/api/v1/me')).status, 401, 'a workspace’s session opens no API')
    await t.rejects(
      edge.issueCode({
        userId,
        parentHash: hashToken(child.token),
        workspaceId: made.id,
        label: 'one',
        challenge,
      }),
      { code: 'unauthenticated' },
      'a child makes no children',
    )
    const pending = await issue()
    await edge.signOut(parentHash)
    t.same(keys(server, 'session'), [], 'children end with their parent')
    await t.rejects(edge.redeemCode({ ...right, code: pending }, origin), { code: 'forbidden' })
    await t.rejects(issue(), { code: 'unauthenticated' })
  },
)

await t.test('with https the cookie is bound to the host', async (t) => {
  const options = {
    stateDirectory: join(root, 'https'),
    databaseUrl: null,
    publicUrl: 'https://postern.example',
    baseDomain: 'ws.example',
    machineId: 'm',
    templateDirectories: [],
    limits: roomy,
    auditRetentionMs: 400 * 86_400_000,
    hookTargets: 'public' as const,
    webRoot: null,
    version: '0',
    log: listeningLog(),
    now: Date.now,
  }
  const { sessionCookie } = await import('../../control/api/app.ts')
  t.match(
    sessionCookie(options.publicUrl, { token: 'x', expiresAtMs: 5000 }, 0),
    /^__Host-postern_session=x; Path=\/; Max-Age=5; HttpOnly; SameSite=Lax; Secure$/,
  )
  const { control } = await openParts(options)
  t.match(await control.setupUrl(), /^https:\/\/postern\.example\/setup/)
  await control.close()
})
