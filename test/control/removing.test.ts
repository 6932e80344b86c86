/** What an administrator takes away for good: a host that is gone, and the reservation of a purged name. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { HostView, Registered } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { agentKey, controlServer, type ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
let count = 0
async function serve(t: Test): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`) })
  t.teardown(() => server.close())
  return server
}

t.test('a host without workspaces is forgotten, and its agent with it', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const { token } = (await ada.call('POST', '/api/v1/hosts/tokens', { name: 'gpu box' })).json
  const registration = agentKey().registration(server.clock.now)
  const register = (secret: string) =>
    server.client(secret).call<Registered>('POST', '/api/agent/v1/register', registration)
  const joined = (await register(token)).json
  const host = `/api/v1/hosts/${joined.hostId}`
  const created = await ada.call('POST', '/api/v1/workspaces', { name: 'one', image: 'x:1' })
  t.equal(created.status, 202, JSON.stringify(created.json))

  t.equal((await bob.call('DELETE', host)).status, 403, 'not by a member')
  t.match(await ada.call('DELETE', host), {
    status: 409,
    json: { code: 'host_in_use', detail: /one/, hint: /Purge/ },
  })
  await ada.call('DELETE', '/api/v1/workspaces/one')
  t.equal((await ada.call('DELETE', host)).status, 409, 'the trash counts')

  const agent = server.client(joined.credential ?? '')
  const epoch = { 'x-postern-epoch': '1' }
  const ask = () => agent.call('GET', '/api/agent/v1/desired?since=0', undefined, epoch)
  const { revision } = (await ask()).json
  await ada.call('DELETE', '/api/v1/workspaces/one?purge=true')
  await agent.call(
    'POST',
    '/api/agent/v1/report',
    {
      revision: (await ask()).json.revision,
      observed: true,
      health: { status: 'healthy', message: '', warnings: [] },
      workspaces: [],
    },
    epoch,
  )
  const waiting = agent.call(
    'GET',
    `/api/agent/v1/desired?since=${(await ask()).json.revision}`,
    undefined,
    epoch,
  )
  t.not(revision, undefined)
  t.match(await ada.call('DELETE', host), { status: 204 })
  t.equal((await waiting).status, 401, 'the agent that waited is told at once')
  t.equal((await ask()).status, 401, 'its credential is dead')
  t.equal((await register(joined.credential ?? '')).status, 401)
  t.equal((await register(token)).status, 401, 'and so is the token that it joined with')
  const { items } = (await ada.call<{ items: HostView[] }>('GET', '/api/v1/hosts')).json
  t.notOk(items.some(({ id }) => id === joined.hostId))
  t.equal((await ada.call('DELETE', host)).status, 404)
})

t.test('the server’s own host stays', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const { hostId } = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  t.match(await ada.call('DELETE', `/api/v1/hosts/${hostId}`), { status: 409, json: { code: 'host_in_use' } })
})

t.test('a purged name is its former owner’s until it is freed', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const [bob, eve] = [await server.member(ada, 'bob'), await server.member(ada, 'eve')]
  const create = (who: typeof bob) => who.call('POST', '/api/v1/workspaces', { name: 'mine', image: 'x:1' })
  t.equal((await create(bob)).status, 202)
  await bob.call('DELETE', '/api/v1/workspaces/mine?purge=true')
  t.match(await create(eve), { status: 409, json: { code: 'name_taken' } })
  t.match((await ada.call('GET', '/api/v1/names')).json, {
    items: [{ name: 'mine', owner: { username: 'bob' }, sinceMs: server.clock.now }],
  })
  for (const method of ['GET', 'DELETE'])
    t.equal((await eve.call(method, `/api/v1/names${method === 'GET' ? '' : '/mine'}`)).status, 403)
  t.equal((await ada.call('DELETE', '/api/v1/names/mine')).status, 204)
  t.equal((await ada.call('DELETE', '/api/v1/names/mine')).status, 404)
  t.same((await ada.call('GET', '/api/v1/names')).json, { items: [] })
  t.equal((await create(eve)).status, 202, 'anybody may take it now')
})
