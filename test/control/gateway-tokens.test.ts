/** Tokens of gateways: what is taken and what isn't, through every door; keys that change; a revocation that ends them everywhere. */
import { copyFile, mkdir } from 'node:fs/promises'
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { join } from 'node:path'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import t from 'tap'
import { Assertions } from '../../gateway/identity/assertion.ts'
import { siteOf } from '../../gateway/host/site.ts'
import { SKEW_MS } from '../../control/credentials/gateway-tokens.ts'
import { AFTER_MS, AHEAD_MS, gatewayKeys, SIGNS_MS } from '../../control/service/signing.ts'
import { GATEWAY_TOKEN_MS, paths, type EdgeFact, type Jwks } from '../../control/wire/index.ts'
import { routeNeeds } from '../../control/authorization/authorization.ts'
import type { Client } from '../support/control-client.ts'
import { controlServer, type ControlServer } from '../support/control-server.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { type Feed, openFeed } from '../support/gateway-feed.ts'
import { userRow } from '../support/gateway-control.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)
const root = t.testdir({})
const postgres = await startPostgres()
if (postgres !== null) t.teardown(() => postgres.stop())

interface Joined {
  readonly id: string
  readonly credential: string
}

/** A new gateway, as its process joins. */
async function joined(server: ControlServer, ada: Client, name = 'edge'): Promise<Joined> {
  const { json } = await ada.call('POST', '/api/v1/gateways/tokens', { name })
  const made = await server
    .client(json.token)
    .call<{ gatewayId: string; credential: string }>('POST', paths.gatewayJoin, {
      name,
      machineId: 'm',
      version: '0',
    })
  return { id: made.json.gatewayId, credential: made.json.credential }
}

async function tokenOf(server: ControlServer, credential: string): Promise<string> {
  const answer = await server
    .client(credential)
    .call<{ token: string; expiresInMs: number }>('POST', paths.gatewayExchange)
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
  return answer.json.token
}

/** What each door says of a bearer: a call, the feed, and the word on a visitor's address. */
async function doors(server: ControlServer, bearer: string): Promise<string> {
  const call = await server.client(bearer).call('GET', paths.gatewayProviders)
  const feed = await openFeed(server.url, bearer)
  if (typeof feed !== 'string') feed.ws.terminate()
  const said = call.status === 200 ? 'taken' : `${call.status} ${call.json.code}`
  return [said, typeof feed === 'string' ? feed : 'taken', String(server.control.isGateway(bearer))].join(
    ', ',
  )
}
const taken = 'taken, taken, true'
const refusedAs = (code: string): string => `401 ${code}, 401 ${code}, false`
const refused = refusedAs('gateway_token_refused')

const isOpen = (feed: Feed | string): Feed => {
  if (typeof feed === 'string') throw new Error(feed)
  return feed
}
const text = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

await t.test('a credential gives a token of ten minutes, and opens nothing else', async (t) => {
  const server = await controlServer({ stateDirectory: join(root, 'exchange') })
  const ada = await server.setUp()
  const { id, credential } = await joined(server, ada)
  const answer = await server
    .client(credential)
    .call<{ token: string; expiresInMs: number }>('POST', paths.gatewayExchange)
  t.equal(answer.json.expiresInMs, GATEWAY_TOKEN_MS)
  const { token } = answer.json
  t.equal(await doors(server, token), taken)
  const [key] = await gatewayKeys(server.deployment)
  t.same(decodeProtectedHeader(token), { alg: 'EdDSA', kid: key?.kid, typ: 'postern-gateway+jwt' })
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: key?.x ?? '' },
    format: 'jwk',
  })
  const { payload } = await jwtVerify(token, publicKey, {
    typ: 'postern-gateway+jwt',
    audience: 'urn:postern:gateway-api',
    issuer: `urn:postern:deployment:${server.deployment.id}`,
    currentDate: new Date(server.clock.now),
  })
  t.equal(payload.sub, id)
  t.ok((payload.exp ?? 0) - (payload.iat ?? 0) <= GATEWAY_TOKEN_MS / 1000 + 1)

  t.equal(await doors(server, credential), refused, 'the credential itself')
  for (const [route, need] of Object.entries(routeNeeds)) {
    const [method = '', path = ''] = route.split(' ')
    if (need.who !== 'gateway' || path === paths.gatewayExchange) continue
    const body = method === 'POST' ? {} : undefined
    const byCredential = await server.client(credential).call(method, path, body)
    t.equal(`${byCredential.status} ${byCredential.json.code}`, '401 gateway_token_refused', route)
    t.match(String(byCredential.headers['www-authenticate']), /^Bearer/)
    const byToken = await server.client(token).call(method, path, body)
    t.not(byToken.status, 401, `${route} by a token`)
  }
  for (const bearer of ['psg_' + 'a'.repeat(43), token, 'nothing', ''])
    t.equal(
      (await server.client(bearer).call('POST', paths.gatewayExchange)).json.code,
      'gateway_unknown',
      'what is exchanged is a credential',
    )
  // Checked in memory: the database isn't asked whose it is.
  let queries = 0
  const other = await tokenOf(server, credential)
  const counted = (): number => queries++
  server.deployment.feed.db.on('query', counted)
  t.ok(server.control.isGateway(other))
  t.equal((await server.client(other).call('GET', paths.gatewayProviders)).status, 200)
  server.deployment.feed.db.removeListener('query', counted)
  t.equal(queries, 0)
  t.notMatch(server.log.lines.join('\n'), /psg_|psi_|eyJ/, 'no secret is in the log')
  await server.close()
})

