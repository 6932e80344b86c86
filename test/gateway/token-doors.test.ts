/** Access tokens of a program and of a page: in each place where one may be, through every door, and never further than here. */
import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import t from 'tap'
import { chosenForUs, tokenEntries, withoutTokens } from '../../gateway/headers/protocols.ts'
import { doorsOf, type EdgeUnderTest, startEdge, webAndSocket } from '../support/gateway-edge.ts'
import {
  ACCEPTED,
  type Answer,
  exchange,
  parseAnswer,
  rawClient,
  webSocketBytes,
} from '../support/gateway-bytes.ts'
import { portDefaults } from '../../control/wire/index.ts'

const HOST = 'shop.ws.localhost:8090'
const WRONG = `pst_${'w'.repeat(22)}`

/** What a handshake is answered with, and what of it reached the program. */
async function handshake(edge: EdgeUnderTest, headers: readonly string[], host = HOST) {
  const before = edge.upstream.requests.length
  const client = await rawClient(edge.port)
  client.send(webSocketBytes({ host, headers }))
  await client.received(/\r\n\r\n/)
  client.socket.destroy()
  const answer = parseAnswer(client.text())
  const seen = edge.upstream.requests.slice(before)
  return { status: answer.status, chosen: answer.all('sec-websocket-protocol'), seen }
}

const offered = (fields: readonly string[] | undefined): string[] =>
  (fields ?? [])
    .filter((field) => /^sec[-_.]websocket[-_.]protocol:/i.test(field))
    .map((field) => field.slice(field.indexOf(':') + 2))

t.test('what is offered loses the token, and nothing else', (t) => {
  for (const [offer, left, chosen] of [
    ['postern.token.pst_x', '', 'postern.token.pst_x'],
    [' \tpostern.token.pst_x ', '', 'postern.token.pst_x'],
    ['postern.token.pst_x, chat', 'chat', null],
    ['chat,postern.token.pst_x,  super chat', 'chat,  super chat', null],
    ['chat ,\tpostern.token.pst_x', 'chat ', null],
    ['Postern.Token.pst_x, chat', 'chat', null],
    ['postern.token.', '', 'postern.token.'],
    ['postern.token.a, postern.token.b', '', null],
    ['chat, xpostern.token.a, postern.tokens', 'chat, xpostern.token.a, postern.tokens', null],
    ['', '', null],
  ] as const) {
    t.equal(withoutTokens(offer), left, offer)
    t.equal(chosenForUs(offer), chosen, offer)
  }
  const entry = fc.stringMatching(/^[ \t]*[a-z.]{1,8}[ \t]*$/).filter((text) => !text.includes('postern'))
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), fc.nat(6), (others, at) => {
      const offer = others.toSpliced(at, 0, 'postern.token.pst_x').join(',')
      return (
        tokenEntries(offer).length === 1 && withoutTokens(offer) === others.join(',').replace(/^[ \t]+/, '')
      )
    }),
  )
  t.end()
})

t.test('a token as a subprotocol opens a WebSocket, and the program sees only its own', async (t) => {
  const edge = await startEdge(t, {
    script: ({ head, socket }) =>
      void socket.write(
        /protocol: .*chat/i.test(head)
          ? ACCEPTED.replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: chat\r\n\r\n')
          : ACCEPTED,
      ),
  })
  edge.workspace('shop')
  const token = edge.control.token('alice', ['connect'])
  const P = 'Sec-WebSocket-Protocol'
  const alone = await handshake(edge, [`${P}: postern.token.${token}`])
  t.match(alone, { status: 101, chosen: [`postern.token.${token}`] }, 'a browser wants one of its own chosen')
  t.same(offered(alone.seen[0]?.fields), [])
  t.notMatch(alone.seen[0]?.head, token)
  t.match(alone.seen[0]?.head, 'X-Postern-User: alice')
  const both = await handshake(edge, [`${P}: postern.token.${token}, chat,  v2.chat`])
  t.match(both, { status: 101, chosen: ['chat'] })
  t.same(offered(both.seen[0]?.fields), ['chat,  v2.chat'])
  const lines = await handshake(edge, [`${P}: chat`, `${P}: postern.token.${token}`, `${P}: v2.chat`])
  t.match(lines, { status: 101, chosen: ['chat'] })
  t.same(offered(lines.seen[0]?.fields), ['chat', 'v2.chat'])
  const ignored = await handshake(edge, [`${P}: postern.token.${token}, other`])
  t.match(ignored, { status: 101, chosen: [] }, 'the program’s choice is its own')
  const foreign = await handshake(edge, [`${P}: postern.token.${token}`, 'Origin: https://pages.example'])
  t.equal(foreign.status, 101, 'whoever has a token needs no Origin')
  t.equal(edge.control.tokensUsed.length, 1, 'its use is told, and not for each request')
})

