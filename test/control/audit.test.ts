/** Who did what: every act by the API has its row, refusals are counted, and an act that can't be told is not done. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { httpApi } from '../../control/api/app.ts'
import { routeActions } from '../../control/audit/audit-actions.ts'
import { COUNTED_ROWS_PER_MINUTE } from '../../control/audit/audit.ts'
import { listAudit } from '../../control/store/audit.ts'
import { hashToken } from '../../control/credentials/tokens.ts'
import { auditActions, paths } from '../../control/wire/index.ts'
import type { AuditRow } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { agentKey, controlServer, password } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
let count = 0

const postgres = await startPostgres()
t.teardown(() => postgres?.stop())

/** The same on each database. */
const databases = postgres === null ? (['sqlite'] as const) : (['sqlite', 'postgres'] as const)

async function serve(t: Test, database: 'sqlite' | 'postgres'): Promise<ControlServer> {
  const name = `a${++count}`
  const databaseUrl = database === 'postgres' ? ((await postgres?.database(name)) ?? null) : null
  const server = await controlServer({ stateDirectory: join(root, name), databaseUrl })
  t.teardown(() => server.close())
  return server
}

const rowsOf = async ({ deployment }: ControlServer): Promise<AuditRow[]> =>
  (await listAudit(deployment.feed.db, {}, { limit: 1000 })).reverse()
const short = ({ action, actor, object, outcome }: AuditRow): string =>
  [action, actor.name, object.name || object.kind, outcome].join(' ')

for (const database of databases)
  await t.test(`${database}: an act is told with who, what, whose and from where`, async (t) => {
    const server = await serve(t, database)
    const ada = await server.setUp()
    await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    await server.member(ada, 'bob')
    const made = await ada.call(
      'POST',
      '/api/v1/workspaces',
      { name: 'shop', image: 'alpine:3' },
      { 'user-agent': 'curl\u0085/8', 'x-test-ip': '192.0.2.7' },
    )
    t.equal(made.status, 202, made.text)
    await ada.call('PATCH', '/api/v1/workspaces/shop', {
      env: [{ name: 'KEY', value: 'hush', secret: true }],
    })
    await ada.call('POST', '/api/v1/workspaces/shop/stop')
    await ada.call('DELETE', '/api/v1/workspaces/shop')
    const token = await ada.call('POST', '/api/v1/tokens', { name: 'laptop' })
    t.equal(token.status, 201)
    const byToken = server.client(token.json.token)
    await byToken.call('POST', '/api/v1/workspaces/shop/restore')
    await ada.call('DELETE', '/api/v1/sessions/current')
    const rows = await rowsOf(server)
    t.same(rows.map(short), [
      'deployment.set-up ada deployment ok',
      'session.begin ada session ok',
      'user.create ada bob ok',
      'session.begin bob session ok',
      'workspace.create ada shop ok',
      'workspace.change ada shop ok',
      'workspace.stop ada shop ok',
      'workspace.delete ada shop ok',
      'token.create ada laptop ok',
      'workspace.restore ada shop ok',
      'session.end ada session ok',
    ])
    const ids = rows.map(({ id }) => id)
    t.same(
      ids,
      [...ids].sort((a, b) => a - b),
      'ids grow',
    )
    const [created, changed] = rows.filter(({ action }) => action.startsWith('workspace.'))
    t.equal(created?.workspaceId, made.json.id)
    t.equal(created?.ip, '192.0.2.7')
    t.equal(created?.userAgent, 'curl\u00c2 /8', 'no control bytes')
    t.match(created?.requestId, /^r\d+$/)
    t.equal(created?.actor.via?.kind, 'session')
    t.same(changed?.details, { fields: ['env'] }, 'which fields, never what they hold')
    const restored = rows.find(({ action }) => action === 'workspace.restore')
    t.same(restored?.actor.via, { kind: 'token', id: (token.json as unknown as { id: string }).id })
    t.notMatch(JSON.stringify(rows), /hush|pst_/)
    t.ok(!JSON.stringify(rows).includes(password))
  })