await t.test('what is not just such a token is refused at every door', async (t) => {
  const server = await controlServer({ stateDirectory: join(root, 'forged') })
  const other = await controlServer({ stateDirectory: join(root, 'other') })
  const ada = await server.setUp()
  const { id, credential } = await joined(server, ada)
  const token = await tokenOf(server, credential)
  const [head = '', claims = '', signature = ''] = token.split('.')
  const [key] = await gatewayKeys(server.deployment)
  const signing = [...server.facts.rows.values()].find(
    (fact): fact is Extract<EdgeFact, { kind: 'signing' }> => fact.kind === 'signing',
  )
  const [assertionKey] = signing?.row ?? []
  if (key?.d == null || assertionKey === undefined) throw new Error('no keys')
  const own = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key.x, d: key.d }, format: 'jwk' })
  const shared = createPrivateKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: assertionKey.x, d: assertionKey.d },
    format: 'jwk',
  })
  const signedBy = (by: typeof own, header: unknown, payload: unknown): string => {
    const said = `${text(header)}.${text(payload)}`
    return `${said}.${sign(null, Buffer.from(said), by).toString('base64url')}`
  }
  const payload = decodeJwt(token)
  const header = decodeProtectedHeader(token)
  t.equal(await doors(server, signedBy(own, header, payload)), taken, 'as it should be')

  const assertions = new Assertions(siteOf('http://localhost:8090', 'ws.localhost'), () => signing?.row ?? [])
  const user = userRow('ada')
  const assertion = assertions.of(
    { kind: 'session', user, sessionHash: 'h' },
    'shop-3000',
    'w',
    server.clock.now,
  )
  t.match(assertion, /^eyJ/)
  const flipped = (part: string): string => (part[4] === 'A' ? 'B' : 'A') + part.slice(1)
  const forged: Record<string, string> = {
    'an identity assertion': assertion,
    'signed by a key of assertions, which gateways hold': signedBy(shared, header, payload),
    'the same with that key’s id': signedBy(shared, { ...header, kid: assertionKey.kid }, payload),
    'an assertion’s type': signedBy(own, { ...header, typ: 'JWT' }, payload),
    'no type': signedBy(own, { alg: 'EdDSA', kid: key.kid }, payload),
    'alg none, no signature': `${text({ ...header, alg: 'none' })}.${claims}.`,
    'alg none with a signature': signedBy(own, { ...header, alg: 'none' }, payload),
    'HS256 by the public key': signedBy(own, { ...header, alg: 'HS256' }, payload),
    'a key of its own choice': signedBy(
      shared,
      { ...header, jwk: { kty: 'OKP', x: assertionKey.x } },
      payload,
    ),
    'another audience': signedBy(own, header, { ...payload, aud: 'shop-3000.ws.localhost' }),
    'several audiences': signedBy(own, header, { ...payload, aud: [payload.aud, 'x'] }),
    'another issuer': signedBy(own, header, { ...payload, iss: 'http://localhost:8090' }),
    'no end': signedBy(own, header, { ...payload, exp: undefined }),
    'an end that is no number': signedBy(own, header, { ...payload, exp: '9999999999' }),
    'no subject': signedBy(own, header, { ...payload, sub: undefined }),
    'another deployment’s': signedBy(own, header, {
      ...payload,
      iss: `urn:postern:deployment:${other.deployment.id}`,
    }),
    'claims changed': `${head}.${text({ ...payload, exp: (payload.exp ?? 0) + 9999 })}.${signature}`,
    'signature changed': `${head}.${claims}.${flipped(signature)}`,
    'head changed': `${flipped(head)}.${claims}.${signature}`,
    'without a signature': `${head}.${claims}`,
    'with a fourth part': `${token}.x`,
    'with white space': `${token}\t`,
    empty: '',
    'very long': 'a'.repeat(2000),
  }
  for (const [what, bearer] of Object.entries(forged))
    t.equal(server.control.isGateway(bearer), false, `${what}: nobody’s word`)
  for (const what of Object.keys(forged).slice(0, -4))
    t.equal(await doors(server, forged[what] ?? ''), refused, what)
  t.equal(await doors(other, token), refused, 'at another deployment')
  t.equal(
    await doors(server, signedBy(own, header, { ...payload, sub: 'nobody' })),
    refusedAs('gateway_unknown'),
  )

  // The reverse: nobody who checks assertions by what is published takes a gateway's token for one.
  const jwks = (await server.client().call<Jwks>('GET', paths.jwks)).json
  t.same(
    jwks.keys.map(({ kid }) => kid),
    [assertionKey.kid],
    'the keys of gateways’ tokens are not published',
  )
  await t.resolves(
    jwtVerify(assertion, createLocalJWKSet(jwks), { currentDate: new Date(server.clock.now) }),
    'an assertion is taken',
  )
  await t.rejects(jwtVerify(token, createLocalJWKSet(jwks)), { code: 'ERR_JWKS_NO_MATCHING_KEY' })
  t.notMatch(JSON.stringify([...server.facts.rows.values()]), key.d, 'nor are they a fact for gateways')

  // By its time; the clocks of two servers may differ by a minute.
  server.clock.now += GATEWAY_TOKEN_MS + SKEW_MS
  t.equal(await doors(server, token), taken, 'a minute late')
  server.clock.now += 1001
  t.equal(await doors(server, token), refused, 'over')
  const next = await tokenOf(server, credential)
  server.clock.now -= SKEW_MS
  t.equal(await doors(server, next), taken, 'a minute early')
  server.clock.now -= 1001
  t.equal(await doors(server, next), refused, 'from the future')
  t.equal(decodeJwt(next).sub, id)
  await server.close()
  await other.close()
})

