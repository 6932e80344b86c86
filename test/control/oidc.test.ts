/** Sign-in at real providers: whom it lets in, for how long, and what a person is told who isn't. */
import { randomBytes } from 'node:crypto'
import type { JWTPayload } from 'jose'
import t, { type Test } from 'tap'
import { password } from '../support/control-server.ts'
import { startOidcStack, type OidcStack } from '../support/oidc-stack.ts'
import { type Arrival, OidcVisitor } from '../support/oidc-visitor.ts'

const root = t.testdir({})

const ada = { email: 'ada@corp.example', email_verified: true, preferred_username: 'Ada L', groups: ['devs'] }

/** Whoever is refused is told so by a page, and has no session. */
async function refused(
  t: Test,
  visitor: OidcVisitor,
  answer: Arrival,
  status: number,
  text: RegExp,
): Promise<void> {
  t.equal(answer.status, status, `${text.source}: ${answer.text.slice(0, 200)}`)
  t.match(answer.text, text)
  t.match(answer.headers['content-type'], /^text\/html/)
  t.match(answer.text, /Back to the sign-in/)
  t.notMatch(answer.text, /<script|<b>|Error:/, 'nothing of the provider’s, no stack')
  t.equal(visitor.here.cookies('/').has('postern_session'), false)
  t.equal(await visitor.me(), null)
}

const usersOf = async (stack: OidcStack) =>
  (await stack.root.must<{ items: { username: string; email: string | null }[] }>('GET', '/api/v1/users'))
    .items

