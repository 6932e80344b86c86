// The pure rooms: host, target, cookies, headers, trust, provenance, decision, flow.
import fc from 'fast-check'
import t from 'tap'
import type { Identity, Phase, Visibility } from '../../control/wire/index.ts'
import { phases, portDefaults, visibilities } from '../../control/wire/index.ts'
import {
  bearerToken,
  cookieValue,
  isOurAuthorization,
  readCookies,
  secretHash,
} from '../../gateway/headers/cookies.ts'
import { decide, type Facts, mayRideOnCookie } from '../../gateway/decide/decide.ts'
import { endToEnd } from '../../gateway/headers/connection.ts'
import { fieldKind, isProtectedFromConnection } from '../../gateway/headers/fields.ts'
import { openFlow, sealFlow } from '../../gateway/flows/flow.ts'
import { answerHeaders, upstreamHeaders } from '../../gateway/headers/headers.ts'
import { narrowedCookie } from '../../gateway/headers/set-cookie.ts'
import {
  canonicalHost,
  isLocalPath,
  placeOfHostHeader,
  placeOfLabel,
  targetOf,
} from '../../gateway/host/host.ts'
import { cardPage } from '../../gateway/pages/card.ts'
import { html } from '../../gateway/pages/html.ts'
import { sameSiteWarning } from '../../gateway/host/same-site.ts'
import { scanHeaders } from '../../gateway/headers/scan.ts'
import { siteOf, workspaceOrigin } from '../../gateway/host/site.ts'
import { Table } from '../../gateway/facts/table.ts'
import { blocksOf, chainOf } from '../../gateway/listeners/trust.ts'
import { routeRow, userRow } from '../support/gateway-control.ts'

const site = siteOf('http://localhost:8090', 'ws.localhost')
const anonymous: Identity = { kind: 'anonymous' }
const latin = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
  maxLength: 60,
})

t.test('labels: name, name and port, and nothing else', (t) => {
  const onHost = { kind: 'workspace', prefix: '' }
  t.same(placeOfLabel('shop-3000'), { ...onHost, label: 'shop-3000', name: 'shop', port: 3000 })
  t.same(placeOfLabel('my-shop'), { ...onHost, label: 'my-shop', name: 'my-shop', port: null })
  for (const bad of [
    '',
    '-',
    'shop-',
    '-3000',
    'shop-0',
    'shop-65536',
    'shop-080',
    'shop-1-2',
    'Shop',
    'shop_x',
    'xn--a',
    'www',
    `${'a'.repeat(41)}`,
    'a--1-2',
  ])
    t.equal(placeOfLabel(bad), null, bad)
  fc.assert(
    fc.property(latin, (label) => {
      const place = placeOfLabel(label)
      return (
        place === null ||
        (/^[a-z0-9-]+$/.test(label) &&
          place.label === (place.port === null ? place.name : `${place.name}-${place.port}`))
      )
    }),
  )
  t.end()
})

t.test('hosts: one spelling, no suffix tricks', (t) => {
  t.equal(canonicalHost('Shop.WS.localhost.:8090'), 'shop.ws.localhost')
  t.equal(canonicalHost('[::1]:8090'), '[::1]')
  for (const bad of [
    '',
    '.',
    'a..b',
    'a:b@c',
    'a:0',
    'a:65536',
    'a:x',
    'a b',
    'a/b',
    '\u0430.com',
    `${'a'.repeat(300)}`,
    'a:',
    '[x]',
  ])
    t.equal(canonicalHost(bad), null, bad)
  fc.assert(
    fc.property(latin, (host) => {
      const place = placeOfHostHeader(host, site)
      if (place.kind === 'elsewhere') return true
      const name = host.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '')
      return place.kind === 'workspace' ? name === `${place.label}.ws.localhost` : name === 'localhost'
    }),
  )
  fc.assert(
    fc.property(latin, (prefix) => {
      const place = placeOfHostHeader(`${prefix}ws.localhost`, site)
      return place.kind !== 'workspace' || prefix.endsWith('.')
    }),
  )
  t.throws(() => siteOf('ftp://x', 'y'))
  t.throws(() => siteOf('http://a:b@x', 'y'))
  t.throws(() => siteOf('http://x/path', 'y'))
  t.throws(() => siteOf('http://x', 'bad_base!'))
  t.equal(workspaceOrigin(siteOf('https://p.example', 'apps.example'), 'a-1'), 'https://a-1.apps.example')
  t.end()
})