t.test('broken, doubled and unknown tokens are nobody’s, wherever they are', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const open = edge.workspace('open', {}, 'public')
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  const own = 'Origin: http://shop.ws.localhost:8090'
  const token = edge.control.token('alice', ['connect'])
  const P = 'Sec-WebSocket-Protocol: '
  const never: (readonly string[])[] = [
    [`${P}postern.token.${WRONG}`],
    [`${P}postern.token.${token}x y`],
    [`${P}postern.token.`],
    [`${P}Postern.token.${token}`],
    [`${P}postern.token.${token}, postern.token.${token}`],
    [`${P}postern.token.${token}`, `${P}postern.token.${token}`],
    [`${P}postern.token.${token}`, `X-Postern-Token: ${token}`],
    [`X-Postern-Token: ${token}`, `X-Postern-Token: ${token}`],
    [`X-Postern-Token: "${token}"`],
    [`Authorization: Bearer ${token} x`],
    [`Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`],
  ]
  for (const headers of never) {
    const refused = await handshake(edge, [...headers, cookie, own])
    t.match(refused, { status: 401, seen: [] }, headers.join(' | '))
    const passed = await handshake(edge, headers, 'open.ws.localhost:8090')
    t.equal(passed.status, 101, 'a public port needs nobody')
    t.notMatch(passed.seen[0]?.head, /pst_/, 'and is not told what came')
    t.match(passed.seen[0]?.head, /\r\nX-Postern-User: \r\n/)
  }
  t.equal((await handshake(edge, [`Sec_WebSocket_Protocol: postern.token.${token}`, own])).status, 401)
  const query = await exchange(
    edge.port,
    `GET /?token=${token}&X-Postern-Token=${token} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`,
  )
  t.equal(query.status, 401, 'never in a query')
  t.equal(open.name, 'open')
})

t.test('a token of one workspace is worth nothing elsewhere, through every door', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const { port } = edge.upstream
  const ports = [
    { ...portDefaults, port },
    { ...portDefaults, port: 81 },
  ]
  const shop = edge.workspace('shop', { ports })
  edge.workspace('other')
  edge.workspace('open', {}, 'public')
  const at = (workspaceId: string, list: readonly number[] | null) =>
    edge.control.token('alice', ['connect'], null, { workspaceId, ports: list })
  const whole = at(shop.workspaceId, null)
  const one = at(shop.workspaceId, [port])
  const bobs = edge.control.token('bob', ['connect'], null, { workspaceId: shop.workspaceId, ports: null })
  const noPorts = edge.control.token('alice', ['workspaces:read'], null, {
    workspaceId: shop.workspaceId,
    ports: null,
  })
  const shown = ({ status, fields, body }: Answer) => ({
    status,
    fields: fields.filter((field) => !/^(date|x-request-id|content-length):/i.test(field)),
    body: body.replaceAll(/[0-9a-f]{8}[0-9a-z]{4,}/g, ''),
  })
  for (const door of doorsOf(edge)) {
    const tries = async (token: string, label: string) =>
      door.try({ host: `${label}.ws.localhost:8090`, headers: [`X-Postern-Token: ${token}`] })
    const yes = door.name === 'upgrade' ? 101 : 200
    const opened = async (token: string, label: string) => {
      const { status } = await tries(token, label)
      return status === yes || status === 101
    }
    t.ok(await opened(whole, 'shop'), door.name)
    t.ok(await opened(one, `shop-${port}`), door.name)
    const absent = shown(await tries(whole, 'nothing'))
    t.equal(absent.status, 404)
    for (const [token, label, what] of [
      [whole, 'other', 'another workspace'],
      [one, 'other', 'another workspace'],
      [one, 'shop-81', 'another port'],
      [one, 'shop-9', 'one that is not declared'],
      [bobs, 'shop', 'whose user may not'],
    ] as const)
      t.same(shown(await tries(token, label)), absent, `${door.name}: ${what}`)
    t.equal((await tries(noPorts, 'shop')).status, 403, 'its own workspace, but not its verbs')
    t.ok(await opened(whole, 'open'), 'a public port needs nobody')
  }
  const named = edge.upstream.requests.filter(({ head }) => /host: open/i.test(head))
  t.ok(named.length > 0)
  for (const { head } of named) t.match(head, /\r\nX-Postern-User: \r\n/, 'and is told of nobody')
})

