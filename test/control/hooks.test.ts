/** Webhooks: signed, sent once by one server, tried again until they are dead, and never where they must not go. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { addressBarrier } from '../../control/hooks/hook-address.ts'
import { DELIVERED_MAX, KEPT_MS, OWED_MAX } from '../../control/hooks/hook-keeping.ts'
import { BACK_OFF_MS, CLAIM_MS } from '../../control/hooks/hook-sender.ts'
import type { Delivery, HookView } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer, password } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'
import type { Receiver } from '../support/audit-receiver.ts'
import { startReceiver } from '../support/audit-receiver.ts'
import { until } from '../support/until.ts'

const root = t.testdir({})
let count = 0
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
const databases = postgres === null ? (['sqlite'] as const) : (['sqlite', 'postgres'] as const)

async function serve(t: Test, database: 'sqlite' | 'postgres', options = {}): Promise<ControlServer> {
  const name = `h${++count}`
  const databaseUrl = database === 'postgres' ? ((await postgres?.database(name)) ?? null) : null
  const given = { stateDirectory: join(root, name), databaseUrl, hookTargets: 'any' as const, ...options }
  const server = await controlServer(given)
  t.teardown(() => server.close())
  return server
}

async function receiver(t: Test): Promise<Receiver> {
  const made = await startReceiver()
  t.teardown(() => made.close())
  return made
}

type Made = HookView & { readonly secret: string }
async function hook(client: Client, url: string, over: object = {}): Promise<Made> {
  const answer = await client.call<Made>('POST', '/api/v1/hooks', { name: 'ci', url, events: ['*'], ...over })
  if (answer.status !== 201) throw new Error(answer.text)
  return answer.json
}
const deliveries = async (client: Client, id: string, query = ''): Promise<readonly Delivery[]> =>
  (await client.call<{ items: Delivery[] }>('GET', `/api/v1/hooks/${id}/deliveries${query}`)).json.items

for (const database of databases)
  await t.test(`${database}: what came about is sent, signed as the convention says`, async (t) => {
    const [server, to] = [await serve(t, database), await receiver(t)]
    const ada = await server.setUp()
    await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    const made = await hook(ada, `${to.url}/all?x=1`, {
      events: ['workspace.*', 'access.denied', 'host.away'],
    })
    t.match(made.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
    to.secret = made.secret
    t.notMatch((await ada.call('GET', '/api/v1/hooks')).text, /secret/, 'it is shown once')
    const stored = JSON.stringify(await server.deployment.feed.db('hooks'))
    t.notOk(stored.includes(made.secret.slice(6)), 'and sealed at rest')

    const bob = await server.member(ada, 'bob')
    await ada.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'alpine:3' })
    await ada.call('POST', '/api/v1/workspaces/shop/stop')
    await bob.call('GET', '/api/v1/users')
    server.clock.now += 60_000
    await server.sweep()
    await server.hooks.round()
    t.same(
      to.got.map(({ body }) => body.type).sort(),
      [
        'access.denied',
        'host.away',
        'workspace.create',
        'workspace.phase',
        'workspace.phase',
        'workspace.stop',
      ].sort(),
    )
    t.ok(
      to.got.every(({ genuine }) => genuine),
      'an independent receiver knows them',
    )
    t.equal(new Set(to.got.map(({ id }) => id)).size, 6)
    t.ok(to.got.every(({ timestamp }) => timestamp === Math.floor(server.clock.now / 1000)))
    const created = to.got.find(({ body }) => body.type === 'workspace.create')
    t.match(created?.body.data, { actor: { name: 'ada' }, object: { name: 'shop' }, outcome: 'ok' })
    t.notMatch(created?.text, /127\.0\.0\.1/, 'where a person came from stays here')
    const denied = to.got.find(({ body }) => body.type === 'access.denied')
    t.match(denied?.body.data, { outcome: 'forbidden', actor: { name: 'bob' } })
    t.equal((await deliveries(ada, made.id, '?state=delivered')).length, 6)
    await server.hooks.round()
    t.equal(to.got.length, 6, 'once each')
    t.equal((await bob.call('GET', '/api/v1/hooks')).status, 403)
    for (const wrong of ['ftp://x/', 'http://u:p@x/', 'x', 'http://x/#y'])
      t.equal(
        (await ada.call('POST', '/api/v1/hooks', { name: 'x', url: wrong, events: ['*'] })).status,
        422,
        wrong,
      )
    t.equal(
      (await ada.call('POST', '/api/v1/hooks', { name: 'x', url: to.url, events: ['shop.*'] })).status,
      422,
    )
  })

for (const database of databases)
  await t.test(
    `${database}: a receiver that is away fills no disk, and what is given up is counted`,
    async (t) => {
      const [server, to] = [await serve(t, database), await receiver(t)]
      const ada = await server.setUp()
      const { db } = server.deployment.feed
      const away = await hook(ada, `${to.url}/away`, { events: ['host.away'] })
      const other = await hook(ada, `${to.url}/other`, { events: ['host.away'] })
      const nowMs = server.clock.now
      const row = (hookId: string, state: string, n: number, more = {}) => ({
        id: `msg_${hookId.slice(0, 8)}_${state}_${n}`,
        hook_id: hookId,
        event: 'host.away',
        body: '{}',
        state,
        attempts: 0,
        next_at_ms: nowMs,
        claim: null,
        claimed_until_ms: 0,
        error: '',
        answer: '',
        created_at_ms: nowMs,
        ended_at_ms: state === 'waiting' ? null : nowMs,
        ...more,
      })
      const fill = (hookId: string, state: string, count: number, more = {}) =>
        db.batchInsert(
          'deliveries',
          Array.from({ length: count }, (_, n) => row(hookId, state, n, more)),
          50,
        )
      await fill(away.id, 'waiting', OWED_MAX - 100)
      await fill(away.id, 'dead', 150)
      await fill(away.id, 'delivered', DELIVERED_MAX + 20)
      await fill(other.id, 'dead', 3)
      const counts = async (id: string) => {
        const { items } = (await ada.call<{ items: HookView[] }>('GET', '/api/v1/hooks')).json
        const found = items.find((each) => each.id === id)
        return [...Object.values(found?.deliveries ?? {}), found?.dropped]
      }
      await server.hooks.sweep()
      t.same(await counts(away.id), [OWED_MAX - 100, DELIVERED_MAX, 100, 50])
      t.same(await counts(other.id), [0, 0, 3, 0])
      const dead = await deliveries(ada, away.id, '?state=dead&limit=200')
      t.same(
        [dead.at(0)?.id, dead.at(-1)?.id].map((id) => id?.split('_').at(-1)),
        ['149', '50'],
        'the oldest dead ones went first',
      )
      await db.batchInsert(
        'deliveries',
        Array.from({ length: 130 }, (_, n) => row(away.id, 'waiting', OWED_MAX + n)),
        50,
      )
      // One that is being sent at the moment is not taken from under who sends it.
      const first = { hook_id: away.id, state: 'waiting' }
      const [oldest] = await db('deliveries').where(first).orderBy('seq').limit(1)
      await db('deliveries')
        .where({ id: oldest.id })
        .update({ claim: 'x', claimed_until_ms: nowMs + 120_000 })
      await server.hooks.sweep()
      t.equal((await counts(away.id))[3], 50, 'once a minute')
      server.clock.now += 60_001
      await server.hooks.sweep()
      t.same(
        await counts(away.id),
        [OWED_MAX, DELIVERED_MAX, 0, 180],
        'and when none is dead, the longest waiting',
      )
      const left = await db('deliveries').where(first).orderBy('seq').limit(2)
      t.same(
        left.map(({ id }) => String(id).split('_').at(-1)),
        ['0', '31'],
      )
      server.clock.now += KEPT_MS
      await server.hooks.sweep()
      t.equal((await db('deliveries').limit(1)).length, 0, 'what rests for a month goes too')
      const [{ dropped }] = await db('hooks').where({ id: away.id })
      t.equal(Number(dropped), 180 + OWED_MAX)
      t.equal(to.got.length, 0)
    },
  )

for (const database of databases)
  await t.test(
    `${database}: what is not taken is tried again, then dead, then sent anew by hand`,
    async (t) => {
      const [server, to] = [await serve(t, database), await receiver(t)]
      const ada = await server.setUp()
      const long = 'no\n'.repeat(5000)
      to.script = (path, n) =>
        path === '/moved'
          ? { status: 302, headers: { location: '/all' } }
          : path === '/later' && n === 3
            ? { status: 200, body: 'thanks' }
            : { status: 500, body: long }
      const only = { events: ['user.create'] }
      const moved = await hook(ada, `${to.url}/moved`, only)
      const later = await hook(ada, `${to.url}/later`, only)
      const never = await hook(ada, `${to.url}/never`, only)
      const resting = await hook(ada, `${to.url}/resting`, { ...only, enabled: false })
      await ada.call('POST', '/api/v1/users', { username: 'eve', password })
      await ada.call('PATCH', `/api/v1/hooks/${never.id}`, { enabled: false })
      await server.hooks.round()
      t.same(to.got.map(({ path }) => path).sort(), ['/later', '/moved'], 'no redirect is followed')
      t.match(await deliveries(ada, moved.id), [{ status: 302, state: 'waiting', attempts: 1 }])
      t.equal((await deliveries(ada, never.id))[0]?.attempts, 0, 'who rests is not sent to')
      t.same(await deliveries(ada, resting.id), [], 'nor told of anything new')
      await ada.call('PATCH', `/api/v1/hooks/${never.id}`, { enabled: true })
      for (const wait of BACK_OFF_MS) {
        await server.hooks.round()
        server.clock.now += wait - 1
        await server.hooks.round()
        server.clock.now += 1
      }
      await server.hooks.round()
      const tries = (path: string): number => to.got.filter((each) => each.path === path).length
      t.equal(tries('/later'), 3)
      t.match(await deliveries(ada, later.id), [
        { state: 'delivered', attempts: 3, answer: 'thanks', error: '' },
      ])
      t.equal(tries('/never'), BACK_OFF_MS.length + 1, 'ten tries, none too early')
      const [dead] = await deliveries(ada, never.id, '?state=dead')
      t.match(dead, { state: 'dead', status: 500, error: 'answered 500', nextTryAtMs: null })
      t.equal(dead?.answer.length, 1000)
      server.clock.now += 86_400_000
      await server.hooks.round()
      t.equal(tries('/never'), BACK_OFF_MS.length + 1, 'dead is dead')
      to.script = () => ({ status: 200 })
      const again = await ada.call('POST', `/api/v1/hooks/${never.id}/deliveries/${dead?.id}/redeliver`)
      t.equal(again.status, 202)
      await server.hooks.round()
      t.equal((await deliveries(ada, never.id))[0]?.state, 'delivered')
      t.equal(to.got.at(-1)?.id, dead?.id, 'under the same id, so that a receiver can tell')
      const elsewhere = await ada.call('POST', `/api/v1/hooks/${later.id}/deliveries/${dead?.id}/redeliver`)
      t.equal(elsewhere.status, 404)
      t.equal((await ada.call('DELETE', `/api/v1/hooks/${never.id}`)).status, 204)
      t.equal((await ada.call('GET', `/api/v1/hooks/${never.id}/deliveries`)).status, 404)
      server.clock.now += 31 * 86_400_000
      await server.sweep()
      t.same(await server.deployment.feed.db('deliveries'), [], 'old ones are forgotten')
    },
  )

await t.test('a receiver that never answers is given up, and holds up nobody else', async (t) => {
  const [server, to] = [await serve(t, 'sqlite'), await receiver(t)]
  const ada = await server.setUp()
  to.script = (path) => (path === '/mute' ? 'silence' : { status: 204 })
  const mute = await hook(ada, `${to.url}/mute`, { events: ['user.create'] })
  await hook(ada, `${to.url}/well`, { events: ['user.*'] })
  await ada.call('POST', '/api/v1/users', { username: 'eve', password })
  const sinceMs = Date.now()
  const round = server.hooks.round()
  await until(() => to.got.some(({ path }) => path === '/well'), { timeoutMs: 30_000 })
  await ada.call('POST', '/api/v1/users', { username: 'mallory', password })
  void server.hooks.round()
  await until(() => to.got.filter(({ path }) => path === '/well').length === 2, { timeoutMs: 30_000 })
  // On a machine that was slower than the mute one was waited for, nothing is to be seen.
  if (Date.now() - sinceMs < 9000)
    t.equal((await deliveries(ada, mute.id)).filter(({ attempts }) => attempts > 0).length, 0)
  await round
  const [last] = (await deliveries(ada, mute.id)).slice(-1)
  t.match(last, { state: 'waiting', attempts: 1, status: null, error: 'no answer within 10 s' })
})

await t.test('no message goes to where none may go', async (t) => {
  const to = await receiver(t)
  const server = await serve(t, 'sqlite', { hookTargets: 'public' })
  const ada = await server.setUp()
  const port = String(to.port)
  const targets: Record<string, RegExp> = {
    [`http://127.0.0.1:${port}/`]: /127\.0\.0\.1: it is loopback/,
    [`http://localhost:${port}/`]: /it is loopback/,
    [`http://[::1]:${port}/`]: /::1: it is loopback/,
    [`http://[::ffff:127.0.0.1]:${port}/`]: /it is loopback/,
    [`http://2130706433:${port}/`]: /it is loopback/,
    [`http://0.0.0.0:${port}/`]: /it is unspecified/,
    'http://169.254.169.254/latest/meta-data': /it is linkLocal/,
  }
  for (const url of Object.keys(targets)) await hook(ada, url, { name: url, events: ['user.create'] })
  await ada.call('POST', '/api/v1/users', { username: 'eve', password })
  await server.hooks.round()
  const hooks = (await ada.call<{ items: HookView[] }>('GET', '/api/v1/hooks')).json.items
  for (const { id, url, name } of hooks) {
    const [tried] = await deliveries(ada, id)
    t.match(tried?.error, targets[name] ?? /none/, url)
    t.equal(tried?.status, null)
  }
  t.equal(hooks.length, Object.keys(targets).length)
  t.equal(to.connections(), 0, 'nothing was even connected to')

  const judged: [string, 'public' | 'any', boolean][] = [
    ['93.184.215.14', 'public', true],
    ['2606:2800:21f:cb07:6820:80da:af6b:8b2c', 'public', true],
    ['10.1.2.3', 'public', false],
    ['10.1.2.3', 'any', true],
    ['192.168.1.1', 'public', false],
    ['fd12::1', 'any', true],
    ['100.64.0.1', 'public', false],
    ['127.0.0.1', 'any', true],
    ['169.254.169.254', 'any', false],
    ['fe80::1', 'any', false],
    ['::ffff:169.254.169.254', 'any', false],
    ['fd00:ec2::254', 'any', false],
    ['100.100.100.200', 'any', false],
    ['64:ff9b::a9fe:a9fe', 'any', false],
    ['2002:a9fe:a9fe::1', 'any', false],
    ['172.30.4.5', 'any', false],
    ['::ffff:172.30.4.5', 'any', false],
    ['224.0.0.1', 'any', false],
    ['255.255.255.255', 'any', false],
    ['0.0.0.0', 'any', false],
    ['::', 'any', false],
    ['nonsense', 'any', false],
  ]
  for (const [address, targetsAre, isOpen] of judged)
    t.equal(
      addressBarrier(address, targetsAre, ['172.30.0.0/16']) === null,
      isOpen,
      `${address} ${targetsAre}`,
    )
})

await t.test('two servers on one database send each message once', { skip: postgres === null }, async (t) => {
  const databaseUrl = (await postgres?.database('twice')) ?? null
  const to = await receiver(t)
  const one = await serve(t, 'sqlite', { databaseUrl, stateDirectory: join(root, 'twice') })
  const two = await serve(t, 'sqlite', { databaseUrl, stateDirectory: join(root, 'twice') })
  const ada = await one.setUp()
  const made = await hook(ada, to.url, { events: ['token.create'] })
  to.secret = made.secret
  for (let i = 0; i < 40; i++) await ada.call('POST', '/api/v1/tokens', { name: `t${i}` })
  await Promise.all([one, two, one, two].map((server) => server.hooks.round()))
  t.equal(to.got.length, 40)
  t.equal(new Set(to.got.map(({ id }) => id)).size, 40, 'each once')
  t.ok(to.got.every(({ genuine }) => genuine))

  // What one has claimed and never settled is the other's when the claim is over.
  to.script = (_, n) => (n === 41 ? 'silence' : { status: 204 })
  await ada.call('POST', '/api/v1/tokens', { name: 'last' })
  const lost = one.hooks.round()
  await until(() => to.got.length === 41, { timeoutMs: 30_000 })
  await two.hooks.round()
  t.equal(to.got.length, 41, 'as long as it is claimed nobody else sends it')
  two.clock.now = one.clock.now + CLAIM_MS + 1
  await two.hooks.round()
  t.equal(to.got.length, 42)
  t.equal(to.got[41]?.id, to.got[40]?.id, 'the same message')
  to.hangUp()
  await lost
  t.equal((await deliveries(ada, made.id, '?state=waiting')).length, 0, 'who comes late changes nothing')
})

await t.test('a server killed between claim and answer sends it again when it is back', async (t) => {
  const stateDirectory = join(root, 'killed')
  const to = await receiver(t)
  const first = await controlServer({ stateDirectory, hookTargets: 'any' })
  const ada = await first.setUp()
  to.secret = (await hook(ada, to.url, { events: ['user.create'] })).secret
  await ada.call('POST', '/api/v1/users', { username: 'eve', password })
  await first.close()

  to.script = (_, n) => (n === 1 ? 'silence' : { status: 200 })
  const child = fileURLToPath(new URL('../support/audit-child.js', import.meta.url))
  const start = () => fork(child, [stateDirectory])
  const victim = start()
  t.teardown(() => victim.kill('SIGKILL'))
  t.same(await once(victim, 'message'), ['open', undefined])
  await until(() => to.got.length === 1, { timeoutMs: 30_000 })
  victim.kill('SIGKILL')
  await once(victim, 'exit')
  const next = start()
  t.teardown(() => next.kill('SIGKILL'))
  await until(() => to.got.length === 2, { timeoutMs: 30_000 })
  t.equal(to.got[1]?.id, to.got[0]?.id)
  t.ok(to.got.every(({ genuine }) => genuine))
  next.kill('SIGKILL')
  await once(next, 'exit')
})