t.test('targets: origin form untouched, absolute form only of this host', (t) => {
  t.same(targetOf('GET', '//evil/x', 'a'), { kind: 'path', target: '//evil/x' })
  t.same(targetOf('GET', 'HTTP://A:80/x?y', 'a'), { kind: 'path', target: '/x?y' })
  t.same(targetOf('GET', 'http://a', 'a'), { kind: 'path', target: '/' })
  t.same(targetOf('OPTIONS', '*', 'a'), { kind: 'asterisk' })
  for (const bad of [
    '*',
    'x',
    '',
    '/a#b',
    '/a\\b',
    '/a b',
    '/a\tb',
    'http://b/',
    'http://a@b/',
    'ftp://a/',
    'a:80',
    '/\u0100',
  ])
    t.equal(targetOf('GET', bad, 'a').kind, 'bad', bad)
  fc.assert(
    fc.property(latin, (raw) => {
      const target = targetOf('GET', raw, 'a')
      return (
        target.kind !== 'path' ||
        (target.target.startsWith('/') && !/[\s#\\]/.test(target.target.replace(/[\x85\xa0]/g, '')))
      )
    }),
  )
  fc.assert(
    fc.property(fc.string(), (path) => {
      if (!isLocalPath(path)) return true
      return new URL(path, 'http://localhost:8090').origin === 'http://localhost:8090'
    }),
  )
  for (const evil of ['//x', '/\\x', '\\\\x', '/\t/x', 'http://x', '', 'x', '/a\\b', '/a\nb', '/\u00e9'])
    t.notOk(isLocalPath(evil), evil)
  t.end()
})

t.test('cookies: ours out, the rest byte for byte', (t) => {
  const others = fc.array(
    latin.filter((text) => !text.includes(';') && !/postern_/i.test(text)),
    { maxLength: 5 },
  )
  fc.assert(
    fc.property(others, fc.nat(5), (segments, at) => {
      const header = segments.join(';')
      if (readCookies(header).rest !== header && header.trim() !== '') return false
      const planted = [...segments]
      planted.splice(at, 0, ' postern_workspace=secret')
      const { rest, hashes } = readCookies(planted.join(';'))
      const kept = header.replace(/^[ \t]+/, '')
      return (
        !rest.includes('postern_') &&
        hashes.get('postern_workspace') === secretHash('secret') &&
        (rest === kept || rest === header || (rest === '' && header.replace(/[ \t]/g, '') === ''))
      )
    }),
  )
  t.equal(readCookies('postern_session=a; postern_session=a').hashes.get('postern_session'), null)
  t.equal(cookieValue('a=1; b=2; a=3', 'a'), null)
  t.equal(cookieValue('a=1; b = 2', 'b'), '2')
  t.equal(cookieValue(null, 'b'), null)
  for (let i = 0; i < 5000; i++) readCookies(`x=${i}; postern_session=s`)
  t.equal(readCookies('x=1; postern_session=s').rest, 'x=1', 'after the cache has turned over')
  t.equal(bearerToken('Bearer pst_0123456789abcdef'), 'pst_0123456789abcdef')
  t.equal(bearerToken('Bearer pst_short'), null)
  t.ok(isOurAuthorization('BEARER   pst_'))
  t.notOk(isOurAuthorization('Basic pst_'))
  t.end()
})

t.test('request fields: whatever is sent, none of ours gets through', (t) => {
  const name = fc.constantFrom(
    'X-Postern-User',
    'x_postern_user',
    'X.Postern.Email',
    'Forwarded',
    'X_Forwarded-For',
    'Remote_User',
    'Cookie',
    'Connection',
    'Keep-Alive',
    'Upgrade',
    'HTTP2-Settings',
    'Transfer_Encoding',
    'X-Original-URL',
    'Proxy-Connection',
    'Trailer',
    'X-Mine',
    'Content-Type',
    'TE',
  )
  const value = fc.constantFrom(
    'evil',
    'close, X-Mine',
    'X-Forwarded-For',
    'postern_session=evil',
    'Content-Type',
    'trailers',
    'chunked',
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (fields) => {
      const raw = ['Host', 'shop.ws.localhost', ...fields.flat()]
      const out = upstreamHeaders(raw, scanHeaders(raw), {
        forwardedFor: '192.0.2.1',
        proto: 'http',
        identity: anonymous,
        assertion: '',
        isSaidTwice: false,
        prefix: '',
        httpVersion: '1.1',
        requestId: 'r1',
        trace: null,
      })
      const of = (wanted: string) =>
        out.filter((_, i) => i % 2 === 1 && out[i - 1]?.toLowerCase().replace(/[_.]/g, '-') === wanted)
      const names = out.filter((_, i) => i % 2 === 0)
      return (
        of('x-forwarded-for').join() === '192.0.2.1' &&
        of('x-postern-user').join() === '' &&
        of('x-postern-user').length === 1 &&
        of('host').length === 1 &&
        of('cookie').every((text) => !text.includes('postern_')) &&
        !names.some((each) =>
          /^(connection|keep-alive|upgrade|trailer|http2-settings|proxy-connection|forwarded|x-original-url|remote.user)$/i.test(
            each,
          ),
        ) &&
        of('te').every((text) => text === 'trailers') &&
        fields.filter(([each]) => each === 'Content-Type').length === of('content-type').length
      )
    }),
  )
  t.equal(isProtectedFromConnection('content-type'), true)
  t.equal(isProtectedFromConnection('x-mine'), false)
  for (const odd of ['__proto__', 'constructor', 'toString']) t.equal(fieldKind(odd), 0)
  const user = userRow('x', {
    username: 'jörg\r\nX: 1',
    groups: [
      { id: 'g1', name: 'a,b' },
      { id: 'g2', name: '\ud800' },
    ],
  })
  const out = upstreamHeaders([], scanHeaders([]), {
    forwardedFor: '',
    proto: 'http',
    identity: { kind: 'session', user, sessionHash: '' },
    assertion: 'a.b.c',
    isSaidTwice: false,
    prefix: '',
    httpVersion: '1.0',
    requestId: 'r1',
    trace: null,
  })
  t.equal(out[out.indexOf('X-Postern-User') + 1], 'j%C3%B6rg%0D%0AX: 1')
  t.equal(out[out.indexOf('X-Postern-Groups') + 1], ',a%2Cb')
  t.equal(out[out.indexOf('Via') + 1], '1.0 postern')
  t.end()
})

t.test('answer fields: Set-Cookie narrowed, ours dropped, the rest as it came', (t) => {
  const host = 'shop.ws.localhost'
  const cases: [string, string | null][] = [
    ['a=1', 'a=1'],
    ['a=1; Domain=.ws.localhost; Path=/', 'a=1; Path=/'],
    ['a=1;domain = LOCALHOST;Secure', 'a=1;Secure'],
    ['a=1; Domain=shop.ws.localhost', 'a=1; Domain=shop.ws.localhost'],
    ['a=domain=x; Path=/', 'a=domain=x; Path=/'],
    ['postern_session=1', null],
    ['\u00a0__Host-Postern_Workspace =1', null],
    ['=postern_session=1', null],
    ['postern_session', null],
    ['xpostern_session=1', 'xpostern_session=1'],
  ]
  for (const [sent, given] of cases) t.equal(narrowedCookie(sent, host), given, sent)
  const raw = [
    'X-A',
    '1',
    'x-a',
    '2',
    'Connection',
    'X-B',
    'X-B',
    '1',
    'Connection',
    'Content-Type',
    'Content-Type',
    'text/event-stream',
    'Content-Length',
    '3',
  ].map((text) => Buffer.from(text))
  const head = answerHeaders(raw, 200, host, false)
  t.same(head.headers, [
    'X-A',
    '1',
    'x-a',
    '2',
    'Content-Type',
    'text/event-stream',
    'Content-Length',
    '3',
    'X-Accel-Buffering',
    'no',
  ])
  t.equal(head.contentLength, 3)
  t.end()
})

t.test('the client is the first from the right that is not believed', (t) => {
  const trusted = blocksOf(['10.0.0.0/8', '::1'])
  const peer = { ip: '10.0.0.9', trusted: true }
  t.equal(chainOf(peer, '1.1.1.1, 2.2.2.2, 10.0.0.1', trusted).client, '2.2.2.2')
  t.equal(chainOf({ ...peer, trusted: false }, '1.1.1.1', trusted).client, '10.0.0.9')
  t.equal(chainOf({ ip: '', trusted: true }, '1.1.1.1', trusted).forwardedFor, '1.1.1.1')
  fc.assert(
    fc.property(
      fc.array(fc.ipV4()),
      fc.ipV4().filter((ip) => !ip.startsWith('10.')),
      (spoofed, real) => {
        const header = [...spoofed, real, '10.0.0.1'].join(', ')
        return chainOf(peer, header, trusted).client === real
      },
    ),
  )
  t.throws(() => blocksOf(['10.0.0.0/99']), /neither an address nor a CIDR block/)
  t.throws(() => blocksOf(['trusted']), TypeError)
  t.ok(blocksOf(['172.30.0.0/16'])('::ffff:172.30.1.2'))
  t.end()
})

const factsArbitrary = fc.record({
  phase: fc.constantFrom<Phase>(...phases),
  visibility: fc.constantFrom<Visibility>(...visibilities),
  who: fc.constantFrom('nobody', 'alice', 'bob', 'root'),
  by: fc.constantFrom('session', 'token', 'weak token'),
  port: fc.constantFrom(null, 3000, 9),
  exists: fc.boolean(),
  method: fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'POST', 'DELETE', 'TRACE'),
  upgrade: fc.boolean(),
  origin: fc.constantFrom(null, 'null', 'http://own', 'http://other'),
  fetchSite: fc.constantFrom(null, 'same-origin', 'same-site', 'cross-site', 'none'),
  fetchMode: fc.constantFrom(null, 'navigate', 'cors', 'no-cors'),
  fetchDest: fc.constantFrom(null, 'document', 'iframe', 'empty'),
})

