/** Who may have a host's GPUs, directories and network: by grant, on every way to a start, whatever is tried around it; on both databases. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Limits, TemplateView, UserView, WorkspaceView } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import type { PretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer, roomy } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'

t.setTimeout(180_000)
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
const root = t.testdir({})
let count = 0

const generous = {
  images: true,
  isolation: true,
  gpus: 2,
  mounts: ['/srv/data'],
  hostNetwork: true,
}
const mount = { source: '/srv/data/set', target: '/data' }
/** Each thing that a host may give away, with the capability that it takes. */
const wishes = {
  gpu: { gpus: 1 },
  'bind-mounts': { mounts: [mount] },
  'host-network': { networks: ['host'] },
} as const

interface Audited {
  readonly items: readonly { readonly outcome: string; readonly actor: { readonly name: string } }[]
}
interface World {
  readonly server: ControlServer
  readonly ada: Client
  readonly bob: Client
  readonly agent: PretendAgent
}

async function world(t: Test, dialect: 'sqlite' | 'postgres' = 'sqlite', limits = {}): Promise<World> {
  const name = `beyond${++count}`
  const databaseUrl = dialect === 'sqlite' ? null : ((await postgres?.database(name)) ?? null)
  const templates = join(root, `${name}-templates`)
  mkdirSync(join(templates, 'lab'), { recursive: true })
  writeFileSync(
    join(templates, 'lab', 'template.yml'),
    'title: Lab\ncontainer: { image: "lab:1" }\nmounts: [{ source: /srv/data/set, target: /data, read_only: true }]\n',
  )
  const server = await controlServer({
    stateDirectory: join(root, name),
    databaseUrl,
    templateDirectories: [templates],
    limits: { ...roomy, ...limits },
  })
  t.teardown(() => server.close())
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now, {
    capabilities: generous,
  })
  return { server, ada, bob, agent }
}

const create = (who: Client, name: string, more: object = {}) =>
  who.call<WorkspaceView>('POST', '/api/v1/workspaces', { name, image: 'x:1', ...more })
const command = (who: Client, { id }: { id: string }, verb: string) =>
  who.call<WorkspaceView>('POST', `/api/v1/workspaces/${id}/${verb}`)
const patch = (who: Client, { id }: { id: string }, body: object) =>
  who.call<WorkspaceView>('PATCH', `/api/v1/workspaces/${id}`, body)
const look = async (who: Client, { id }: { id: string }): Promise<WorkspaceView> =>
  (await who.call<WorkspaceView>('GET', `/api/v1/workspaces/${id}`)).json
const grant = async (
  ada: Client,
  hostId: string,
  to: string,
  capabilities: readonly string[],
): Promise<string> =>
  (
    await ada.call('POST', '/api/v1/grants', {
      subject: { kind: 'user', id: to },
      object: { kind: 'host', id: hostId },
      capabilities,
    })
  ).json.id
const limitsOf = async (who: Client): Promise<Limits> =>
  (await who.call<Limits>('GET', '/api/v1/limits')).json
const refused = { status: 403, json: { code: 'grant_missing' } }

