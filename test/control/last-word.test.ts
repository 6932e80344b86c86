/** Rights that end while a request that stands on them is on its way: what is done is decided by what is so when it is done. */
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { GroupView, UserView } from '../../control/wire/index.ts'
import { startPostgres } from '../support/control-postgres.ts'
import {
  agentKey,
  type Client,
  controlServer,
  type ControlServer,
  password,
} from '../support/control-server.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
const root = t.testdir({})
let count = 0
const databases = postgres === null ? (['sqlite'] as const) : (['sqlite', 'postgres'] as const)
async function serve(t: Test, database: 'sqlite' | 'postgres'): Promise<ControlServer> {
  const name = `late${++count}`
  const databaseUrl = database === 'postgres' ? ((await postgres?.database(name)) ?? null) : null
  const server = await controlServer({ stateDirectory: join(root, name), databaseUrl })
  t.teardown(() => server.close())
  return server
}
const idOf = async (one: Client) => (await one.call<UserView>('GET', '/api/v1/me')).json.id

interface Held {
  /** Sends what is left of the body; the status of the answer. */
  end(): Promise<number>
}

/** A request whose head and first byte were taken in, and whose last byte is kept back. */
async function hold(
  server: ControlServer,
  who: Client | string,
  method: string,
  path: string,
  body: object | null,
): Promise<Held> {
  const text = body === null ? '' : JSON.stringify(body)
  const before = server.taken.length
  const req: ClientRequest = request({
    host: '127.0.0.1',
    port: server.port,
    method,
    path,
    headers: {
      ...(body === null ? {} : { 'content-type': 'application/json' }),
      'transfer-encoding': 'chunked',
      ...(typeof who === 'string' ? { authorization: `Bearer ${who}` } : { cookie: who.cookie }),
    },
  })
  const answered = once(req, 'response') as Promise<[IncomingMessage]>
  answered.catch(() => undefined)
  if (text === '') req.flushHeaders()
  else req.write(text.slice(0, 1))
  await until(() => server.taken.slice(before).includes(`${method} ${path}`), { what: 'the head is there' })
  return {
    async end() {
      req.end(text.slice(1))
      const [res] = await answered
      res.resume()
      return res.statusCode ?? 0
    },
  }
}

const aUser = (username: string) => ({ username, password, role: 'administrator' })

for (const database of databases)
  await t.test(`${database}: no right outlives its end in a body that comes slowly`, async (t) => {
    const server = await serve(t, database)
    const ada = await server.setUp()
    const [bob, eve, out] = [
      await server.member(ada, 'bob'),
      await server.member(ada, 'eve'),
      await server.member(ada, 'out'),
    ]
    const [bobId, eveId, outId] = [await idOf(bob), await idOf(eve), await idOf(out)]
    const signIn = (who: Client, username: string) =>
      who.call('POST', '/api/v1/sessions', { username, password }, { 'x-test-ip': username })
    await ada.call('PATCH', `/api/v1/users/${bobId}`, { role: 'administrator' })
    await signIn(bob, 'bob')

    const demoted = await hold(server, bob, 'POST', '/api/v1/users', aUser('one'))
    await ada.call('PATCH', `/api/v1/users/${bobId}`, { role: 'member' })
    t.equal(await demoted.end(), 401, 'an administrator no more makes none')
    await signIn(bob, 'bob')

    const left = await hold(server, bob, 'POST', '/api/v1/tokens', { name: 'kept' })
    await ada.call('DELETE', `/api/v1/users/${bobId}/sessions`)
    t.equal(await left.end(), 401, 'a session that was ended makes no token')
    await signIn(bob, 'bob')

    const { json: token } = await bob.call('POST', '/api/v1/tokens', { name: 'laptop' })
    const byToken = await hold(server, token.token, 'POST', '/api/v1/workspaces', { name: 'sly', image: 'x' })
    await bob.call('DELETE', `/api/v1/tokens/${(token as unknown as { id: string }).id}`)
    t.equal(await byToken.end(), 401, 'nor a token')

    const { json: group } = await ada.call<GroupView>('POST', '/api/v1/groups', { name: 'crew' })
    await ada.call('POST', `/api/v1/groups/${group.id}/members/${eveId}`)
    const { json: shop } = await bob.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'x' })
    await bob.call('POST', '/api/v1/grants', {
      subject: { kind: 'group', id: 'crew' },
      object: { kind: 'workspace', id: shop.id },
      role: 'editor',
    })
    const member = await hold(server, eve, 'POST', '/api/v1/workspaces/shop/stop', null)
    await ada.call('DELETE', `/api/v1/groups/${group.id}/members/${eveId}`)
    t.equal(await member.end(), 404, 'who left the group steers nothing, without a byte of body too')
    t.equal((await bob.call('GET', '/api/v1/workspaces/shop')).json.want, 'running')

    const disabled = await hold(server, out, 'POST', '/api/v1/workspaces', { name: 'late', image: 'x' })
    await ada.call('PATCH', `/api/v1/users/${outId}`, { disabled: true })
    t.equal(await disabled.end(), 401)
    const kept = await hold(server, eve, 'POST', '/api/v1/workspaces', { name: 'fine', image: 'x' })
    t.equal(await kept.end(), 202, 'slowness itself is no crime')

    const { items } = (await ada.call<{ items: UserView[] }>('GET', '/api/v1/users')).json
    t.same(items.map(({ username }) => username).sort(), ['ada', 'bob', 'eve', 'out'])
    const made = (await ada.call('GET', '/api/v1/workspaces?owner=all')).json.items
    t.same(made.map(({ name }) => name).sort(), ['fine', 'shop'])
    t.equal((await server.deployment.feed.db('tokens')).length, 0)
  })

