// Attacks on sign-in by a provider of identities that other products had, each with its story, at a real provider; none may work here.
import t from 'tap'
import { password } from '../../support/control-server.ts'
import { startOidcStack, type OidcStack } from '../../support/oidc-stack.ts'
import { OidcVisitor } from '../../support/oidc-visitor.ts'
import { redirectPayloads } from '../../support/proof-redirects.ts'
import { until } from '../../support/until.ts'

const root = t.testdir({})

/** Somebody with these claims signs in; the status of where they land, and who they are then. */
async function comes(stack: OidcStack, sub: string, claims: Record<string, unknown>) {
  const [provider] = stack.providers
  if (provider === undefined) throw new Error('one was started')
  provider.people.set(sub, claims)
  provider.login = sub
  const visitor = new OidcVisitor(stack)
  const { status } = await visitor.signIn()
  return { status, me: await visitor.me(), visitor }
}

// The domain of an address was what stood behind its last `@`, or merely what it ended with: `a@evil.com@corp.com` was in.
t.test(
  'oauth2-proxy CVE-2026-40574, GHSA-c5c4-8r6x-56w3: an address with two domains has none',
  async (t) => {
    const stack = await startOidcStack(t, root, { providers: [{}] })
    const addresses = [
      'a@evil.com@corp.example',
      '@corp.example',
      'a@evilcorp.example',
      'a@evil.corp.example',
      'a@corp.example.evil.com',
      'a@corp.example@',
      'a b@corp.example',
      '"a@corp.example"@evil.com',
      'a@corp.example\0',
      'a@corp.example, b@evil.com',
      'a@CORP\u0130.example',
    ]
    for (const [n, email] of addresses.entries()) {
      const { status, me } = await comes(stack, `eve${n}`, {
        email,
        email_verified: true,
        preferred_username: `eve${n}`,
      })
      t.match([status, me], [403, null], encodeURI(email))
    }
    const { me } = await comes(stack, 'ada', {
      email: 'Ada@CORP.example',
      email_verified: true,
      preferred_username: 'ada',
    })
    t.match(me, { username: 'ada' }, 'letters in any case are one domain')
  },
)

// The session lived for as long as it was set to, though the provider had said for how long it stood by its word.
t.test('Coder GHSA-3rw9-wmc8-8948: without a refresh token a session ends with the ID token', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}] })
  const [provider] = stack.providers
  if (provider !== undefined) provider.lifeSeconds = 600
  const { visitor, me } = await comes(stack, 'ada', { email: 'ada@corp.example', email_verified: true })
  t.ok(me !== null)
  const shop = await stack.workspace(visitor.here, 'shop')
  t.equal((await visitor.go(`${shop}/x`)).status, 200)
  stack.clock.aheadMs = 601_000
  t.equal(await visitor.me(), null, 'the dashboard')
  await until(async () => (await visitor.here.ask(`${shop}/x`)).status === 401, {
    what: 'the workspace’s session to end',
  })
})

// An address alone, or one whose `email_verified` was the text "false", bound a stranger to an account that was there.
t.test('Coder #25712, #25713: an address binds nobody who hasn’t proved it, and nobody twice', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{ linkByVerifiedEmail: true }] })
  await stack.root.must('POST', '/api/v1/users', { username: 'bob', password, email: 'bob@corp.example' })
  const email = 'bob@corp.example'
  const unproved: readonly Record<string, unknown>[] = [
    { email, email_verified: 'false' },
    { email, email_verified: 'true' },
    { email, email_verified: 1 },
    { email, email_verified: null },
    { email, email_verified: [true] },
    { email, email_verified: {} },
    { email, email_verified: false },
    { email },
    { email: [email], email_verified: true },
  ]
  for (const [n, claims] of unproved.entries()) {
    const { status, me } = await comes(stack, `eve${n}`, { ...claims, preferred_username: 'bob' })
    t.ok(status >= 400 && me === null, `${JSON.stringify(claims)}: ${status}`)
  }
  const proved = { email, email_verified: true, preferred_username: 'bob' }
  t.match((await comes(stack, 'bob', proved)).me, { username: 'bob' }, 'who has proved it is bob')
  const second = await comes(stack, 'bob-too', proved)
  t.match([second.status, second.me], [409, null], 'another subject of that address is not')
})

// Of a way back through a provider, too, nothing but a local path is kept.
t.test('JupyterHub CVE-2026-33709: no way back from a provider leads elsewhere', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}] })
  const [provider] = stack.providers
  provider?.people.set('ada', { email: 'ada@corp.example', email_verified: true, preferred_username: 'ada' })
  if (provider !== undefined) provider.login = 'ada'
  const ours = [new URL(stack.url).origin, provider?.issuer]
  for (const payload of redirectPayloads.filter((_, n) => n % 2 === 0)) {
    const { hops, url } = await new OidcVisitor(stack).signIn('one', payload)
    t.same(
      [...hops, url].filter((hop) => !ours.includes(new URL(hop).origin)),
      [],
      encodeURI(payload),
    )
  }
})
