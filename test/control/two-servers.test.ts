/**
 * Two `postern server` processes on one PostgreSQL: 50 people press Create at once, half of them on each, and exactly as
 * many workspaces get a place as the cap allows.
 */
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startPostgres } from '../support/control-postgres.ts'
import { freePorts } from '../support/free-port.ts'
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

    // A member's quota of CPU, asked by both servers at once: by creating, by growing, by starting.
    const bob = await one.member('bob')
    const { id: bobId } = await bob.must<{ id: string }>('GET', '/api/v1/me')
    const bobToken = await bob.must<{ token: string }>('POST', '/api/v1/tokens', { name: 'quota' })
    for (const { id } of (await doors[0]?.must<List>('GET', '/api/v1/workspaces?limit=200'))?.items ?? [])
      await doors[0]?.must('POST', `/api/v1/workspaces/${id}/stop`)
    const QUOTA = 3
    await one.admin.must('PUT', `/api/v1/quotas/user/${bobId}`, { maxRunning: QUOTA, maxWorkspaces: 5 })
    const sides = [one.client(bobToken.token), two.client(bobToken.token)]
    await until(async () => (await sides[1]?.api('GET', '/api/v1/me'))?.status === 200)
    const both = <T>(
      parts: readonly T[],
      act: (side: (typeof sides)[0], part: T) => ReturnType<typeof bob.api>,
    ) => Promise.all(parts.map((part, index) => act(sides[index % 2] as (typeof sides)[0], part)))
    const numbers = Array.from({ length: 20 }, (_, index) => index)
    const made = await both(numbers, (side, index) =>
      side.api('POST', '/api/v1/workspaces', { ...body(index), name: `bob-n${index}n` }),
    )
    const ids = made.filter(({ status }) => status === 202).map((answer) => answer.json<{ id: string }>().id)
    t.equal(ids.length, QUOTA, 'as many as the quota were created, by both servers together')
    await both(ids, (side, id) => side.api('POST', `/api/v1/workspaces/${id}/stop`))
    const more = await both([100, 101], (side, index) =>
      side.api('POST', '/api/v1/workspaces', { ...body(index), name: `bob-n${index}n` }),
    )
    ids.push(...more.map((answer) => answer.json<{ id: string }>().id))
    await both([...ids, ...ids], (side, id) => side.api('POST', `/api/v1/workspaces/${id}/start`))
    type Shown = { quota: { running: { used: number }; workspaces: { used: number } } }
    const shown = await bob.must<Shown>('GET', '/api/v1/limits')
    t.match(shown.quota, { running: { used: QUOTA }, workspaces: { used: 5 } })
  },
)