for (const dialect of ['sqlite', 'postgres'] as const) {
  const skip = dialect === 'postgres' && postgres === null && 'PostgreSQL is not here'
  await t.test(`${dialect}: each takes its own grant; an administrator needs none`, { skip }, async (t) => {
    const { ada, bob, agent } = await world(t, dialect)
    t.match(await limitsOf(bob), { hostNetwork: false })
    for (const key of ['gpus', 'mounts']) t.notOk(key in (await limitsOf(bob)), key)
    for (const [need, wish] of Object.entries(wishes)) {
      t.match(await create(bob, `no-${need}`, wish), refused, need)
      const field = Object.keys(wish)[0]
      t.match(
        (await create(bob, `no-${need}`, wish)).json,
        { errors: [{ path: field }] },
        'the field is named',
      )
      const others = Object.keys(wishes).filter((other) => other !== need)
      const id = await grant(ada, agent.hostId, 'bob', ['create', ...others])
      t.match(await create(bob, `no-${need}`, wish), refused, `${need} by grants for others`)
      await ada.call('DELETE', `/api/v1/grants/${id}`)
      const right = await grant(ada, agent.hostId, 'bob', [need])
      const made = await create(bob, `is-${need}`, wish)
      t.equal(made.status, 202, need)
      t.match(made.json, { host: { id: agent.hostId }, spec: wish })
      t.match(
        await create(bob, 'all', { ...wishes.gpu, ...wishes['bind-mounts'], ...wishes['host-network'] }),
        refused,
      )
      await ada.call('DELETE', `/api/v1/grants/${right}`)
      t.match(await create(bob, `more-${need}`, wish), refused, 'no longer')
    }
    t.equal((await create(ada, 'adas', { gpus: 2, mounts: [mount], networks: ['host'] })).status, 202)
    const entries = (await agent.desired()).workspaces.flatMap((each) =>
      each.want === 'running' ? [each.spec] : [],
    )
    t.match(
      entries.find(({ name }) => name === 'adas'),
      { gpus: 2, mounts: [{ ...mount, readOnly: false }], hostNetwork: true },
    )
    t.match(await limitsOf(ada), { gpus: { max: 2 }, mounts: { under: ['/srv/data'] }, hostNetwork: true })
    const audit = await ada.call<Audited>('GET', '/api/v1/audit?action=workspace.create&limit=100')
    t.ok(
      audit.json.items.some((row) => row.outcome === 'grant_missing' && row.actor.name === 'bob'),
      'a refusal is in the audit',
    )
  })

  await t.test(
    `${dialect}: many tries while the grant comes and goes never leave one without it`,
    { skip },
    async (t) => {
      const { ada, bob, agent } = await world(t, dialect)
      const plain = (await create(bob, 'plain')).json
      const tries = Array.from({ length: 12 }, (_, i) => [
        create(bob, `race-${i}x`, wishes.gpu),
        patch(bob, plain, wishes['bind-mounts']),
        ...(i % 3 === 0 ? [grant(ada, agent.hostId, 'bob', ['gpu'])] : []),
      ])
      await Promise.all(tries.flat())
      t.match((await look(bob, plain)).spec, { mounts: [] }, 'a mount was never granted')
      const mine = await ada.call('GET', '/api/v1/grants')
      for (const { id } of mine.json.items) await ada.call('DELETE', `/api/v1/grants/${id}`)
      const late = await Promise.all(
        Array.from({ length: 6 }, (_, i) => create(bob, `late-${i}x`, wishes.gpu)),
      )
      t.ok(late.every(({ status }) => status === 403))
    },
  )
}

await t.test('a group’s grant counts for its members; one that is over does not', async (t) => {
  const { server, ada, bob, agent } = await world(t)
  const group = (await ada.call('POST', '/api/v1/groups', { name: 'lab' })).json
  const me = (await bob.call<UserView>('GET', '/api/v1/me')).json
  await ada.call('POST', `/api/v1/groups/${group.id}/members/${me.id}`)
  const body = {
    subject: { kind: 'group', id: 'lab' },
    object: { kind: 'host', id: agent.hostId },
    capabilities: ['gpu'],
    expiresAt: new Date(server.clock.now + 60_000).toISOString(),
  }
  t.equal((await ada.call('POST', '/api/v1/grants', body)).status, 201)
  const made = (await create(bob, 'fast', wishes.gpu)).json
  t.match(made, { spec: { gpus: 1 } })
  server.clock.now += 61_000
  t.match(await create(bob, 'faster', wishes.gpu), refused)
  t.match(await command(bob, made, 'restart'), refused, 'a restart is a start')
})

