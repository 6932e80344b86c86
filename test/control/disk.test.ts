/** The size of a workspace's disk: where it goes, what it may become, and quotas of it under many hands, on both databases. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { diskProblem, heldDisk } from '../../control/lifecycle/disk.ts'
import { lacking } from '../../control/lifecycle/spec.ts'
import { place } from '../../control/placement/placement.ts'
import { checkTransfer } from '../../control/service/ledger.ts'
import { findWorkspace } from '../../control/store/workspaces.ts'
import { phases } from '../../control/wire/index.ts'
import type { Limits, QuotaView, UserView, WorkspaceView } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer } from '../support/control-server.ts'
import type { Client } from '../support/control-server.ts'

const root = t.testdir({})
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())
let count = 0
const GIB = 1024 ** 3
const holding = {
  images: true,
  isolation: true,
  limits: { cpu: true, memory: true, disk: true },
  growsDisk: true,
}

async function world(t: Test, over: { databaseUrl?: string | null; capabilities?: object } = {}) {
  const { databaseUrl = null, capabilities = holding } = over
  const name = `disk${++count}`
  const templates = join(root, `${name}-templates`)
  mkdirSync(join(templates, 'data'), { recursive: true })
  const text = 'title: Data\ncontainer: { image: "data:1" }\ndisk_bytes: 3221225472\n'
  writeFileSync(join(templates, 'data', 'template.yml'), text)
  const stateDirectory = join(root, name)
  const server = await controlServer({ stateDirectory, databaseUrl, templateDirectories: [templates] })
  t.teardown(() => server.close())
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const bobId = (await bob.call<UserView>('GET', '/api/v1/me')).json.id
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now, { capabilities })
  return { server, ada, bob, bobId, agent }
}

const create = (who: Client, name: string, more: object = {}) =>
  who.call<WorkspaceView>('POST', '/api/v1/workspaces', { name, image: 'x:1', ...more })
const patch = (who: Client, id: string, body: object) =>
  who.call<WorkspaceView>('PATCH', `/api/v1/workspaces/${id}`, body)
const put = (ada: Client, id: string, quota: object) =>
  ada.call<QuotaView>('PUT', `/api/v1/quotas/user/${id}`, quota)
const limitsOf = async (who: Client): Promise<Limits> =>
  (await who.call<Limits>('GET', '/api/v1/limits')).json
const used = async (who: Client): Promise<number | undefined> => (await limitsOf(who)).quota.diskBytes?.used

for (const store of ['SQLite', 'PostgreSQL'] as const) {
  const skip = store === 'PostgreSQL' && postgres === null && 'PostgreSQL is not installed'
  await t.test(`no number of hands takes more disk than a quota has, on ${store}`, { skip }, async (t) => {
    const databaseUrl = store === 'SQLite' ? null : ((await postgres?.database(`disk${++count}`)) ?? '')
    const { server, ada, bob, bobId, agent } = await world(t, { databaseUrl })
    const unsized = (await create(bob, 'before')).json
    t.equal(unsized.spec.diskBytes, null, 'where no quota counts it, nobody must name it')
    t.match(await put(ada, bobId, { diskBytes: 45 * GIB }), {
      status: 200,
      json: { quota: { diskBytes: 45 * GIB }, standing: { diskBytes: { used: 0, max: 45 * GIB } } },
    })
    t.match((await create(bob, 'plain')).json, { spec: { diskBytes: 10 * GIB } }, 'it gets the default')
    const creates = await Promise.all(
      Array.from({ length: 20 }, (_, n) => create(bob, `w${n}w`, { diskBytes: 10 * GIB })),
    )
    const took = creates.filter(({ status }) => status === 202).map(({ json }) => json.id)
    t.equal(took.length, 3)
    for (const each of creates.filter(({ status }) => status !== 202))
      t.match(each, {
        status: 409,
        json: { code: 'cap_reached', errors: [{ path: 'diskBytes', message: /45 GiB of disk, 40 GiB/ }] },
      })
    await agent.obey()
    const [one = '', two = ''] = took
    const grown = await Promise.all(
      took.flatMap((id) => [1, 2, 3].map((n) => patch(bob, id, { diskBytes: (10 + n) * GIB }))),
    )
    t.ok(grown.every(({ status }) => [202, 409].includes(status)))
    t.ok(((await used(bob)) ?? 99) <= 45 * GIB, 'no number of patches goes beyond it')

    await put(ada, bobId, { diskBytes: 60 * GIB })
    const before = (await used(bob)) ?? 0
    await bob.call('POST', `/api/v1/workspaces/${one}/stop`)
    t.equal(await used(bob), before, 'what is stopped has its data')
    await patch(bob, one, { diskBytes: 14 * GIB })
    t.equal((await patch(bob, one, { diskBytes: 50 * GIB })).status, 409, 'also for what is stopped')
    const atOne = (await used(bob)) ?? 0
    await bob.call('DELETE', `/api/v1/workspaces/${one}`)
    t.equal(await used(bob), atOne, 'what is in the trash too')
    t.equal((await bob.call('POST', `/api/v1/workspaces/${one}/restore`)).status, 202)
    await bob.call('DELETE', `/api/v1/workspaces/${one}?purge=true`)
    await agent.obey()
    t.equal(await used(bob), atOne - 14 * GIB, 'what is purged no more')

    const group = (await ada.call<{ id: string }>('POST', '/api/v1/groups', { name: 'pilots' })).json.id
    await ada.call('PUT', `/api/v1/quotas/group/${group}`, { diskBytes: 5 * GIB })
    await server.deployment.feed.write(async (w) => {
      const to = { ownerId: bobId, ownerGroupId: group }
      for (const id of [two, unsized.id]) {
        const workspace = await findWorkspace(w.db, { id })
        if (workspace === null) throw new Error('gone')
        const refused = { code: 'cap_reached', problem: { errors: [{ path: 'diskBytes' }] } }
        await t.rejects(checkTransfer(server.deployment, w, workspace, to), { code: refused.code })
      }
    })
    const lowered = await put(ada, bobId, { diskBytes: GIB })
    t.match(lowered.json.over, [/of disk are taken, 1 GiB may be: all stays/])
  })
}

await t.test('a size goes to hosts that hold it, and nowhere else', async (t) => {
  const { ada, bob, bobId, agent } = await world(t)
  t.same((await limitsOf(bob)).diskBytes, { min: 64 * 1024 ** 2, max: 100 * GIB, default: 10 * GIB })
  const sized = (await create(bob, 'sized', { diskBytes: GIB })).json
  t.match((await agent.obey()).workspaces, [{ spec: { diskBytes: GIB } }])
  t.match((await create(bob, 'made', { image: undefined, template: 'data' })).json, {
    spec: { diskBytes: 3 * GIB },
  })
  const wrong = { limit_exceeded: [1024, 101 * GIB], invalid_body: [0, 1.5, 'much'] }
  for (const [code, values] of Object.entries(wrong))
    for (const diskBytes of values)
      t.match(await create(bob, 'more', { diskBytes }), {
        status: 422,
        json: { code, errors: [{ path: 'diskBytes' }] },
      })

  const other = await world(t, { capabilities: { images: true, isolation: true, limits: { cpu: true } } })
  t.notOk('diskBytes' in (await limitsOf(other.bob)))
  t.notOk('diskBytes' in (await limitsOf(other.bob)).quota)
  t.match(await create(other.bob, 'sized', { diskBytes: GIB }), {
    status: 422,
    json: { code: 'unsupported', errors: [{ path: 'diskBytes' }] },
  })
  t.match(await put(other.ada, other.bobId, { diskBytes: GIB }), {
    status: 422,
    json: { code: 'unsupported', errors: [{ path: 'diskBytes' }] },
  })
  t.match(await create(other.bob, 'made', { image: undefined, template: 'data' }), {
    status: 422,
    json: { code: 'unsupported', errors: [{ path: 'diskBytes' }] },
  })
  const shape = { container: { image: 'x', command: null }, host: null, lacks: null, diskBytes: GIB }
  const beyond = { gpus: 0, mounts: [], networks: [] }
  const host = { connected: true, healthy: true, open: true, workspaces: 0 }
  const hosts = [
    { ...host, id: 'a', name: 'a', capabilities: { images: true, limits: {} } },
    { ...host, id: 'b', name: 'b', capabilities: holding, workspaces: 9 },
  ]
  t.same(place({ hostId: null, resolved: { ...shape, ...beyond } }, hosts), { kind: 'placed', hostId: 'b' })
  t.equal(lacking({ ...shape, ...beyond }, { images: true, limits: {} })?.path, 'diskBytes')

  // What has data keeps its size, or grows.
  const fixed = { status: 409, json: { code: 'disk_fixed', errors: [{ path: 'diskBytes' }] } }
  t.match(await patch(bob, sized.id, { diskBytes: GIB / 2 }), fixed)
  t.match(await patch(bob, sized.id, { diskBytes: null, cpu: 2 }), {
    status: 202,
    json: { spec: { diskBytes: GIB } },
  })
  t.match(await patch(bob, sized.id, { diskBytes: 2 * GIB }), {
    status: 202,
    json: { spec: { diskBytes: 2 * GIB } },
  })
  const plain = (await create(bob, 'plain')).json
  t.match(await patch(bob, plain.id, { diskBytes: GIB }), fixed)
  await put(ada, bobId, { diskBytes: 20 * GIB })
  t.match((await patch(bob, plain.id, { cpu: 2 })).json, { spec: { diskBytes: null } }, 'it stays as it is')

  const stiff = await world(t, { capabilities: { ...holding, growsDisk: false } })
  const one = (await create(stiff.bob, 'one', { diskBytes: GIB })).json
  t.match(await patch(stiff.bob, one.id, { diskBytes: 2 * GIB }), fixed)
  // What failed to come so far can be given another one.
  const reason = { code: 'no_capacity', message: 'no room', atMs: 1 } as const
  const failed = { id: one.id, state: 'failed', incarnation: '', reach: { kind: 'none' }, reason } as const
  await stiff.agent.obey([failed])
  t.match(await patch(stiff.bob, one.id, { diskBytes: 3 * GIB }), { status: 202 })
  // But what its host says is set aside counts, and stays.
  await stiff.agent.obey([{ ...failed, diskBytes: 2 * GIB }])
  t.match(await patch(stiff.bob, one.id, { diskBytes: GIB }), fixed)
  t.match(await patch(stiff.bob, one.id, { diskBytes: 2 * GIB }), { status: 202 })
  await stiff.agent.obey([{ ...failed, diskBytes: 2 * GIB }])
  t.equal(await used(stiff.bob), 2 * GIB)
  const race = (await create(stiff.bob, 'race', { diskBytes: 64 * 1024 ** 2 })).json
  await stiff.agent.obey([
    { id: one.id, diskBytes: 2 * GIB },
    { id: race.id, diskBytes: 5 * GIB },
  ])
  t.equal(await used(stiff.bob), 7 * GIB, 'who took a size back has it as long as it is there')
})

await t.test('what a disk may become, by every case', (t) => {
  const sizes = fc.option(fc.integer({ min: 1, max: 5 }), { nil: null })
  fc.assert(
    fc.property(
      fc.record({
        hostId: fc.constantFrom(null, 'h'),
        phase: fc.constantFrom(...phases),
        had: sizes,
        real: sizes,
      }),
      sizes,
      fc.boolean(),
      ({ hostId, phase, had, real }, wanted, grows) => {
        const status = real === null ? null : { diskBytes: real }
        const before = { hostId, phase, status, resolved: { diskBytes: had } }
        const isRefused = diskProblem(before, wanted, grows) !== null
        const hasFailed = phase === 'failed'
        const has = hasFailed ? real : had
        const isSame = hostId === null || wanted === had || (hasFailed && (real === null || wanted === real))
        const mayGrow = grows && has !== null && wanted !== null && wanted > has
        return isRefused === !(isSame || mayGrow) && (heldDisk(before) ?? 0) >= (real ?? 0)
      },
    ),
  )
  t.pass()
  t.end()
})
