/** The story: a server was stopped while people pressed Create; their requests waited a minute for a database that had gone. */
import { join } from 'node:path'
import t from 'tap'
import { listAudit } from '../../control/store/audit.ts'
import { listUsers } from '../../control/store/users.ts'
import { listWorkspaces } from '../../control/store/workspaces.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { controlServer } from '../support/control-server.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)
const root = t.testdir({})
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())

for (const dialect of ['sqlite', 'postgres'] as const) {
  const skip = dialect === 'postgres' && postgres === null && 'PostgreSQL is not here'
  const place = async (name: string) => ({
    stateDirectory: join(root, `${dialect}-${name}`),
    databaseUrl: dialect === 'sqlite' ? null : ((await postgres?.database(name)) ?? null),
  })

  await t.test(`${dialect}: who is under way gets an answer, and it is true`, { skip }, async (t) => {
    const here = await place('answered')
    const server = await controlServer(here)
    const ada = await server.setUp()
    await pretendAgent(server.control.embeddedAgent(), server.clock.now)
    const names = Array.from({ length: 30 }, (_, n) => `w-n${n}n`)
    const answers = names.map((name) => ada.call('POST', '/api/v1/workspaces', { name, image: 'x:1' }))
    await until(() => server.taken.filter((line) => line === 'POST /api/v1/workspaces').length >= 10)
    await server.control.close()
    // Those that could not be read while it closed are answered, too.
    const said = await Promise.all(answers)
    const late = await ada.call('GET', '/api/v1/workspaces')
    t.match(late, { status: 503, json: { code: 'unavailable' } })
    await server.close()
    t.same(
      [...new Set(said.map(({ status }) => status))].filter((each) => each !== 202 && each !== 503),
      [],
    )
    const made = names.filter((_, n) => said[n]?.status === 202)
    const again = await controlServer(here)
    t.teardown(() => again.close())
    const { db } = again.deployment.feed
    t.same((await listWorkspaces(db, {})).map(({ name }) => name).sort(), [...made].sort())
    const told = await listAudit(db, { action: 'workspace.create' }, { limit: 100 })
    t.same(
      told
        .filter(({ outcome }) => outcome === 'ok')
        .map(({ object }) => object.name)
        .sort(),
      made.sort(),
    )
    t.same(
      told.filter(({ outcome }) => outcome === 'begun'),
      [],
      'and every act has its end in the audit',
    )
  })

  await t.test(
    `${dialect}: a transaction without an end holds nobody up, and leaves nothing`,
    { skip },
    async (t) => {
      const here = await place('stuck')
      const server = await controlServer(here)
      await server.setUp()
      const { feed, audit } = server.deployment
      const actor = { kind: 'anonymous', id: '', name: '' } as const
      // The second is written down at the end only.
      for (let n = 0; n < 2; n++) await audit.count('guess', { action: 'session.begin', actor })
      let isIn = false
      let end: (err: Error) => void = () => undefined
      const done = feed
        .write(async (w) => {
          await w.db('users').update({ username: 'nobody' })
          isIn = true
          await new Promise((_, reject) => (end = reject))
        })
        .catch(() => undefined)
      await until(() => isIn)
      await server.close()
      const asked = feed.db('users').select()
      await t.rejects(asked, { message: /the database is closed/ }, 'who asks is told at once')
      end(new Error('at last'))
      await done
      const again = await controlServer(here)
      t.teardown(() => again.close())
      t.equal((await listUsers(again.deployment.feed.db))[0]?.username, 'ada')
    },
  )
}