t.test('who is let in, who is known again, who is not', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}, { linkByVerifiedEmail: true }] })
  const [one, two] = stack.providers
  if (one === undefined || two === undefined) throw new Error('two were started')
  const people = (sub: string, claims: Record<string, unknown>) => {
    for (const provider of [one, two]) provider.people.set(sub, claims)
  }
  const as = async (sub: string, id = 'one'): Promise<[OidcVisitor, Arrival]> => {
    one.login = two.login = sub
    const visitor = new OidcVisitor(stack)
    return [visitor, await visitor.signIn(id)]
  }

  await t.test('a person of an allowed domain gets an account, and the same one ever after', async (t) => {
    people('ada', ada)
    const [visitor, landed] = await as('ada')
    t.equal(landed.url, `${stack.url}/workspaces`)
    const me = await visitor.me()
    t.match(me, { username: 'ada-l', role: 'member', email: 'ada@corp.example' })
    people('ada', { ...ada, preferred_username: 'other', email: 'ada.new@corp.example' })
    const [again] = await as('ada')
    t.match(await again.me(), { id: me?.id, username: 'ada-l', email: 'ada.new@corp.example' })
    people('ada', ada)
    people('ada2', { ...ada, email: 'lovelace@corp.example' })
    const [other] = await as('ada2')
    t.equal((await other.me())?.username, 'ada-l-2')
  })

  await t.test('nobody else gets one: other domains, unverified and twofold addresses', async (t) => {
    const before = await usersOf(stack)
    const tries: readonly Record<string, unknown>[] = [
      { email: 'eve@evil.example', email_verified: true },
      { email: 'eve@corp.example', email_verified: false },
      { email: 'eve@corp.example', email_verified: 'true' },
      { email: 'eve@corp.example' },
      // GHSA-c5c4-8r6x-56w3: the text after the last @ was taken for the domain.
      { email: 'a@evil.com@corp.example', email_verified: true },
      { email: 'eve@corp.example.evil.com', email_verified: true },
      { email: 'eve@evilcorp.example', email_verified: true },
      { email: 'eve@sub.corp.example', email_verified: true },
      { email: ['eve@corp.example'], email_verified: true },
      { email_verified: true },
    ]
    for (const [index, claims] of tries.entries()) {
      people(`eve${index}`, claims)
      const [visitor, answer] = await as(`eve${index}`)
      await refused(t, visitor, answer, 403, /Your account is not let in here/)
    }
    t.same(await usersOf(stack), before)
  })

  await t.test(
    'an address links only where the operator wants it, it is verified, and nobody is bound yet',
    async (t) => {
      await stack.root.must('POST', '/api/v1/users', { username: 'bob', password, email: 'Bob@corp.example' })
      const bob = { email: 'bob@corp.example', email_verified: true, preferred_username: 'bob' }
      people('bob', bob)
      const [, answer] = await as('bob', 'one')
      t.match(answer, { status: 409, text: /Another account here has your e-mail address/ })
      people('bob', { ...bob, email_verified: 'true' })
      t.equal((await as('bob', 'two'))[1].status, 403)
      people('bob', bob)
      const [linked] = await as('bob', 'two')
      t.equal((await linked.me())?.username, 'bob')
      // Another subject with the same address is another person (Coder #25712).
      people('bob-impostor', bob)
      const [impostor, no] = await as('bob-impostor', 'two')
      await refused(t, impostor, no, 409, /Another account here has your e-mail address/)
    },
  )

  await t.test(
    'an administrator unbinds a subject: what came by it ends, and another may be linked',
    async (t) => {
      const { items } = await stack.root.must<{ items: { id: string; username: string }[] }>(
        'GET',
        '/api/v1/users',
      )
      const id = items.find(({ username }) => username === 'bob')?.id ?? ''
      const [bob] = await as('bob', 'two')
      t.equal((await bob.here.api('DELETE', `/api/v1/users/${id}/identities/two`)).status, 403)
      t.equal((await stack.root.api('DELETE', `/api/v1/users/${id}/identities/one`)).status, 404)
      await stack.root.must('DELETE', `/api/v1/users/${id}/identities/two`)
      t.equal(await bob.me(), null)
      const [anew] = await as('bob-impostor', 'two')
      t.equal((await anew.me())?.username, 'bob')
    },
  )

  await t.test('People says how each signs in', async (t) => {
    const { items } = await stack.root.must<{ items: { username: string; signInBy: string[] }[] }>(
      'GET',
      '/api/v1/users',
    )
    const ways = Object.fromEntries(items.map(({ username, signInBy }) => [username, signInBy.join()]))
    t.match(ways, { root: 'password', 'ada-l': 'Provider One', bob: 'password,Provider <two>' })
    t.same((await stack.root.must<{ signInBy: string[] }>('GET', '/api/v1/me')).signInBy, ['password'])
  })

  await t.test('who came by a provider has no password to guess; a disabled account stays out', async (t) => {
    const visitor = stack.visitor()
    for (const guess of ['', 'x', password]) {
      const answer = await visitor.api('POST', '/api/v1/sessions', { username: 'ada-l', password: guess })
      t.equal(answer.status, 401)
    }
    const { items } = await stack.root.must<{ items: { id: string; username: string }[] }>(
      'GET',
      '/api/v1/users',
    )
    const found = items.find(({ username }) => username === 'ada-l')
    await stack.root.must('PATCH', `/api/v1/users/${found?.id}`, { disabled: true })
    const [refusedVisitor, answer] = await as('ada')
    await refused(t, refusedVisitor, answer, 403, /This account is disabled/)
  })
})

