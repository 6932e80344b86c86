// Path mode, pure: which targets name what, what can leave a prefix, what answers may say, and which origins it may have.
import fc from 'fast-check'
import t from 'tap'
import { cookieUnder, fieldsUnder, locationUnder } from '../../gateway/headers/under-prefix.ts'
import { readCookies } from '../../gateway/headers/cookies.ts'
import { tossedAway } from '../../gateway/flows/tossed.ts'
import { placeOfHostHeader } from '../../gateway/host/host.ts'
import { leavesPrefix, pathTarget, placeOfHandOff } from '../../gateway/host/path.ts'
import { cookiesOfPlace, pathUrlProblem, siteOf, urlOfPlace } from '../../gateway/host/site.ts'
import { nameOfLabel, opensByPath } from '../../control/wire/index.ts'

const ORIGIN = 'https://paths.example'
const PREFIX = '/dev/shop/ide'
const pieces = [
  '/',
  '..',
  '.',
  '%2e',
  '%2E%2e',
  '%2f',
  '%2F',
  '%5c',
  ';',
  '%3b',
  'a',
  '',
  '?',
  '%252e',
  '\xe9',
  '//',
]
const odd = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => `/${parts.join('')}`)

/** As readers before or behind us might read a path. */
const readers: readonly ((path: string) => string)[] = [
  (path) => path,
  (path) => path.replace(/%2f|%5c/gi, '/'),
  (path) => path.replace(/%5c/gi, '/'),
  (path) => path.replace(/%2f/gi, '/').replace(/(?:;|%3b)[^/]*/gi, ''),
  (path) => path.replace(/%5c/gi, '/').replace(/(?:;|%3b)[^/]*/gi, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  (path) => path.replace(/%2f|%5c/gi, '/').replace(/\/{2,}/g, '/'),
  (path) => path.replace(/(?:;|%3b)[^/]*/gi, ''),
  (path) =>
    path
      .replace(/%2f|%5c/gi, '/')
      .replace(/(?:;|%3b)[^/]*/gi, '')
      .replace(/\/{2,}/g, '/'),
]

t.test('what is served stays under its prefix for every reader, byte for byte', (t) => {
  let served = 0
  let refused = 0
  fc.assert(
    fc.property(odd, (rest) => {
      const named = pathTarget(PREFIX + rest)
      if (named.kind === 'leaves') return void refused++
      t.equal(named.kind, 'app')
      if (named.kind !== 'app') return
      served++
      if (named.target !== rest || named.place.prefix !== PREFIX) t.equal(named.target, rest)
      const path = rest.split('?', 1)[0] ?? ''
      for (const read of readers) {
        const { pathname } = new URL(PREFIX + read(path), ORIGIN)
        if (!pathname.startsWith(`${PREFIX}/`)) t.fail(`${rest} leaves as ${pathname}`)
      }
    }),
    { numRuns: 3000 },
  )
  t.ok(served > 500 && refused > 200, `${served} served, ${refused} refused`)
  for (const [path, leaves] of [
    ['', false],
    ['a/../b', false],
    ['..', true],
    ['a/..//..', true],
    ['%2e%2e', true],
    ['..%2f', true],
    ['a%2f..%2f..', true],
    ['..;x/', true],
    ['a;../..', false],
    ['...', false],
    ['%252e%252e/', false],
    ['%2e%3b%5ca/..;', true],
    ['.;%2fa/..', true],
    ['/;%5ca//%2F%2E%2e%5c', true],
  ] as const)
    t.equal(leavesPrefix(path), leaves, path)
  t.end()
})

t.test('nothing but the grammar names a workspace', (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('/', 'd', 'e', 'v', 's', 'i', '3', '0', '-', '?', '.', '%', 'S') }),
      (tail) => {
        const named = pathTarget(`/dev/${tail}`)
        if (named.kind !== 'app') return true
        const { place, target } = named
        return (
          `/dev/${tail}` === place.prefix + target &&
          place.label === `/dev/${place.name}` &&
          target.startsWith('/')
        )
      },
    ),
    { numRuns: 2000 },
  )
  t.match(pathTarget('/dev/shop/ide/'), {
    kind: 'app',
    place: { name: 'shop', port: null, label: '/dev/shop' },
    target: '/',
  })
  t.match(pathTarget('/dev/shop/65535/a?b'), { kind: 'app', place: { port: 65535 }, target: '/a?b' })
  t.same(pathTarget('/dev/shop/3000?\xe9'), { kind: 'slash', location: '/dev/shop/3000/?%E9' })
  for (const nothing of [
    '/dev/www/ide/',
    '/dev/shop-3000/ide/',
    '/dev/xn--a/ide/',
    `/dev/${'a'.repeat(41)}/ide/`,
  ])
    t.equal(pathTarget(nothing).kind, 'nothing', nothing)
  const site = siteOf('https://desk.example', 'ws.example', ORIGIN)
  const place = placeOfHandOff('/dev/shop', site)
  t.equal(place && urlOfPlace(site, place), `${ORIGIN}${PREFIX}`)
  t.equal(placeOfHandOff('shop-3000', site)?.prefix, '')
  for (const no of ['/dev/shop/ide', '/dev/', '/dev/shop-3000', '/dev//dev/shop', 'dev/shop'])
    t.equal(placeOfHandOff(no, site), null, no)
  t.equal(placeOfHandOff('/dev/shop', siteOf('https://desk.example', 'ws.example')), null, 'it is off')
  t.equal(nameOfLabel('/dev/shop'), 'shop')
  t.end()
})

