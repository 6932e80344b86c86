// Composition and kinship: which port a composed host's request is for at every door, and whose page made it. Pure, then on the wire.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type EdgePort, type Identity, type Phase, phases, portDefaults } from '../../control/wire/index.ts'
import { isSibling, kinOf, readingOrigin } from '../../gateway/decide/cors.ts'
import { decide, type Facts, mayRideOnCookie } from '../../gateway/decide/decide.ts'
import { placeOfLabel } from '../../gateway/host/host.ts'
import { composedPort } from '../../gateway/decide/ports.ts'
import { siteOf, workspaceOrigin } from '../../gateway/host/site.ts'
import { type Answer, exchange, rawUpstream } from '../support/gateway-bytes.ts'
import { routeRow, userRow } from '../support/gateway-control.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'

const paths = [
  { prefix: '/api', port: 8000 },
  { prefix: '/', port: 3000 },
  { prefix: '/api/v2', port: 8002 },
]

/** A target as it comes, and the port that it is for. */
const targets: readonly [string, number][] = [
  ['/', 3000],
  ['/api', 8000],
  ['/api/', 8000],
  ['/api?x=/api/v2', 8000],
  ['/api/v2', 8002],
  ['/api/v2/x?y', 8002],
  ['/api/v20', 8000],
  ['/apix', 3000],
  ['/API', 3000],
  ['/api;x', 3000],
  ['/%61pi', 3000],
  ['/api%2fv2', 3000],
  ['/api/..%2f', 8000],
  ['/api/../x', 8000],
  ['/x/../api', 3000],
  ['/./api', 3000],
  ['//api', 3000],
  ['/api//v2', 8000],
  ['/%2e%2e/api', 3000],
]