t.test('by invitation: to a verified address, once, with its role and groups', async (t) => {
  const invitation = { domains: [], groups: [], invitation: true }
  const stack = await startOidcStack(t, root, { providers: [{ allow: invitation }, {}] })
  const [one, two] = stack.providers
  if (one === undefined || two === undefined) throw new Error('two were started')
  const signIn = async (sub: string, email: string, verified: boolean, id = 'one') => {
    for (const provider of [one, two]) {
      provider.people.set(sub, { email, email_verified: verified, preferred_username: sub })
      provider.login = sub
    }
    const visitor = new OidcVisitor(stack)
    return { visitor, answer: await visitor.signIn(id) }
  }
  const group = await stack.root.must<{ id: string }>('POST', '/api/v1/groups', { name: 'guests' })
  const invite = (email: string) =>
    stack.root.must('POST', '/api/v1/invitations', { email, role: 'auditor', groups: [group.id] })
  const before = await signIn('grace', 'grace@else.example', true)
  await refused(t, before.visitor, before.answer, 403, /Your account is not let in here/)
  await invite('Grace@else.example')
  const unverified = await signIn('grace', 'grace@else.example', false)
  await refused(t, unverified.visitor, unverified.answer, 403, /Your account is not let in here/)
  const other = await signIn('grace', 'grace@else.example', true, 'two')
  await refused(t, other.visitor, other.answer, 403, /Your account is not let in here/)
  const { visitor } = await signIn('grace', 'grace@else.example', true)
  t.match(await visitor.me(), { username: 'grace', role: 'auditor', email: 'grace@else.example' })
  const { items } = await stack.root.must<{ items: { name: string; members: { username: string }[] }[] }>(
    'GET',
    '/api/v1/groups',
  )
  t.match(items, [{ name: 'guests', members: [{ username: 'grace' }] }])
  const impostor = await signIn('not-grace', 'grace@else.example', true)
  t.equal(impostor.answer.status, 409)
  const audit = await stack.root.must<{ items: { action: string; actor: { name: string } }[] }>(
    'GET',
    '/api/v1/audit',
  )
  const told = audit.items.filter(({ actor }) => actor.name === 'grace').map(({ action }) => action)
  t.same(told.sort(), ['identity.link', 'invitation.accept', 'session.begin'])
})

