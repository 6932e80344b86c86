/** What visitors do at a `postern gateway` of its own process reaches control: visits, refusals, the last use of their sessions. */
import t from 'tap'
import { paths } from '../../control/wire/index.ts'
import { password } from '../support/control-server.ts'
import { startGatewayProcess } from '../support/product-gateway.ts'
import { pageOf, startReplicaServer, visitorOf } from '../support/replica-server.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)
const LONG = { timeoutMs: 60_000, everyMs: 50 }

t.test('what visitors do at a replica is known in control', async (t) => {
  const server = await startReplicaServer(t, 600_000)
  await server.member('bob')
  await server.member('eve')
  const id = await server.workspace(server.admin, 'shop', 'members')
  await server.workspace(server.admin, 'safe')
  const gateway = await startGatewayProcess(t, server)
  const bob = await visitorOf(gateway, 'bob', pageOf(server, `shop-${server.upstream.port}`))
  const eve = gateway.client()
  await eve.submit('/sign-in', { username: 'eve', password })
  const { token } = await eve.must<{ token: string }>('POST', '/api/v1/tokens', {
    name: 'eve’s',
    scopes: ['connect'],
  })
  const safe = await eve.ask(pageOf(server, 'safe'), { headers: { 'X-Postern-Token': token } })
  t.equal(safe.status, 404)

  interface Row {
    action: string
    actor: { name: string }
    workspace: { id: string; name: string } | null
    outcome: string
    origin: { ip: string }
  }
  const rows = async (action: string): Promise<readonly Row[]> =>
    (await server.admin.must<{ items: Row[] }>('GET', `/api/v1/audit?action=${action}`)).items
  const [visit] = await until(async () => {
    await server.parts.sweep()
    const found = await rows('access.connect')
    return found.length > 0 ? found : null
  }, LONG)
  t.match(visit, { actor: { name: 'bob' }, outcome: 'ok' })
  t.match(JSON.stringify(visit), id)
  const [denied] = await until(async () => {
    await server.parts.sweep()
    const found = (await rows('access.denied')).filter(({ actor }) => actor.name === 'eve')
    return found.length > 0 ? found : null
  }, LONG)
  t.match(denied, { outcome: 'not_found' })
  for (const path of [paths.gatewayActivity, paths.gatewaySessionUsed]) t.ok(server.asked(path) > 0, path)

  // Neither process remembers now that it was told of the session, which was used an hour ago.
  await gateway.cli.end()
  const longAgo = Date.now() - 3_600_000
  await server.parts.deployment.feed.db('sessions').update({ last_used_at_ms: longAgo })
  await server.stop()
  await server.start()
  await gateway.start()
  const { items } = await server.admin.must<{ items: { id: string; username: string }[] }>(
    'GET',
    '/api/v1/users',
  )
  const bobId = items.find(({ username }) => username === 'bob')?.id ?? ''
  // Not asked by bob, who would use it by that.
  const lastUse = async (): Promise<number> => {
    const sessions = await server.admin.must<{ items: { lastUsedAtMs: number }[] }>(
      'GET',
      `/api/v1/users/${bobId}/sessions`,
    )
    return Math.max(...sessions.items.map(({ lastUsedAtMs }) => lastUsedAtMs))
  }
  t.equal(await lastUse(), longAgo)
  t.equal((await bob.ask(pageOf(server, `shop-${server.upstream.port}`))).status, 200)
  await until(async () => (await lastUse()) > longAgo + 3_500_000, { ...LONG, what: 'the last use' })
})
