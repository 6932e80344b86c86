// Law 5, the other half: ports of one workspace may call each other, by the table; and no answer tells what isn't the asker's.
import t from 'tap'
import { type EdgePort, portDefaults, type Visibility } from '../../../control/wire/index.ts'
import {
  type Answer,
  ask,
  exchange,
  rawClient,
  type Script,
  webSocketBytes,
} from '../../support/gateway-bytes.ts'
import { doorsOf, type EdgeUnderTest, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'

const at = (label: string): string => `${label}.ws.localhost:8090`
const valueOf = (origin: string): string => origin.slice('Origin: '.length)

/** An app that has its own view of CORS. */
const opinionated: Script = ({ head, socket }) =>
  void socket.write(
    head.startsWith('OPTIONS ')
      ? 'HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://app.example\r\nX-App: 1\r\n\r\n'
      : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\naccess-control-expose-headers: X-None\r\nVary: Accept\r\nX-App: 1\r\nSet-Cookie: a=b\r\n\r\nok',
  )

const cors = (answer: Answer): Record<string, string[]> => {
  const said: Record<string, string[]> = {}
  for (const field of answer.fields) {
    const [name = ''] = field.toLowerCase().split(':')
    if (/^(access-control-|vary$)/.test(name)) said[name] = answer.all(name)
  }
  return said
}

/** A workspace of alice whose upstream's port is declared so, beside one more. */
function shop(edge: EdgeUnderTest, over: Partial<EdgePort> = {}, name = 'shop') {
  const { port } = edge.upstream
  const ports = [
    { ...portDefaults, port, ...over },
    { ...portDefaults, port: 1 },
  ]
  const route = edge.workspace(name, { ports, aliases: [`${name}-store`] })
  return { route, cookie: `Cookie: ${edge.cookie('alice', route)}` }
}

t.test('a page of a sibling port reads the answer, whatever the app says of CORS', async (t) => {
  const edge = await startEdge(t, { script: opinionated })
  const { cookie } = shop(edge)
  for (const origin of [originOf('shop-1'), originOf('shop-store-1'), originOf('shop-store')]) {
    const answer = await ask(edge.port, { host: at('shop'), method: 'PUT', headers: [cookie, origin] })
    t.equal(answer.status, 200)
    t.same(cors(answer), {
      'access-control-allow-origin': [valueOf(origin)],
      'access-control-allow-credentials': ['true'],
      'access-control-expose-headers': ['Content-Length, Vary, X-App'],
      vary: ['Accept', 'Origin'],
    })
  }
  const own = await ask(edge.port, { host: at('shop'), headers: [cookie, originOf('shop')] })
  t.match(cors(own), {
    'access-control-allow-origin': ['*'],
    'access-control-expose-headers': ['X-None'],
    vary: ['Accept', 'Origin'],
  })
  const alone = edge.workspace('alone')
  const byItself = await ask(edge.port, {
    host: at('alone'),
    headers: [`Cookie: ${edge.cookie('alice', alone)}`],
  })
  t.same(cors(byItself).vary, ['Accept'], 'nobody could call it')
})

t.test('a sibling reads why it has no answer, too', async (t) => {
  const edge = await startEdge(t, { script: ({ socket }) => void socket.end('nonsense\r\n\r\n') })
  const { cookie, route } = shop(edge)
  const origin = originOf('shop-1')
  const readable = { 'access-control-allow-origin': [valueOf(origin)] }
  const asked = async (headers: string[]) =>
    ask(edge.port, { host: at('shop'), headers: [origin, ...headers] })
  const broken = await asked([cookie])
  t.match([broken.status, cors(broken)], [502, readable])
  edge.control.route({ ...route, phase: 'stopped' })
  const stopped = await asked([cookie])
  t.match([stopped.status, cors(stopped)], [503, readable])
  const out = await asked([])
  t.match([out.status, cors(out)], [401, readable], 'signed out')
})

t.test('what the edge itself does on a workspace host is not for pages of other ports', async (t) => {
  const edge = await startEdge(t)
  const { cookie, route } = shop(edge)
  edge.control.route({ ...route, phase: 'stopped' })
  const start = async (origin: string) =>
    ask(edge.port, {
      host: at('shop'),
      path: '/.postern/start',
      method: 'POST',
      headers: [cookie, origin, 'Content-Type: application/x-www-form-urlencoded'],
      body: 'back=/',
    })
  t.equal((await start(originOf('shop-1'))).status, 403)
  t.same(edge.control.started, [])
  t.equal((await start(originOf('shop'))).status, 303)
  t.same(edge.control.started, [`${route.workspaceId} alice`])
})

t.test('where CORS is the app’s own, the edge opens nothing and says nothing', async (t) => {
  const edge = await startEdge(t, { script: opinionated })
  const { cookie } = shop(edge, { cors: 'app' })
  const headers = [cookie, originOf('shop-1')]
  for (const door of doorsOf(edge))
    t.equal((await door.try({ host: at('shop'), method: 'GET', headers })).status, 403, door.name)
  const preflight = ['Access-Control-Request-Method: PUT', originOf('shop-1')]
  const token = `X-Postern-Token: ${edge.control.token('alice', ['connect'])}`
  const asked = async (more: string[]) =>
    ask(edge.port, { host: at('shop'), method: 'OPTIONS', headers: [...preflight, ...more] })
  t.match(cors(await asked([token])), { 'access-control-allow-origin': ['https://app.example'] })
  shop(edge, { cors: 'app', visibility: 'public' })
  t.match(cors(await asked([])), { 'access-control-allow-origin': ['https://app.example'] })
  const open = await ask(edge.port, { host: at('shop'), method: 'POST', headers, body: 'x' })
  t.match([open.status, cors(open)], [200, { 'access-control-allow-origin': ['*'] }])
  t.ok(edge.upstream.requests.at(-1)?.fields.includes('X-Postern-User: '), 'and the app is told of nobody')
})

t.test('sockets of sibling pages end when their port no longer lets them; its own stay', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const { route, cookie } = shop(edge)
  const open = async (origin: string) => {
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host: at('shop'), headers: [cookie, origin] }))
    await client.received(/^HTTP\/1\.1 101 /)
    return client
  }
  const own = await open(originOf('shop'))
  const sibling = await open(originOf('shop-1'))
  const named = await open(originOf('shop-store-1'))
  edge.control.route({ ...route, reason: 'news of no matter' })
  t.notOk(sibling.socket.destroyed)
  edge.control.route({ ...route, ports: route.ports.map((port) => ({ ...port, cors: 'app' as const })) })
  await Promise.all([sibling.closed(), named.closed()])
  t.notOk(own.socket.destroyed)
  own.socket.destroy()
})

