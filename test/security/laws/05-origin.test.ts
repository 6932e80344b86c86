// Law 5: unsafe and WebSocket requests by cookie prove their own origin; siblings are same-site, so SameSite is no defence.
import t from 'tap'
import { ask } from '../../support/gateway-bytes.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'

const HOST = 'shop.ws.localhost:8090'
const OWN = originOf('shop')

/** What a request says of where it was made, and whether an unsafe one may go. */
const proofs: readonly [string, readonly string[], boolean][] = [
  ['its own Origin', [OWN], true],
  ['a null Origin from the same origin', ['Origin: null', 'Sec-Fetch-Site: same-origin'], true],
  ['no Origin from the same origin', ['Sec-Fetch-Site: same-origin'], true],
  ['nothing', [], false],
  ['another workspace', [originOf('evil'), 'Sec-Fetch-Site: same-site'], false],
  ['another workspace that is not there', [originOf('none-3000'), 'Sec-Fetch-Site: same-site'], false],
  ['another port of the workspace', [originOf('shop-3000'), 'Sec-Fetch-Site: same-site'], true],
  ['another name of the workspace', [originOf('store-80'), 'Sec-Fetch-Site: same-site'], true],
  ['a name that begins like it', [originOf('shop2-3000')], false],
  ['no port of the workspace', [originOf('shop-0')], false],
  ['a port of the workspace below it', [originOf('a.shop-3000')], false],
  ['a port of the workspace at another scheme', ['Origin: https://shop-3000.ws.localhost:8090'], false],
  ['a port of the workspace at another server', ['Origin: http://shop-3000.ws.localhost:8091'], false],
  ['a port of the workspace with a tail', [`${originOf('shop-3000')}.evil.example`], false],
  ['the dashboard', ['Origin: http://localhost:8090', 'Sec-Fetch-Site: same-site'], false],
  ['another site', ['Origin: https://evil.example', 'Sec-Fetch-Site: cross-site'], false],
  ['its own Origin with a tail', [`${OWN}.evil.example`], false],
  ['its own Origin in other letters', [OWN.toUpperCase().replace('ORIGIN', 'Origin')], false],
  ['two Origins', [OWN, originOf('evil')], false],
  ['a list of Origins', [`${OWN}, http://evil`], false],
  ['a null Origin from elsewhere', ['Origin: null', 'Sec-Fetch-Site: cross-site'], false],
  ['a null Origin alone', ['Origin: null'], false],
  ['no-cors from a sibling', ['Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: no-cors'], false],
  [
    'a navigation from a sibling',
    [originOf('evil'), 'Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
    false,
  ],
]

t.test('an unsafe request by cookie goes with proof only; a token needs none', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  edge.workspace('evil', { ownerId: 'bob' })
  const route = edge.workspace('shop', { aliases: ['store'] })
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  const token = `X-Postern-Token: ${edge.control.token('alice', ['connect'])}`
  for (const door of doorsOf(edge))
    for (const [what, headers, isProof] of proofs)
      for (const method of door.name === 'upgrade' ? ['GET'] : ['POST', 'DELETE', 'PATCH', 'PUT']) {
        const upgradeHint = door.name === 'forward-auth' ? ['X-Other: 1'] : []
        const byCookie = await door.try({ host: HOST, method, headers: [cookie, ...headers, ...upgradeHint] })
        const yes = door.name === 'upgrade' ? 101 : 200
        t.equal(byCookie.status, isProof ? yes : 403, `${method} with ${what} at ${door.name}`)
        const byToken = await door.try({ host: HOST, method, headers: [token, ...headers] })
        t.equal(byToken.status, yes, `${method} by token with ${what} at ${door.name}`)
      }
})

t.test('a safe request may also be a person’s navigation, and nothing else from elsewhere', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop')
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  const cases: [string, string[], boolean][] = [
    ['a program', [], true],
    [
      'the address bar',
      ['Sec-Fetch-Site: none', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
      true,
    ],
    [
      'its own script',
      ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors', 'Sec-Fetch-Dest: empty'],
      true,
    ],
    [
      'a link on another site',
      ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
      true,
    ],
    [
      'another workspace’s fetch',
      [originOf('evil'), 'Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: cors'],
      false,
    ],
    [
      'a sibling’s image',
      ['Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: image'],
      false,
    ],
    [
      'a frame on another site',
      ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe'],
      false,
    ],
    ['an old browser’s fetch', [originOf('evil')], false],
  ]
  for (const door of doorsOf(edge).filter(({ name }) => name !== 'upgrade'))
    for (const [what, headers, isAllowed] of cases) {
      const { status } = await door.try({ host: HOST, headers: [cookie, ...headers] })
      t.equal(status, isAllowed ? 200 : 403, `${what} at ${door.name}`)
    }
})

t.test('on a public port a cookie without proof counts for nothing', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop', {}, 'public')
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  t.equal(
    (await ask(edge.port, { host: HOST, method: 'POST', headers: [cookie, originOf('evil')], body: 'x' }))
      .status,
    200,
  )
  t.ok(edge.upstream.requests[0]?.fields.includes('X-Postern-User: '), 'the app is told of nobody')
  t.equal(
    (await ask(edge.port, { host: HOST, method: 'POST', headers: [cookie, OWN], body: 'x' })).status,
    200,
  )
  t.ok(edge.upstream.requests[1]?.fields.includes('X-Postern-User: alice'))
})

t.test('the dashboard’s API takes unsafe calls by session from the public URL only', async (t) => {
  const edge = await startEdge(t)
  const cookie = `Cookie: postern_session=${edge.control.session('alice')}`
  const token = `Authorization: Bearer ${edge.control.token('alice', ['admin'])}`
  const call = async (method: string, path: string, headers: string[]) =>
    (await ask(edge.port, { host: 'localhost:8090', method, path, headers })).status
  const home = 'Origin: http://localhost:8090'
  t.equal(await call('POST', '/api/v1/workspaces', [cookie, home]), 200)
  t.equal(await call('POST', '/api/v1/workspaces', [cookie]), 403)
  t.equal(await call('POST', '/api/v1/workspaces', [cookie, OWN]), 403)
  t.equal(await call('POST', '/api/v1/workspaces', [cookie, 'Origin: http://localhost:8091']), 403)
  t.equal(
    await call('POST', '/api/v1/workspaces', [cookie, 'Origin: null', 'Sec-Fetch-Site: same-origin']),
    200,
  )
  t.equal(
    await call('POST', '/api/v1/workspaces', [
      cookie,
      'Sec-Fetch-Mode: no-cors',
      'Sec-Fetch-Site: same-site',
    ]),
    403,
  )
  t.equal(await call('POST', '/api/v1/workspaces', [token]), 200)
  t.equal(await call('GET', '/api/v1/workspaces', [cookie, OWN, 'Sec-Fetch-Site: same-site']), 403)
  t.equal(await call('GET', '/api/v1/workspaces', [cookie]), 200)
  t.equal(await call('POST', '/api/v1/sessions', []), 200, 'a program signs in')
  t.equal(await call('POST', '/api/v1/sessions', [OWN]), 403, 'a sibling does not')
})