t.test('the decision: closed, owner-only by default, and silent about what is not yours', (t) => {
  fc.assert(
    fc.property(factsArbitrary, (given) => {
      const user = userRow(given.who, { role: given.who === 'root' ? 'administrator' : 'member' })
      const identity: Identity =
        given.who === 'nobody'
          ? anonymous
          : given.by === 'session'
            ? { kind: 'session', user, sessionHash: 'h' }
            : {
                kind: 'token',
                user,
                tokenId: 't',
                scopes: given.by === 'token' ? ['connect'] : ['workspaces:read'],
                bounds: null,
              }
      const ports = [{ ...portDefaults, port: 3000, visibility: given.visibility }]
      const route = routeRow('shop', { phase: given.phase, ports, defaultPort: 3000 })
      const facts: Facts = {
        ...given,
        ready: true,
        route: given.exists ? route : undefined,
        identity,
        ownOrigin: 'http://own',
        door: 'host',
        kin: 'none',
        preflight: false,
        nowMs: 0,
      }
      const decision = decide(facts)
      const asAbsent = decide({ ...facts, route: undefined })
      const visibility = given.port === 9 ? 'owner' : given.visibility
      const isOwner = given.who === 'alice'
      const may = visibility === 'public' || isOwner || (visibility === 'members' && given.who !== 'nobody')
      if (decide({ ...facts, ready: false }).kind !== 'unavailable') return false
      if (!given.exists || !may)
        return (
          decision.kind === asAbsent.kind &&
          decision.kind === (given.who === 'nobody' ? 'sign-in' : 'not-found')
        )
      if (decision.kind === 'allow') {
        const acts = decision.identity.kind !== 'anonymous'
        if (acts && given.by === 'weak token') return false
        if (acts && given.by === 'session' && !mayRideOnCookie(given, given, 'http://own')) return false
        return (
          given.phase === 'running' &&
          decision.port === (given.port ?? 3000) &&
          (acts || visibility === 'public')
        )
      }
      return (
        decision.kind !== 'unavailable' &&
        decision.kind !== 'not-reachable' &&
        decision.kind !== 'no-default-port'
      )
    }),
    { numRuns: 3000 },
  )
  t.end()
})