for (const database of databases)
  await t.test(`${database}: to the trash and for ever are two acts`, async (t) => {
    const server = await serve(t, database)
    const ada = await server.setUp()
    await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    const bob = await server.member(ada, 'bob')
    for (const name of ['shop', 'tea'])
      await ada.call('POST', '/api/v1/workspaces', { name, image: 'alpine:3' })
    await ada.call('POST', '/api/v1/grants', {
      subject: { kind: 'user', id: 'bob' },
      object: { kind: 'workspace', id: 'shop' },
      role: 'manager',
    })
    const before = (await rowsOf(server)).length
    t.equal((await bob.call('DELETE', '/api/v1/workspaces/shop')).status, 202)
    t.equal((await bob.call('DELETE', '/api/v1/workspaces/shop?purge=true')).status, 403)
    t.equal((await ada.call('DELETE', '/api/v1/workspaces/shop?purge=yes')).status, 422)
    t.equal((await ada.call('DELETE', '/api/v1/workspaces/shop?purge=true')).status, 202)
    t.equal((await ada.call('DELETE', '/api/v1/workspaces/tea?purge=false')).status, 202)
    server.clock.now += 8 * 86_400_000
    await server.sweep()
    const rows = (await rowsOf(server)).slice(before)
    t.same(
      rows.filter(({ action }) => action.startsWith('workspace.')).map(short),
      [
        'workspace.delete bob shop ok',
        'workspace.purge bob shop forbidden',
        'workspace.delete ada shop invalid_body',
        'workspace.purge ada shop ok',
        'workspace.delete ada tea ok',
        'workspace.purge  tea ok',
      ],
      'what the trash’s end deletes is told, too',
    )
  })

for (const database of databases)
  await t.test(`${database}: refusals are counted, floods of them do not fill the disk`, async (t) => {
    const server = await serve(t, database)
    const ada = await server.setUp()
    const bob = await server.member(ada, 'bob')
    const before = (await rowsOf(server)).length
    for (let i = 0; i < 5; i++) {
      t.equal((await bob.call('GET', '/api/v1/users')).status, 403)
      t.equal((await bob.call('POST', '/api/v1/workspaces', { name: 'NO' })).status, 422)
    }
    const stranger = server.client()
    for (let i = 0; i < 12; i++)
      await stranger.call('POST', '/api/v1/sessions', { username: 'bob', password: 'wrong wrong' })
    await stranger.call('POST', '/api/v1/sessions', { username: 'my secret pass', password: 'oh' })
    await server.sweep()
    const rows = (await rowsOf(server)).slice(before)
    t.same(
      rows.map((row) => `${short(row)} ${row.count}`).sort(),
      [
        'access.denied bob route forbidden 5',
        'session.begin  bob invalid_credentials 5',
        'session.begin  bob rate_limited 7',
        'session.begin  user invalid_credentials 1',
        'workspace.create bob workspace invalid_name 5',
      ].sort(),
    )
    t.notMatch(JSON.stringify(rows), /my secret/, 'people type their password as a name')
    for (let i = 0; i < 2 * COUNTED_ROWS_PER_MINUTE; i++)
      await server.deployment.audit.count(`key ${i}`, {
        action: 'access.denied',
        actor: { kind: 'user', id: `u${i}`, name: '' },
        outcome: 'not_found',
      })
    await server.sweep()
    const flood = (await rowsOf(server)).filter(({ outcome }) => outcome === 'not_found')
    t.ok(flood.length <= COUNTED_ROWS_PER_MINUTE + 1, `${flood.length} rows`)
    t.equal(
      flood.reduce((sum, row) => sum + row.count, 0),
      2 * COUNTED_ROWS_PER_MINUTE,
      'and each is counted',
    )
    server.clock.now += 60_000
    await stranger.call('POST', '/api/v1/sessions', { username: 'bob', password: 'wrong wrong' })
    const again = (await rowsOf(server)).filter(({ outcome }) => outcome === 'invalid_credentials')
    t.same(
      again.map((row) => row.count),
      [5, 1, 1],
      'another minute, another row',
    )
  })

