// Attacks on forward auth that other gateways had, each with its story, put to all doors of ours; none may work here.
import t from 'tap'
import { portDefaults, type Visibility } from '../../../control/wire/index.ts'
import { always, exchange, OK } from '../../support/gateway-bytes.ts'
import { type EdgeUnderTest, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'
import { until } from '../../support/until.ts'
import { askFront, doorsAt, families, isYes, questionBytes } from '../../support/proof-doors.ts'

const HOST = 'shop.ws.localhost:8090'
const NO_PAGE = 'Accept: */*'

/** A workspace of alice whose paths under `/public` and `/status` are public, and all else is hers alone. */
function shop(edge: EdgeUnderTest) {
  const { port } = edge.upstream
  const at = (number: number, visibility: Visibility) => ({ ...portDefaults, port: number, visibility })
  return edge.workspace('shop', {
    ports: [at(port, 'public'), at(1, 'owner')],
    defaultPort: 1,
    paths: [
      { prefix: '/public', port },
      { prefix: '/status', port },
    ],
  })
}

// A list of paths without sign-in was matched against X-Forwarded-Uri, which any client could send along.
// Here: the path of a composed host picks its port, and only the front's own word on the path may count.
t.test('oauth2-proxy CVE-2026-40575, GHSA-7x63-xv5r-3p2x: X-Forwarded-Uri names a public path', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  shop(edge)
  const lies = ['X-Forwarded-Uri: /public', 'X-Original-URI: /public', 'X-Rewrite-Url: /public', NO_PAGE]
  const doors = doorsAt(edge)
  for (const door of doors) {
    const honest = await door.try({ host: HOST, path: '/public/a', headers: [originOf('shop')] })
    t.ok(isYes(honest.status), `the public path is open at ${door.name}`)
    const { status } = await door.try({ host: HOST, path: '/private', headers: [originOf('shop'), ...lies] })
    // The family whose own header is there twice can't tell which is the front's.
    t.equal(status, door.name === 'forward-auth' ? 400 : 401, door.name)
  }
  const original = await askFront(edge, 'auth-request', {
    host: HOST,
    path: '/private',
    headers: ['X-Original-URL: http://shop.ws.localhost/public'],
  })
  t.equal(original.status, 403, 'nor is the second of two X-Original-URL believed')
})

// The User-Agent of a load balancer's health check skipped the sign-in, on every path.
t.test('oauth2-proxy GHSA-5hvv-m4w4-gf6v: the User-Agent of a health check opens nothing', async (t) => {
  const edge = await startEdge(t)
  shop(edge)
  for (const agent of ['GoogleHC/1.0', 'kube-probe/1.29', 'ELB-HealthChecker/2.0', 'Envoy/HC'])
    for (const door of doorsAt(edge))
      for (const path of ['/private', '/healthz', '/readyz', '/ping', '/metrics']) {
        const { status } = await door.try({ host: HOST, path, headers: [`User-Agent: ${agent}`, NO_PAGE] })
        t.equal(status, 401, `${agent} ${path} at ${door.name}`)
      }
  t.same(edge.upstream.requests, [])
})

// Rules were matched against the target with its fragment, `/private#/public`; the upstream read it without.
// Here: `#` and `\` in a target are no target; what is encoded is a letter like any other.
t.test('oauth2-proxy GHSA-pxq7-h93f-9jrg: a fragment is no part of a path', async (t) => {
  const edge = await startEdge(t)
  shop(edge)
  for (const door of doorsAt(edge)) {
    for (const path of ['/private#/public', '/public#/../private', '/public\\..\\private', '/#'])
      t.equal(
        (await door.try({ host: HOST, path, headers: [NO_PAGE] })).status,
        door.name === 'auth-request' ? 403 : 400,
        `${path} at ${door.name}`,
      )
    for (const path of ['/private%23/public', '/%23/public', '/private%3f/public'])
      t.equal(
        (await door.try({ host: HOST, path, headers: [NO_PAGE] })).status,
        401,
        `${path} at ${door.name}`,
      )
  }
  t.same(edge.upstream.requests, [])
})

