/** Groups and grants as people meet them, on SQLite and on PostgreSQL: who sees what, who may what, and when that ends. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { GrantView, GroupView, StreamMessage, UserView } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'
import { until } from '../support/until.ts'

const root = t.testdir({})
let count = 0
const api = '/api/v1/workspaces'

interface World {
  readonly server: ControlServer
  readonly ada: Client
  readonly bob: Client
  readonly eve: Client
  readonly bobId: string
  readonly eveId: string
  readonly shop: string
}

const idOf = async (one: Client) => (await one.call<UserView>('GET', '/api/v1/me')).json.id

/** Ada administers; bob has the workspace `shop`; eve has nothing. */
async function world(t: Test, databaseUrl: string | null): Promise<World> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`), databaseUrl })
  t.teardown(() => server.close())
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const eve = await server.member(ada, 'eve')
  await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  const shop = (await bob.call('POST', api, { name: 'shop', image: 'x' })).json.id
  return { server, ada, bob, eve, bobId: await idOf(bob), eveId: await idOf(eve), shop }
}

const grant = (client: Client, role: string, over: object = {}) =>
  client.call<GrantView>('POST', '/api/v1/grants', {
    subject: { kind: 'user', id: 'eve' },
    object: { kind: 'workspace', id: 'shop' },
    role,
    ...over,
  })

async function group(ada: Client, name: string, ...members: string[]): Promise<string> {
  const { id } = (await ada.call<GroupView>('POST', '/api/v1/groups', { name })).json
  for (const member of members) await ada.call('POST', `/api/v1/groups/${id}/members/${member}`)
  return id
}

/** The grants on shop, as gateways know them. */
function edgeGrants({ server, shop }: World): unknown {
  const fact = server.facts.rows.get(`route ${shop}`)
  return fact?.kind === 'route' ? fact.row.grants : null
}

interface Stream {
  readonly heard: StreamMessage[]
  /** The code that it was closed with. */
  closed(): Promise<number>
  end(): void
}
function listen({ server }: World, client: Client, query = ''): Stream {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/api/v1/events${query}`, {
    headers: { cookie: client.cookie },
  })
  const heard: StreamMessage[] = []
  ws.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString('utf8')) as StreamMessage))
  ws.on('error', () => undefined)
  let code = 0
  ws.once('close', (given) => (code = given))
  const closed = () => until(() => code, { what: 'the end of the stream' })
  return { heard, closed, end: () => ws.close() }
}
const says = (stream: Stream, check: (message: StreamMessage) => boolean, what: string) =>
  until(() => stream.heard.find(check), { what })
const isLive = ({ type }: StreamMessage): boolean => type === 'live'
const rolesOf = ({ heard }: Stream): (string | null)[] =>
  heard.flatMap((message) => (message.type === 'workspace' ? [message.workspace.role] : []))

/** What each route answers to somebody, by level: the acts beyond it change nothing. */
async function verdicts(client: Client): Promise<string> {
  const codes = []
  for (const [method, rest, body] of [
    ['GET', '', undefined],
    ['GET', '/events', undefined],
    ['POST', '/stop', undefined],
    ['POST', '/start', undefined],
    ['POST', '/restart', undefined],
    ['PATCH', '', { cpu: 1 }],
    ['DELETE', '', undefined],
    ['POST', '/restore', undefined],
    ['DELETE', '?purge=true', undefined],
  ] as const)
    codes.push((await client.call(method, `${api}/shop${rest}`, body)).status)
  return codes.join(' ')
}