for (const database of databases)
  await t.test(
    `${database}: guessed links are counted by kind and network, and never written down`,
    async (t) => {
      const server = await serve(t, database)
      const { edge } = server.control
      const from = (ip: string) => ({ ip, userAgent: 'guesser', requestId: 'r' })
      const body = { token: 'psv_guessed-secret', username: 'eve', password: 'quite another passphrase' }
      const setup = (ip: string) => edge.setup(body, from(ip))
      await t.rejects(setup('192.0.2.1'), { code: 'forbidden' })
      const ada = await server.setUp()
      await pretendAgent(server.control.embeddedAgent(), server.clock.now)
      const ports = [{ port: 3000, visibility: 'link' }]
      const shop = await ada.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'alpine:3', ports })
      const made = await ada.call('POST', '/api/v1/workspaces/shop/links', { port: 3000 })
      t.equal(made.status, 201, made.text)
      const word = await ada.call('PUT', '/api/v1/workspaces/shop/password', {
        password: 'open sesame please',
      })
      t.equal(word.status, 204, word.text)
      const invitation = await ada.call('POST', '/api/v1/invitations', {})
      await ada.call('DELETE', `/api/v1/invitations/${invitation.json.id}`)
      const before = (await rowsOf(server)).length
      const workspaceId = shop.json.id
      const link = (ip: string, secret: string) =>
        edge.redeemLink({ secret, workspaceId, label: 'shop-3000' }, from(ip))
      const pass = (ip: string) =>
        edge.givePassword(
          { workspaceId, port: 3000, label: 'shop-3000', password: 'guessed-secret', holder: null },
          from(ip),
        )
      const revoked = String((invitation.json as { url?: string }).url).split('#')[1] ?? ''
      const tries = [
        setup,
        (ip: string) =>
          edge.resetPassword({ token: 'psr_guessed-secret', password: body.password }, from(ip)),
        (ip: string) => edge.acceptInvitation(body, from(ip)),
        (ip: string) => edge.acceptInvitation({ ...body, token: revoked }, from(ip)),
        (ip: string) => link(ip, 'psl_guessed-secret'),
        pass,
      ]
      for (const [n, guess] of tries.entries())
        for (let i = 0; i < 40; i++) await t.rejects(guess(`2001:db8:${n}:0::${i}`))
      await link('192.0.2.9', 'psl_guessed-secret').catch(() => undefined)
      const key = agentKey('machine-two')
      for (let n = 0; n < 3; n++) {
        const stranger = server.client('psj_guessed-secret-of-a-host')
        const body = key.registration(server.clock.now)
        t.equal((await stranger.call('POST', '/api/agent/v1/register', body)).status, 401)
        const gateway = server.client('psi_guessed-secret-of-a-gateway')
        const join = { name: 'g', machineId: 'm', version: '1' }
        t.equal((await gateway.call('POST', '/api/gateway/v1/join', join)).status, 401)
        server.clock.now += 10 * 60_000
      }
      await server.sweep()
      const rows = (await rowsOf(server)).slice(before)
      t.same(
        rows.map((row) => `${row.actor.kind}: ${short(row)} ${row.ip} ${row.count}`).sort(),
        [
          'anonymous: access.denied  shop rate_limited 2001:db8:5:0::5 35',
          'anonymous: access.denied  shop wrong_password 2001:db8:5:0::0 5',
          'anonymous: deployment.set-up  deployment rate_limited 2001:db8:0:0::30 10',
          'anonymous: deployment.set-up  deployment setup_closed 2001:db8:0:0::0 30',
          'anonymous: gateway.join  gateway unauthenticated 127.0.0.1 3',
          'anonymous: host.join  host unauthenticated 127.0.0.1 3',
          'anonymous: invitation.accept  invitation forbidden 2001:db8:2:0::0 30',
          'anonymous: invitation.accept  invitation forbidden 2001:db8:3:0::0 30',
          'anonymous: invitation.accept  invitation rate_limited 2001:db8:2:0::30 10',
          'anonymous: invitation.accept  invitation rate_limited 2001:db8:3:0::30 10',
          'anonymous: link.use  link link_unknown 192.0.2.9 1',
          'anonymous: link.use  link link_unknown 2001:db8:4:0::0 30',
          'anonymous: link.use  link rate_limited 2001:db8:4:0::30 10',
          'anonymous: password.reset  password forbidden 2001:db8:1:0::0 30',
          'anonymous: password.reset  password rate_limited 2001:db8:1:0::30 10',
        ],
        'each try is counted, in as many rows as there are kinds and networks',
      )
      for (const secret of ['guessed', revoked, body.password, 'eve'])
        t.notOk(JSON.stringify(rows).includes(secret), 'no secret is in a row')
    },
  )