// The rule for `/status` was an unanchored expression over path and query: `/api/private?p=/status` matched it.
t.test('oauth2-proxy GHSA-7rh7-c77v-6434, CVE-2025-54576: a query picks no path', async (t) => {
  const edge = await startEdge(t)
  shop(edge)
  for (const door of doorsAt(edge))
    for (const path of [
      '/api/private?p=/status',
      '/?/status',
      '/api?/public/',
      '/api/status',
      '/statusx',
      '/publicly',
      '/;/public',
      '//public',
    ]) {
      const { status } = await door.try({ host: HOST, path, headers: [NO_PAGE] })
      t.equal(status, 401, `${path} at ${door.name}`)
    }
  t.same(edge.upstream.requests, [])
})

/** Names that some app may read as `X-Forwarded-User` and friends, though a proxy compares them byte by byte. */
const aliases = [
  'X_Forwarded_User',
  'x.forwarded.user',
  'X-Forwarded_User',
  'X_FORWARDED-USER',
  'X-Forwarded-Email',
  'X_Forwarded_Groups',
  'X-Forwarded-Preferred-Username',
  'X_Postern_User',
  'x-postern.user',
  'X.Postern_Email',
  'X-POSTERN-GROUPS',
  'X_Postern_Assertion',
  'X-Postern-Assertion',
  'X_Auth_Request_User',
  'Remote_User',
  'Remote.Groups',
]

// A proxy stripped X-Forwarded-User, yet passed X_Forwarded_User on, which WSGI, PHP and CGI read as the same name.
t.test(
  'oauth2-proxy CVE-2025-64484, GHSA-vjrc-mh2v-45x6: no alias of an identity reaches the app',
  async (t) => {
    const edge = await startEdge(t, { script: webAndSocket })
    const route = edge.workspace('shop')
    const forged = aliases.map((name) => `${name}: forged`)
    const [http, upgrade] = doorsAt(edge)
    for (const door of [http, upgrade])
      await door?.try({
        host: HOST,
        headers: [`Cookie: ${edge.cookie('alice', route)}`, originOf('shop'), ...forged],
      })
    t.equal(edge.upstream.requests.length, 2)
    for (const { head } of edge.upstream.requests) {
      t.notMatch(head, /forged/)
      t.match(head, /\r\nX-Postern-User: alice\r\n/)
    }
  },
)

// A rule for `app.example` wasn't applied to `App.example`: the check compared bytes, the upstream's router didn't.
t.test('Authelia CVE-2026-48794: letters of a host in any case are one host', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop')
  const signedIn = `Cookie: ${edge.cookie('alice', route)}`
  for (const door of doorsAt(edge).filter(({ name }) => name !== 'upgrade'))
    for (const host of ['shop.ws.localhost', 'SHOP.ws.localhost', 'shop.WS.localhost', 'sHOP.ws.LOCALHOST.'])
      for (const [who, headers, status] of [
        ['nobody', [NO_PAGE], 401],
        ['alice', [NO_PAGE, signedIn], 200],
        ['bob', [NO_PAGE, `X-Postern-Token: ${edge.control.token('bob', ['connect'])}`], 404],
      ] as const) {
        const given = (await door.try({ host, headers })).status
        const said = status === 404 && door.name === 'auth-request' ? 403 : status
        t.equal(given, said, `${host} for ${who} at ${door.name}`)
      }
})

