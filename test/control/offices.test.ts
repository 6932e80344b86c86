/** What an auditor may, over every route; workspaces of groups; and hosts, templates and images for the holders of grants. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { routeNeeds } from '../../control/authorization/authorization.ts'
import {
  hostNeeds,
  isRestricted,
  mayUseHost,
  mayUseImage,
  repositoryOf,
} from '../../control/authorization/uses.ts'
import type { Uses } from '../../control/authorization/uses.ts'
import type { Grant } from '../../control/store/grants.ts'
import { createWorkspaceSchema } from '../../control/wire/index.ts'
import type { GrantView, GroupView, HostView, Limits, UserView } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
let count = 0
const api = '/api/v1/workspaces'
async function serve(t: Test, databaseUrl: string | null = null): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`), databaseUrl })
  t.teardown(() => server.close())
  return server
}
const idOf = async (one: Client) => (await one.call<UserView>('GET', '/api/v1/me')).json.id

await t.test(
  'an auditor reads what an administrator reads and changes nothing, on every route',
  async (t) => {
    const server = await serve(t)
    const ada = await server.setUp()
    const bob = await server.member(ada, 'bob')
    const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    const shop = (await bob.call('POST', api, { name: 'shop', image: 'x' })).json.id
    const crew = (await ada.call<GroupView>('POST', '/api/v1/groups', { name: 'crew' })).json.id
    const owner = await bob.call<GrantView>('POST', '/api/v1/grants', {
      subject: { kind: 'group', id: crew },
      object: { kind: 'workspace', id: shop },
    })
    const eve = await server.member(ada, 'eve')
    // What she owned before she became one is not hers to change either.
    await eve.call('POST', api, { name: 'before', image: 'x' })
    const eveId = await idOf(eve)
    await ada.call('PATCH', `/api/v1/users/${eveId}`, { role: 'auditor' })
    t.equal((await eve.call('GET', '/api/v1/me')).status, 401, 'a new role is a new session')
    await eve.call(
      'POST',
      '/api/v1/sessions',
      { username: 'eve', password: 'correct horse battery' },
      { 'x-test-ip': 'e' },
    )
    const ids: Record<string, string> = {
      [`/api/v1/users/:id`]: await idOf(bob),
      '/api/v1/groups/:id': crew,
      '/api/v1/grants/:id': owner.json.id,
      '/api/v1/hosts/:id': agent.hostId,
      '/api/v1/workspaces/:id': shop,
    }
    const pathOf = (path: string): string => {
      const [prefix] = /^.*?\/:[a-z]+/.exec(path) ?? ['']
      const first =
        prefix === '' ? path : path.replace(prefix, prefix.replace(/:[a-z]+/, ids[prefix] ?? 'nothing'))
      return first.replaceAll(/:[a-z]+/g, 'nothing')
    }
    const { db } = server.deployment.feed
    const rows = async (): Promise<string> => {
      const tables = [
        'users',
        'workspaces',
        'grants',
        'groups',
        'group_members',
        'hosts',
        'restrictions',
        'host_tokens',
      ]
      return JSON.stringify(await Promise.all(tables.map((table) => db(table).select().orderBy(1))))
    }
    const without = (text: string): string => text.replace(/"(requestId|lastUsedAtMs)":("[^"]*"|\d+)/g, '')
    let read = 0
    let refused = 0
    for (const [key, need] of Object.entries(routeNeeds)) {
      const [method = '', path = ''] = key.split(' ')
      if (['public', 'agent', 'gateway'].includes(need.who)) continue
      if (method === 'GET') {
        const [hers, theirs] = [await eve.call('GET', pathOf(path)), await ada.call('GET', pathOf(path))]
        t.equal(hers.status, theirs.status, key)
        if (need.who === 'reads-all' || need.who === 'workspace')
          t.equal(without(hers.text), without(theirs.text), `${key} reads the same`)
        read++
      } else if (need.own !== true) {
        const before = await rows()
        for (const body of [undefined, {}]) {
          const answer = await eve.call(method, pathOf(path), body)
          t.equal(answer.status, 403, `${key}: ${answer.text}`)
          t.equal(answer.json.code, 'forbidden')
        }
        t.equal(await rows(), before, `${key} changes nothing`)
        refused++
      }
    }
    t.ok(read > 10 && refused > 20, `${read} read, ${refused} refused`)
    t.equal((await eve.call('GET', `${api}?owner=all`)).json.items.length, 2)
    t.equal((await eve.call<Limits>('GET', '/api/v1/limits')).json.mayCreate, false)
    t.equal((await eve.call('POST', `${api}/before/start`)).status, 403)
    const token = await eve.call('POST', '/api/v1/tokens', { name: 't' })
    t.equal(token.status, 201)
    const program = server.client(token.json.token)
    t.equal((await program.call('POST', `${api}/before/stop`)).status, 403, 'nor by a token')
    for (const scopes of [['workspaces:write'], ['connect'], ['admin']])
      t.equal((await eve.call('POST', '/api/v1/tokens', { name: 't', scopes })).status, 403, String(scopes))
  },
)

const grantOn = (over: Partial<Grant>): Grant => ({
  id: 'g',
  subjectKind: 'user',
  subjectId: 'bob',
  role: 'viewer',
  ports: null,
  expiresAtMs: null,
  objectKind: 'host',
  objectId: 'h1',
  capabilities: ['create'],
  reason: null,
  createdBy: 'ada',
  createdAtMs: 0,
  ...over,
})
const bob = { id: 'bob', role: 'member', groups: [] }

await t.test('who may use a host: creating is open, what reaches beyond its walls never is', (t) => {
  const uses = (restricted: boolean, ...grants: Grant[]): Uses => ({
    restrictions: restricted ? [{ kind: 'host', id: 'h1' }] : [],
    grants,
    nowMs: 100,
  })
  t.ok(mayUseHost(uses(false), 'h1', bob))
  t.notOk(mayUseHost(uses(true), 'h1', bob))
  t.ok(mayUseHost(uses(true, grantOn({})), 'h1', bob))
  t.notOk(mayUseHost(uses(true, grantOn({ expiresAtMs: 100 })), 'h1', bob))
  t.notOk(mayUseHost(uses(true, grantOn({ objectId: 'h2' })), 'h1', bob))
  t.notOk(mayUseHost(uses(true, grantOn({ capabilities: ['gpu'] })), 'h1', bob))
  for (const need of ['gpu', 'bind-mounts', 'host-network'] as const) {
    t.notOk(mayUseHost(uses(false), 'h1', bob, [...hostNeeds, need]), need)
    t.ok(mayUseHost(uses(false, grantOn({ capabilities: [need] })), 'h1', bob, [...hostNeeds, need]))
    t.ok(mayUseHost(uses(false), 'h1', { ...bob, role: 'administrator' }, [...hostNeeds, need]))
  }
  t.ok(isRestricted(uses(true), 'host', 'h1'))
  t.end()
})

await t.test('an image is meant by its repository, however it is named', (t) => {
  const uses: Uses = {
    restrictions: [
      { kind: 'image', id: 'secret/tool' },
      { kind: 'image', id: 'node' },
    ],
    grants: [],
    nowMs: 0,
  }
  for (const [reference, repository] of [
    ['node:22', 'node'],
    ['library/node', 'node'],
    ['docker.io/library/node@sha256:aa', 'node'],
    ['index.docker.io/node:1@sha256:aa', 'node'],
    ['registry.example:5000/secret/tool:1', 'registry.example:5000/secret/tool'],
    ['secret/tool', 'secret/tool'],
  ] as const)
    t.equal(repositoryOf(reference), repository)
  for (const no of [
    'node',
    'node:22',
    'docker.io/library/node',
    'secret/tool@sha256:aa',
    'sha256:abcdef',
    'abcdef123456',
    // An engine takes the first few digits for an image's id, too.
    'abc',
    'sha256:abc',
  ])
    t.notOk(mayUseImage(uses, no, bob), no)
  for (const yes of ['nodes', 'other/node', 'secret/tools:1', 'abc:latest'])
    t.ok(mayUseImage(uses, yes, bob), yes)
  t.ok(mayUseImage({ ...uses, restrictions: [] }, 'abcdef123456', bob))
  // A program that tidies paths would read another repository in these, or none.
  const takes = (image: string): boolean => createWorkspaceSchema.safeParse({ name: 'shop', image }).success
  for (const no of ['secret//tool:1', 'other/../secret/tool', './node', '../node', 'node/', 'node:', 'a@@b'])
    t.notOk(takes(no), no)
  for (const yes of ['node', 'r.example:5000/a/b_c--d:v1.2-x', 'node:22@sha256:ab', 'sha256:ab'])
    t.ok(takes(yes), yes)
  t.ok(mayUseImage({ ...uses, grants: [grantOn({ objectKind: 'image', objectId: 'node' })] }, 'node:1', bob))
  t.end()
})

const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
for (const dialect of ['sqlite', 'postgres'] as const) {
  const skip = dialect === 'postgres' && postgres === null ? 'PostgreSQL' : false
  await t.test(`${dialect}: groups own, restrictions hold`, { skip }, async (t) => {
    const url = dialect === 'postgres' ? await postgres?.database('offices') : null
    const server = await serve(t, url ?? null)
    const ada = await server.setUp()
    const [bob, eve] = [await server.member(ada, 'bob'), await server.member(ada, 'eve')]
    const { hostId } = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    const crew = (await ada.call<GroupView>('POST', '/api/v1/groups', { name: 'crew' })).json.id
    const create = (who: Client, name: string, more: object = {}) =>
      who.call('POST', api, { name, image: 'x', ...more })

    t.equal((await create(bob, 'ours', { ownerGroup: 'crew' })).status, 422, 'only one’s own groups')
    for (const who of [bob, eve]) await ada.call('POST', `/api/v1/groups/${crew}/members/${await idOf(who)}`)
    const ours = await create(bob, 'ours', { ownerGroup: 'crew' })
    t.match(ours.json, { role: 'owner', ownerGroup: { name: 'crew' }, owner: { username: 'bob' } }, ours.text)
    t.match((await eve.call('GET', `${api}/ours`)).json, { role: 'owner' })
    t.equal((await eve.call('PATCH', `${api}/ours`, { cpu: 1 })).status, 202)
    t.equal((await ada.call('DELETE', `/api/v1/groups/${crew}`)).json.code, 'group_in_use')
    await ada.call('DELETE', `/api/v1/groups/${crew}/members/${await idOf(bob)}`)
    t.equal((await bob.call('GET', `${api}/ours`)).status, 404, 'who answers for it owns it only inside')
    t.same((await bob.call('GET', api)).json.items, [])
    t.equal((await eve.call('DELETE', `${api}/ours?purge=true`)).status, 202)

    const shut = await ada.call<HostView>('PATCH', `/api/v1/hosts/${hostId}`, { restricted: true })
    t.match(shut.json, { id: hostId, restricted: true })
    const hosts = await ada.call<{ items: HostView[] }>('GET', '/api/v1/hosts')
    t.match(hosts.json.items, [{ restricted: true }])
    const refused = await create(bob, 'one')
    t.match([refused.status, refused.json.code], [403, 'forbidden'])
    t.match((await bob.call<Limits>('GET', '/api/v1/limits')).json, {
      mayCreate: false,
      refusal: /No host here is open to you/,
    })
    t.equal((await create(ada, 'adas')).status, 202, 'administrators need no grant')
    const host = { object: { kind: 'host', id: hostId } }
    const toCrew = { subject: { kind: 'group', id: crew } }
    const toBob = { subject: { kind: 'user', id: 'bob' } }
    t.equal(
      (await eve.call('POST', '/api/v1/grants', { ...host, ...toCrew, capabilities: ['create'] })).status,
      403,
    )
    t.equal((await ada.call('POST', '/api/v1/grants', { ...host, ...toBob })).status, 422, 'it says for what')
    await ada.call('POST', '/api/v1/grants', { ...host, ...toBob, capabilities: ['gpu'] })
    t.equal((await create(bob, 'one')).status, 403, 'a GPU is not room')
    const given = await ada.call<GrantView>('POST', '/api/v1/grants', {
      ...host,
      ...toCrew,
      capabilities: ['create', 'gpu'],
    })
    t.match(given.json, { capabilities: ['create', 'gpu'], object: { kind: 'host' } })
    t.equal((await create(eve, 'eves')).status, 202, 'by her group')
    await eve.call('POST', `${api}/eves/stop`)
    await ada.call('DELETE', `/api/v1/grants/${given.json.id}`)
    t.equal(
      (await eve.call('POST', `${api}/eves/start`)).status,
      202,
      'what is placed stays where its data is',
    )
    await ada.call('PATCH', `/api/v1/hosts/${hostId}`, { restricted: false })
    t.equal((await create(bob, 'one')).status, 202)

    const restrict = (kind: string, id: string) => ada.call('POST', '/api/v1/restrictions', { kind, id })
    t.equal((await bob.call('POST', '/api/v1/restrictions', { kind: 'image', id: 'x' })).status, 403)
    t.equal((await bob.call('GET', '/api/v1/restrictions')).status, 403)
    t.equal((await restrict('template', 'nothing')).status, 404)
    t.same((await restrict('image', 'docker.io/library/x:1')).json, { kind: 'image', id: 'x' })
    t.equal((await create(bob, 'two')).status, 403)
    t.equal((await bob.call('PATCH', `${api}/one`, { image: 'x:2' })).status, 403)
    t.equal(
      (await bob.call('PATCH', `${api}/one`, { image: 'x', cpu: 1 })).status,
      202,
      'what it has it keeps',
    )
    await ada.call('POST', '/api/v1/grants', { ...toBob, object: { kind: 'image', id: 'x:3' } })
    t.equal((await create(bob, 'two')).status, 202)
    t.equal((await ada.call('DELETE', '/api/v1/restrictions?kind=image&id=x')).status, 204)
    t.same((await ada.call('GET', '/api/v1/restrictions')).json.items, [])
  })
}

await t.test('a restricted template is there for the holders of a grant only', async (t) => {
  const server = await controlServer({
    stateDirectory: join(root, `s${++count}`),
    templateDirectories: [
      t.testdir({ secret: { 'template.yml': 'title: Secret\nsummary: s\ncontainer: { image: a }\n' } }),
    ],
  })
  t.teardown(() => server.close())
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  const names = async (who: Client) =>
    (await who.call<{ items: { name: string }[] }>('GET', '/api/v1/templates')).json.items.map(
      ({ name }) => name,
    )
  const create = (name: string, template: string) => bob.call('POST', api, { name, template })
  t.same(await names(bob), ['secret'])
  t.equal((await create('one', 'secret')).status, 202)
  t.equal((await ada.call('POST', '/api/v1/restrictions', { kind: 'template', id: 'secret' })).status, 201)
  t.same(await names(bob), [])
  t.match((await ada.call('GET', '/api/v1/templates')).json.items, [{ name: 'secret', restricted: true }])
  const [no, never] = [await create('two', 'secret'), await create('two', 'absent')]
  const same = (text: string): string =>
    text.replace(/"requestId":"\w+"/, '').replaceAll(/secret|absent/g, '')
  t.same([no.status, same(no.text)], [422, same(never.text)], 'restricted and absent are one answer')
  t.equal((await bob.call('PATCH', `${api}/one`, { cpu: 1 })).status, 202, 'what was made from it lives on')
  await ada.call('POST', '/api/v1/grants', {
    subject: { kind: 'user', id: 'bob' },
    object: { kind: 'template', id: 'secret' },
  })
  t.same(await names(bob), ['secret'])
  t.equal((await create('two', 'secret')).status, 202)
})