/** What an anonymous visitor can see of an answer, times and ids left out. */
const seen = ({ status, fields, body }: Answer): string =>
  JSON.stringify([
    status,
    fields.filter((field) => !/^date:/i.test(field)).toSorted(),
    body.replace(/"requestId":"[^"]*"/, ''),
  ])

t.test('no forged Origin tells a stranger whether a workspace is there', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  // Each name of the same length, so that answers may be compared by their bytes.
  for (const visibility of ['owner', 'members', 'shared', 'link'] as Visibility[])
    for (const [n, over] of [{}, { cors: 'app' }].entries())
      shop(edge, { visibility, ...over } as Partial<EdgePort>, `${visibility[0]}${n}shop`)
  const away = shop(edge, { visibility: 'public' }, 'trshop').route
  edge.control.route({ ...away, phase: 'trashed' })
  edge.control.route({ ...shop(edge, {}, 'slshop').route, phase: 'stopped' })
  edge.workspace('rivals', { ownerId: 'bob' })
  const bob = edge.workspace('bobsws', { ownerId: 'bob' })
  const known = ['o0shop', 'o1shop', 'm0shop', 'm1shop', 's0shop', 'l1shop', 'trshop', 'slshop', bob.name]
  const port = edge.upstream.port
  const origins = ['SELF-1', 'SELF-store-1', 'SELF', 'other-1', 'rivals', 'nobody']
  const kinds: [string, string[]][] = [
    ['OPTIONS', ['Access-Control-Request-Method: DELETE', 'Access-Control-Request-Headers: x-a, x-b']],
    ['OPTIONS', []],
    ['GET', []],
    ['POST', ['Content-Length: 0']],
  ]
  const token = `X-Postern-Token: ${edge.control.token('root', ['connect'])}`
  for (const door of doorsOf(edge))
    for (const [method, headers] of door.name === 'upgrade' ? [['GET', []] as [string, string[]]] : kinds)
      for (const origin of origins)
        for (const who of [[], [token]])
          for (const host of ['SELF', `SELF-${port}`, 'SELF-9']) {
            const look = async (name: string): Promise<string> => {
              const of = originOf(origin.replace('SELF', name))
              const label = host.replace('SELF', name)
              const answer = await door.try({ host: at(label), method, headers: [of, ...headers, ...who] })
              return seen(answer).replaceAll(name, 'NAME')
            }
            // A member may use a members' port: only strangers are the law's here.
            const names = known.filter(
              (name) => !name.startsWith('m') || who.length === 0 || host === 'SELF-9',
            )
            const [absent, ...others] = await Promise.all(['absent', ...names].map(look))
            for (const [n, name] of names.entries())
              t.equal(others[n], absent, `${method} ${host} from ${origin} at ${door.name}: ${name}`)
          }
  t.same(edge.upstream.requests, [], 'and nothing reached an app')
})