// A URL that didn't parse made the policy see no path, and no rule: nginx was told 200.
t.test('Authelia CVE-2021-32637: a URL that can’t be read is refused', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop', {}, 'public')
  const urls = [
    '',
    'x',
    '/',
    'http://',
    'https://h/%zz',
    'https://h:99999/',
    'https://shop.ws.localhost:99999/',
    'https://shop.ws.localhost:0/',
    'https:///shop.ws.localhost/',
    'ftp://shop.ws.localhost/',
    'https://a@shop.ws.localhost/',
    'https://shop.ws.localhost/\\',
    'https://shop.ws.localhost/ x',
    'https://shop.ws.localhost',
    'https://shop.ws.localhost, https://x/',
    'https://[::1/',
  ]
  const ask = (lines: string[]) =>
    exchange(
      edge.authzPort,
      ['GET /api/authz/auth-request HTTP/1.1', 'Host: f', ...lines, 'Connection: close', '', ''].join('\r\n'),
    )
  for (const url of urls)
    t.equal(
      (await ask([`X-Original-URL: ${url}`, 'X-Original-Method: GET'])).status,
      403,
      JSON.stringify(url),
    )
  for (const method of ['', 'get', 'G T', 'GET,POST', '1'])
    t.equal(
      (await ask(['X-Original-URL: https://shop.ws.localhost/', `X-Original-Method: ${method}`])).status,
      403,
      method,
    )
  t.equal((await ask([])).status, 403, 'nothing at all')
  t.equal((await ask(['X-Original-URL: https://shop.ws.localhost/', 'X-Original-Method: GET'])).status, 200)
})

// X-Forwarded-For was believed from anyone: rules by address and logs were the client's to write.
t.test('authentik CVE-2023-36456: X-Forwarded-For of a stranger changes no address', async (t) => {
  const said: string[] = []
  const edge = await startEdge(t, { accessLog: { write: (line) => void said.push(line), dropped: 0 } })
  edge.workspace('shop', {}, 'public')
  const lies = [
    'X-Forwarded-For: 6.6.6.6',
    'X-Real-IP: 6.6.6.6',
    'Forwarded: for=6.6.6.6',
    'CF-Connecting-IP: 6.6.6.6',
  ]
  const [http] = doorsAt(edge)
  await http?.try({ host: HOST, headers: lies })
  t.match(edge.upstream.requests[0]?.head, /\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/)
  t.notMatch(edge.upstream.requests[0]?.head, /6\.6\.6\.6/)
  const form = ['Content-Type: application/x-www-form-urlencoded', ...lies]
  await http?.try({
    host: 'localhost:8090',
    path: '/sign-in',
    method: 'POST',
    headers: form,
    body: 'username=alice&password=no',
  })
  t.same(edge.control.origins, ['127.0.0.1'], 'and control limits sign-ins by the true one')
  await until(() => said.length === 2)
  t.match(said[0], /127\.0\.0\.1/)
  t.notMatch(said.join(''), /6\.6\.6\.6/)
})

// An identity header that the auth server left out was kept as the client had sent it; so was `Remote_User`.
// Here: an allowing answer names every header that the examples copy, empty where there is nothing to say.
t.test(
  'Caddy CVE-2026-30851, CVE-2026-52845, GHSA-49wc-4hcv-v58q: each allow says every header',
  async (t) => {
    const edge = await startEdge(t)
    edge.control.user({ id: 'alice', username: 'alice', email: '', role: 'member', groups: [] })
    const route = edge.workspace('shop', {}, 'public')
    const forged = aliases.map((name) => `${name}: forged`)
    const whole = [
      'X-Postern-User',
      'X-Postern-Email',
      'X-Postern-Groups',
      'X-Postern-Assertion',
      'X-Postern-Token',
      'X-Postern-Upstream',
      'Cookie',
      'Authorization',
    ]
    for (const family of families)
      for (const [who, headers] of [
        ['nobody', forged],
        ['alice', [...forged, `Cookie: ${edge.cookie('alice', route)}`]],
      ] as const) {
        const answer = await askFront(edge, family, { host: HOST, headers })
        t.equal(answer.status, 200, family)
        for (const name of whole) t.equal(answer.all(name).length, 1, `${name} for ${who} at ${family}`)
        t.notMatch(answer.head, /forged/)
      }
  },
)

