/** Quotas of users and groups under many hands at once, on both databases; what counts where several say something. */
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Ledger, NOTHING } from '../../control/placement/quotas.ts'
import type { Account, Held } from '../../control/placement/quotas.ts'
import { checkTransfer } from '../../control/service/ledger.ts'
import { findWorkspace } from '../../control/store/workspaces.ts'
import type { Limits, Quota, QuotaView, UserView } from '../../control/wire/index.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { agentKey, controlServer, roomy } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

const root = t.testdir({})
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())
let count = 0
const GIB = 1024 ** 3
const none: Quota = { maxWorkspaces: null, maxRunning: null, cpu: null, memoryBytes: null, diskBytes: null }

async function serve(t: Test, databaseUrl: string | null): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`), databaseUrl })
  t.teardown(() => server.close())
  // A host that holds all limits; it takes nothing up, so all stays as it was asked for.
  await server.control.embeddedAgent().register(agentKey().registration(server.clock.now), {
    signal: new AbortController().signal,
  })
  return server
}
const idOf = async (client: Client): Promise<string> =>
  (await client.call<UserView>('GET', '/api/v1/me')).json.id
const limitsOf = async (client: Client): Promise<Limits> =>
  (await client.call<Limits>('GET', '/api/v1/limits')).json
const create = (client: Client, name: string, more: object = {}) =>
  client.call('POST', '/api/v1/workspaces', { name, image: 'x', cpu: 1, memoryBytes: GIB, ...more })
const put = (ada: Client, kind: string, id: string, quota: object) =>
  ada.call<QuotaView>('PUT', `/api/v1/quotas/${kind}/${id}`, quota)

const bounds = { ...roomy, maxRunningPerUser: 3, maxWorkspacesPerUser: 5 }
const ledger = (
  quotas: (Account & Quota)[],
  memberships: { userId: string; groupId: string }[],
  held: Held[] = [],
) => new Ledger(bounds, { held, quotas, memberships, holds: { cpu: true, memory: true, disk: true } })

await t.test('what counts: one’s own, else the most generous group, else the deployment', async (t) => {
  const user = { kind: 'user', id: 'u' } as const
  const small = { ...none, kind: 'group', id: 'small', maxRunning: 1, cpu: 8 } as const
  const large = { ...none, kind: 'group', id: 'large', maxRunning: 9 } as const
  const both = ['small', 'large'].map((groupId) => ({ userId: 'u', groupId }))
  t.same(ledger([], []).quota(user), {
    maxWorkspaces: 5,
    maxRunning: 3,
    cpu: null,
    memoryBytes: null,
    diskBytes: null,
  })
  t.same(ledger([small, large], both).quota(user), {
    maxWorkspaces: 5,
    maxRunning: 9,
    cpu: 8,
    memoryBytes: null,
    diskBytes: null,
  })
  t.same(ledger([small, large], []).quota(user).maxRunning, 3, 'of others’ groups nothing')
  const own = { ...none, kind: 'user', id: 'u', maxRunning: 2 } as const
  t.same(ledger([small, large, own], both).quota(user), {
    maxWorkspaces: 5,
    maxRunning: 2,
    cpu: 8,
    memoryBytes: null,
    diskBytes: null,
  })
  const held = [{ ...NOTHING, workspaces: 1, running: 1, ownerId: 'u', ownerGroupId: 'small' }]
  const paying = ledger([small], [], held)
  t.equal(paying.used({ kind: 'group', id: 'small' }).running, 1, 'a group with a quota pays for its own')
  t.equal(paying.used(user).running, 0)
  t.equal(ledger([], [], held).used(user).running, 1, 'for one without, who answers for it')
  t.equal(paying.lacks({ kind: 'group', id: 'small' }, { ...NOTHING, running: 1 }).length, 1)
  const unheld = new Ledger(bounds, {
    held: [],
    quotas: [small],
    memberships: both,
    holds: { cpu: false, memory: false, disk: false },
  })
  t.equal(unheld.quota(user).cpu, null, 'what no host can hold is no quota')
  t.notOk('cpu' in unheld.standing(user))
  const step = fc.record({ running: fc.nat(2), cpu: fc.nat(20).map((tenths) => tenths / 10) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const one = ledger([{ ...none, kind: 'user', id: 'u', maxRunning: 5, cpu: 3.5 }], [])
      for (const each of steps) {
        const more = { ...NOTHING, ...each }
        if (one.lacks(user, more).length === 0) one.add({ ownerId: 'u', ownerGroupId: null }, more)
      }
      return one.used(user).running <= 5 && one.used(user).cpu <= 3.5
    }),
  )
})

for (const store of ['SQLite', 'PostgreSQL'] as const) {
  const skip = store === 'PostgreSQL' && postgres === null && 'PostgreSQL is not installed'
  await t.test(`no number of hands goes beyond a quota, on ${store}`, { skip }, async (t) => {
    const databaseUrl = store === 'SQLite' ? null : ((await postgres?.database(`quota${++count}`)) ?? '')
    const server = await serve(t, databaseUrl)
    const ada = await server.setUp()
    const bob = await server.member(ada, 'bob')
    const id = await idOf(bob)
    const made = await put(ada, 'user', id, {
      maxWorkspaces: 6,
      maxRunning: 5,
      cpu: 4.5,
      memoryBytes: 100 * GIB,
    })
    t.match(made, { status: 200, json: { name: 'bob', over: [], standing: { cpu: { used: 0, max: 4.5 } } } })
    const creates = await Promise.all(Array.from({ length: 50 }, (_, n) => create(bob, `w${n}w`)))
    const took = creates.filter(({ status }) => status === 202).map(({ json }) => json.id)
    t.equal(took.length, 4, 'four cores of four and a half')
    for (const each of creates.filter(({ status }) => status !== 202))
      t.match(each, {
        status: 409,
        json: { code: 'cap_reached', errors: [{ path: 'cpu', message: /4.5 cores/ }] },
      })
    t.match((await limitsOf(bob)).quota, {
      workspaces: { used: 4, max: 6 },
      running: { used: 4, max: 5 },
      cpu: { used: 4, max: 4.5 },
      memoryBytes: { used: 4 * GIB, max: 100 * GIB },
    })

    const resizes = await Promise.all(
      took.map((one) => bob.call('PATCH', `/api/v1/workspaces/${one}`, { cpu: 1.5 })),
    )
    t.equal(resizes.filter(({ status }) => status === 202).length, 1, 'half a core is left for one')
    t.equal(
      (await bob.call('PATCH', `/api/v1/workspaces/${took[0]}`, { cpu: 0.5 })).status,
      202,
      'less is never refused',
    )
    for (const one of took) await bob.call('POST', `/api/v1/workspaces/${one}/stop`)
    t.match((await limitsOf(bob)).quota, { running: { used: 0 }, cpu: { used: 0 } })
    t.equal((await bob.call('PATCH', `/api/v1/workspaces/${took[1]}`, { cpu: 4 })).status, 202)
    const alone = await bob.call('PATCH', `/api/v1/workspaces/${took[2]}`, { memoryBytes: 8 * GIB, cpu: 4 })
    t.equal(alone.status, 202)
    t.match(await put(ada, 'user', id, { maxWorkspaces: 6, maxRunning: 2, cpu: 3 }), { status: 200 })
    t.match(
      await bob.call('PATCH', `/api/v1/workspaces/${took[3]}`, { cpu: 3.5 }),
      { status: 409 },
      'it could never run',
    )
    await bob.call('PATCH', `/api/v1/workspaces/${took[1]}`, { cpu: 1 })
    await bob.call('PATCH', `/api/v1/workspaces/${took[2]}`, { cpu: 1 })
    await Promise.all(
      took.flatMap((one) => [1, 2, 3].map(() => bob.call('POST', `/api/v1/workspaces/${one}/start`))),
    )
    const { quota } = await limitsOf(bob)
    t.equal(quota.running.used, 2, 'two of four starts got a place, whoever was first')
    t.ok((quota.cpu?.used ?? 9) <= 3)

    const lowered = await put(ada, 'user', id, { maxRunning: 1, maxWorkspaces: 1 })
    t.match(lowered.json.over, [/4 workspaces are there, 1 are allowed/, /2 run, 1 may: they go on/])
    t.equal((await limitsOf(bob)).running.mine, 2, 'nothing was stopped')
    t.match(await create(bob, 'more'), {
      status: 409,
      json: { detail: /quota is 1 workspaces, and 4 are there/ },
    })
    await put(ada, 'user', id, { maxRunning: 4, maxWorkspaces: 4, cpu: 100 })
    t.equal((await limitsOf(bob)).running.mine, 4, 'who waited for room got it at once')

    await bob.call('DELETE', `/api/v1/workspaces/${took[0]}`)
    t.equal((await create(bob, 'instead')).status, 202)
    t.match(
      await bob.call('POST', `/api/v1/workspaces/${took[0]}/restore`),
      { status: 409, json: { code: 'cap_reached' } },
      'the trash is no way around it',
    )

    const group = (await ada.call<{ id: string }>('POST', '/api/v1/groups', { name: 'pilots' })).json
    await put(ada, 'group', group.id, { maxRunning: 1 })
    await server.deployment.feed.write(async (w) => {
      const workspace = await findWorkspace(w.db, { id: took[1] ?? '' })
      if (workspace === null) throw new Error('gone')
      const to = { ownerId: id, ownerGroupId: group.id }
      await checkTransfer(server.deployment, w, workspace, to)
      await w.db('workspaces').where({ id: workspace.id }).update({ owner_group_id: group.id })
      const other = await findWorkspace(w.db, { id: took[2] ?? '' })
      if (other === null) throw new Error('gone')
      await t.rejects(checkTransfer(server.deployment, w, other, to), { code: 'cap_reached' })
      await checkTransfer(server.deployment, w, other, { ownerId: id, ownerGroupId: null })
    })
    t.match((await ada.call<QuotaView>('GET', `/api/v1/quotas/group/${group.id}`)).json, {
      name: 'pilots',
      quota: { maxRunning: 1, cpu: null },
      standing: { running: { used: 1, max: 1 } },
    })
    t.equal((await limitsOf(bob)).quota.workspaces.used, 3, 'the group pays for what is its own')
  })
}

await t.test('quotas are an administrator’s, and say what they cannot hold', async (t) => {
  const server = await serve(t, null)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const id = await idOf(bob)
  for (const method of ['GET', 'PUT', 'DELETE'])
    t.equal((await bob.call(method, `/api/v1/quotas/user/${id}`, {})).status, 403, method)
  t.match(await put(ada, 'user', id, { diskBytes: 1 }), { status: 422, json: { code: 'unsupported' } })
  for (const wrong of [{ maxRunning: -1 }, { cpu: 'many' }, { maxRunnings: 1 }])
    t.equal((await put(ada, 'user', id, wrong)).status, 422, JSON.stringify(wrong))
  t.equal((await put(ada, 'user', 'nobody', {})).status, 404)
  t.equal((await put(ada, 'host', id, {})).status, 404)
  t.equal((await ada.call('DELETE', `/api/v1/quotas/user/${id}`)).status, 404)
  await put(ada, 'user', id, { maxRunning: 0 })
  t.equal((await create(bob, 'one')).status, 409, 'none is a quota too')
  t.equal((await ada.call('DELETE', `/api/v1/quotas/user/${id}`)).status, 204)
  t.equal((await create(bob, 'one')).status, 202)
  const auditor = await server.member(ada, 'cleo')
  await ada.call('PATCH', `/api/v1/users/${await idOf(auditor)}`, { role: 'auditor' })
  await auditor.call('POST', '/api/v1/sessions', { username: 'cleo', password: 'correct horse battery' })
  t.equal((await auditor.call('GET', `/api/v1/quotas/user/${id}`)).status, 200)
  t.equal((await put(auditor, 'user', id, {})).status, 403)
  const audit = await ada.call('GET', '/api/v1/audit?action=quota.change')
  t.match(audit.text, /maxRunning/)
})
