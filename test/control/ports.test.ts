/** Ports and paths from the API to gateways and agents: the grammar, what restarts a program and what doesn't, old rows. */
import { join } from 'node:path'
import fc from 'fast-check'
import knexModule from 'knex'
import t, { type Test } from 'tap'
import { migrate } from '../../control/store/migrate.ts'
import { migrations } from '../../control/store/migrations/index.ts'
import { filledPort, pathsSchema, prefixProblem } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer, type ControlServer } from '../support/control-server.ts'
import { templates } from '../support/control-templates.ts'

const root = t.testdir({ templates, old: {}, life: {}, refused: {} })
const api = '/api/v1/workspaces'
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())

async function serve(t: Test, name: string): Promise<ControlServer> {
  const server = await controlServer({
    stateDirectory: join(root, name),
    templateDirectories: [join(root, 'templates')],
  })
  t.teardown(() => server.close())
  return server
}

await t.test('the grammar of paths', (t) => {
  for (const good of ['/', '/api', '/api/v1', '/a.b/~c', '/.well-known', '/.posternish', '/a:b@c'])
    t.equal(prefixProblem(good), null, good)
  const bad = ['', 'api', '//', '//api', '/api/', '/a//b', '/.', '/..', '/a/../b', '/a/.', '/%61pi', '/a?b']
  bad.push('/a#b', '/a\\b', '/a b', '/ä', '/.postern', '/.postern/start', `/${'a'.repeat(200)}`, '/a\n')
  for (const each of bad) t.type(prefixProblem(each), 'string', JSON.stringify(each))
  t.equal(prefixProblem(`/${'a'.repeat(199)}`), null)
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom('/', '.', 'a', '%', '?', '#', '\\', ';', '~', ' ', '\n'),
        maxLength: 12,
      }),
      (path) => {
        if (prefixProblem(path) !== null) return true
        // What is taken reads the same to the strictest and to the laxest reader.
        return new URL(path, 'http://h').pathname === path && decodeURIComponent(path) === path
      },
    ),
    { numRuns: 5000 },
  )
  const lines = Array.from({ length: 17 }, (_, n) => ({ prefix: `/${n}`, port: 1 }))
  t.notOk(pathsSchema.safeParse(lines).success, 'seventeen')
  t.ok(pathsSchema.safeParse(lines.slice(1)).success)
  t.end()
})

await t.test('what only the edge reads restarts nothing', async (t) => {
  const server = await serve(t, 'life')
  const ada = await server.setUp()
  const agent = await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  const made = await ada.call('POST', api, {
    name: 'one',
    template: 'web',
    ports: [{ port: 3000, name: 'web' }, { port: 8000 }],
    paths: [{ prefix: '/api', port: 8000 }],
  })
  const { id } = made.json as { id: string }
  t.match(made.json.spec, {
    ports: [filledPort({ port: 3000, name: 'web' }), filledPort({ port: 8000 })],
    paths: [{ prefix: '/api', port: 8000 }],
  })
  await agent.obey()
  const before = await agent.desired()
  const ports = [
    { port: 3000, name: 'web', visibility: 'public', lenient: true },
    { port: 8000, hostHeader: 'local', scheme: 'https', cors: 'app' },
  ]
  const patch = (body: object) => ada.call('PATCH', `${api}/${id}`, body)
  t.match(await patch({ ports, paths: [] }), {
    status: 202,
    json: { generation: 2, observedGeneration: 2, phase: 'running', spec: { paths: [] } },
  })
  t.same(await agent.desired(), before, 'its host hears nothing of it')
  t.match(server.facts.rows.get(`route ${id}`), {
    row: {
      phase: 'running',
      ports: [
        { port: 3000, visibility: 'public', lenient: true, hostHeader: 'public', scheme: 'http' },
        { port: 8000, visibility: 'owner', hostHeader: 'local', scheme: 'https', cors: 'app' },
      ],
      paths: [],
    },
  })
  t.match(await patch({ cpu: 1.5 }), { json: { generation: 3, observedGeneration: 1, phase: 'starting' } })
  t.match(await patch({ paths: [{ prefix: '/', port: 8000 }] }), {
    json: { generation: 4, observedGeneration: 1, phase: 'starting' },
  })
  t.match(await agent.obey(), { workspaces: [{ spec: { generation: 3, cpuMillis: 1500 } }] })
  t.match(await ada.call('GET', `${api}/${id}`), { json: { observedGeneration: 4, phase: 'running' } })
  t.match(await patch({ ports: [{ port: 3000, name: 'other' }] }), { json: { phase: 'starting' } })
  t.match(await agent.obey(), { workspaces: [{ spec: { generation: 5, ports: [{ name: 'other' }] } }] })
  t.match((await ada.call('POST', `${api}/${id}/restart`)).json, { generation: 6, phase: 'starting' })
  const reason = { code: 'image_unavailable', message: 'not here', atMs: 5 } as const
  await agent.obey([{ id, state: 'failed', generation: 0, reason }])
  await patch({ paths: [] })
  t.match(await agent.desired(), { workspaces: [{ spec: { generation: 7 } }] }, 'what failed is tried anew')
})

