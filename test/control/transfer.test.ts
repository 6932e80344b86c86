/** A workspace changes hands: by whom, to whom, with what room; and two at once, on both databases. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Client, controlServer, type ControlServer, roomy } from '../support/control-server.ts'
import { startPostgres } from '../support/control-postgres.ts'

t.setTimeout(120_000)
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
const root = t.testdir({})
let count = 0

async function serve(
  t: Test,
  dialect: 'sqlite' | 'postgres' = 'sqlite',
  limits = {},
): Promise<ControlServer> {
  const name = `transfer${++count}`
  const databaseUrl = dialect === 'sqlite' ? null : ((await postgres?.database(name)) ?? null)
  const server = await controlServer({
    stateDirectory: join(root, name),
    databaseUrl,
    limits: { ...roomy, ...limits },
  })
  t.teardown(() => server.close())
  return server
}

const create = async (who: Client, name: string): Promise<string> =>
  (await who.call('POST', '/api/v1/workspaces', { name, image: 'x:1' })).json.id
const give = (who: Client, id: string, body: object) =>
  who.call('POST', `/api/v1/workspaces/${id}/transfer`, body)
const see = async (who: Client, id: string): Promise<number> =>
  (await who.call('GET', `/api/v1/workspaces/${id}`)).status

await t.test('the next owner has it, the former one nothing, and everybody is told', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const [bob, eve, mia] = [
    await server.member(ada, 'bob'),
    await server.member(ada, 'eve'),
    await server.member(ada, 'mia'),
  ]
  const id = await create(bob, 'shop')
  await bob.call('POST', '/api/v1/grants', {
    object: { kind: 'workspace', id },
    subject: { kind: 'user', id: 'mia' },
    role: 'manager',
  })
  t.equal((await give(mia, id, { to: 'mia' })).status, 403, 'a manager gives nothing away')
  t.equal((await give(eve, id, { to: 'eve' })).status, 404)
  for (const to of ['nobody', '', undefined]) t.equal((await give(bob, id, { to })).status, 422, String(to))
  const eveId = (await eve.call('GET', '/api/v1/me')).json.id
  const named = await server.member(ada, eveId)
  t.match(await give(bob, id, { to: eveId }), { status: 202 }, 'an id is not the name of another')
  t.equal(await see(named, id), 404)
  t.same([await see(bob, id), await see(eve, id), await see(mia, id)], [404, 200, 200])
  t.match((await eve.call('GET', `/api/v1/workspaces/${id}`)).json, {
    owner: { username: 'eve' },
    role: 'owner',
  })
  t.match((await eve.call('GET', `/api/v1/workspaces/${id}/events`)).json.items[0], {
    code: 'transferred',
    message: 'bob gave it to eve.',
  })
  const row = server.facts.rows.get(`route ${id}`)
  t.equal(row?.kind === 'route' ? row.row.ownerId : '', eveId, 'gateways know before the answer')
  t.equal((await give(bob, id, { to: 'bob' })).status, 404, 'and can’t take it back')
  t.match(await give(ada, id, { to: 'bob', keep: 'editor' }), { status: 202 }, 'an administrator may')
  t.match((await eve.call('GET', `/api/v1/workspaces/${id}`)).json, { role: 'editor' }, 'who keeps something')
  t.equal((await give(bob, id, { to: 'bob' })).status, 202, 'to oneself is nothing new')
  t.match((await ada.call('GET', '/api/v1/audit')).text, /workspace\.transfer/)
  await bob.call('DELETE', `/api/v1/workspaces/${id}?purge=true`)
  t.equal((await give(bob, id, { to: 'eve' })).status, 404, 'what is being removed goes nowhere')
})

await t.test('to a group, whose members own it then', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const [bob, eve, mia] = [
    await server.member(ada, 'bob'),
    await server.member(ada, 'eve'),
    await server.member(ada, 'mia'),
  ]
  const id = await create(bob, 'shop')
  const { json } = await ada.call<{ id: string }>('POST', '/api/v1/groups', { name: 'team' })
  t.equal((await give(bob, id, { toGroup: 'team' })).status, 422, 'nobody is in it')
  for (const who of [eve, mia]) {
    const userId = (await who.call('GET', '/api/v1/me')).json.id
    t.ok((await ada.call('POST', `/api/v1/groups/${json.id}/members/${userId}`)).status < 300)
  }
  t.equal(
    (await give(bob, id, { toGroup: 'team', to: 'ada' })).status,
    422,
    'who answers for it is one of them',
  )
  t.equal((await give(bob, id, { toGroup: 'team', to: 'mia', keep: 'viewer' })).status, 202)
  t.same([await see(eve, id), await see(mia, id), await see(bob, id)], [200, 200, 200])
  t.match((await bob.call('GET', `/api/v1/workspaces/${id}`)).json, {
    role: 'viewer',
    owner: { username: 'mia' },
  })
  t.equal((await give(eve, id, { to: 'eve' })).status, 202, 'any of them may give it away')
  t.same([await see(mia, id), await see(bob, id)], [404, 200])
})

await t.test('who has no room, or can’t sign in, gets none', async (t) => {
  const server = await serve(t, 'sqlite', { maxWorkspacesPerUser: 2, maxRunningPerUser: 1 })
  const ada = await server.setUp()
  const [bob, eve, out] = [
    await server.member(ada, 'bob'),
    await server.member(ada, 'eve'),
    await server.member(ada, 'out'),
  ]
  const outId = (await out.call('GET', '/api/v1/me')).json.id
  const id = await create(bob, 'shop')
  await ada.call('PATCH', `/api/v1/users/${outId}`, { disabled: true })
  t.equal((await give(bob, id, { to: 'out' })).status, 422, 'disabled')
  const { json: gone } = await ada.call<{ id: string }>('POST', '/api/v1/groups', { name: 'gone' })
  await ada.call('POST', `/api/v1/groups/${gone.id}/members/${outId}`)
  t.equal((await give(bob, id, { toGroup: 'gone' })).status, 422, 'a group of nobody else')
  const first = await create(eve, 'one')
  t.match(await give(bob, id, { to: 'eve' }), {
    status: 409,
    json: { code: 'cap_reached', detail: /running/ },
  })
  await bob.call('POST', `/api/v1/workspaces/${id}/stop`)
  t.equal((await give(bob, id, { to: 'eve' })).status, 202)
  const other = await create(bob, 'two')
  await bob.call('POST', `/api/v1/workspaces/${other}/stop`)
  t.match(
    await give(bob, other, { to: 'eve' }),
    { status: 409, json: { code: 'cap_reached' } },
    'two are enough',
  )
  await eve.call('DELETE', `/api/v1/workspaces/${first}`)
  t.equal((await give(bob, other, { to: 'eve' })).status, 202, 'the trash does not count')
})

for (const dialect of ['sqlite', 'postgres'] as const)
  await t.test(
    `at once with a removal and another transfer: ${dialect}`,
    { skip: dialect === 'postgres' && postgres === null ? 'PostgreSQL is not installed' : false },
    async (t) => {
      const server = await serve(t, dialect)
      const ada = await server.setUp()
      const [bob, eve, mia] = [
        await server.member(ada, 'bob'),
        await server.member(ada, 'eve'),
        await server.member(ada, 'mia'),
      ]
      for (let round = 0; round < 4; round++) {
        const id = await create(bob, `shop${round}x`)
        const given = await Promise.all([give(bob, id, { to: 'eve' }), give(bob, id, { to: 'mia' })])
        t.same(
          given.map(({ status }) => status).sort((a, b) => a - b),
          [202, 404],
          'one gives it, once',
        )
        const owners = [await see(eve, id), await see(mia, id)]
        t.same(
          owners.sort((a, b) => a - b),
          [200, 404],
        )
        const removed = await create(bob, `gone${round}x`)
        const [gave, purged] = await Promise.all([
          give(bob, removed, { to: 'eve' }),
          bob.call('DELETE', `/api/v1/workspaces/${removed}?purge=true`),
        ])
        const isGiven = gave.status === 202
        t.equal(purged.status, isGiven ? 404 : 202, 'what is another’s by then is not removed')
        t.equal(await see(eve, removed), isGiven ? 200 : 404)
      }
      const [eveId, have] = [
        (await eve.call('GET', '/api/v1/me')).json.id,
        (await eve.call('GET', '/api/v1/workspaces')).json.items.length,
      ]
      await ada.call('PUT', `/api/v1/quotas/user/${eveId}`, { maxWorkspaces: have + 3 })
      const many = await Promise.all(Array.from({ length: 30 }, (_, n) => create(bob, `many${n}x`)))
      const gave = await Promise.all(many.map((id) => give(bob, id, { to: 'eve' })))
      t.equal(gave.filter(({ status }) => status === 202).length, 3, 'as many as there is room for')
      t.equal(gave.filter(({ status }) => status === 409).length, 27)
    },
  )