t.test('a sealed flow opens for its host only, for five minutes', (t) => {
  const key = Buffer.alloc(32, 7)
  const flow = { nonce: 'n', path: '/a?b=c', startedAtMs: 1000, attempts: 2, firstAtMs: 900 }
  const sealed = sealFlow(key, 'shop', flow)
  t.same(openFlow(key, 'shop', sealed, 2000), flow)
  t.equal(openFlow(key, 'other', sealed, 2000), null)
  t.equal(openFlow(Buffer.alloc(32), 'shop', sealed, 2000), null)
  t.equal(openFlow(key, 'shop', sealed, 302_000), null)
  t.equal(openFlow(key, 'shop', sealed, 0), null)
  t.equal(openFlow(key, 'shop', null, 2000), null)
  t.equal(openFlow(key, 'shop', sealFlow(key, 'shop', { ...flow, path: '//evil' }), 2000), null)
  fc.assert(fc.property(fc.string(), (value) => openFlow(key, 'shop', value, 2000) === null))
  t.end()
})

t.test('the table: names follow their workspace, and nothing is known before control has spoken', (t) => {
  let nowMs = 5000
  const table = new Table(() => nowMs)
  t.equal(table.isReady, false)
  const shop = routeRow('shop', { aliases: ['store'] })
  table.reset(1, [{ kind: 'route', key: shop.workspaceId, row: shop }])
  t.equal(table.routeByName('store')?.name, 'shop')
  t.equal(table.runningSinceMs(shop.workspaceId), Number.NEGATIVE_INFINITY, 'it ran before we knew')
  table.apply(2, [
    { kind: 'route', key: shop.workspaceId, row: { ...shop, name: 'mart', aliases: [], incarnation: 'x' } },
  ])
  t.equal(table.routeByName('shop'), undefined)
  t.equal(table.routeByName('store'), undefined)
  t.equal(table.routeByName('mart')?.workspaceId, shop.workspaceId)
  t.equal(table.runningSinceMs(shop.workspaceId), 5000)
  nowMs = 9000
  table.reset(3, [{ kind: 'route', key: shop.workspaceId, row: { ...shop, incarnation: 'x' } }])
  t.equal(table.runningSinceMs(shop.workspaceId), 5000, 'a reset forgets no start that it still shows')
  table.reset(4, [])
  t.equal(table.routeByName('shop'), undefined)
  t.end()
})