t.test('an app’s cookies and redirects stay below the prefix', (t) => {
  const text = fc.string({ unit: fc.constantFrom('a', '/', ' ', '=', '.', '\t', 'P', '-', '_', '%') })
  const attribute = fc.oneof(
    text.map((value) => `Path=${value}`),
    text.map((value) => ` path =/${value}`),
    text.map((value) => ` DOMAIN= ${value}`),
    fc.constantFrom('Secure', ' HttpOnly', 'Path', 'domain', ' Path= /dev/other/'),
    text,
  )
  fc.assert(
    fc.property(
      fc.constantFrom('a=b', '__Host-x=1', ' =__HOST-y', 'c'),
      fc.array(attribute),
      (pair, attributes) => {
        const shown = cookieUnder([pair, ...attributes].join(';'), PREFIX)
        if (/host-/i.test(pair)) return shown === null
        return (shown ?? '')
          .split(';')
          .slice(1)
          .every((part) => {
            const [name = '', ...value] = part.split('=')
            const given = value.join('=').trim()
            if (name.trim().toLowerCase() === 'domain') return false
            if (name.trim().toLowerCase() !== 'path' || !given.startsWith('/')) return true
            return given === PREFIX || given.startsWith(`${PREFIX}/`)
          })
      },
    ),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(text, (value) => {
      const once = locationUnder(value, PREFIX, ORIGIN)
      if (locationUnder(once, PREFIX, ORIGIN) !== once) return false
      const isOwn = /^\/(?!\/)/.test(value)
      return isOwn ? once.startsWith(PREFIX) : once === value
    }),
    { numRuns: 2000 },
  )
  t.same(fieldsUnder(['A', '1', 'nel', 'x', 'SERVICE-WORKER-ALLOWED', '/', 'a', '2'], PREFIX, ORIGIN), [
    'A',
    '1',
    'a',
    '2',
  ])
  t.end()
})

