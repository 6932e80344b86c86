/** How long a sign-in at a provider lasts: its tokens' life, refreshes, what changed there meanwhile, and the sign-out. */
import { once } from 'node:events'
import t from 'tap'
import type { AuditRow } from '../../control/wire/index.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { startOidcStack, type OidcStack } from '../support/oidc-stack.ts'
import type { TestProvider } from '../support/oidc-provider.ts'
import { OidcVisitor } from '../support/oidc-visitor.ts'
import { until } from '../support/until.ts'

const root = t.testdir({})
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())

const ada = { email: 'ada@corp.example', email_verified: true, preferred_username: 'ada', groups: ['devs'] }

function only(stack: OidcStack): TestProvider {
  const [one] = stack.providers
  if (one === undefined) throw new Error('one was started')
  one.people.set('ada', ada)
  return one
}
const sessionOf = (visitor: OidcVisitor) =>
  visitor.here.must<{ items: { expiresAtMs: number; current: boolean; via: string }[] }>(
    'GET',
    '/api/v1/sessions',
  )

t.test('a session of the operator’s length, whatever the token says', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{ sessionMs: 12 * 3600_000 }] })
  only(stack).lifeSeconds = 60
  const visitor = new OidcVisitor(stack)
  await visitor.signIn()
  stack.clock.aheadMs = 11 * 3600_000
  t.equal((await visitor.me())?.username, 'ada')
  stack.clock.aheadMs = 12 * 3600_000 + 1000
  t.equal(await visitor.me(), null)
})

for (const databaseUrl of [undefined, postgres === null ? null : await postgres.database('oidc')])
  t.test(
    `with a refresh token the session goes on, and follows the provider, on ${databaseUrl === undefined ? 'SQLite' : 'PostgreSQL'}`,
    databaseUrl === null ? { skip: 'PostgreSQL is not installed' } : {},
    async (t) => {
      const stack = await startOidcStack(t, root, {
        providers: [
          {
            roles: { admins: 'administrator', auditors: 'auditor' },
            groups: { devs: 'developers', ops: 'operators' },
          },
        ],
        refresh: true,
        ...(databaseUrl === undefined || databaseUrl === null ? {} : { databaseUrl }),
      })
      const one = only(stack)
      one.lifeSeconds = 300
      const visitor = new OidcVisitor(stack)
      const landed = await visitor.signIn()
      t.equal(
        landed.url,
        `${stack.url}/workspaces`,
        landed.text.slice(0, 2000) + stack.log.lines.slice(-2).join('\n'),
      )
      const shop = await stack.workspace(visitor.here, 'shop')
      await visitor.go(`${shop}/x`)
      const groups = async (): Promise<string> => {
        const { items } = await stack.root.must<{
          items: { name: string; members: { username: string; source: string }[] }[]
        }>('GET', '/api/v1/groups')
        return items
          .filter(({ members }) =>
            members.some(({ username, source }) => username === 'ada' && source === 'one'),
          )
          .map(({ name }) => name)
          .join()
      }
      t.equal(await groups(), 'developers', 'a group that was not there is made')
      const asked = () => one.asked.filter((line) => line === 'POST /token').length
      t.equal(asked(), 1)
      await stack.sweep()
      t.equal(asked(), 1, 'not before it is due')

      // Real time stands still for the provider: its new token ends 300 s from now, which is 90 s from then.
      one.people.set('ada', { ...ada, groups: ['ops', 'auditors', 'constructor'] })
      stack.clock.aheadMs = 210_000
      await stack.sweptUntil(async () => (await visitor.me())?.role === 'auditor', 'the new role')
      t.equal(await groups(), 'operators', 'by hand or by others it would have stayed')
      t.equal(asked(), 2)
      const told = await stack.root.must<{ items: AuditRow[] }>('GET', '/api/v1/audit?action=user.change')
      t.match(
        told.items,
        [
          {
            actor: { kind: 'system' },
            object: { kind: 'user', name: 'ada' },
            details: { provider: 'one', fields: ['role', 'groups'], role: 'auditor', groups: ['operators'] },
          },
          { details: { provider: 'one', fields: ['groups'], groups: ['developers'] } },
        ],
        'what a provider changes is told',
      )
      t.equal(told.items.length, 2)
      one.lifeSeconds = 3600
      stack.clock.aheadMs = 290_000
      await stack.sweptUntil(() => asked() === 3, 'the second refresh')
      await stack.sweptUntil(
        async () => ((await sessionOf(visitor)).items[0]?.expiresAtMs ?? 0) - Date.now() > 3_000_000,
        'the new end',
      )
      stack.clock.aheadMs = 1_000_000
      t.equal((await visitor.me())?.username, 'ada', 'beyond the first token’s end')
      t.equal((await visitor.go(`${shop}/x`)).hops.length, 1, 'its workspace session went on too')

      // A provider that is away ends nothing; one that refuses ends all.
      one.state = 'broken'
      stack.clock.aheadMs = 3_400_000
      await stack.sweptUntil(() => asked() > 3, 'a refresh in vain')
      t.equal((await visitor.me())?.username, 'ada')
      t.ok(stack.log.lines.some((line) => line.includes('a provider could not be asked about a session')))
      one.state = 'well'
      const events = await visitor.here.socket('/api/v1/events')
      const closed = once(events, 'close')
      await one.forget()
      stack.clock.aheadMs += 31_000
      await stack.sweptUntil(async () => (await visitor.me()) === null, 'the end of the session')
      await closed
      const again = await visitor.here.ask(`${shop}/x`, { headers: { Accept: 'application/json' } })
      t.equal(again.status, 401, 'and of its child')
      const secrets = stack.log.lines.filter((line) =>
        /eyJ[A-Za-z0-9_-]{20}|a secret of the client/.test(line),
      )
      t.same(secrets, [], 'no token and no secret is in the log')
      const rows = await stack.deployment.feed.db('provider_sessions').select('*')
      t.same(rows, [], 'nothing is kept of it')
    },
  )

