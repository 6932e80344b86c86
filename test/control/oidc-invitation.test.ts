/** An invitation's link redeemed at a real provider: by whom, once, and by nobody else, on both databases. */
import t, { type Test } from 'tap'
import type { AuditRow, CreatedInvitation } from '../../control/wire/index.ts'
import { exchangeCredential, joinControl, remoteControl } from '../../gateway/replica/remote-control.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { startOidcStack, type OidcStack } from '../support/oidc-stack.ts'
import { OidcVisitor } from '../support/oidc-visitor.ts'
import { password } from '../support/control-server.ts'

t.setTimeout(240_000)
const root = t.testdir({})
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())
const databases = postgres === null ? (['sqlite'] as const) : (['sqlite', 'postgres'] as const)

interface Scene {
  readonly stack: OidcStack
  /** Makes an invitation; gives its id and the secret of its link. */
  invite(more?: object): Promise<{ id: string; secret: string }>
  /** A browser that shows the link's page and presses a provider's button: where it is sent on to. */
  leave(visitor: OidcVisitor, secret: string, id?: string): Promise<string>
  /** Who signs in at every provider from now on. */
  become(sub: string, claims?: Record<string, unknown>): void
  users(): Promise<string[]>
  audit(): Promise<string[]>
}

async function scene(t: Test, database: 'sqlite' | 'postgres'): Promise<Scene> {
  const databaseUrl = database === 'postgres' ? await postgres?.database(`invited${Date.now()}`) : undefined
  const allow = { domains: ['corp.example'], groups: [], invitation: true }
  const stack = await startOidcStack(t, root, {
    providers: [{ allow }, { allow, linkByVerifiedEmail: true }, {}],
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
  })
  return {
    stack,
    async invite(more = {}) {
      const made = await stack.root.must<CreatedInvitation>('POST', '/api/v1/invitations', more)
      return { id: made.id, secret: new URL(made.url).hash.slice(1) }
    },
    async leave(visitor, secret, id = 'one') {
      const answer = await visitor.here.submit('/invitation', { token: secret, provider: id })
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
      const [, to = ''] = /<meta http-equiv="refresh" content="0; url=([^"]+)"/.exec(answer.text) ?? []
      return to.replaceAll('&amp;', '&')
    },
    become(sub, claims = { email: `${sub}@else.example`, email_verified: true }) {
      for (const provider of stack.providers) {
        provider.people.set(sub, { preferred_username: sub, ...claims })
        provider.login = sub
      }
    },
    users: async () => {
      const { items } = await stack.root.must<{ items: { username: string; role: string }[] }>(
        'GET',
        '/api/v1/users',
      )
      return items.map(({ username, role }) => `${username} ${role}`).sort()
    },
    async audit() {
      await stack.sweep()
      const { items } = await stack.root.must<{ items: AuditRow[] }>('GET', '/api/v1/audit?limit=100')
      return items.map(
        ({ action, actor, object, outcome }) => `${action} ${actor.name} ${object.name} ${outcome}`,
      )
    },
  }
}

const OVER = /used, too old, revoked or replaced/

