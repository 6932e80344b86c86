/** What a program is told of its visitor, signed: through every door, once for each visitor and host, by the key of the time. */
import { decodeProtectedHeader, jwtVerify } from 'jose'
import t from 'tap'
import { ASSERTION_MS } from '../../gateway/identity/assertion.ts'
import { type EdgeUnderTest, originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'
import { ask, exchange, rawClient, webSocketBytes } from '../support/gateway-bytes.ts'
import { userRow } from '../support/gateway-control.ts'
import { published, signingFact, signingKey } from '../support/signing-keys.ts'

const HOST = 'shop.ws.localhost:8090'
const AUD = 'shop.ws.localhost'

/** All values of the header that the last request to the program had, whatever its name's case and joints. */
const asserted = (edge: EdgeUnderTest): string[] =>
  (edge.upstream.requests.at(-1)?.fields ?? [])
    .filter((field) => /^x[-_.]postern[-_.]assertion:/i.test(field))
    .map((field) => field.slice(field.indexOf(':') + 1).trim())

t.test('a program checks who its visitor is, and no visitor can say it', async (t) => {
  const key = signingKey(0)
  const edge = await startEdge(t, { script: webAndSocket })
  edge.control.tell(signingFact(key))
  edge.control.user(
    userRow('alice', {
      username: 'alicé',
      groups: [
        { id: 'g2', name: 'ops' },
        { id: 'g1', name: 'crew' },
      ],
    }),
  )
  const route = edge.workspace('shop')
  const cookie = edge.cookie('alice', route)
  const forged = ['X-Postern-Assertion: forged', 'X_Postern_Assertion: forged', 'x.postern.assertion: forged']
  const verified = async (token: string) => {
    const now = { currentDate: new Date(edge.control.nowMs()) }
    const { payload } = await jwtVerify(token, published(key), {
      issuer: 'http://localhost:8090',
      audience: AUD,
      ...now,
    })
    t.match(payload, {
      sub: 'alice',
      username: 'alicé',
      email: 'alice@example.com',
      workspace: route.workspaceId,
    })
    t.equal((payload.exp ?? 0) - (payload.iat ?? 0), 300)
    t.same(payload['groups'], ['crew', 'ops'])
    t.same(decodeProtectedHeader(token), { alg: 'EdDSA', kid: key.kid, typ: 'JWT' })
  }
  t.equal((await ask(edge.port, { host: HOST, headers: [`Cookie: ${cookie}`, ...forged] })).status, 200)
  const [first = '', ...more] = asserted(edge)
  t.same(more, [])
  await verified(first)
  const client = await rawClient(edge.port)
  client.send(webSocketBytes({ host: HOST, headers: [`Cookie: ${cookie}`, originOf('shop'), ...forged] }))
  await client.received(/101/)
  t.same(asserted(edge), [first], 'over a WebSocket the same')
  client.socket.destroy()
  for (const [path, about] of [
    [
      'forward-auth',
      `X-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ${HOST}\r\nX-Forwarded-Uri: /\r\nHost: a`,
    ],
    ['auth-request', `X-Original-URL: http://${HOST}/\r\nX-Original-Method: GET\r\nHost: a`],
    ['ext-authz/', `Host: ${HOST}`],
  ])
    for (const connection of ['keep-alive', 'close']) {
      const fields = `${about}\r\nCookie: ${cookie}\r\n${forged.join('\r\n')}\r\nConnection: ${connection}`
      const question = `GET /api/authz/${path} HTTP/1.1\r\n${fields}\r\n\r\n`
      const answer =
        connection === 'close'
          ? await exchange(edge.authzPort, question)
          : await exchange(
              edge.authzPort,
              `${question}GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
            )
      t.equal(answer.field('x-postern-assertion'), first, `${path}, ${connection}`)
    }
})

t.test('it is empty for whoever is not known, and without a key', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop', {}, 'public')
  const cookie = [`Cookie: ${edge.cookie('alice', route)}`]
  await ask(edge.port, { host: HOST, headers: cookie })
  t.same(asserted(edge), [''], 'no key yet')
  edge.control.tell(signingFact(signingKey(edge.control.nowMs() + 60_000)))
  await ask(edge.port, { host: HOST, headers: cookie })
  t.same(asserted(edge), [''], 'its time has not come')
  edge.control.tell(signingFact(signingKey(0)))
  await ask(edge.port, { host: HOST, headers: ['X-Postern-Assertion: forged'] })
  t.same(asserted(edge), [''])
  await ask(edge.port, { host: HOST, headers: cookie })
  t.match(asserted(edge), [/^[\w-]+\.[\w-]+\.[\w-]+$/])
})

t.test(
  'signed once for a visitor and a host, and anew before it ends, for another row, by another key',
  async (t) => {
    const edge = await startEdge(t)
    let now = 1_800_000_000_000
    edge.control.nowMs = () => now
    const [old, next] = [signingKey(0), signingKey(now + 2 * ASSERTION_MS)]
    edge.control.tell(signingFact(old, next))
    const route = edge.workspace('shop')
    const port = edge.upstream.port
    const cookies = [edge.cookie('alice', route), edge.cookie('alice', route)]
    const onPort = edge.cookie('alice', route, `shop-${port}`)
    const of = async (cookie: string | undefined, host = HOST) => {
      t.equal((await ask(edge.port, { host, headers: [`Cookie: ${cookie}`] })).status, 200)
      return asserted(edge)[0] ?? ''
    }
    const first = await of(cookies[0])
    t.equal(await of(cookies[0]), first)
    t.equal(await of(cookies[1]), first, 'another session of theirs')
    const other = await of(onPort, `shop-${port}.ws.localhost:8090`)
    t.not(other, first, 'another host')
    const at = () => ({ currentDate: new Date(now) })
    await t.rejects(jwtVerify(other, published(old), { audience: AUD, ...at() }), /aud/)
    now += ASSERTION_MS - 61_000
    t.equal(await of(cookies[0]), first, 'while it holds for a minute more')
    now += 2000
    const renewed = await of(cookies[0])
    t.not(renewed, first)
    await jwtVerify(first, published(old), { audience: AUD, ...at() })
    edge.control.user(userRow('alice', { email: 'new@example.com' }))
    const changed = await of(cookies[0])
    t.match((await jwtVerify(changed, published(old), at())).payload, { email: 'new@example.com' })
    now = next.signsFromMs
    const byNext = await of(cookies[0])
    t.match((await jwtVerify(byNext, published(old, next), at())).protectedHeader, { kid: next.kid })
    await t.rejects(jwtVerify(byNext, published(old), at()), /no applicable key/)
    const replaced = signingKey(0)
    edge.control.tell(signingFact(replaced))
    await jwtVerify(await of(cookies[0]), published(replaced), at())
    edge.control.gone('user', 'alice')
    t.equal((await ask(edge.port, { host: HOST, headers: [`Cookie: ${cookies[0]}`] })).status, 401)
  },
)
