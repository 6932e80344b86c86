/** `oidc_providers` of the file: what it gives, and that every mistake is told with its key and the way out. */
import { join } from 'node:path'
import t from 'tap'
import { readOidcProviders } from '../../control/cli/oidc-options.ts'
import { claimAt, groupsOf, personOf, roleOf } from '../../control/oidc/claims.ts'
import { flowsOf } from '../../control/oidc/flows.ts'
import { vaultOf } from '../../control/credentials/secrets.ts'
import { CliProcess } from '../support/product-process.ts'

const least = { id: 'one', issuer: 'https://id.example.com/realms/team', client_id: 'postern' }
const wrong = (raw: unknown): string => {
  try {
    readOidcProviders(raw)
  } catch (err) {
    return (err as Error).message
  }
  return ''
}

t.test('the least is enough, and lets nobody new in', (t) => {
  t.same(readOidcProviders([least]), [
    {
      id: 'one',
      name: 'one',
      issuer: 'https://id.example.com/realms/team',
      clientId: 'postern',
      clientSecret: null,
      scopes: ['openid', 'profile', 'email'],
      parameters: {},
      groupsClaim: null,
      roles: null,
      groups: {},
      allow: { domains: [], groups: [], invitation: false },
      linkByVerifiedEmail: false,
      sessionMs: null,
    },
  ])
  t.end()
})

t.test('all of it', (t) => {
  const home = t.testdir({ secret: 'of a file\n' })
  const [provider] = readOidcProviders([
    {
      ...least,
      name: 'The Realm',
      client_secret_file: join(home, 'secret'),
      scopes: ['openid', 'groups'],
      parameters: { access_type: 'offline' },
      roles: { admins: 'administrator' },
      groups: { devs: 'developers' },
      allow: { domains: ['Corp.example'], groups: ['devs'] },
      link_by_verified_email: true,
      session_length: '12h',
    },
  ])
  t.match(provider, {
    clientSecret: 'of a file',
    groupsClaim: 'groups',
    allow: { domains: ['corp.example'], groups: ['devs'], invitation: false },
    sessionMs: 12 * 3600_000,
  })
  t.match(readOidcProviders([{ ...least, allow: 'invitation' }])[0]?.allow, { invitation: true })
  t.end()
})

t.test('each mistake is told with its key', (t) => {
  const rows: [unknown, RegExp][] = [
    [{}, /needs a list/],
    [['x'], /\[0\]: needs keys and values/],
    [[{}], /\[0\]\.id: is needed.*\[0\]\.issuer: is needed.*\[0\]\.client_id: is needed/],
    [[{ ...least, id: 'A b' }], /\[0\]\.id: .*small letters/],
    [[{ ...least, id: 'password' }], /another way to sign in/],
    [[least, least], /id: one is there twice/],
    [[{ ...least, issuer: 'http://id.example.com' }], /\[0\]\.issuer: .*must be https/],
    [[{ ...least, issuer: 'id.example.com' }], /\[0\]\.issuer: .*is not a URL/],
    [[{ ...least, secret: 'x' }], /\[0\]\.secret: there is no such key; known: id, name/],
    [[{ ...least, client_secret: 'x', client_secret_file: '/y' }], /not both/],
    [
      [{ ...least, client_secret_file: '/nowhere/at/all' }],
      /client_secret_file: \/nowhere\/at\/all cannot be read/,
    ],
    [[{ ...least, scopes: ['email'] }], /\[0\]\.scopes: needs openid/],
    [[{ ...least, parameters: { redirect_uri: 'x' } }], /redirect_uri is set by Postern itself/],
    [[{ ...least, roles: { a: 'root' } }], /\[0\]\.roles: "root" is none of administrator/],
    [[{ ...least, groups: { a: 'x,y' } }], /\[0\]\.groups: .*not a group’s name/],
    [[{ ...least, allow: 'everybody' }], /\[0\]\.allow: needs a mapping/],
    [[{ ...least, allow: { domain: 'x' } }], /\[0\]\.allow: domain: there is no such key/],
    [
      [{ ...least, link_by_verified_email: 'yes' }],
      /\[0\]\.link_by_verified_email: "yes" is neither true nor false/,
    ],
    [[{ ...least, session_length: '5' }], /\[0\]\.session_length: .*unit/],
    [[{ ...least, session_length: '5s' }], /\[0\]\.session_length: needs a minute/],
  ]
  for (const [raw, says] of rows) t.match(wrong(raw), says)
  t.end()
})