for (const database of databases) {
  t.test(
    `${database}: whoever holds the link joins by a provider, with its role and groups, once`,
    async (t) => {
      const { stack, invite, leave, become, users, audit } = await scene(t, database)
      const group = await stack.root.must<{ id: string }>('POST', '/api/v1/groups', { name: 'guests' })
      const { secret } = await invite({ role: 'auditor', groups: [group.id] })
      const visitor = new OidcVisitor(stack)
      const page = await visitor.here.ask('/invitation', { headers: { Accept: 'text/html' } })
      t.match(page.text, /value="one"[^>]*>\s*Join with Provider One/)
      t.notMatch(page.text, /value="three"/, 'only where the operator lets invited people in')
      // An unverified address is no matter: the link proves, and it links to nobody.
      become('grace', { email: 'root@corp.example', email_verified: false })
      const to = await leave(visitor, secret)
      t.ok(to.startsWith(`${stack.providers[0]?.issuer}/auth?`), to)
      t.notOk(to.includes(secret), 'the secret goes to no provider')
      t.match(await users(), ['root administrator'], 'nothing has come of it yet')
      const landed = await visitor.go(to)
      t.equal(landed.url, `${stack.url}/`)
      t.match(await visitor.me(), { username: 'grace', role: 'auditor', email: null })
      const { items } = await stack.root.must<{ items: object[] }>('GET', '/api/v1/groups')
      t.match(items, [{ name: 'guests', members: [{ username: 'grace' }] }])
      const second = new OidcVisitor(stack)
      const refused = await second.here.submit('/invitation', { token: secret, provider: 'one' })
      t.equal(refused.status, 403)
      t.match(refused.text, OVER)
      t.equal(second.here.cookies('/').has('postern_provider'), false, 'and it does not set out')
      const back = new OidcVisitor(stack)
      await back.signIn('one')
      t.match(await back.me(), { username: 'grace', role: 'auditor' }, 'the next time they just sign in')
      const told = await audit()
      t.equal(told.filter((row) => row === 'invitation.accept grace grace ok').length, 1)
      t.equal(told.filter((row) => row === 'identity.link grace grace ok').length, 1)
      t.ok(told.includes('invitation.accept   forbidden'))
      t.notOk([...stack.log.lines, ...told].join('\n').includes(secret), 'no log and no row has the secret')
    },
  )

  t.test(`${database}: two who come back at once with one invitation: one joins`, async (t) => {
    const { stack, invite, leave, become, users } = await scene(t, database)
    const { secret } = await invite()
    const visitors = [new OidcVisitor(stack), new OidcVisitor(stack), new OidcVisitor(stack)]
    const answers: string[] = []
    for (const [n, visitor] of visitors.entries()) {
      become(`twin${n}`)
      const { url } = await visitor.go(await leave(visitor, secret), /\/callback\?/)
      answers.push(url)
    }
    const landed = await Promise.all(visitors.map((visitor, n) => visitor.go(answers[n] ?? '')))
    t.same(landed.map(({ status }) => String(status)).sort(), ['200', '403', '403'])
    for (const { status, text } of landed) if (status === 403) t.match(text, OVER)
    t.equal((await users()).length, 2, 'root, and one of them')
    const signedIn = await Promise.all(visitors.map((visitor) => visitor.me()))
    t.equal(signedIn.filter((me) => me !== null).length, 1)
  })
}