await t.test(
  'what runs goes on when the grant is gone, and isn’t started again; less is always let',
  async (t) => {
    const { ada, bob, agent } = await world(t)
    const id = await grant(ada, agent.hostId, 'bob', ['bind-mounts'])
    const made = (await create(bob, 'lab', { mounts: [mount], ports: [{ port: 80, visibility: 'public' }] }))
      .json
    await agent.obey()
    await ada.call('DELETE', `/api/v1/grants/${id}`)
    t.equal((await look(bob, made)).phase, 'running', 'it goes on')
    t.equal((await agent.desired()).workspaces[0]?.want, 'running')
    t.equal(
      (await patch(bob, made, { ports: [{ port: 80 }] })).status,
      202,
      'what is the edge’s alone is let',
    )
    for (const body of [
      { env: [{ name: 'A', value: '1' }] },
      { image: 'other:1' },
      { mounts: [{ ...mount, readOnly: true }] },
    ])
      t.match(await patch(bob, made, body), refused, JSON.stringify(body))
    t.match(await command(bob, made, 'restart'), refused)
    t.equal((await command(bob, made, 'start')).status, 202, 'it runs: nothing is to be done')
    t.equal((await command(bob, made, 'stop')).status, 202)
    t.match(await command(bob, made, 'start'), refused)
    t.equal((await bob.call('DELETE', `/api/v1/workspaces/${made.id}`)).status, 202)
    t.match(await command(bob, made, 'start'), refused, 'nor from the trash')
    t.equal((await command(bob, made, 'restore')).status, 202)
    t.match(await command(ada, made, 'start'), refused, 'rights are the owner’s, whoever starts it')
    t.equal((await patch(bob, made, { mounts: null })).status, 202, 'it is taken out')
    t.equal((await command(bob, made, 'start')).status, 202)
  },
)

await t.test('nobody gets it for an owner who may not, nor as the manager of one who may', async (t) => {
  const { server, ada, bob, agent } = await world(t)
  const plain = (await create(bob, 'plain')).json
  const share = (name: string) =>
    bob.call('POST', '/api/v1/grants', {
      object: { kind: 'workspace', id: plain.id },
      subject: { kind: 'user', id: name },
      role: 'manager',
    })
  await share('ada')
  t.match(await patch(ada, plain, wishes.gpu), refused, 'the owner has no grant, whoever asks')
  const eve = await server.member(ada, 'eve')
  await grant(ada, agent.hostId, 'bob', ['create', 'bind-mounts', 'gpu'])
  await bob.call('POST', '/api/v1/grants', {
    object: { kind: 'workspace', id: plain.id },
    subject: { kind: 'user', id: 'eve' },
    role: 'manager',
  })
  t.match(
    await patch(eve, plain, wishes['bind-mounts']),
    refused,
    'a manager without the grant asks for none',
  )
  t.equal((await patch(bob, plain, wishes['bind-mounts'])).status, 202)
  const elsewhere = [{ source: '/srv/data/other', target: '/data' }]
  t.match(await patch(eve, plain, { mounts: elsewhere }), refused, 'nor for another directory')
  t.equal((await patch(eve, plain, { env: [{ name: 'A', value: '1' }] })).status, 202, 'what is there stays')
  t.equal((await patch(eve, plain, { mounts: [] })).status, 202)
  await patch(bob, plain, wishes.gpu)
  const give = await bob.call('POST', `/api/v1/workspaces/${plain.id}/transfer`, { to: 'eve' })
  t.match(give, refused, 'it isn’t given to who may not have it')
  t.equal((await look(bob, plain)).owner.username, 'bob')
  await grant(ada, agent.hostId, 'eve', ['gpu'])
  t.equal((await bob.call('POST', `/api/v1/workspaces/${plain.id}/transfer`, { to: 'eve' })).status, 202)
})