t.test('its origin is neither the dashboard’s nor a workspace’s', (t) => {
  for (const [pathUrl, publicUrl, problem] of [
    ['https://paths.example', 'https://desk.example', null],
    ['https://desk.example:8443', 'https://desk.example', null],
    ['http://127.0.0.1:8091', 'http://127.0.0.1:8090', null],
    ['https://desk.example', 'https://desk.example', /own origin/],
    ['https://desk.example.', 'https://desk.example', /own origin/],
    ['https://desk.example:443', 'https://desk.example', /own origin/],
    ['http://paths.example', 'https://desk.example', /scheme/],
    ['https://ws.example', 'https://desk.example', /base domain/],
    ['https://paths.ws.example', 'https://desk.example', /base domain/],
    ['https://paths.WS.example.', 'https://desk.example', /base domain/],
    ['https://paths.example/x', 'https://desk.example', /only scheme/],
  ] as const) {
    const said = pathUrlProblem(pathUrl, publicUrl, 'ws.example')
    if (problem === null) t.equal(said, null, pathUrl)
    else {
      t.match(said, problem, pathUrl)
      t.throws(() => siteOf(publicUrl, 'ws.example', pathUrl))
    }
  }
  const apart = siteOf('https://desk.example', 'ws.example', ORIGIN)
  for (const host of ['paths.example', 'PATHS.example.:9', 'paths.example:443'])
    t.same(placeOfHostHeader(host, apart), { kind: 'paths' }, host)
  t.same(placeOfHostHeader('paths.example', siteOf('https://desk.example', 'ws.example')), {
    kind: 'elsewhere',
  })
  const shared = siteOf('https://desk.example', 'ws.example', 'https://desk.example:8443')
  for (const [host, kind] of [
    ['desk.example:8443', 'paths'],
    ['desk.example', 'dashboard'],
    ['desk.example:443', 'dashboard'],
    ['desk.example:08443', 'dashboard'],
    ['x.desk.example:8443', 'elsewhere'],
  ] as const)
    t.equal(placeOfHostHeader(host, shared).kind, kind, host)
  const usual = siteOf('https://desk.example:8443', 'ws.example', 'https://desk.example')
  t.equal(placeOfHostHeader('desk.example', usual).kind, 'paths')
  t.equal(placeOfHostHeader('desk.example:8443', usual).kind, 'dashboard')
  t.end()
})

t.test('its cookies are ours wherever they come', (t) => {
  const site = siteOf('https://desk.example', 'ws.example', ORIGIN)
  const named = pathTarget('/dev/shop/ide/')
  if (named.kind !== 'app') throw new Error('it names shop')
  const { session, flow, renewed, path } = cookiesOfPlace(site, named.place)
  t.equal(path, '/dev/shop/')
  for (const name of [session, flow, renewed]) {
    t.match(name, /^__Secure-postern_path\w*_shop$/)
    t.equal(readCookies(`a=1; ${name}=x; b=2`).rest, 'a=1; b=2', name)
  }
  t.equal(readCookies('xpostern_path_shop=1').rest, 'xpostern_path_shop=1')
  const mine = { ownerId: 'u', ownerGroupId: null, grants: [] }
  const person = { id: 'u', role: 'member', groups: [{ id: 'g' }] }
  t.ok(opensByPath(mine, person))
  t.notOk(opensByPath({ ...mine, ownerGroupId: 'g' }, person))
  t.notOk(opensByPath(mine, { ...person, role: 'auditor' }))
  t.notOk(opensByPath({ ...mine, ownerId: 'v' }, { ...person, role: 'administrator' }))
  t.end()
})

t.test('what pages of the origin put beside our cookies is taken away, ours is not', (t) => {
  const lines = (fields: readonly string[]): string[] => fields.filter((_, i) => i % 2 === 1)
  const apart = siteOf('https://desk.example', 'ws.example', ORIGIN)
  const named = pathTarget('/dev/shop/ide/a')
  if (named.kind !== 'app') throw new Error('it names shop')
  const gone = lines(tossedAway(apart, named.place, '__Secure-postern_path_shop=x', named.target))
  for (const path of [
    '/',
    '/dev',
    '/dev/',
    '/dev/shop',
    '/dev/shop/ide',
    '/dev/shop/ide/',
    '/dev/shop/ide/a',
  ])
    t.ok(gone.includes(`__Secure-postern_path_shop=; Path=${path}; Max-Age=0; Secure`), path)
  t.notOk(gone.includes('__Secure-postern_path_shop=; Path=/dev/shop/; Max-Age=0; Secure'))
  t.ok(gone.includes('__Secure-postern_path_shop=; Path=/dev/shop/; Domain=paths.example; Max-Age=0; Secure'))
  t.same(tossedAway(apart, named.place, '__Secure-postern_path_stall=x', named.target), [])
  t.same(tossedAway(apart, { kind: 'dashboard' }, '__Host-postern_session=x', '/api/v1/me'), [])
  const shared = siteOf('http://desk.example', 'ws.example', 'http://desk.example:81')
  const own = lines(tossedAway(shared, { kind: 'dashboard' }, 'postern_session=x', '/api/v1/me'))
  t.ok(own.includes('postern_session=; Path=/api; Max-Age=0'))
  t.notOk(own.includes('postern_session=; Path=/; Max-Age=0'))
  t.end()
})