t.test('it ends with its user’s right, open sockets too', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const now = edge.control.nowMs()
  const until = now + 3_600_000
  const grant = {
    subjectKind: 'user' as const,
    subjectId: 'bob',
    role: 'editor' as const,
    ports: null,
    expiresAtMs: until,
  }
  const route = edge.workspace('shop', { grants: [grant] })
  const bounds = { workspaceId: route.workspaceId, ports: null }
  const token = edge.control.token('bob', ['connect'], null, bounds)
  const open = async () => {
    const client = await rawClient(edge.port)
    const headers = [`Sec-WebSocket-Protocol: postern.token.${token}`]
    client.send(webSocketBytes({ host: HOST, headers }))
    await client.received(/\r\n\r\n/)
    t.match(client.text(), /^HTTP\/1\.1 101/)
    return client
  }
  const first = await open()
  edge.control.route({ ...route, grants: [] })
  await first.closed()
  t.equal((await handshake(edge, [`X-Postern-Token: ${token}`])).status, 404)
  edge.control.route(route)
  const second = await open()
  edge.control.nowMs = () => until
  await second.closed()
  edge.control.nowMs = () => now
  const third = await open()
  const hash = createHash('sha256').update(token).digest('hex')
  const row = { hash, id: hash.slice(0, 8), userId: 'bob', scopes: ['connect'] as const, expiresAtMs: null }
  edge.control.tell({
    kind: 'token',
    key: hash,
    row: { ...row, bounds: { workspaceId: 'another', ports: null } },
  })
  await third.closed()
})

t.test('behind a front that decides, a handshake with a token goes on through Postern', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const token = edge.control.token('alice', ['connect'])
  const asked = (more: string) =>
    exchange(
      edge.authzPort,
      `GET /api/authz/auth-request HTTP/1.1\r\nHost: a\r\nX-Original-URL: http://${HOST}/\r\nX-Original-Method: GET\r\n${more}Connection: close\r\n\r\n`,
    )
  const postern = `127.0.0.1:${edge.port}`
  const socket = await asked(
    `Sec-WebSocket-Key: x\r\nSec-WebSocket-Protocol: postern.token.${token}, chat\r\n`,
  )
  t.equal(socket.status, 200)
  t.equal(socket.field('x-postern-upstream'), postern)
  t.equal(socket.field('x-postern-user'), 'alice')
  t.equal((await asked(`Sec-WebSocket-Protocol: postern.token.${WRONG}\r\n`)).status, 401)
  const plain = await asked(`X-Postern-Token: ${token}\r\n`)
  t.equal(plain.field('x-postern-upstream'), `127.0.0.1:${edge.upstream.port}`)
  t.equal(plain.field('x-postern-token'), '')
})