t.test('what an invitation does not do', async (t) => {
  const { stack, invite, leave, become, users, audit } = await scene(t, 'sqlite')
  const nobody = async (t: Test, visitor: OidcVisitor, to: string, text: RegExp): Promise<void> => {
    const before = await users()
    const answer = await visitor.go(to)
    t.match(answer.text, text)
    t.equal(answer.status >= 400, true)
    t.equal(await visitor.me(), null)
    t.same(await users(), before)
  }

  await t.test('in another browser than the one that set out', async (t) => {
    const { secret } = await invite({ role: 'administrator' })
    become('mallory')
    const owner = new OidcVisitor(stack)
    const { url } = await owner.go(await leave(owner, secret), /\/callback\?/)
    await nobody(t, new OidcVisitor(stack), url, /not begun in this browser/)
    // A victim who is on the way by themselves: the state is another one, and nothing is mixed.
    const victim = new OidcVisitor(stack)
    await victim.answerOf('one')
    await nobody(t, victim, url, /not begun in this browser/)
    const { status } = await victim.here.submit('/invitation', { token: 'psv_guessed', provider: 'one' })
    t.equal(status, 403)
  })

  await t.test('sent by another site', async (t) => {
    const { secret } = await invite()
    const visitor = new OidcVisitor(stack)
    const answer = await visitor.here.ask('/invitation', {
      method: 'POST',
      headers: {
        Origin: 'https://evil.example',
        'Sec-Fetch-Site': 'cross-site',
        'Content-Type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({ token: secret, provider: 'one' }).toString(),
    })
    t.equal(answer.status, 403)
    t.equal(visitor.here.cookies('/').has('postern_provider'), false)
  })

  for (const [name, end] of [
    ['revoked', async (id: string) => void (await stack.root.must('DELETE', `/api/v1/invitations/${id}`))],
    ['expired', async () => void (stack.clock.aheadMs += 5 * 60_000)],
  ] as const)
    await t.test(
      `${name} while its holder is at the provider, even where their domain is let in`,
      async (t) => {
        const expiresAt = new Date(Date.now() + stack.clock.aheadMs + 4 * 60_000).toISOString()
        const { id, secret } = await invite({ expiresAt })
        become(`late-${name}`, { email: `${name}@corp.example`, email_verified: true })
        const visitor = new OidcVisitor(stack)
        const { url } = await visitor.go(await leave(visitor, secret), /\/callback\?/)
        await end(id)
        await nobody(t, visitor, url, OVER)
        const told = await audit()
        t.ok(told.includes('invitation.accept   account_not_allowed'), told.slice(0, 5).join('\n'))
      },
    )

  await t.test('make somebody else of who has an account: it stays for somebody new', async (t) => {
    become('old', { email: 'old@corp.example', email_verified: true })
    await new OidcVisitor(stack).signIn('one')
    const { id, secret } = await invite({ role: 'administrator' })
    const visitor = new OidcVisitor(stack)
    const before = await users()
    await visitor.go(await leave(visitor, secret))
    t.match(await visitor.me(), { username: 'old', role: 'member' }, 'signed in as who they are')
    t.same(await users(), before)
    const { items } = await stack.root.must<{ items: { id: string; state: string }[] }>(
      'GET',
      '/api/v1/invitations',
    )
    t.equal(items.find((each) => each.id === id)?.state, 'open')
    // Another subject with that address: by mail alone it takes nobody's account, invited or not.
    become('old-impostor', { email: 'old@corp.example', email_verified: true })
    await nobody(t, new OidcVisitor(stack), '/auth/oidc/one', /Another account here has your e-mail address/)
    await stack.root.must('POST', '/api/v1/users', { username: 'eve', password, email: 'eve@else.example' })
    become('eve-there', { email: 'eve@else.example', email_verified: true })
    const conflict = new OidcVisitor(stack)
    await nobody(t, conflict, await leave(conflict, secret), /Another account here has your e-mail address/)
    const linking = new OidcVisitor(stack)
    await linking.go(await leave(linking, secret, 'two'))
    t.match(await linking.me(), { username: 'eve', role: 'member' }, 'linked where the operator wants that')
    const used = await stack.root.must<{ items: { id: string; state: string }[] }>(
      'GET',
      '/api/v1/invitations',
    )
    t.equal(used.items.find((each) => each.id === id)?.state, 'open')
  })

  await t.test('at a provider that lets nobody in by invitation', async (t) => {
    const { secret } = await invite()
    become('stranger')
    const visitor = new OidcVisitor(stack)
    const form = await visitor.here.submit('/invitation', { token: secret, provider: 'three' })
    t.equal(form.status, 422, 'as if no provider had been named')
    const { location, flows } = await stack.control.edge.beginSignIn({
      provider: 'three',
      next: '/',
      flows: null,
      invited: { token: secret, origin: { ip: '192.0.2.1', userAgent: '', requestId: 'r' } },
    })
    const { url } = await visitor.go(location, /\/callback\?/)
    const query = new URL(url).search.slice(1)
    const done = await stack.control.edge.finishSignIn(
      { provider: 'three', query, flows },
      { ip: '192.0.2.1', userAgent: '', requestId: 'r' },
    )
    t.match(done, { session: null, refusal: { code: 'account_not_allowed' } })
  })
})

t.test('through a gateway in a process of its own', async (t) => {
  const { stack, invite, become } = await scene(t, 'sqlite')
  const made = await stack.root.must<{ token: string }>('POST', '/api/v1/gateways/tokens', { name: 'edge' })
  const self = { name: 'edge', machineId: 'machine-two', version: '0' }
  const joined = await joinControl(stack.url, made.token, self, AbortSignal.timeout(60_000))
  const { token } = await exchangeCredential(stack.url, joined.credential ?? '', AbortSignal.timeout(60_000))
  const remote = remoteControl(stack.url, () => token)
  t.teardown(() => remote.close())
  t.match(await remote.providers(), [{ invites: true }, { invites: true }, { invites: false }])
  const { secret } = await invite({ role: 'auditor' })
  const origin = { ip: '192.0.2.1', userAgent: 'test', requestId: 'r' }
  const given = { provider: 'one', next: '/', flows: null }
  const guessed = { ...given, invited: { token: 'psv_guessed', origin } }
  await t.rejects(remote.beginSignIn(guessed), { code: 'forbidden' })
  const { location, flows } = await remote.beginSignIn({ ...given, invited: { token: secret, origin } })
  become('remote')
  const { url } = await new OidcVisitor(stack).go(location, /\/callback\?/)
  const query = new URL(url).search.slice(1)
  const done = await remote.finishSignIn({ provider: 'one', query, flows }, origin)
  t.match(done, { session: { token: String }, refusal: null, next: '/', flows: '' })
  const me = await stack.visitor().ask('/api/v1/me', {
    headers: { Cookie: `postern_session=${done.session?.token}` },
  })
  t.match(me.json(), { username: 'remote', role: 'auditor' })
})