await t.test('a key goes on to be known until what it signed is over', async (t) => {
  const stateDirectory = join(root, 'rotated')
  let server = await controlServer({ stateDirectory })
  const ada = await server.setUp()
  const { credential } = await joined(server, ada)
  const [first] = await gatewayKeys(server.deployment)
  if (first === undefined) throw new Error('no key')
  server.clock.now = first.signsFromMs + SIGNS_MS - AHEAD_MS
  await server.sweep()
  t.equal((await gatewayKeys(server.deployment)).length, 2, 'the next is known a day before it signs')
  server.clock.now = first.signsFromMs + SIGNS_MS - 1
  const old = await tokenOf(server, credential)
  t.equal(decodeProtectedHeader(old).kid, first.kid)
  server.clock.now += 1
  const fresh = await tokenOf(server, credential)
  t.not(decodeProtectedHeader(fresh).kid, first.kid)
  server.clock.now += GATEWAY_TOKEN_MS
  await server.sweep()
  t.equal(await doors(server, old), taken, 'to its very end')
  const { now } = server.clock
  await server.close()
  server = await controlServer({ stateDirectory })
  server.clock.now = now
  t.equal(await doors(server, fresh), taken, 'and after a restart')
  t.equal(await doors(server, old), taken)
  server.clock.now = first.signsFromMs + SIGNS_MS + AFTER_MS
  await server.sweep()
  t.equal((await gatewayKeys(server.deployment)).length, 1)
  t.equal(await doors(server, old), refused, 'a key that has gone')
  t.equal(await doors(server, await tokenOf(server, credential)), taken)
  await server.close()
})

