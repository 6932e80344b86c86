/** Two servers of one PostgreSQL: of each session that began at a provider, one of them asks there, and both follow its answer. */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openParts } from '../../control/open.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { factTable } from '../support/control-server.ts'
import { startOidcStack } from '../support/oidc-stack.ts'
import { OidcVisitor } from '../support/oidc-visitor.ts'
import { until } from '../support/until.ts'

const SESSIONS = 6
const ROUNDS = 3

t.setTimeout(180_000)
const root = t.testdir({})
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())

t.test(
  'each refresh is one server’s',
  { skip: postgres === null ? 'PostgreSQL is not installed' : false },
  async (t) => {
    const databaseUrl = (await postgres?.database('refreshes')) ?? ''
    const stack = await startOidcStack(t, root, { providers: [{}], refresh: true, databaseUrl })
    const [provider] = stack.providers
    if (provider === undefined) throw new Error('one was started')
    provider.people.set('ada', {
      email: 'ada@corp.example',
      email_verified: true,
      preferred_username: 'ada',
    })
    provider.lifeSeconds = 300
    const visitors = Array.from({ length: SESSIONS }, () => new OidcVisitor(stack))
    for (const visitor of visitors) await visitor.signIn()

    const { options } = stack.deployment
    const stateDirectory = join(root, 'second')
    await mkdir(stateDirectory, { recursive: true, mode: 0o700 })
    // Servers of one deployment share the key that seals its secrets.
    await copyFile(join(options.stateDirectory, 'secrets.key'), join(stateDirectory, 'secrets.key'))
    const second = await openParts({ ...options, stateDirectory }, { n: 4, r: 8, p: 1 })
    t.teardown(() => second.control.close())
    const facts = factTable()
    await second.control.feed(facts)

    const refreshes = (): number => provider.asked.filter((line) => line === 'POST /token').length - SESSIONS
    const ends = async (): Promise<number[]> =>
      (await stack.deployment.feed.db('provider_sessions').select('refresh_at_ms')).map(
        ({ refresh_at_ms: atMs }: { refresh_at_ms: number }) => atMs,
      )
    t.equal(refreshes(), 0)
    for (let round = 1; round <= ROUNDS; round++) {
      // Due for all at once, and both look at the same moment, again and again.
      await stack.deployment.feed.db('provider_sessions').update({ refresh_at_ms: options.now() - 1 })
      await until(
        async () => {
          await Promise.all([stack.sweep(), second.sweep()])
          return (
            refreshes() >= round * SESSIONS && (await ends()).every((atMs) => atMs > options.now() + 60_000)
          )
        },
        { timeoutMs: 60_000, what: 'all refreshes' },
      )
      await Promise.all([stack.sweep(), second.sweep()])
      t.equal(refreshes(), round * SESSIONS, 'no refresh token was used by both')
    }
    for (const visitor of visitors)
      t.equal((await visitor.me())?.username, 'ada', 'and every session goes on')
    const sessions = (): number => [...facts.rows.values()].filter(({ kind }) => kind === 'session').length
    t.ok(sessions() >= SESSIONS)

    // What the provider ends is ended at both, whichever of them asked.
    await provider.forget()
    await stack.deployment.feed.db('provider_sessions').update({ refresh_at_ms: options.now() - 1 })
    const before = refreshes()
    await until(
      async () => {
        await Promise.all([stack.sweep(), second.sweep()])
        return (await stack.deployment.feed.db('provider_sessions').select('*')).length === 0
      },
      { timeoutMs: 60_000, what: 'their end' },
    )
    t.equal(refreshes() - before, SESSIONS)
    // The one that didn't ask hears of it by the feed.
    for (const visitor of visitors)
      await until(async () => (await visitor.me()) === null, {
        what: 'the end of a session at the first server',
      })
    const dashboard = (): number =>
      [...facts.rows.values()].filter((fact) => fact.kind === 'session' && fact.row.workspace === null).length
    await until(() => dashboard() === 1, { what: 'the second server to know' })
    t.equal(dashboard(), 1, 'root alone is signed in, at the second server too')
  },
)