for (const database of databases)
  await t.test(`${database}: of two who change one password by the old one, one does`, async (t) => {
    const server = await serve(t, database)
    const ada = await server.setUp()
    const bob = await server.member(ada, 'bob')
    const tries = Array.from({ length: 4 }, (_, n) => `another horse, number ${n}`)
    const answers = await Promise.all(
      tries.map((newPassword) =>
        bob.call('POST', '/api/v1/me/password', { currentPassword: password, newPassword }),
      ),
    )
    const took = tries.filter((_, n) => answers[n]?.status === 204)
    t.equal(took.length, 1, answers.map(({ status }) => status).join())
    for (const given of [password, ...tries]) {
      const { status } = await server
        .client()
        .call('POST', '/api/v1/sessions', { username: 'bob', password: given }, { 'x-test-ip': given })
      t.equal(status, given === took[0] ? 201 : 401, given)
    }
  })

for (const database of databases)
  await t.test(
    `${database}: what ends a session ends the change of password that it had begun`,
    async (t) => {
      const server = await serve(t, database)
      const ada = await server.setUp()
      const bob = await server.member(ada, 'bob')
      const id = await idOf(bob)
      const { feed } = server.deployment
      const write = feed.write.bind(feed)
      const newPassword = 'what the thief would like'
      const acts: [string, () => Promise<unknown>, string][] = [
        ['all are ended', () => ada.call('DELETE', `/api/v1/users/${id}/sessions`), password],
        [
          'a new one is set',
          () => ada.call('PATCH', `/api/v1/users/${id}`, { password: 'set by ada' }),
          'set by ada',
        ],
      ]
      for (const [name, act, current] of acts) {
        await bob.call('POST', '/api/v1/sessions', { username: 'bob', password }, { 'x-test-ip': 'bob' })
        // While the thief's is hashed, another write comes before it.
        feed.write = async (change) => {
          feed.write = write
          await act()
          return write(change)
        }
        const change = { currentPassword: password, newPassword }
        t.equal((await bob.call('POST', '/api/v1/me/password', change)).status, 401, name)
        t.equal(feed.write, write, 'it came to that')
        for (const given of [newPassword, current]) {
          const thief = { username: 'bob', password: given }
          const { status } = await server
            .client()
            .call('POST', '/api/v1/sessions', thief, { 'x-test-ip': given })
          t.equal(status, given === current ? 201 : 401, `${name}: ${given}`)
        }
      }
    },
  )

for (const database of databases)
  await t.test(`${database}: who was an administrator has kept no way back`, async (t) => {
    const server = await serve(t, database)
    const ada = await server.setUp()
    await server.member(ada, 'eve')
    const { items: people } = (await ada.call<{ items: UserView[] }>('GET', '/api/v1/users')).json
    const eveId = people.find(({ username }) => username === 'eve')?.id ?? ''
    const ends: [string, (id: string) => Promise<{ status: number }>][] = [
      ['a member now', (id) => ada.call('PATCH', `/api/v1/users/${id}`, { role: 'member' })],
      ['disabled', (id) => ada.call('PATCH', `/api/v1/users/${id}`, { disabled: true })],
      ['deleted', (id) => ada.call('DELETE', `/api/v1/users/${id}`)],
    ]
    const kept = (await ada.call<{ url: string }>('POST', '/api/v1/invitations', { role: 'member' })).json
    for (const [name, end] of ends) {
      const username = `was-${name.split(' ')[0]}`
      const mallory = await server.member(ada, username)
      const id = await idOf(mallory)
      await ada.call('PATCH', `/api/v1/users/${id}`, { role: 'administrator' })
      await mallory.call('POST', '/api/v1/sessions', { username, password }, { 'x-test-ip': username })
      const made = async (path: string, body?: object) => {
        const answer = await mallory.call<{ url: string; token: string }>('POST', path, body)
        t.equal(answer.status, 201, answer.text)
        return answer.json
      }
      const invitation =
        (await made('/api/v1/invitations', { role: 'administrator' })).url.split('#')[1] ?? ''
      const reset = (await made(`/api/v1/users/${eveId}/reset-link`)).url.split('#')[1] ?? ''
      const host = (await made('/api/v1/hosts/tokens', { name: 'mine' })).token
      const gateway = (await made('/api/v1/gateways/tokens', { name: 'mine' })).token
      t.ok((await end(id)).status < 300)
      const { edge } = server.control
      const origin = { ip: username, userAgent: '', requestId: '' }
      const given = { token: invitation, username: `${username}-2`, password: 'correct horse battery' }
      await t.rejects(edge.acceptInvitation(given, origin), { code: 'forbidden' }, `${name}: invitation`)
      const change = { token: reset, password: 'what the thief would like' }
      await t.rejects(edge.resetPassword(change, origin), { code: 'forbidden' }, `${name}: reset link`)
      const { status } = await server
        .client(host)
        .call('POST', '/api/agent/v1/register', agentKey('another').registration(server.clock.now))
      t.equal(status, 401, `${name}: host token`)
      const joined = await server
        .client(gateway)
        .call('POST', '/api/gateway/v1/join', { name: 'edge', machineId: 'm', version: '0' })
      t.equal(joined.status, 401, `${name}: gateway token`)
    }
    const left = (await ada.call<{ items: { state: string }[] }>('GET', '/api/v1/invitations')).json
    t.same(
      left.items.map(({ state }) => state),
      ['open'],
      'those of who is one stay',
    )
    t.ok(kept.url)
  })