await t.test('the feed goes on from token to token, and ends without one', async (t) => {
  const server = await controlServer({ stateDirectory: join(root, 'feed') })
  const ada = await server.setUp()
  const [one, two] = [await joined(server, ada, 'one'), await joined(server, ada, 'two')]
  const feed = isOpen(await openFeed(server.url, await tokenOf(server, one.credential)))
  const lazy = isOpen(await openFeed(server.url, await tokenOf(server, one.credential)))
  const thief = isOpen(await openFeed(server.url, await tokenOf(server, one.credential)))
  for (const each of [feed, lazy, thief]) await until(() => each.heard.includes('reset'))
  thief.ws.send(JSON.stringify({ token: await tokenOf(server, two.credential) }))
  t.equal(await thief.ended, 4408, 'another gateway’s token ends it')
  for (let renewals = 0; renewals < 3; renewals++) {
    server.clock.now += GATEWAY_TOKEN_MS / 2
    feed.ws.send(JSON.stringify({ token: await tokenOf(server, one.credential) }))
  }
  t.equal(await lazy.ended, 4408, 'without another token it ends')
  const beats = (): number => feed.heard.filter((type) => type === 'beat').length
  const before = beats()
  await until(() => beats() > before + 1, { timeoutMs: 60_000 })
  t.ok(feed.isOpen(), 'long after the first one’s time')
  t.equal(feed.heard.filter((type) => type === 'reset').length, 1)
  feed.ws.send(JSON.stringify({ token: one.credential }))
  t.equal(await feed.ended, 4408, 'a credential is no token')
  t.notMatch(server.log.lines.join('\n'), /psg_|eyJ/)
  await server.close()
})

await t.test('who joins again while being revoked is not brought back', async (t) => {
  const server = await controlServer({ stateDirectory: join(root, 'again') })
  const ada = await server.setUp()
  const { id, credential } = await joined(server, ada)
  const token = await tokenOf(server, credential)
  const body = { name: 'edge', machineId: 'm', version: '1' }
  const again = () => server.client(token).call('POST', paths.gatewayJoin, body)
  t.equal((await again()).status, 200)
  t.equal(
    await tokenOf(server, credential)
      .then(decodeJwt)
      .then(({ sub }) => sub),
    id,
  )
  // Another server has just revoked it, and this one has not heard of it yet.
  const { db } = server.deployment.feed
  await db('gateways').where({ id }).delete()
  t.equal((await again()).json.code, 'gateway_unknown')
  t.same(await db('gateways').select('*'), [])
  await server.close()
})

for (const dialect of ['SQLite', 'PostgreSQL'] as const)
  await t.test(
    `a revoked gateway is out at once, on ${dialect === 'SQLite' ? 'one server' : 'two servers of one PostgreSQL'}`,
    { skip: dialect === 'PostgreSQL' && postgres === null ? 'PostgreSQL is not installed' : false },
    async (t) => {
      const databaseUrl = dialect === 'SQLite' ? null : ((await postgres?.database('revoked')) ?? null)
      const [here, there] = [join(root, `${dialect}-one`), join(root, `${dialect}-two`)]
      const one = await controlServer({ stateDirectory: here, databaseUrl })
      const ada = await one.setUp()
      await mkdir(there, { recursive: true, mode: 0o700 })
      await copyFile(join(here, 'secrets.key'), join(there, 'secrets.key'))
      const two = databaseUrl === null ? one : await controlServer({ stateDirectory: there, databaseUrl })
      const [gone, stays] = [await joined(one, ada, 'gone'), await joined(one, ada, 'stays')]
      // Made by one, taken by the other: its keys came by the database, and so did the gateway.
      const [token, kept] = [await tokenOf(one, gone.credential), await tokenOf(one, stays.credential)]
      await until(() => two.control.isGateway(token) && two.control.isGateway(kept))
      const feeds = [isOpen(await openFeed(two.url, token)), isOpen(await openFeed(two.url, kept))] as const
      for (const feed of feeds) await until(() => feed.heard.includes('reset'))
      const startMs = performance.now()
      t.equal((await ada.call('DELETE', `/api/v1/gateways/${gone.id}`)).status, 204)
      t.equal(await feeds[0].ended, 4401)
      t.equal(two.control.isGateway(token), false)
      t.comment(`out after ${Math.round(performance.now() - startMs)} ms`)
      for (const server of new Set([one, two])) {
        t.equal(await doors(server, token), refusedAs('gateway_unknown'))
        const again = await server.client(gone.credential).call('POST', paths.gatewayExchange)
        t.equal(again.json.code, 'gateway_unknown')
        t.equal(await doors(server, kept), taken, 'the other stays')
      }
      t.ok(feeds[1].isOpen())
      feeds[1].ws.terminate()
      await one.close()
      if (two !== one) await two.close()
    },
  )