t.test('the longest prefix that ends with a segment wins, by the raw bytes', (t) => {
  for (const [target, port] of targets) t.equal(composedPort(paths, target), port, target)
  t.equal(composedPort([], '/api'), null)
  t.equal(composedPort([{ prefix: '/api', port: 1 }], '/'), null, 'the default port takes the rest')
  const segment = fc.constantFrom('a', 'b', 'ab')
  const prefix = fc.array(segment, { maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
  const tail = fc.constantFrom('', '/', '/a', '/c?d', '?a', 'b', '%2f')
  fc.assert(
    fc.property(fc.uniqueArray(prefix, { maxLength: 6 }), prefix, tail, (prefixes, begin, end) => {
      const lines = prefixes.map((each, port) => ({ prefix: each, port }))
      const target = `${begin}${end}`.replace('//', '/')
      const segments = target.replace(/\?.*/, '').split('/')
      const fits = lines.filter((line) => {
        const wanted = line.prefix === '/' ? [''] : line.prefix.split('/')
        return wanted.every((part, i) => part === segments[i])
      })
      const best = fits.toSorted((a, b) => b.prefix.length - a.prefix.length)[0]?.port ?? null
      return composedPort(lines, target) === best && composedPort(lines.toReversed(), target) === best
    }),
    { numRuns: 3000 },
  )
  t.end()
})

const site = siteOf('https://edge.example', 'ws.example')
const shop = routeRow('shop', { aliases: ['store'] })
const other = routeRow('evil', { ownerId: 'bob' })
const routes = new Map([
  ['shop', shop],
  ['store', shop],
  ['evil', other],
])
const table = { routeByName: (name: string) => routes.get(name) }

t.test('whose page it is, by the table', (t) => {
  const kin = (origin: string | null, label = 'shop-3000') => {
    const place = placeOfLabel(label)
    if (place === null) throw new Error(label)
    const ownOrigin = workspaceOrigin(site, label)
    return kinOf(origin, { place, ownOrigin, route: routes.get(place.name) }, site, table)
  }
  t.equal(kin('https://shop-8080.ws.example'), 'namesake')
  t.equal(kin('https://shop.ws.example'), 'namesake')
  t.equal(kin('https://store-8080.ws.example'), 'alias')
  t.equal(kin('https://shop-1.ws.example', 'store'), 'alias')
  t.equal(kin('https://evil-3000.ws.example'), 'stranger')
  t.equal(kin('https://nobody.ws.example'), 'stranger')
  t.equal(kin('https://absent-1.ws.example', 'absent'), 'namesake', 'a name that is not there')
  const none = [
    null,
    'null',
    '',
    'https://shop-3000.ws.example',
    'https://edge.example',
    'https://ws.example',
  ]
  none.push('http://shop-1.ws.example', 'https://shop-1.ws.example:8443', 'https://shop-1.ws.example.evil')
  none.push('https://a.shop-1.ws.example', 'https://shop-0.ws.example', 'https://SHOP-1.ws.example')
  none.push(
    'https://shop-1.xws.example',
    'https://u@shop-1.ws.example',
    'https://.ws.example',
    'https://ws-1',
  )
  for (const origin of none) t.equal(kin(origin), 'none', String(origin))
  t.end()
})

const given = fc.record({
  phase: fc.constantFrom<Phase>(...phases),
  visibility: fc.constantFrom<EdgePort['visibility']>('owner', 'members', 'public'),
  cors: fc.constantFrom<EdgePort['cors']>('siblings', 'app'),
  who: fc.constantFrom('nobody', 'alice', 'bob'),
  by: fc.constantFrom('session', 'token', 'weak token'),
  port: fc.constantFrom(null, 3000, 9),
  method: fc.constantFrom('GET', 'OPTIONS', 'POST'),
  upgrade: fc.boolean(),
  door: fc.constant<Facts['door']>('host'),
  kin: fc.constantFrom<Facts['kin']>('none', 'namesake', 'alias', 'stranger'),
  preflight: fc.boolean(),
})

t.test('the decision about pages of other ports', (t) => {
  fc.assert(
    fc.property(given, ({ phase, visibility, cors, who, by, ...rest }) => {
      const user = userRow(who)
      const scopes = by === 'token' ? (['connect'] as const) : (['workspaces:read'] as const)
      const identity: Identity =
        who === 'nobody'
          ? { kind: 'anonymous' }
          : by === 'session'
            ? { kind: 'session', user, sessionHash: 'h' }
            : { kind: 'token', user, tokenId: 't', scopes, bounds: null }
      const ports = [{ ...portDefaults, port: 3000, visibility, cors }]
      const facts: Facts = {
        ...rest,
        preflight: rest.preflight && rest.method === 'OPTIONS',
        ready: true,
        route: routeRow('shop', { phase, ports, defaultPort: 3000 }),
        identity,
        origin: rest.kin === 'none' ? null : 'https://page',
        fetchSite: rest.kin === 'none' ? 'none' : 'same-site',
        fetchMode: null,
        fetchDest: null,
        ownOrigin: 'https://own',
        nowMs: 0,
      }
      const decision = decide(facts)
      const reader = readingOrigin(facts, decision)
      const asked = rest.port === 9 ? { visibility: 'owner', cors: 'siblings' } : { visibility, cors }
      const isOpen = asked.visibility === 'public' && phase !== 'removing' && phase !== 'trashed'
      const may = isOpen || who === 'alice' || (asked.visibility === 'members' && who !== 'nobody')
      const isFriend = isSibling(facts) && asked.cors === 'siblings'
      const isHidden = decision.kind === 'sign-in' || decision.kind === 'not-found'
      const isReader = isHidden ? rest.kin === 'namesake' : isFriend
      if ((reader !== null) !== (decision.kind === 'preflight' || isReader)) return false
      // Whom it is hidden from sees the same as where nothing is, the reader's name included.
      if (!may) {
        const hidden = {
          ...facts,
          route: undefined,
          kin: facts.kin === 'alias' ? 'stranger' : facts.kin,
        } as const
        const asAbsent = decide(hidden)
        return decision.kind === asAbsent.kind && reader === readingOrigin(hidden, asAbsent)
      }
      if (decision.kind === 'preflight')
        return (
          facts.preflight && rest.kin !== 'none' && (!isOpen || (isSibling(facts) && cors === 'siblings'))
        )
      if (decision.kind !== 'allow') return true
      const acts = decision.identity.kind === 'session'
      return !acts || isFriend || mayRideOnCookie(facts, facts, facts.ownOrigin)
    }),
    { numRuns: 10_000 },
  )
  t.end()
})

/** A composed workspace on two upstreams: `/api` and below on the second. */
async function composed(t: Test, visibility: EdgePort['visibility'] = 'owner') {
  const edge = await startEdge(t, { script: webAndSocket })
  const api = await rawUpstream(webAndSocket)
  t.teardown(() => api.close())
  const ports = [
    { ...portDefaults, port: edge.upstream.port },
    { ...portDefaults, port: api.port, visibility },
  ]
  const route = edge.workspace('shop', {
    ports,
    paths: [{ prefix: '/api', port: api.port }],
    aliases: ['store'],
  })
  return { edge, api, route, ports: { front: edge.upstream.port, api: api.port } }
}

const asAsked = (head = ''): string => head.split(' ')[1] ?? ''

t.test('a composed host is several apps, the same at every door', async (t) => {
  const { edge, api, route, ports } = await composed(t)
  const wanted = (port: number): number => (port === 3000 ? ports.front : ports.api)
  for (const label of ['shop', 'store']) {
    const cookie = `Cookie: ${edge.cookie('alice', route, label)}`
    const host = `${label}.ws.localhost:8090`
    for (const [path, to] of targets)
      for (const door of doorsOf(edge)) {
        const before = [edge.upstream.requests.length, api.requests.length]
        const answer = await door.try({ host, path, headers: [cookie, originOf(label)] })
        const what = `${label} ${path} at ${door.name}`
        if (door.name === 'forward-auth') {
          t.equal(answer.field('X-Postern-Upstream'), `127.0.0.1:${wanted(to)}`, what)
          continue
        }
        const front = edge.upstream.requests.slice(before[0])
        const back = api.requests.slice(before[1])
        t.same([front.length, back.length], to === 3000 ? [1, 0] : [0, 1], what)
        t.equal(asAsked([...front, ...back][0]?.head), path, 'unchanged')
      }
  }
})

t.test('all families of forward auth compose alike', async (t) => {
  const { edge, route, ports } = await composed(t)
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  const host = 'shop.ws.localhost:8090'
  const families: ((target: string) => string)[] = [
    (target) =>
      `GET /api/authz/auth-request HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-URL: http://${host}${target}\r\n`,
    (target) => `GET /api/authz/ext-authz${target} HTTP/1.1\r\nHost: ${host}\r\n`,
  ]
  for (const family of families)
    for (const [target, to] of targets) {
      const answer = await exchange(edge.authzPort, `${family(target)}${cookie}\r\nConnection: close\r\n\r\n`)
      const port = to === 3000 ? ports.front : ports.api
      t.equal(answer.field('X-Postern-Upstream'), `127.0.0.1:${port}`, target)
    }
})

t.test('each path is as open as the port that it leads to', async (t) => {
  const { edge, route, ports } = await composed(t, 'members')
  const bob = `Cookie: ${edge.cookie('bob', route)}`
  const host = 'shop.ws.localhost:8090'
  const statuses = async (path: string, more: readonly string[]): Promise<number[]> => {
    const answers: Answer[] = []
    for (const door of doorsOf(edge))
      answers.push(await door.try({ host, path, headers: [...more, originOf('shop')] }))
    return [...new Set(answers.map(({ status }) => (status === 101 ? 200 : status)))]
  }
  t.same(await statuses('/api/x', [bob]), [200])
  t.same(await statuses('/', [bob]), [404])
  t.same(await statuses('/api/x', []), [401])
  for (const trick of ['/%61pi', '//api', '/x/../api', '/api%2f', '/apix'])
    t.same(await statuses(trick, [bob]), [404], trick)
  edge.control.route({ ...route, paths: [{ prefix: '/', port: ports.api }] })
  t.same(await statuses('/%61pi', [bob]), [200], 'moved by a fact')
})