// `Connection: X-Forwarded-Host` made the proxy drop, as hop-by-hop, the header that it had just set itself.
t.test('Traefik CVE-2024-45410: Connection takes no header of ours away', async (t) => {
  const edge = await startEdge(t, { script: always(OK) })
  const route = edge.workspace('shop')
  const [http] = doorsAt(edge)
  const own = [
    'X-Forwarded-Host',
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'X-Postern-User',
    'X-Postern-Groups',
    'X-Postern-Assertion',
    'Host',
    'Cookie',
  ]
  for (const name of own) {
    const headers = [
      `Cookie: a=1; ${edge.cookie('alice', route)}`,
      `Connection: close, ${name}`,
      `X-Forwarded-Host: evil`,
    ]
    t.equal((await http?.try({ host: HOST, headers }))?.status, 200)
    const fields = edge.upstream.requests.at(-1)?.fields ?? []
    t.equal(fields.filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`)).length, 1, name)
    t.ok(fields.includes(`X-Forwarded-Host: ${HOST}`), name)
  }
  for (const family of families) {
    const bytes = questionBytes(family, { host: HOST, headers: [`Cookie: ${edge.cookie('alice', route)}`] })
    const answer = await exchange(
      edge.authzPort,
      bytes.replace('Connection: close', 'Connection: close, X-Postern-User, Cookie'),
    )
    t.match([answer.status, answer.field('X-Postern-User')], [200, 'alice'], family)
  }
})

// Middlewares that trusted X-Forwarded-Prefix, or X_Forwarded_*, built addresses and verdicts from what a client had sent.
t.test(
  'Traefik CVE-2026-39858, GHSA-5m6w-wvh7-57vm, GHSA-6384-m2mw-rf54, CVE-2026-35051: aliases and prefixes sway nothing',
  async (t) => {
    const edge = await startEdge(t)
    shop(edge)
    const lies = [
      'X_Forwarded_Host: open.ws.localhost',
      'X_Forwarded_Uri: /public',
      'X.Forwarded.Uri: /public',
      'X_Original_URL: http://shop.ws.localhost/public',
      'X-Forwarded-Prefix: /public',
      'X-Replaced-Path: /public',
      'X-Forwarded-Port: 443',
      NO_PAGE,
    ]
    for (const door of doorsAt(edge)) {
      const { status } = await door.try({ host: HOST, path: '/private', headers: lies })
      t.equal(status, 401, door.name)
    }
    const page = [
      'Accept: text/html',
      'Sec-Fetch-Mode: navigate',
      'Sec-Fetch-Dest: document',
      'X-Forwarded-Prefix: //evil.example',
    ]
    for (const family of ['forward-auth', 'ext-authz'] as const) {
      const answer = await askFront(edge, family, { host: HOST, path: '/private', headers: page })
      t.match(
        answer.field('location'),
        /^http:\/\/shop\.ws\.localhost:8090\/\.postern\/enter\?to=%2Fprivate$/,
        family,
      )
    }
  },
)

// A header that was configured as `x-auth-user` was added beside the client's `X-Auth-User`, and the app read the first.
t.test('Traefik CVE-2026-33433: our header replaces the visitor’s in any spelling', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const spellings = ['x-postern-user', 'X-POSTERN-USER', 'x-PoStErN-uSeR', 'X-Postern-User']
  const [http, upgrade] = doorsAt(edge)
  for (const door of [http, upgrade])
    await door?.try({
      host: HOST,
      headers: [
        ...spellings.map((name) => `${name}: root`),
        `Cookie: ${edge.cookie('alice', route)}`,
        originOf('shop'),
      ],
    })
  t.same(
    edge.upstream.requests.map(({ fields }) => fields.filter((line) => /^x.postern.user/i.test(line))),
    [['X-Postern-User: alice'], ['X-Postern-User: alice']],
  )
})