t.test('a preflight says yes and opens nothing', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const { cookie } = shop(edge)
  const preflight = await ask(edge.port, {
    host: at('shop'),
    method: 'OPTIONS',
    headers: [
      originOf('shop-1'),
      'Access-Control-Request-Method: PATCH',
      'Access-Control-Request-Headers: content-type,x-csrf',
    ],
  })
  t.equal(preflight.status, 204)
  t.same(cors(preflight), {
    'access-control-allow-origin': [valueOf(originOf('shop-1'))],
    'access-control-allow-credentials': ['true'],
    'access-control-allow-methods': ['PATCH'],
    'access-control-allow-headers': ['content-type,x-csrf'],
    'access-control-expose-headers': cors(preflight)['access-control-expose-headers'],
    'access-control-max-age': ['600'],
    vary: ['Access-Control-Request-Method, Access-Control-Request-Headers', 'Origin'],
  })
  const strange = await ask(edge.port, {
    host: at('shop'),
    method: 'PATCH',
    headers: [cookie, originOf('evil')],
    body: 'x',
  })
  t.equal(strange.status, 403, 'the request that a stranger’s page then makes')
  t.same(cors(strange)['access-control-allow-origin'], undefined)
  const bad = await ask(edge.port, {
    host: at('shop'),
    method: 'OPTIONS',
    headers: [
      originOf('shop-1'),
      'Access-Control-Request-Method: a b',
      'Access-Control-Request-Headers: x: y',
    ],
  })
  t.match(cors(bad), { 'access-control-allow-methods': ['GET'] })
  t.notOk('access-control-allow-headers' in cors(bad))
  t.same(edge.upstream.requests, [], 'no app hears of it')
  const far = await ask(edge.port, {
    host: at('shop'),
    method: 'OPTIONS',
    headers: ['Origin: https://evil.example', 'Access-Control-Request-Method: PATCH'],
  })
  t.equal(far.status, 401, 'a page of elsewhere is nobody’s sibling')
})

t.test('a front hears of the reader, and never that a preflight is a yes', async (t) => {
  const edge = await startEdge(t)
  const { cookie } = shop(edge)
  const families: [string, (method: string) => string][] = [
    [
      'forward-auth',
      (method) =>
        `GET /api/authz/forward-auth HTTP/1.1\r\nHost: a\r\nX-Forwarded-Method: ${method}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ${at('shop')}\r\nX-Forwarded-Uri: /\r\n`,
    ],
    [
      'auth-request',
      (method) =>
        `GET /api/authz/auth-request HTTP/1.1\r\nHost: a\r\nX-Original-Method: ${method}\r\nX-Original-URL: http://${at('shop')}/\r\n`,
    ],
    ['ext-authz', (method) => `${method} /api/authz/ext-authz/ HTTP/1.1\r\nHost: ${at('shop')}\r\n`],
  ]
  for (const [name, head] of families) {
    const put = async (method: string, ...headers: string[]) =>
      exchange(
        edge.authzPort,
        `${head(method)}${headers.map((h) => `${h}\r\n`).join('')}Connection: close\r\n\r\n`,
      )
    const reader = (answer: Answer) => answer.field('X-Postern-Allow-Origin')
    const sibling = await put('PUT', cookie, originOf('shop-1'))
    t.same([sibling.status, reader(sibling)], [200, valueOf(originOf('shop-1'))], name)
    const own = await put('PUT', cookie, originOf('shop'))
    t.same([own.status, reader(own)], [200, ''], name)
    t.equal((await put('PUT', cookie, originOf('evil'))).status, 403, name)
    const preflight = await put('OPTIONS', originOf('shop-1'), 'Access-Control-Request-Method: PUT')
    t.equal(preflight.status, 403, `${name}: a preflight`)
    t.match(preflight.body, /Preflights are answered by Postern/, name)
  }
})