t.test('pages escape, and the same-site warning names the domain', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const page = cardPage(
        { title: text, lead: html`${text}`, small: [text], steps: [{ state: 'done', text }] },
        'id',
      )
      return !/<(?!\/?(?:!doctype|html|head|meta|title|style|body|main|svg|path|circle|h1|p|ul|li|i|div|code|span)\b)/i.test(
        page,
      )
    }),
  )
  t.match(sameSiteWarning('https://app.example.com', 'ws.example.com'), /example\.com/)
  t.equal(sameSiteWarning('https://app.example.com', 'workspaces.example.net'), null)
  t.equal(sameSiteWarning('http://localhost:8090', 'ws.localhost'), null)
  t.end()
})

t.test(
  'between a gateway and its server a Connection field takes no more away than towards an app',
  async (t) => {
    const kept = ['Content-Type', 'a/b', 'Sec-WebSocket-Key', 'k', 'Cookie', 'c=1']
    const sent = [
      'Connection',
      'Upgrade, X-B',
      ...kept,
      'X-B',
      '1',
      'Connection',
      'Content-Type, Cookie, sec-websocket-key',
    ]
    t.same(endToEnd([...sent, 'Upgrade', 'websocket', 'TE', 'trailers'], false), kept)
    t.same(endToEnd(sent, true), [...kept, 'Connection', 'Upgrade', 'Upgrade', 'websocket'])
  },
)