t.test('an answer that is not right signs nobody in', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}, {}] })
  const [one, two] = stack.providers
  if (one === undefined || two === undefined) throw new Error('two were started')
  for (const provider of [one, two]) provider.people.set('ada', ada)
  const changed = async (change: (url: URL) => void): Promise<[OidcVisitor, Arrival]> => {
    const visitor = new OidcVisitor(stack)
    const url = await visitor.answerOf()
    change(url)
    return [visitor, await visitor.go(url.href)]
  }
  const lost = /not begun in this browser, or took too long/
  const distrusted = /answer could not be trusted/
  const rows: [string, (url: URL) => void, RegExp][] = [
    ['state of nobody', (url) => url.searchParams.set('state', randomBytes(32).toString('base64url')), lost],
    ['no state', (url) => url.searchParams.delete('state'), lost],
    ['state twice', (url) => url.searchParams.append('state', 'x'), distrusted],
    ['another issuer', (url) => url.searchParams.set('iss', two.issuer), distrusted],
    ['no issuer, which it says it sends', (url) => url.searchParams.delete('iss'), distrusted],
    ['a code of nobody', (url) => url.searchParams.set('code', 'guessed'), distrusted],
    ['no code', (url) => url.searchParams.delete('code'), distrusted],
    ['at the other’s door', (url) => (url.pathname = '/auth/oidc/two/callback'), lost],
    ['at nobody’s door', (url) => (url.pathname = '/auth/oidc/none/callback'), lost],
  ]
  for (const [name, change, text] of rows)
    await t.test(name, async (t) => refused(t, ...(await changed(change)), 403, text))

  const tokens: [string, (claims: JWTPayload) => JWTPayload, RegExp][] = [
    ['another nonce', (claims) => ({ ...claims, nonce: 'another' }), distrusted],
    ['another audience', (claims) => ({ ...claims, aud: 'another' }), distrusted],
    ['another issuer’s token', (claims) => ({ ...claims, iss: two.issuer }), distrusted],
    ['more audiences without azp', (claims) => ({ ...claims, aud: ['postern', 'another'] }), distrusted],
    ['over for 61 s', (claims) => ({ ...claims, exp: Math.floor(Date.now() / 1000) - 62 }), /clock/],
    ['from 65 s ahead', (claims) => ({ ...claims, iat: Math.floor(Date.now() / 1000) + 70 }), /clock/],
    ['not before 65 s', (claims) => ({ ...claims, nbf: Math.floor(Date.now() / 1000) + 70 }), /clock/],
  ]
  for (const [name, claims, text] of tokens)
    await t.test(name, async (t) => {
      one.tamper = { claims }
      const visitor = new OidcVisitor(stack)
      await refused(t, visitor, await visitor.signIn(), 403, text)
      one.tamper = null
    })

  await t.test('a signature by another key', async (t) => {
    one.tamper = { foreignKey: true }
    const visitor = new OidcVisitor(stack)
    await refused(t, visitor, await visitor.signIn(), 403, distrusted)
    one.tamper = null
  })

  await t.test('clocks half a minute apart are no matter', async (t) => {
    for (const by of [-30, 30]) {
      one.tamper = {
        claims: (claims) => ({ ...claims, iat: Number(claims.iat) + by, exp: Number(claims.exp) + by }),
      }
      const visitor = new OidcVisitor(stack)
      await visitor.signIn()
      t.equal((await visitor.me())?.username, 'ada-l', `${by} s`)
    }
    one.tamper = null
  })

  await t.test('nobody is sent anywhere else', async (t) => {
    const payloads = [
      'https://evil.example/',
      '//evil.example',
      '/\\evil.example',
      '/\t/evil.example',
      'javascript:1',
      '',
    ]
    for (const next of payloads)
      t.equal((await new OidcVisitor(stack).signIn('one', next)).url, `${stack.url}/`, JSON.stringify(next))
    const visitor = new OidcVisitor(stack)
    t.equal((await visitor.signIn('one', '/workspaces?q=a%2Fb')).url, `${stack.url}/workspaces?q=a%2Fb`)
    const framed = await visitor.here.ask('/auth/oidc/one', {
      headers: { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe', Accept: 'text/html' },
    })
    t.equal(framed.status, 403, 'nor inside a frame')
  })

  await t.test('a code is good once, in the browser that asked', async (t) => {
    const visitor = new OidcVisitor(stack)
    const url = await visitor.answerOf()
    const thief = new OidcVisitor(stack)
    await refused(t, thief, await thief.go(url.href), 403, lost)
    const kept = visitor.here.cookies('/').get('postern_provider') ?? ''
    t.equal((await visitor.go(url.href)).status, 200)
    const again = await new OidcVisitor(stack).here.ask(url.href, {
      headers: { Accept: 'text/html', Cookie: `postern_provider=${kept}` },
    })
    t.equal(again.status, 403, 'with the cookie of then, too')
    t.equal(again.headers['set-cookie']?.some((line) => line.startsWith('postern_session=')) ?? false, false)
  })

  await t.test('a person who says no, and a provider that is away, broken or silent about why', async (t) => {
    one.login = null
    const visitor = new OidcVisitor(stack)
    await refused(t, visitor, await visitor.signIn(), 403, /did not sign you in/)
    one.login = 'ada'
    const url = await visitor.answerOf()
    one.state = 'broken'
    await refused(t, visitor, await visitor.go(url.href), 503, /provider does not answer/)
    one.state = 'well'
  })
})

t.test('a provider that has changed its key is known by the new one, and by that alone', async (t) => {
  const stack = await startOidcStack(t, root, { providers: [{}] })
  const [one] = stack.providers
  if (one === undefined) throw new Error('one was started')
  one.people.set('ada', ada)
  const distrusted = /answer could not be trusted/
  const come = async (): Promise<[OidcVisitor, Arrival]> => {
    const visitor = new OidcVisitor(stack)
    return [visitor, await visitor.signIn()]
  }
  const [before] = await come()
  t.equal((await before.me())?.username, 'ada-l')
  one.rotated = true
  const asked = () => one.asked.filter((line) => line === 'GET /jwks').length
  const first = asked()
  for (let n = 0; n < 3; n++) await refused(t, ...(await come()), 403, distrusted)
  t.equal(asked(), first, 'unknown keys make nobody ask for the keys again and again')
  const real = Date.now
  t.teardown(() => void (Date.now = real))
  Date.now = () => real() + 61_000
  const [after] = await come()
  t.equal((await after.me())?.username, 'ada-l', 'but within a minute')
  one.rotated = false
  await refused(t, ...(await come()), 403, distrusted)
})
