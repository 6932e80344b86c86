/**
 * Two `postern server` processes on one PostgreSQL: 50 people press Create at once, half of them on each, and exactly as
 * many workspaces get a place as the cap allows.
 */
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startPostgres } from '../support/control-postgres.ts'
import { freePorts } from '../support/product-process.ts'
import { Product, startProduct, type ProductOptions } from '../support/product.ts'
import { until } from '../support/until.ts'

const CAP = 7
const CREATES = 50

t.setTimeout(180_000)
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())

t.test(
  'the cap holds over two processes',
  { skip: postgres === null ? 'no PostgreSQL' : false },
  async (t) => {
    const database = await (postgres as NonNullable<typeof postgres>).database('caps')
    const options: ProductOptions = {
      mode: 'split',
      setup: false,
      args: [`--max-running=${CAP}`, '--max-running-per-user=1000', '--max-workspaces-per-user=1000'],
      env: { POSTERN_DATABASE_URL: database },
    }
    const one = await startProduct(t, options)
    await one.setUp()
    const home = await mkdtemp(join(tmpdir(), 'postern-test-'))
    t.teardown(() => rm(home, { recursive: true, force: true }))
    const [port = 0, authzPort = 0] = await freePorts(2)
    const two = new Product(home, port, authzPort, options)
    t.teardown(() => two.server.end())
    await mkdir(two.stateDirectory, { recursive: true, mode: 0o700 })
    // Servers of one deployment share the key that seals its secrets.
    await copyFile(join(one.stateDirectory, 'secrets.key'), join(two.stateDirectory, 'secrets.key'))
    await two.startServer()

    const { token } = await one.admin.must<{ token: string }>('POST', '/api/v1/tokens', { name: 'caps' })
    const doors = [one.client(token), two.client(token)]
    // What one server wrote, the other looks for a few times a second.
    await until(async () => (await two.client(token).api('GET', '/api/v1/me')).status === 200)
    const body = (index: number) => ({
      name: `cap-n${index}n`,
      command: ['sleep', '1'],
      env: [{ name: 'A', value: 'b', secret: true }],
    })
    const answers = await Promise.all(
      Array.from({ length: CREATES }, (_, index) =>
        (doors[index % 2] as (typeof doors)[0]).api('POST', '/api/v1/workspaces', body(index)),
      ),
    )
    const took = answers.filter(({ status }) => status === 202)
    t.equal(took.length, CAP, 'as many as the cap were created')
    const refused = answers.filter(({ status }) => status !== 202).map((answer) => answer.json()['code'])
    t.same([...new Set(refused)], ['cap_reached'], 'and all others were told why')
    t.ok(
      new Set(answers.map((answer, index) => `${answer.status} ${index % 2}`)).size >= 3,
      'by both servers',
    )
    type List = { items: { id: string; want: string }[] }
    for (const door of doors) {
      const { items } = await door.must<List>('GET', '/api/v1/workspaces?limit=200')
      t.equal(items.filter(({ want }) => want === 'running').length, CAP)
    }

    // A place that one server frees is given away once, whoever asks first.
    const [first] = took.map((answer) => answer.json<{ id: string }>().id)
    await doors[0]?.must('POST', `/api/v1/workspaces/${first}/stop`)
    const next = await Promise.all(
      doors.flatMap((door, half) =>
        Array.from({ length: 5 }, (_, index) =>
          door.api('POST', '/api/v1/workspaces', body(100 + half * 10 + index)),
        ),
      ),
    )
    t.equal(next.filter(({ status }) => status === 202).length, 1, 'one place was free')
    await until(
      async () =>
        (await doors[1]?.must<List>('GET', '/api/v1/workspaces?limit=200'))?.items.length === CAP + 1,
    )
  },
)