t.test('the last administrator stays one, whatever the provider says', async (t) => {
  const stack = await startOidcStack(t, root, {
    providers: [{ roles: { admins: 'administrator' }, linkByVerifiedEmail: true }],
  })
  const one = only(stack)
  const users = await stack.root.must<{ items: { id: string }[] }>('GET', '/api/v1/users')
  await stack.root.must('PATCH', `/api/v1/users/${users.items[0]?.id}`, { email: 'ada@corp.example' })
  const visitor = new OidcVisitor(stack)
  await visitor.signIn()
  t.match(await visitor.me(), { username: 'root', role: 'administrator' })
  one.people.set('eve', { email: 'eve@corp.example', email_verified: true, groups: ['admins'] })
  one.login = 'eve'
  const eve = new OidcVisitor(stack)
  await eve.signIn()
  t.match(await eve.me(), { username: 'eve', role: 'administrator' })
  await stack.workspace(eve.here, 'shop')
  const path = '/api/v1/workspaces/shop'
  await visitor.here.must('POST', `${path}/break-glass`, { reason: 'the disk fills up' })
  t.match(await visitor.here.must('GET', path), { role: 'editor' })
  one.login = 'ada'
  await new OidcVisitor(stack).signIn()
  t.match(await visitor.me(), { username: 'root', role: 'member' }, 'as soon as there is another')
  t.equal((await visitor.here.api('GET', path)).status, 404, 'and what the office opened is shut')
  t.same(
    (await eve.here.must<{ items: unknown[] }>('GET', `/api/v1/grants?kind=workspace&id=shop`)).items,
    [],
  )
})

t.test('signing out ends the session here first, then leads to the provider', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}] })
  const one = only(stack)
  const visitor = new OidcVisitor(stack)
  await visitor.signIn()
  const answer = await visitor.here.api('DELETE', '/api/v1/sessions/current')
  t.equal(answer.status, 204)
  const at = new URL(String(answer.headers['postern-sign-out-at']))
  t.equal(at.origin, one.issuer)
  t.match(at.searchParams.get('id_token_hint'), /^eyJ/)
  t.equal(at.searchParams.get('post_logout_redirect_uri'), `${stack.url}/sign-in`)
  t.equal(await visitor.me(), null)
  await visitor.signIn()
  const form = await visitor.here.submit('/sign-out', {})
  t.equal(form.status, 303)
  t.equal(new URL(String(form.headers.location)).origin, one.issuer)
  await visitor.signIn()
  one.state = 'hung'
  const started = Date.now()
  t.equal((await visitor.here.api('DELETE', '/api/v1/sessions/current')).status, 204, 'a provider that hangs')
  t.ok(Date.now() - started < 20_000)
  t.equal(await visitor.me(), null)
  const plain = await stack.root.api('DELETE', '/api/v1/sessions/current')
  t.equal(plain.headers['postern-sign-out-at'], undefined, 'who came by password has nowhere else to go')
})

t.test('a provider that hangs holds up nobody but who waits for it', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}, {}] })
  const [one, two] = stack.providers
  if (one === undefined || two === undefined) throw new Error('two were started')
  two.people.set('ada', ada)
  one.state = 'hung'
  const waiting = new OidcVisitor(stack).signIn()
  await until(() => one.asked.length > 0, { what: 'the question that nobody answers', timeoutMs: 20_000 })
  const visitor = new OidcVisitor(stack)
  await visitor.signIn('two')
  t.equal((await visitor.me())?.username, 'ada', 'the other works meanwhile')
  t.match(await stack.root.must('GET', '/api/v1/me'), { username: 'root' })
  const late = await waiting
  t.match(late, { status: 503, text: /provider does not answer.*Back to the sign-in/s })
  t.equal(late.hops.length, 1)
  one.state = 'well'
  one.people.set('ada', ada)
  await until(async () => (await new OidcVisitor(stack).signIn()).status === 409, {
    what: 'it is asked again',
    timeoutMs: 30_000,
  })
})