await t.test('a template brings it to those with the grant only', async (t) => {
  const { ada, bob, agent } = await world(t)
  const from = (who: Client, name: string, more = {}) =>
    who.call('POST', '/api/v1/workspaces', { name, template: 'lab', ...more })
  const shown = async (who: Client): Promise<TemplateView | undefined> =>
    (await who.call<{ items: TemplateView[] }>('GET', '/api/v1/templates')).json.items.find(
      (each) => each.name === 'lab',
    )
  t.match(await shown(bob), { available: false })
  t.match(await from(bob, 'one'), refused)
  t.match(await from(bob, 'one', { image: 'mine:1' }), refused, 'an image of one’s own changes nothing')
  t.equal((await from(bob, 'one', { mounts: [] })).status, 202, 'without it it is any template')
  await grant(ada, agent.hostId, 'bob', ['bind-mounts'])
  t.match(await shown(bob), { available: true, mounts: [{ readOnly: true }] })
  t.match(await from(bob, 'two'), { status: 202, json: { spec: { mounts: [{ ...mount, readOnly: true }] } } })
})

await t.test(
  'a host’s owner is above control: what isn’t given away is neither placed nor kept',
  async (t) => {
    const { server, ada, agent } = await world(t)
    const bad = [
      { mounts: [{ source: '/srv/database', target: '/data' }] },
      { mounts: [{ source: '/srv/data-other', target: '/data' }] },
      { mounts: [{ source: '/srv', target: '/data' }] },
      { mounts: [{ source: '/SRV/data', target: '/data' }] },
      { gpus: 3 },
    ]
    for (const body of bad)
      t.match(
        await create(ada, 'no', body),
        { status: 422, json: { code: 'unsupported' } },
        JSON.stringify(body),
      )
    const malformed = [
      ...[
        'srv/data',
        '/srv/data/',
        '/srv/data/../x',
        '/srv/./data',
        '//srv/data',
        '/',
        '',
        '/srv/data\0',
      ].map((source) => ({ mounts: [{ source, target: '/data' }] })),
      ...[
        'data',
        '/',
        '/home',
        '/home/dev',
        '/proc',
        '/proc/self',
        '/sys',
        '/dev/x',
        '/etc',
        '/run/x',
        '/usr/bin',
        '/tmp',
        '/data/..',
      ].map((target) => ({ mounts: [{ source: '/srv/data', target }] })),
      { mounts: [mount, mount] },
      { mounts: [mount, { ...mount, target: '/data/in' }] },
      { gpus: -1 },
      { gpus: 0.5 },
      { networks: ['bridge'] },
      { networks: ['host', 'host'] },
    ]
    for (const body of malformed)
      t.match(
        await create(ada, 'no', body),
        { status: 422, json: { code: 'invalid_body' } },
        JSON.stringify(body),
      )
    const lean = await pretendAgent(server.control.embeddedAgent(), server.clock.now, {
      machineId: 'lean',
      capabilities: { images: true, isolation: true },
    })
    for (const name of ['one', 'two', 'three']) {
      const made = await create(ada, name, { gpus: 1 })
      t.equal(made.json.host?.id, agent.hostId, 'never on a host that has none')
    }
    t.same((await lean.desired()).workspaces, [])
    const made = (await create(ada, 'kept', wishes['bind-mounts'])).json
    await agent.obey()
    // The agent comes back without what its owner had allowed.
    const again = await pretendAgent(server.control.embeddedAgent(), server.clock.now, {
      capabilities: { ...generous, mounts: [] },
    })
    t.equal(again.hostId, agent.hostId)
    t.match(
      (await again.desired()).workspaces.find((each) => each.want === 'stopped'),
      { id: made.id },
    )
    t.match(await look(ada, made), {
      phase: 'failed',
      reason: { code: 'unsupported', message: /\/srv\/data\/set/ },
    })
  },
)