const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
for (const dialect of ['sqlite', 'postgres'] as const) {
  const fresh = async (t: Test): Promise<World> => {
    const url = dialect === 'postgres' ? await postgres?.database(`grants${count}`) : null
    return world(t, url ?? null)
  }
  await t.test(
    dialect,
    { skip: dialect === 'postgres' && postgres === null ? 'PostgreSQL' : false },
    async (t) => {
      await t.test('each role may what it may, and what a role may not, it is told', async (t) => {
        const it = await fresh(t)
        const { eve, bob, ada } = it
        t.equal(await verdicts(eve), '404 404 404 404 404 404 404 404 404', 'nothing is granted')
        t.same((await eve.call('GET', api)).json.items, [])
        const table = {
          viewer: '200 200 403 403 403 403 403 403 403',
          editor: '200 200 202 202 202 403 403 403 403',
          manager: '200 200 202 202 202 202 202 202 403',
        }
        for (const [role, expected] of Object.entries(table)) {
          const made = await grant(bob, role)
          t.equal(made.status, 201, made.text)
          t.match(made.json, {
            role,
            subject: { name: 'eve' },
            object: { name: 'shop' },
            createdBy: { username: 'bob' },
          })
          t.equal(await verdicts(eve), expected, role)
          t.match((await eve.call('GET', `${api}/shop`)).json, { role, owner: { username: 'bob' } })
          t.match((await eve.call('GET', api)).json.items, [{ name: 'shop', role }])
        }
        t.equal(
          (await ada.call<{ items: GrantView[] }>('GET', '/api/v1/grants')).json.items.length,
          1,
          'the last holds',
        )
        t.equal(await verdicts(ada), '200 200 202 202 202 403 202 202 202', 'an administrator, by office')
        t.equal((await ada.call('GET', `${api}/shop`)).json.role, null)
      })

      await t.test('who shares, with whom, and who takes it back', async (t) => {
        const it = await fresh(t)
        const { ada, bob, eve, bobId, eveId } = it
        for (const [who, status] of [
          [eve, 404],
          [ada, 403],
          [bob, 201],
        ] as const)
          t.equal((await grant(who, 'viewer')).status, status)
        t.equal((await grant(eve, 'manager')).status, 403, 'a viewer raises nobody')
        t.equal((await eve.call('GET', `/api/v1/grants?kind=workspace&id=shop`)).status, 403)
        const mine = await eve.call<{ items: GrantView[] }>('GET', '/api/v1/grants')
        t.match(mine.json.items, [{ subject: { id: eveId } }])
        await grant(bob, 'manager')
        const shared = await eve.call<GrantView>('POST', '/api/v1/grants', {
          subject: { kind: 'user', id: bobId },
          object: { kind: 'workspace', id: it.shop },
        })
        t.equal(shared.status, 201, 'a manager shares')
        const listed = await eve.call<{ items: GrantView[] }>('GET', `/api/v1/grants?kind=workspace&id=shop`)
        t.equal(listed.json.items.length, 2)
        t.equal((await eve.call('DELETE', `/api/v1/grants/${shared.json.id}`)).status, 204)
        const own = listed.json.items.find(({ subject }) => subject.id === eveId)
        t.equal(
          (await eve.call('DELETE', `/api/v1/grants/${own?.id}`)).status,
          204,
          'who holds it gives it up',
        )
        t.equal((await eve.call('DELETE', `/api/v1/grants/${own?.id}`)).status, 404)
        t.equal(await verdicts(eve), '404 404 404 404 404 404 404 404 404')
        const other = (await grant(bob, 'viewer')).json.id
        const mallory = await it.server.member(ada, 'mallory')
        const absent = await mallory.call('DELETE', '/api/v1/grants/nothing')
        const theirs = await mallory.call('DELETE', `/api/v1/grants/${other}`)
        t.same([theirs.status, theirs.text.replace(/r\d+/, '')], [404, absent.text.replace(/r\d+/, '')])
        for (const wrong of [
          { subject: { kind: 'user', id: 'nobody' } },
          { role: 'editor', ports: [3000] },
          { role: 'owner' },
          { capabilities: ['gpu'] },
          { expiresAt: new Date(it.server.clock.now - 1).toISOString() },
          { object: { kind: 'workspace', id: 'nothing' } },
        ])
          t.ok([404, 422].includes((await grant(bob, 'viewer', wrong)).status), JSON.stringify(wrong))
      })

      await t.test(
        'groups: made by administrators, seen by their members, what they hold their members hold',
        async (t) => {
          const it = await fresh(t)
          const { ada, bob, eve, eveId } = it
          t.equal((await eve.call('POST', '/api/v1/groups', { name: 'x' })).status, 403)
          const crew = await group(ada, 'crew', eveId)
          await group(ada, 'others')
          t.equal((await ada.call('POST', '/api/v1/groups', { name: 'crew' })).status, 409)
          const seen = await eve.call<{ items: GroupView[] }>('GET', '/api/v1/groups')
          t.match(seen.json.items, [{ name: 'crew', members: [{ username: 'eve', source: '' }] }])
          t.equal(seen.json.items.length, 1)
          t.equal((await bob.call('GET', `/api/v1/groups/${crew}`)).status, 404)
          t.equal((await ada.call<{ items: GroupView[] }>('GET', '/api/v1/groups')).json.items.length, 2)
          await grant(bob, 'editor', { subject: { kind: 'group', id: 'crew' } })
          t.equal((await eve.call('GET', `${api}/shop`)).json.role, 'editor')
          await grant(bob, 'viewer')
          t.equal((await eve.call('GET', `${api}/shop`)).json.role, 'editor', 'the most counts')
          t.equal((await ada.call('DELETE', `/api/v1/groups/${crew}/members/${eveId}`)).status, 204)
          t.equal((await ada.call('DELETE', `/api/v1/groups/${crew}/members/${eveId}`)).status, 204, 'again')
          t.equal((await eve.call('GET', `${api}/shop`)).json.role, 'viewer')
          await ada.call('POST', `/api/v1/groups/${crew}/members/${eveId}`)
          t.equal((await eve.call('GET', `${api}/shop`)).json.role, 'editor')
          t.equal((await ada.call('DELETE', `/api/v1/groups/${crew}`)).status, 204)
          t.equal((await eve.call('GET', `${api}/shop`)).json.role, 'viewer')
          const left = await ada.call<{ items: GrantView[] }>('GET', '/api/v1/grants')
          t.equal(left.json.items.length, 1, 'the grant to the group is gone with it')
        },
      )

      await t.test('a grant ends by time at once, and its row with the sweep', async (t) => {
        const it = await fresh(t)
        const { bob, eve, server } = it
        const stream = listen(it, eve)
        await says(stream, isLive, 'live')
        await grant(bob, 'viewer', { expiresAt: new Date(server.clock.now + 60_000).toISOString() })
        await says(stream, ({ type }) => type === 'workspace', 'it is there')
        server.clock.now += 60_000
        t.equal((await eve.call('GET', `${api}/shop`)).status, 404)
        t.same((await eve.call('GET', api)).json.items, [])
        await bob.call('POST', `${api}/shop/stop`)
        await says(stream, (m) => m.type === 'workspace-gone' && m.id === it.shop, 'and gone')
        await server.sweep()
        t.same(await server.deployment.feed.db('grants'), [])
        t.same(edgeGrants(it), [])
        stream.end()
      })

      await t.test('the live stream begins and ends with the right to see', async (t) => {
        const it = await fresh(t)
        const { ada, bob, eve, eveId } = it
        const stream = listen(it, eve)
        await says(stream, isLive, 'live')
        const { id } = (await grant(bob, 'viewer')).json
        await says(stream, ({ type }) => type === 'workspace', 'the grant')
        await grant(bob, 'editor')
        await until(() => rolesOf(stream).includes('editor'), { what: 'the new role' })
        await bob.call('POST', `${api}/shop/stop`)
        await says(stream, ({ type }) => type === 'timeline', 'its timeline')
        t.equal((await eve.call('DELETE', `/api/v1/grants/${id}`)).status, 404, 'it was replaced')
        const [now] = (await eve.call<{ items: GrantView[] }>('GET', '/api/v1/grants')).json.items
        await bob.call('DELETE', `/api/v1/grants/${now?.id}`)
        await says(stream, (m) => m.type === 'workspace-gone' && m.id === it.shop, 'it is gone')
        const since = Math.max(...stream.heard.map((m) => ('revision' in m ? m.revision : 0)))
        const before = stream.heard.length
        await bob.call('POST', `${api}/shop/start`)
        await bob.call('POST', api, { name: 'other', image: 'x' })
        const crew = await group(ada, 'crew', eveId)
        t.equal(await stream.closed(), 4409, 'another group: come again')
        t.same(
          stream.heard.slice(before).filter(({ type }) => type !== 'limits' && type !== 'resync'),
          [],
          'nothing was heard of what is not there',
        )
        await grant(bob, 'viewer', { subject: { kind: 'group', id: crew } })
        const back = listen(it, eve, `?since=${since}`)
        t.equal(await back.closed(), 4409, 'a change of groups was missed: all anew')
        const anew = listen(it, eve)
        await says(anew, isLive, 'live')
        t.same(rolesOf(anew), ['viewer'])
        await ada.call('DELETE', `/api/v1/groups/${crew}`)
        t.equal(await anew.closed(), 4409, 'the group is deleted')
        const after = listen(it, eve)
        await says(after, isLive, 'live')
        t.same(rolesOf(after), [])
        after.end()
      })

      await t.test('the glass: an hour, a reason, told to the owner, taken back by either', async (t) => {
        const it = await fresh(t)
        const { ada, bob, eve, server } = it
        const path = `${api}/shop/break-glass`
        const reason = 'the disk of the host fills up'
        for (const [who, status] of [
          [eve, 403],
          [bob, 403],
        ] as const)
          t.equal((await who.call('POST', path, { reason })).status, status)
        for (const bad of [undefined, {}, { reason: ' x  ' }, { reason: 'two\nlines' }, { reason, hours: 2 }])
          t.ok([400, 422].includes((await ada.call('POST', path, bad)).status), JSON.stringify(bad))
        const owner = listen(it, bob)
        await says(owner, isLive, 'live')
        const made = await ada.call<GrantView>('POST', path, { reason })
        t.equal(made.status, 201, made.text)
        t.match(made.json, { role: 'editor', reason, expiresAtMs: server.clock.now + 3_600_000 })
        await says(
          owner,
          (m) => m.type === 'timeline' && m.event.message.includes(reason),
          'the owner is told',
        )
        t.match((await bob.call('GET', `${api}/shop/events`)).json.items, [
          { code: 'glass_broken', actor: 'ada' },
        ])
        t.equal((await ada.call('GET', `${api}/shop`)).json.role, 'editor')
        t.equal((await ada.call('PATCH', `${api}/shop`, { cpu: 1 })).status, 403, 'and no more than that')
        t.equal((await grant(ada, 'viewer')).status, 403)
        const grants = () => edgeGrants(it)
        t.match(grants(), [{ role: 'editor', expiresAtMs: made.json.expiresAtMs }])
        const listed = await bob.call<{ items: GrantView[] }>('GET', '/api/v1/grants?kind=workspace&id=shop')
        t.match(listed.json.items, [{ reason, subject: { name: 'ada' } }])
        t.equal((await bob.call('DELETE', `/api/v1/grants/${made.json.id}`)).status, 204, 'the owner ends it')
        t.same(grants(), [])
        const again = await ada.call<GrantView>('POST', path, { reason })
        await ada.call('POST', path, { reason: 'once more' })
        t.equal(
          (await ada.call('DELETE', `/api/v1/grants/${again.json.id}`)).status,
          404,
          'the later one holds',
        )
        const [last] = (
          await bob.call<{ items: GrantView[] }>('GET', '/api/v1/grants?kind=workspace&id=shop')
        ).json.items
        t.equal((await ada.call('DELETE', `/api/v1/grants/${last?.id}`)).status, 204, 'or the administrator')
        await ada.call('POST', path, { reason })
        const cora = await server.member(ada, 'cora')
        const coraId = (await cora.call<UserView>('GET', '/api/v1/me')).json.id
        await ada.call('PATCH', `/api/v1/users/${coraId}`, { role: 'administrator' })
        await ada.call('PATCH', `/api/v1/users/${(await ada.call<UserView>('GET', '/api/v1/me')).json.id}`, {
          role: 'member',
        })
        t.same(grants(), [], 'it ends with the office')
        owner.end()
      })

      await t.test(
        'what a manager gives ends with what they hold, and themselves they give nothing',
        async (t) => {
          const it = await fresh(t)
          const { ada, bob, eve, eveId, bobId, server } = it
          const at = (ms: number) => ({ expiresAt: new Date(server.clock.now + ms).toISOString() })
          const toMia = { subject: { kind: 'user', id: await idOf(await server.member(ada, 'mia')) } }
          await grant(bob, 'manager', at(3_600_000))
          for (const [name, over, field] of [
            ['themselves, for ever', { role: 'manager' }, 'subject.id'],
            ['themselves, for as long', { role: 'manager', ...at(3_600_000) }, 'subject.id'],
            ['another, for ever', toMia, 'expiresAt'],
            ['another, for longer', { ...toMia, ...at(3_600_001) }, 'expiresAt'],
          ] as const) {
            const refused = await grant(eve, 'viewer', over)
            t.match([refused.status, refused.json], [422, { errors: [{ path: field }] }], name)
          }
          t.equal((await grant(eve, 'manager', { ...toMia, ...at(3_600_000) })).status, 201)
          t.equal(
            (await grant(bob, 'viewer', { subject: { kind: 'user', id: bobId } })).status,
            422,
            'nor an owner',
          )
          server.clock.now += 3_600_000
          const before = (
            await bob.call<{ items: GrantView[] }>('GET', '/api/v1/grants?kind=workspace&id=shop')
          ).json
          t.equal(await verdicts(eve), '404 404 404 404 404 404 404 404 404', 'and nothing is left')
          t.equal(before.items.length, 2)
          // By a group without an end and by their own with one: the longer counts.
          await group(ada, 'crew', eveId)
          await grant(bob, 'manager', { subject: { kind: 'group', id: 'crew' } })
          await grant(bob, 'manager', at(60_000))
          t.equal((await grant(eve, 'viewer', toMia)).status, 201)
        },
      )

      await t.test(
        'an administrator comes to see nothing without a reason that its owner reads',
        async (t) => {
          const it = await fresh(t)
          const { ada, bob, eve, bobId } = it
          const adaId = await idOf(ada)
          const reason = 'the team asked me to help'
          const told = async (): Promise<string[]> =>
            (
              await bob.call<{ items: { code: string; message: string }[] }>('GET', `${api}/shop/events`)
            ).json.items
              .filter(({ code }) => code === 'glass_broken')
              .map(({ message }) => message)
          const sees = async () => (await ada.call('GET', `${api}/shop`)).json.role
          const join = (id: string, body?: object) =>
            ada.call('POST', `/api/v1/groups/${id}/members/${adaId}`, body)

          const crew = await group(ada, 'crew')
          await grant(bob, 'viewer', { subject: { kind: 'group', id: 'crew' } })
          const bare = await join(crew)
          t.match(
            [bare.status, bare.json],
            [422, { errors: [{ path: 'reason' }] }],
            'a group that shop is shared with',
          )
          t.equal((await join(crew, { reason: 'x' })).status, 422)
          t.equal(await sees(), null)
          t.equal(
            (await ada.call('POST', `/api/v1/groups/${crew}/members/${bobId}`)).status,
            204,
            'another is free',
          )
          t.equal((await join(crew, { reason })).status, 204)
          t.equal(await sees(), 'viewer')
          t.match(await told(), [`ada joined the group crew, which opens it: ${reason}`])
          t.equal((await join(crew)).status, 204, 'who is in it already needs none')
          t.match((await ada.call('GET', '/api/v1/audit?action=group.change')).text, reason)
          await ada.call('DELETE', `/api/v1/groups/${crew}/members/${adaId}`)
          t.equal((await join(await group(ada, 'empty'))).status, 204, 'nor for what opens nothing')

          const owners = await group(ada, 'owners', bobId)
          const give = (body: object) => ada.call('POST', `${api}/shop/transfer`, body)
          t.equal((await give({ to: 'ada' })).status, 403, 'taking it over')
          await join(owners, { reason })
          t.equal((await give({ toGroup: 'owners' })).status, 403, 'for a group of their own')
          t.equal((await bob.call('POST', `${api}/shop/transfer`, { toGroup: 'owners' })).status, 202)
          t.equal(await sees(), 'owner', 'its owner may')
          await bob.call('POST', `${api}/shop/transfer`, { to: 'bob' })
          t.equal((await give({ to: 'eve' })).status, 202, 'to somebody else, by office')
          t.equal((await give({ to: 'ada' })).status, 403)
          await ada.call('POST', `${api}/shop/break-glass`, { reason })
          t.equal((await give({ to: 'ada' })).status, 202, 'with a reason')
          t.match((await ada.call('GET', `${api}/shop/events`)).text, reason)
          t.equal((await eve.call('GET', `${api}/shop`)).status, 404)

          await group(ada, 'team', bobId)
          const team = (await ada.call<{ items: GroupView[] }>('GET', '/api/v1/groups')).json.items.find(
            ({ name }) => name === 'team',
          )
          await bob.call('POST', api, { name: 'hidden', image: 'x', ownerGroup: 'team' })
          t.equal((await join(team?.id ?? '')).status, 422, 'a group that owns')
          t.equal((await ada.call('GET', `${api}/hidden`)).json.role, null)
        },
      )

      await t.test('who comes back after losing a right is not left with what they knew', async (t) => {
        const it = await fresh(t)
        const { bob, eve } = it
        const { id } = (await grant(bob, 'viewer')).json
        const first = listen(it, eve)
        await says(first, isLive, 'live')
        t.same(rolesOf(first), ['viewer'])
        const since = Math.max(...first.heard.map((m) => ('revision' in m ? m.revision : 0)))
        first.end()
        await bob.call('DELETE', `/api/v1/grants/${id}`)
        const back = listen(it, eve, `?since=${since}`)
        t.equal(await back.closed(), 4409)
        t.same(back.heard, [{ type: 'resync' }])
      })
    },
  )
}