for (const database of databases)
  await t.test(
    `${database}: a refused code of the hand-off is told with whose it was and who came`,
    async (t) => {
      const server = await serve(t, database)
      const ada = await server.setUp()
      await pretendAgent(server.control.embeddedAgent(), server.clock.now)
      const shop = await ada.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'alpine:3' })
      const invited = await ada.call('POST', '/api/v1/gateways/tokens', { name: 'edge' })
      const join = { name: 'edge', machineId: 'm', version: '0' }
      const { credential } = (
        await server.client(invited.json.token).call<{ credential: string }>('POST', paths.gatewayJoin, join)
      ).json
      const { token } = (
        await server.client(credential).call<{ token: string }>('POST', paths.gatewayExchange)
      ).json
      const gateway = server.client(token)
      const nonce = 'nonce-of-the-browser'
      const label = 'shop-3000'
      const grant = {
        userId: shop.json.owner.id,
        parentHash: hashToken(ada.cookie.split('=')[1] ?? ''),
        workspaceId: shop.json.id,
        label,
        challenge: Buffer.from(hashToken(nonce), 'hex').toString('base64url'),
      }
      const issue = async () =>
        (await gateway.call<{ code: string }>('POST', paths.gatewayCode, grant)).json.code
      const from = (ip: string) => ({ ip, userAgent: 'another browser', requestId: 'r' })
      const redeem = async (body: object) => (await gateway.call('POST', paths.gatewayRedeem, body)).status
      const before = (await rowsOf(server)).length
      const right = await issue()
      t.equal(await redeem({ code: right, nonce, label, origin: from('192.0.2.1') }), 200)
      t.equal(await redeem({ code: right, nonce, label, origin: from('192.0.2.1') }), 403, 'used')
      const taken = await issue()
      t.equal(await redeem({ code: taken, nonce: 'not-the-nonce', label, origin: from('192.0.2.2') }), 403)
      const late = await issue()
      server.clock.now += 61_000
      t.equal(await redeem({ code: late, nonce, label }), 403, 'an older gateway says no origin')
      for (let n = 0; n < 40; n++)
        t.equal(await redeem({ code: `made-up-${n}`, nonce, label, origin: from(`2001:db8::${n}`) }), 403)
      await server.sweep()
      const rows = (await rowsOf(server)).slice(before)
      t.same(
        rows.map((row) => `${row.actor.kind}: ${short(row)} ${row.ip} ${row.userAgent} ${row.count}`).sort(),
        [
          'anonymous: session.begin  ada forbidden   1',
          'anonymous: session.begin  ada forbidden 192.0.2.2 another browser 1',
          'anonymous: session.begin  session forbidden 192.0.2.1 another browser 1',
          'anonymous: session.begin  session forbidden 2001:db8::0 another browser 40',
        ],
      )
      t.same(
        rows.map(({ workspaceId }) => workspaceId === shop.json.id),
        [false, true, true, false],
      )
      for (const secret of [right, taken, late, 'made-up', nonce, 'not-the-nonce', grant.parentHash])
        t.notOk(JSON.stringify(rows).includes(secret), 'no secret is in a row')
    },
  )

await t.test('what can’t be written down is not done, and what is done is not lost', async (t) => {
  const server = await serve(t, 'sqlite')
  const ada = await server.setUp()
  const { db } = server.deployment.feed
  await db.schema.renameTable('audit', 'audit_away')
  const refused = await ada.call('POST', '/api/v1/users', { username: 'eve', password })
  t.equal(refused.status, 503)
  t.equal(refused.json.code, 'unavailable')
  await db.schema.renameTable('audit_away', 'audit')
  t.notMatch((await ada.call('GET', '/api/v1/users')).text, /eve/)
  // The end can't be written: the row stays begun, the answer is the act's.
  await db.raw(
    "CREATE TRIGGER no_end BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
  )
  t.equal((await ada.call('POST', '/api/v1/users', { username: 'eve', password })).status, 201)
  t.ok(server.log.lines.some((line) => line.startsWith('error the end of an act')))
  t.equal((await rowsOf(server)).at(-1)?.outcome, 'begun')
  await db.raw('DROP TRIGGER no_end')
})

