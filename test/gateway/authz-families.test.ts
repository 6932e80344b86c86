/** What each forward-auth endpoint reads of a front's sub-request, and all that it refuses to read. */
import t from 'tap'
import { readQuestion } from '../../gateway/authz/families.ts'

const forward = (changes: Record<string, string | null> = {}): string[] => {
  const all = {
    'X-Forwarded-Method': 'GET',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'web-3000.ws.localhost:8080',
    'X-Forwarded-Uri': '/a?b=c',
    ...changes,
  }
  return Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [name, value]))
}
const original = (url: string, method = 'GET'): string[] => [
  'X-Original-URL',
  url,
  'X-Original-Method',
  method,
]

const askForward = (headers: string[], target = '/api/authz/forward-auth') =>
  readQuestion('GET', target, headers)
const askNginx = (headers: string[], target = '/api/authz/auth-request') =>
  readQuestion('GET', target, headers)
const askEnvoy = (path: string, headers: string[], method = 'GET') =>
  readQuestion(method, `/api/authz/ext-authz${path}`, headers)

t.test('each family is read from its own headers', async (t) => {
  const asked = { method: 'GET', authority: 'web-3000.ws.localhost:8080', target: '/a?b=c', upgrade: false }
  t.same(askForward(forward()), { ok: true, family: 'forward-auth', asked })
  t.same(askNginx(original('https://web-3000.ws.localhost:8080/a?b=c')), {
    ok: true,
    family: 'auth-request',
    asked,
  })
  t.same(askEnvoy('/a?b=c', ['Host', 'web-3000.ws.localhost:8080']), { ok: true, family: 'ext-authz', asked })
  t.match(askEnvoy('/a', ['host', 'x'], 'POST'), { ok: true, asked: { method: 'POST' } })
})

t.test('nothing is taken from the endpoint’s own query, which Caddy fills with the visitor’s', async (t) => {
  const target = '/api/authz/forward-auth?method=POST&x-forwarded-uri=/public'
  t.same(askForward(forward(), target), askForward(forward()))
  t.match(askNginx(original('http://h/'), '/api/authz/auth-request?x=1'), { ok: true })
})

t.test('the other families’ headers change nothing, and alone are nothing', async (t) => {
  const mixed = [...original('https://other.ws.localhost/public', 'OPTIONS'), ...forward()]
  t.same(askForward(mixed), askForward(forward()))
  const url = 'https://web-3000.ws.localhost/private'
  t.same(askNginx([...forward({ 'X-Forwarded-Uri': '/public' }), ...original(url)]), askNginx(original(url)))
  t.match(askForward(original(url)), { ok: false, family: 'forward-auth' })
  t.match(askNginx(forward()), { ok: false, family: 'auth-request' })
  t.same(
    askEnvoy('/private', ['Host', 'a.ws.localhost', ...forward(), ...original(url)]),
    askEnvoy('/private', ['Host', 'a.ws.localhost']),
  )
})

t.test('each header is needed exactly once, under its exact name', async (t) => {
  for (const name of ['X-Forwarded-Method', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Uri']) {
    t.match(askForward(forward({ [name]: null })), { ok: false }, `without ${name}`)
    t.match(askForward(forward({ [name]: '' })), { ok: false }, `${name} empty`)
    t.match(askForward([...forward(), name.toLowerCase(), 'GET']), { ok: false }, `${name} twice`)
    const alias = name.replaceAll('-', '_')
    t.match(askForward([...forward({ [name]: null }), alias, 'GET']), { ok: false }, `${alias} is no ${name}`)
    t.same(askForward([...forward(), alias, 'POST']), askForward(forward()), `${alias} beside it is not read`)
  }
  t.match(askNginx([...original('https://h/a'), 'x-original-url', 'https://h/a']), { ok: false })
  t.match(askNginx(['X.Original.URL', 'https://h/a', 'X-Original-Method', 'GET']), { ok: false })
  t.match(askEnvoy('/', ['Host', 'a', 'host', 'b']), { ok: false })
  t.match(askEnvoy('/', []), { ok: false })
})

t.test('what isn’t strictly a method, a scheme, a URL or a path is refused', async (t) => {
  for (const method of ['get', 'G ET', 'GET, POST', 'GET\t', 'A'.repeat(33), 'M\u00e9'])
    t.match(askForward(forward({ 'X-Forwarded-Method': method })), { ok: false }, method)
  for (const scheme of ['ftp', 'HTTPS', 'https,http', 'https ', 'javascript'])
    t.match(askForward(forward({ 'X-Forwarded-Proto': scheme })), { ok: false }, scheme)
  for (const scheme of ['http', 'ws', 'wss'])
    t.match(askForward(forward({ 'X-Forwarded-Proto': scheme })), { ok: true }, scheme)
  for (const uri of ['a', 'http://h/a', '/a#b', '/a\\b', '/a b', '/a\u0001', '*', '//\\'])
    t.match(askForward(forward({ 'X-Forwarded-Uri': uri })), { ok: false }, uri)
  for (const uri of ['/', '//a', '/%2e%2e/', '/a?x=/../', '/\u00e9', '/a,b'])
    t.match(askForward(forward({ 'X-Forwarded-Uri': uri })), { ok: true, asked: { target: uri } }, uri)
  for (const url of [
    '',
    'h/a',
    '//h/a',
    'https:/h/a',
    'https://h',
    'https://h?a',
    'file:///a',
    'https://h/a#b',
  ])
    t.match(askNginx(original(url)), { ok: false }, url)
  for (const path of ['?a', '/a#b', '/a\\b']) t.match(askEnvoy(path, ['Host', 'a']), { ok: false }, path)
})

t.test('only the three endpoints are there', async (t) => {
  for (const target of [
    '/',
    '/api/authz/',
    '/api/authz/forward-auth/',
    '/api/authz/forward-authx',
    '/api/authz/Auth-Request',
    '//api/authz/auth-request',
    '/api/authz/ext-authz',
    '/api/authz/ext-authzx/a',
    '/api/authz/x/../auth-request',
    'http://h/api/authz/auth-request',
  ])
    t.match(readQuestion('GET', target, forward()), { ok: false, family: null }, target)
})

t.test('a WebSocket handshake is known by what only a browser’s handshake carries', async (t) => {
  for (const [name, value] of [
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['sec-websocket-version', '13'],
  ] as const) {
    t.match(askForward([...forward(), name, value]), { asked: { upgrade: true } }, name)
    t.match(askNginx([...original('https://h/'), name, value]), { asked: { upgrade: true } }, name)
    t.match(askEnvoy('/', ['Host', 'h', name, value]), { asked: { upgrade: true } }, name)
  }
})
