/** One-time links of administrators: new passwords and new users, on both databases, by two who come at once. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { redeemInvitation } from '../../control/service/invitations.ts'
import { insertUser, type User } from '../../control/store/users.ts'
import type {
  CreatedInvitation,
  CreatedResetLink,
  InvitationView,
  UserView,
} from '../../control/wire/index.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer, password } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())
let count = 0

/** Servers on one database; SQLite is one process's alone. */
type Serve = (t: Test, servers: number) => Promise<ControlServer[]>
const stores: readonly [string, Serve | null][] = [
  [
    'SQLite',
    async (t) => {
      const server = await controlServer({ stateDirectory: join(root, `s${++count}`) })
      t.teardown(() => server.close())
      return [server, server]
    },
  ],
  [
    'PostgreSQL',
    postgres &&
      (async (t, servers) => {
        const databaseUrl = await postgres.database(`links${++count}`)
        const all: ControlServer[] = []
        for (let n = 0; n < servers; n++) {
          const server = await controlServer({ stateDirectory: join(root, `p${count}-${n}`), databaseUrl })
          t.teardown(() => server.close())
          all.push(server)
        }
        return all
      }),
  ],
]

const origin = { ip: '10.0.0.1', userAgent: 'tests', requestId: 'r' }
const secretOf = (url: string): string => new URL(url).hash.slice(1)
const fresh = 'quite another passphrase'
const signIn = (client: Client, username: string, secret: string, ip: string) =>
  client.call('POST', '/api/v1/sessions', { username, password: secret }, { 'x-test-ip': ip })
async function invite(ada: Client, body: object = {}): Promise<CreatedInvitation> {
  const made = await ada.call<CreatedInvitation>('POST', '/api/v1/invitations', body)
  if (made.status !== 201) throw new Error(made.text)
  return made.json
}
const invitations = async (ada: Client): Promise<readonly InvitationView[]> =>
  (await ada.call<{ items: InvitationView[] }>('GET', '/api/v1/invitations')).json.items