/** Routes at which no person acts, or a program's own credential is what is refused, counted by the hour. */
const isOfPrograms = (key: string): boolean => /\/api\/(?:agent|gateway)\//.test(key)

await t.test('whatever is refused, by whatever route, is one row: who is known by name', async (t) => {
  const server = await serve(t, 'sqlite')
  const ada = await server.setUp()
  await server.member(ada, 'bob')
  const signIn = (username: string, client: Client) =>
    client.call('POST', '/api/v1/sessions', { username, password }, { 'x-test-ip': username })
  const visitors = [
    ['ada', ada],
    ['bob', server.client()],
    ['', server.client()],
  ] as const
  // Whose body can't be read at all has tried nothing; at every other route, who asked is known.
  const bodies: Record<string, object> = {
    'POST /api/v1/setup': { token: 'guessed', username: 'eve', password },
    'POST /api/v1/sessions': { username: 'eve', password },
  }
  let told = 0
  for (const [key, telling] of Object.entries(routeActions)) {
    if (isOfPrograms(key)) continue
    const [method = '', path = ''] = key.split(' ')
    for (const [username, client] of visitors) {
      // Refusals of one minute are counted in one row.
      server.clock.now += 11 * 60_000
      if (username !== '' && (await client.call('GET', '/api/v1/me')).status !== 200)
        await signIn(username, client)
      const known = (await rowsOf(server)).length
      const { status } = await client.call(
        method,
        path.replaceAll(/:[a-z]+/g, 'nothing'),
        bodies[key] ?? { strange: true },
      )
      const rows = (await rowsOf(server)).slice(known)
      const isDone = status < 300
      t.ok(isDone ? /^DELETE .*sessions/.test(key) : status < 500, `${key}: ${status}`)
      t.equal(rows.length, 1, `${key} by ${username || 'a stranger'}: ${rows.map(short).join('; ')}`)
      const [row] = rows
      const actions =
        telling === 'itself'
          ? ['deployment.set-up', 'session.begin']
          : typeof telling === 'string'
            ? [telling]
            : [telling.set, telling.unset]
      t.ok(['access.denied', ...actions].includes(row?.action ?? ''), `${key}: ${row?.action}`)
      t.equal(row?.outcome === 'ok', isDone, `${key}: ${row?.outcome}`)
      if (telling !== 'itself') t.equal(row?.actor.name, username, key)
      told++
    }
  }
  t.ok(told > 150, `${told} refusals`)
})

await t.test('a route that changes something and is not told does not start', async (t) => {
  const server = await serve(t, 'sqlite')
  const known = new Set<string>([...auditActions, 'itself', 'nothing'])
  for (const [key, telling] of Object.entries(routeActions))
    for (const told of typeof telling === 'string' ? [telling] : [telling.set, telling.unset])
      t.ok(known.has(told), `${key}: ${told}`)
  const mounted = server.router.stack.flatMap(({ methods, path }) =>
    methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${String(path)}`),
  )
  const changing = mounted.filter((key) => !key.startsWith('GET '))
  t.same(
    changing.filter((key) => !(key in routeActions)),
    [],
  )
  t.same(
    Object.keys(routeActions).filter((key) => !mounted.includes(key)),
    [],
    'and no row is left over',
  )
  const none = { used: async () => undefined, tokenUsed: () => undefined, sweep: async () => undefined }
  const route = { method: 'POST', path: '/api/v1/new', run: async () => ({ status: 204 }) } as const
  const needs = { 'POST /api/v1/new': { who: 'public' } } as const
  t.throws(() => httpApi(server.deployment, none, [route], { needs }), /table of audited actions/)
  t.doesNotThrow(() =>
    httpApi(server.deployment, none, [route], { needs, actions: { 'POST /api/v1/new': 'nothing' } }),
  )
})