t.test('a mistake ends the start with code 2, the key and the next step, and shows no secret', async (t) => {
  const home = t.testdir({
    'config.yml': 'oidc_providers:\n  - id: one\n    issuer: http://x.example\n    client_secret: hush\n',
  })
  const run = new CliProcess({ home, args: [`--config=${join(home, 'config.yml')}`] })
  t.teardown(() => run.end())
  t.equal((await run.ended).code, 2)
  t.match(run.stderr, /config\.yml: oidc_providers: \[0\]\.issuer: .*https.*client_id: is needed/s)
  t.match(run.stderr, /next:/)
  t.notMatch(run.stderr + run.stdout, /hush/)
})

t.test('claims: dots lead inside, own names come first, prototypes are no claims', (t) => {
  const claims = { iss: 'i', sub: 's', realm_access: { roles: ['a'] }, 'x.y': 'b', x: { y: 'c' } }
  t.same(claimAt(claims, 'realm_access.roles'), ['a'])
  t.equal(claimAt(claims, 'x.y'), 'b')
  for (const name of ['constructor', '__proto__.x', 'realm_access.length', 'sub.0', 'none.at.all'])
    t.equal(claimAt(claims, name), undefined, name)
  const person = (groups: unknown) => personOf({ ...claims, groups }, { groupsClaim: 'groups' })
  t.same(person(['a', 1, { a: 1 }, null]).values, ['a'])
  t.same(person('a').values, ['a'])
  const roles = { admins: 'administrator', audit: 'auditor' } as const
  t.equal(roleOf(person(['audit', 'admins']), { roles }), 'administrator')
  t.equal(roleOf(person(['audit']), { roles }), 'auditor')
  t.equal(roleOf(person(['toString', 'constructor']), { roles }), 'member')
  t.equal(roleOf(person(['admins']), { roles: null }), null)
  t.same(groupsOf(person(['b', 'a', 'toString']), { groups: { a: 'x', b: 'x', c: 'y' } }), ['x'])
  const wishes = [
    [{ preferred_username: 'Ada.L' }, 'ada.l'],
    [{ preferred_username: 'ada@corp.example' }, 'ada'],
    [{ email: 'Grace-Hopper@x.example' }, 'grace-hopper'],
    [{ name: 'Žofie Nováková' }, 'zofie-novakova'],
    [{ preferred_username: '漢字' }, 'user'],
    [{ preferred_username: '../../etc' }, 'etc'],
    [{}, 'user'],
  ] as const
  for (const [more, wish] of wishes)
    t.equal(personOf({ iss: 'i', sub: 's', ...more }, { groupsClaim: null }).wish, wish)
  t.end()
})

t.test('what a browser keeps of its sign-ins: three, ten minutes, sealed, of one deployment', (t) => {
  let now = 1_000_000
  const flows = flowsOf(vaultOf(Buffer.alloc(32, 1)), () => now)
  const flow = (state: string, next = '/') => ({
    provider: 'one',
    state,
    nonce: 'n',
    verifier: 'v',
    next,
    startedAtMs: now,
    invitation: null,
  })
  let kept: string | null = null
  for (const state of ['a', 'b', 'c', 'd']) kept = flows.add(kept, flow(state, `/${state}`))
  t.equal(flows.take(kept, 'a').flow, null, 'the oldest is forgotten')
  t.equal(flows.take(kept, 'd').flow?.next, '/d')
  t.equal(flows.take(kept, 'b').flow?.next, '/b')
  const without = flows.take(kept, 'd').kept
  t.equal(flows.take(without, 'd').flow, null, 'once')
  t.equal(flows.take(without, 'c').flow?.state, 'c')
  t.equal(
    flowsOf(vaultOf(Buffer.alloc(32, 2)), () => now).take(kept, 'd').flow,
    null,
    'of another deployment',
  )
  for (const bad of [null, '', 'v1.', 'x', `${kept}x`, String(kept).slice(0, -2), `v1.${'A'.repeat(60)}`])
    t.same(flows.take(bad, 'd'), { flow: null, kept: '' }, String(bad).slice(0, 20))
  t.equal(
    flows.take(flows.add(null, flow('e', `/${'x'.repeat(4000)}`)), 'e').flow?.next,
    '/',
    'too long to keep',
  )
  t.ok(flows.add(kept, flow('f', `/${'x'.repeat(2000)}`)).length < 3900)
  now += 600_001
  t.equal(flows.take(kept, 'd').flow, null, 'late')
  t.end()
})