for (const [store, serve] of stores) {
  const options = { skip: serve === null && 'PostgreSQL is not installed' }
  await t.test(
    `a reset link sets a password once, and ends all that was signed in, on ${store}`,
    options,
    async (t) => {
      const [server, other] = (await serve?.(t, 2)) ?? []
      if (server === undefined || other === undefined) throw new Error('no server')
      const ada = await server.setUp()
      const bob = await server.member(ada, 'bob')
      const { id } = (await bob.call<UserView>('GET', '/api/v1/me')).json
      const { token } = (await bob.call('POST', '/api/v1/tokens', { name: 't' })).json
      const make = () => ada.call<CreatedResetLink>('POST', `/api/v1/users/${id}/reset-link`)
      const older = secretOf((await make()).json.url)
      const made = await make()
      t.match(made, { status: 201, json: { url: /^http:\/\/localhost:8090\/reset#psr_[\w-]{43}$/ } })
      t.equal(made.json.expiresAtMs, server.clock.now + 86_400_000)
      t.equal((await bob.call('GET', '/api/v1/me')).status, 200, 'a link alone ends nothing')
      t.equal((await bob.call('POST', `/api/v1/users/${id}/reset-link`)).status, 403, 'not a member’s')
      const reset = (side: ControlServer, secret: string, newPassword = fresh, ip = '10.0.0.1') =>
        side.control.edge.resetPassword({ token: secret, password: newPassword }, { ...origin, ip })
      await t.rejects(reset(server, older), { code: 'forbidden' }, 'the newest one only')
      await t.rejects(reset(server, 'psr_made-up'), { code: 'forbidden' })
      const secret = secretOf(made.json.url)
      await t.rejects(reset(server, secret, 'bob1234567890'), {
        code: 'invalid_body',
        errors: [{ path: 'password' }],
      })
      const tries = await Promise.allSettled(
        Array.from({ length: 6 }, (_, n) => reset(n % 2 === 0 ? server : other, secret, `${fresh} ${n}`)),
      )
      t.equal(
        tries.filter(({ status }) => status === 'fulfilled').length,
        1,
        'a refused password cost nothing; once',
      )
      await server.deployment.feed.pump()
      t.equal((await bob.call('GET', '/api/v1/me')).status, 401, 'sessions end')
      t.equal((await server.client(token).call('GET', '/api/v1/workspaces')).status, 401, 'tokens end')
      t.equal((await signIn(server.client(), 'bob', password, 'a')).status, 401, 'the old one is gone')
      const won = tries.findIndex(({ status }) => status === 'fulfilled')
      t.equal((await signIn(bob, 'bob', `${fresh} ${won}`, 'b')).status, 201)

      for (const end of [
        () => ada.call('PATCH', `/api/v1/users/${id}`, { password: 'by the administrator' }),
        () => Promise.resolve((server.clock.now += 86_400_001)),
        () => ada.call('PATCH', `/api/v1/users/${id}`, { disabled: true }),
      ]) {
        const dying = secretOf((await make()).json.url)
        await end()
        await t.rejects(reset(server, dying), { code: 'forbidden' }, 'it died')
      }
      t.match(await make(), { status: 403, json: { detail: /disabled/ } })
      t.match(await ada.call('POST', '/api/v1/users/nobody/reset-link'), { status: 404 })
      await server.sweep()
      const said = [...server.log.lines, ...server.answers.filter((each) => !each.includes('/reset#'))].join(
        '\n',
      )
      for (const each of [secret, older])
        t.notOk(said.includes(each), 'no log and no other answer has a secret')
      const audit = await ada.call<{ items: { action: string }[] }>('GET', '/api/v1/audit')
      if (audit.status === 200) t.notOk(audit.text.includes('psr_'))
    },
  )

  await t.test(`an invitation makes one user, with its role and groups, on ${store}`, options, async (t) => {
    const [server, other] = (await serve?.(t, 2)) ?? []
    if (server === undefined || other === undefined) throw new Error('no server')
    const ada = await server.setUp()
    const group = (await ada.call<{ id: string }>('POST', '/api/v1/groups', { name: 'pilots' })).json
    const accept = (side: ControlServer, secret: string, username: string, given = fresh) =>
      side.control.edge.acceptInvitation({ token: secret, username, password: given }, origin)
    const made = await invite(ada, { email: 'Eve@Example.org', role: 'administrator', groups: [group.id] })
    t.match(made, {
      url: /^http:\/\/localhost:8090\/invitation#psv_[\w-]{43}$/,
      email: 'eve@example.org',
      role: 'administrator',
      groups: [{ id: group.id, name: 'pilots' }],
      state: 'open',
      createdBy: 'ada',
      expiresAtMs: server.clock.now + 7 * 86_400_000,
    })
    const secret = secretOf(made.url)
    await t.rejects(accept(server, secret, 'eve', 'eve@example.org'), { code: 'invalid_body' })
    await t.rejects(accept(server, secret, 'Not A Name'), { code: 'invalid_body' })
    await t.rejects(accept(server, secret, 'ada'), { code: 'name_taken' })
    const tries = await Promise.allSettled(
      Array.from({ length: 6 }, (_, n) => accept(n % 2 === 0 ? server : other, secret, `racer${n}`)),
    )
    t.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1, 'two at once make one user')
    for (const each of tries) if (each.status === 'rejected') t.match(each.reason, { code: 'forbidden' })
    const users = (await ada.call<{ items: UserView[] }>('GET', '/api/v1/users')).json.items
    t.equal(users.length, 2)
    const racer = users.find(({ username }) => username !== 'ada')
    t.match(racer, { role: 'administrator', email: 'eve@example.org' }, 'the address is the invitation’s')
    const client = server.client()
    t.equal((await signIn(client, racer?.username ?? '', fresh, 'c')).status, 201)
    t.match((await invitations(ada))[0], { state: 'used', usedBy: racer?.username })
    await server.deployment.feed.pump()
    const fact = server.facts.rows.get(`user ${racer?.id}`)
    t.match(JSON.stringify(fact), /pilots/, 'gateways know of the group')

    const revoked = await invite(ada)
    t.equal((await ada.call('DELETE', `/api/v1/invitations/${revoked.id}`)).status, 204)
    t.equal((await ada.call('DELETE', `/api/v1/invitations/${revoked.id}`)).status, 404)
    await t.rejects(accept(server, secretOf(revoked.url), 'late'), { code: 'forbidden' })
    const short = await invite(ada, { expiresAt: new Date(server.clock.now + 60_000).toISOString() })
    server.clock.now += 60_001
    await t.rejects(accept(server, secretOf(short.url), 'late'), { code: 'forbidden' })
    t.match(
      (await invitations(ada)).find(({ id }) => id === short.id),
      { state: 'expired' },
    )
    for (const [body, path] of [
      [{ groups: ['nowhere'] }, 'groups.0'],
      [{ expiresAt: '2001-01-01T00:00:00Z' }, 'expiresAt'],
      [{ expiresAt: new Date(server.clock.now + 91 * 86_400_000).toISOString() }, 'expiresAt'],
      [{ role: 'king' }, 'role'],
    ] as const)
      t.match(await ada.call('POST', '/api/v1/invitations', body), {
        status: 422,
        json: { errors: [{ path }] },
      })
    const bob = await server.member(ada, 'bob')
    t.equal((await bob.call('GET', '/api/v1/invitations')).status, 403)
    t.equal((await bob.call('POST', '/api/v1/invitations', {})).status, 403)
    server.clock.now += 40 * 86_400_000
    await server.sweep()
    await signIn(ada, 'ada', password, 'd')
    t.same(await invitations(ada), [], 'what is long over is forgotten')
    t.notOk(server.log.lines.join('\n').includes(secret), 'no log has its secret')
  })

  await t.test(
    `a verified e-mail address redeems an invitation too, once, on ${store}`,
    options,
    async (t) => {
      const [server] = (await serve?.(t, 1)) ?? []
      if (server === undefined) throw new Error('no server')
      const ada = await server.setUp()
      await invite(ada, { email: 'eve@example.org', role: 'administrator' })
      const { feed, now } = server.deployment
      const user = (username: string, role: User['role']): User => ({
        id: `id-${username}`,
        username,
        email: 'eve@example.org',
        role,
        disabled: false,
        passwordHash: '',
        createdAtMs: now(),
      })
      const redeem = (username: string, verifiedEmail: string) =>
        feed.write((w) =>
          redeemInvitation(w, { verifiedEmail }, now(), async ({ role }) => {
            await insertUser(w.db, user(username, role))
            return user(username, role)
          }),
        )
      t.equal(await redeem('mallory', 'mallory@example.org'), null, 'nobody else’s address')
      t.match(await redeem('eve', 'EVE@example.org'), { role: 'administrator' })
      t.equal(await redeem('eve2', 'eve@example.org'), null)
      const users = (await ada.call<{ items: UserView[] }>('GET', '/api/v1/users')).json.items
      t.same(users.map(({ username }) => username).sort(), ['ada', 'eve'], 'who has none makes no user')
    },
  )
}