await t.test('what is wrong with paths is said where it is wrong', async (t) => {
  const server = await serve(t, 'refused')
  const ada = await server.setUp()
  const rows: [unknown, string][] = [
    [[{ prefix: '/api/', port: 1 }], 'paths.0.prefix'],
    [[{ prefix: '/a', port: 0 }], 'paths.0.port'],
    [[{ prefix: '/a', port: 1, strip: true }], 'paths.0'],
    [[{ prefix: '/a', port: 1 }, { prefix: '/a', port: 2 }], 'paths.1.prefix'], // prettier-ignore
    [Array.from({ length: 17 }, (_, n) => ({ prefix: `/${n}`, port: 1 })), 'paths'],
  ]
  for (const [paths, path] of rows)
    t.match(await ada.call('POST', api, { name: 'x', paths }), {
      status: 422,
      json: { code: 'invalid_body', errors: [{ path }] },
    })
  const { status } = await ada.call('POST', api, { name: 'x', ports: [{ port: 1, cors: 'any' }] })
  t.equal(status, 422)
})

/** Rows as version 0001 left them, brought to this one. */
async function upgrades(t: Test, database: { client: 'sqlite3' | 'pg'; connection: unknown }): Promise<void> {
  const db = knexModule({ ...database, useNullAsDefault: true } as never)
  t.teardown(() => db.destroy())
  await migrations[0]?.up(db)
  await db.schema.createTable('migrations', (table) => void table.string('name', 80).primary())
  await db('migrations').insert({ name: '0001-init' })
  const user = { username: 'ada', role: 'member', disabled: 0, password_hash: '', created_at_ms: 1 }
  await db('users').insert({ id: 'u', ...user })
  const row = (id: string, generation: number, ports: object[] | null) => ({
    id,
    name: id,
    owner_id: 'u',
    want: 'running',
    data: 'keep',
    admitted: 1,
    wanted_at_ms: 1,
    generation,
    spec: JSON.stringify({ template: 'web', env: [], ports }),
    resolved: JSON.stringify({ cpu: 1, ports: ports ?? [{ port: 3000, name: null, visibility: 'owner' }] }),
    desired_revision: 1,
    status_revision: 1,
    phase: 'running',
    created_at_ms: 1,
    updated_at_ms: 1,
    revision: 1,
  })
  await db('workspaces').insert([
    row('a', 1, null),
    row('b', 7, [{ port: 1, name: 'x', visibility: 'public' }]),
  ])
  await migrate(db, database.client === 'pg' ? 'postgres' : 'sqlite')
  const rows = await db('workspaces').orderBy('id')
  t.same(
    rows.map((each) => [each.program_generation, JSON.parse(each.spec), JSON.parse(each.resolved)]),
    [
      [
        1,
        { template: 'web', env: [], ports: null, paths: null },
        { cpu: 1, ports: [filledPort({ port: 3000 })], paths: [] },
      ],
      [
        7,
        {
          template: 'web',
          env: [],
          ports: [filledPort({ port: 1, name: 'x', visibility: 'public' })],
          paths: null,
        },
        { cpu: 1, ports: [filledPort({ port: 1, name: 'x', visibility: 'public' })], paths: [] },
      ],
    ],
  )
  await migrate(db, database.client === 'pg' ? 'postgres' : 'sqlite')
}

await t.test('old rows', (t) =>
  upgrades(t, { client: 'sqlite3', connection: { filename: join(root, 'old', 'db') } }),
)
await t.test(
  'old rows on PostgreSQL',
  { skip: postgres === null && 'PostgreSQL is not installed' },
  async (t) => upgrades(t, { client: 'pg', connection: (await postgres?.database('old')) ?? '' }),
)
