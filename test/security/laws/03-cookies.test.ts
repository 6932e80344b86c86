// Law 3: cookies are host-only and read byte-strictly; no cookie, token or identity of ours reaches an app; each session opens its own host only.
import t from 'tap'
import { ask } from '../../support/gateway-bytes.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'

const HOST = 'shop.ws.localhost:8090'

t.test('each session opens its own host only', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const shop = edge.workspace('shop')
  const other = edge.workspace('other')
  const dashboard = edge.control.session('alice')
  const child = edge.control.child(dashboard, shop.workspaceId, 'shop')
  const cases: [string, string, string][] = [
    ['the dashboard’s session on a workspace', 'shop', `postern_workspace=${dashboard}`],
    ['the dashboard’s cookie on a workspace', 'shop', `postern_session=${dashboard}`],
    ['another workspace’s session', 'other', `postern_workspace=${child}`],
    ['another port’s session', 'shop-3000', `postern_workspace=${child}`],
    [
      'a session whose label was made over',
      'other',
      `postern_workspace=${edge.control.child(dashboard, shop.workspaceId, 'other')}`,
    ],
    [
      'a session without its parent',
      'shop',
      `postern_workspace=${edge.control.child('gone', shop.workspaceId, 'shop')}`,
    ],
    [
      'an expired session',
      'shop',
      `postern_workspace=${edge.control.child(dashboard, shop.workspaceId, 'shop', 1)}`,
    ],
    [
      'a child of an expired session',
      'shop',
      `postern_workspace=${edge.control.child(edge.control.session('alice', 1), shop.workspaceId, 'shop')}`,
    ],
  ]
  for (const door of doorsOf(edge)) {
    for (const [what, label, cookie] of cases) {
      const { status } = await door.try({
        host: `${label}.ws.localhost:8090`,
        headers: [`Cookie: ${cookie}`, originOf(label)],
      })
      t.equal(status, 401, `${what} at ${door.name}`)
    }
    const good = await door.try({
      host: HOST,
      headers: [`Cookie: postern_workspace=${child}`, originOf('shop')],
    })
    t.ok(good.status === 200 || good.status === 101, door.name)
  }
  const api = async (cookie: string) => {
    await ask(edge.port, { host: 'localhost:8090', path: '/api/v1/me', headers: [`Cookie: ${cookie}`] })
    return edge.appCalls.at(-1)
  }
  t.equal(
    await api(`postern_session=${child}`),
    'GET /api/v1/me -',
    'a workspace’s session does not open the API',
  )
  t.equal(await api(`postern_workspace=${child}`), 'GET /api/v1/me -')
  t.equal(await api(`postern_session=${dashboard}`), 'GET /api/v1/me alice')
  t.equal(other.ownerId, 'alice')
})

t.test('cookies are read byte by byte', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const shop = edge.workspace('shop')
  const cookie = edge.cookie('alice', shop)
  const value = cookie.split('=')[1] ?? ''
  const none = [
    `\xa0${cookie}`,
    `postern_workspace\xa0=${value}`,
    `\x0b${cookie}`,
    `Postern_Workspace=${value}`,
    `"postern_workspace"=${value}`,
    `postern_workspace="${value}"`,
    `postern%5fworkspace=${value}`,
    `${cookie}; ${cookie}`,
    `postern_workspace=tossed; ${cookie}`,
    `=${cookie}`,
    `$Version=1; postern_workspace=${value}; $Path=/; postern_workspace=x`,
    cookie.replace('=', ','),
  ]
  for (const door of doorsOf(edge)) {
    for (const line of none) {
      const { status } = await door.try({ host: HOST, headers: [`Cookie: ${line}`, originOf('shop')] })
      t.ok(status >= 400, `${JSON.stringify(line)} at ${door.name}: ${status}`)
    }
    for (const line of [`a=b;${cookie}`, `a=b; \t${cookie}\t; c`, `;;${cookie};`]) {
      const { status } = await door.try({ host: HOST, headers: [`Cookie: ${line}`, originOf('shop')] })
      t.ok(status === 200 || status === 101, `${JSON.stringify(line)} at ${door.name}`)
    }
  }
})

t.test('nothing of ours reaches an app, over HTTP or a WebSocket', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const shop = edge.workspace('shop')
  const token = edge.control.token('alice', ['connect'])
  const cookie = edge.cookie('alice', shop)
  const headers = [
    originOf('shop'),
    `Cookie: a=1;  ${cookie}; __Host-postern_session=secret1 ; b="2;3"; postern_flow=secret2;c`,
    `Authorization: Bearer ${token}`,
    'X-Postern-User: forged',
    'x-postern-groups: forged',
    'X_Postern_User: forged',
    'X.Postern.Email: forged',
    'X-PoStErN-Anything: forged',
    'Remote-User: forged',
    'Remote_User: forged',
    'X-Forwarded-User: forged',
    'X-Auth-Request-Email: forged',
  ]
  const [http, upgrade] = doorsOf(edge)
  await http?.try({ host: HOST, headers })
  await upgrade?.try({ host: HOST, headers })
  t.equal(edge.upstream.requests.length, 2)
  for (const { head, fields } of edge.upstream.requests) {
    t.notMatch(head, /forged|pst_|postern_|secret/)
    t.ok(fields.includes('Cookie: a=1; b="2;3";c'), 'the other cookies keep their bytes and order')
    t.same(
      fields.filter((field) => /^x-postern-/i.test(field)),
      [
        'X-Postern-User: alice',
        'X-Postern-Email: alice@example.com',
        'X-Postern-Groups: ',
        'X-Postern-Assertion: ',
      ],
    )
  }
  await http?.try({ host: HOST, headers: [`Cookie: ${cookie}`] })
  t.notMatch(edge.upstream.requests.at(-1)?.head, /cookie/i, 'an empty Cookie is not sent')
})