for (const [need, wish] of Object.entries(wishes))
  await t.test(`${need} taken back and given away again: a start like every other`, async (t) => {
    const { server, ada, bob, agent } = await world(t)
    const id = await grant(ada, agent.hostId, 'bob', [need])
    const given = { capabilities: generous }
    const taken = { capabilities: { images: true, isolation: true } }
    const back = async (how: object) => pretendAgent(server.control.embeddedAgent(), server.clock.now, how)
    const runs = async (who: PretendAgent): Promise<string[]> =>
      (await who.desired()).workspaces.flatMap((each) => (each.want === 'running' ? [each.spec.name] : []))
    const made = (await create(bob, 'lab', wish)).json
    await create(ada, 'adas', wish)
    await agent.obey()
    t.same(
      (await runs(await back(given))).sort(),
      ['adas', 'lab'],
      'an agent that starts anew changes nothing',
    )
    t.same(await runs(await back(taken)), [], 'nobody has what the owner of the host took back')
    t.same((await runs(await back(given))).sort(), ['adas', 'lab'], 'with the grant it starts again')
    await ada.call('DELETE', `/api/v1/grants/${id}`)
    t.same((await runs(await back(given))).sort(), ['adas', 'lab'], 'what runs goes on without it')
    await (await back(taken)).obey()
    t.match(await look(bob, made), { phase: 'failed', reason: { code: 'unsupported' } })
    t.same(await runs(await back(given)), ['adas'], 'without the grant it does not')
    t.match(await look(bob, made), { want: 'stopped', phase: 'stopped' })
    const events = await bob.call('GET', `/api/v1/workspaces/${made.id}/events`)
    t.match(events.json.items[0], { code: 'not_granted', message: /did not start it: .* no grant/ })
    t.match(await command(bob, made, 'start'), refused)
    await grant(ada, agent.hostId, 'bob', [need])
    t.equal((await command(bob, made, 'start')).status, 202)
  })

for (const dialect of ['sqlite', 'postgres'] as const)
  await t.test(
    `${dialect}: parallel creates take each host’s free GPUs, whatever else is on it`,
    { skip: dialect === 'postgres' && postgres === null && 'PostgreSQL is not here' },
    async (t) => {
      const { server, ada, agent } = await world(t, dialect)
      const more = { machineId: 'more', name: 'more', capabilities: { ...generous, gpus: 4 } }
      const other = await pretendAgent(server.control.embeddedAgent(), server.clock.now, more)
      const placed = async (names: readonly string[]): Promise<string[]> => {
        const made = await Promise.all(names.map((name) => create(ada, name, { gpus: 1 })))
        return made.map(({ json }) => json.host?.id ?? 'none').sort()
      }
      // What says the same words elsewhere in its spec has none.
      const env = [{ name: 'A', value: '"gpus":7' }]
      await create(ada, 'plain', { env, command: ['echo', '"gpus":0'] })
      const ids = [agent.hostId, agent.hostId, ...Array<string>(4).fill(other.hostId)].sort()
      t.same(await placed(['one', 'two', 'three', 'four', 'five', 'six']), ids, 'as many as each has')
      await command(ada, { id: 'two' }, 'stop')
      const { json } = await ada.call<WorkspaceView>('GET', '/api/v1/workspaces/two')
      t.same(await placed(['seven']), [json.host?.id], 'a stopped one has none')
    },
  )

await t.test('who waits for a place isn’t let in without the grant', async (t) => {
  const { ada, bob, agent } = await world(t, 'sqlite', { maxRunning: 1 })
  const id = await grant(ada, agent.hostId, 'bob', ['gpu'])
  const fast = (await create(bob, 'fast', wishes.gpu)).json
  await command(bob, fast, 'stop')
  await agent.obey()
  const holder = (await create(ada, 'holder')).json
  t.match((await command(bob, fast, 'start')).json, { phase: 'pending', reason: { code: 'cap_reached' } })
  await ada.call('DELETE', `/api/v1/grants/${id}`)
  await command(ada, holder, 'stop')
  t.match(await look(bob, fast), { want: 'stopped' }, 'the free place is not for it')
  const events = await bob.call('GET', `/api/v1/workspaces/${fast.id}/events`)
  t.match(events.json.items[0], { code: 'not_granted', message: /no grant on a host here for GPUs/ })
})
