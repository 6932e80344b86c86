/** The three doors of forward auth answer by the proxy's own decision, each in its front's words, and never yes by mistake. */
import { request } from 'node:http'
import t, { type Test } from 'tap'
import type { EdgeFact } from '../../control/wire/index.ts'
import { type EdgeSettings, startEdge, type TestEdge } from '../support/fronts-edge.ts'
import { frontFacts, secrets, webPorts, webRoute } from '../support/fronts-facts.ts'
import { ask, type Answer } from '../support/fronts-visitor.ts'
import { rawClient } from '../support/gateway-bytes.ts'

type Headers = Readonly<Record<string, string>>
const families = ['forward-auth', 'auth-request', 'ext-authz'] as const
type Family = (typeof families)[number]

interface Door {
  readonly edge: TestEdge
  readonly port: number
  /** Asks as that family's front would about a request for `host`, such as `web-3000`. */
  ask(
    family: Family,
    host: string,
    visitor?: Headers,
    about?: { method?: string; target?: string },
  ): Promise<Answer>
}

async function open(
  t: Test,
  options: Partial<EdgeSettings> & { facts?: readonly EdgeFact[] } = {},
): Promise<Door> {
  const { facts = frontFacts(), ...settings } = options
  const edge = await startEdge(facts, { publicUrl: 'http://localhost:8090', ...settings })
  t.teardown(() => edge.gateway.close(0))
  const port = edge.authz
  return {
    edge,
    port,
    ask(family, label, visitor = {}, about = {}) {
      const { method = 'GET', target = '/deep/page?x=1' } = about
      const host = label.includes('.') ? label : `${label}.ws.localhost`
      const base = { port, path: `/api/authz/${family}`, host: '127.0.0.1:8091' }
      if (family === 'ext-authz')
        return ask({ ...base, path: `${base.path}${target}`, host: `${host}:8090`, method, headers: visitor })
      const own: Headers =
        family === 'forward-auth'
          ? {
              'X-Forwarded-Method': method,
              'X-Forwarded-Proto': 'http',
              'X-Forwarded-Host': `${host}:8090`,
              'X-Forwarded-Uri': target,
            }
          : { 'X-Original-URL': `http://${host}:8090${target}`, 'X-Original-Method': method }
      return ask({ ...base, headers: { ...visitor, ...own } })
    },
  }
}

const cookie = (secret: string): Headers => ({ Cookie: `postern_workspace=${secret}` })
const page = {
  Accept: 'text/html,*/*',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Site': 'none',
}

t.test('the owner is let in, with everything that the front must set', async (t) => {
  const door = await open(t)
  for (const family of families) {
    const answer = await door.ask(family, 'web-3000', cookie(secrets.adaOnWeb))
    t.equal(answer.status, 200, family)
    t.equal(answer.body, '')
    t.match(answer.headers, {
      'x-postern-user': 'ada',
      'x-postern-email': 'ada@example.test',
      'x-postern-groups': 'crew,ops',
      'x-postern-upstream': '127.0.0.1:3000',
      'x-postern-token': '',
      cookie: '',
      authorization: '',
      'cache-control': 'no-store',
      vary: '*',
    })
    for (const host of ['WEB-3000.ws.localhost', 'web-3000.WS.localhost.', 'web-3000'])
      t.equal((await door.ask(family, host, cookie(secrets.adaOnWeb))).status, 200, host)
  }
})

t.test('the visitor’s own cookies and Authorization come back without ours', async (t) => {
  const door = await open(t)
  for (const family of families) {
    const visitor = {
      Cookie: `theme=dark; postern_workspace=${secrets.adaOnWeb}; postern_session=${secrets.adaDashboard}; a="b c"`,
      Authorization: 'Basic YTpi',
      'X-Postern-User': 'root',
      'X-Postern-Upstream': '10.0.0.1:22',
    }
    const answer = await door.ask(family, 'web-3000', visitor)
    t.match(answer.headers, {
      cookie: 'theme=dark; a="b c"',
      authorization: 'Basic YTpi',
      'x-postern-user': 'ada',
      'x-postern-upstream': '127.0.0.1:3000',
    })
    const byToken = await door.ask(family, 'web-3000', { Authorization: `Bearer ${secrets.adaToken}` })
    t.match(byToken, { status: 200, headers: { authorization: '', 'x-postern-user': 'ada' } })
    const ownHeader = await door.ask(family, 'web-3000', {
      'X-Postern-Token': secrets.adaToken,
      Authorization: 'Bearer of-the-app',
    })
    t.match(ownHeader, {
      status: 200,
      headers: { authorization: 'Bearer of-the-app', 'x-postern-token': '' },
    })
  }
})

t.test('what a front can’t dial goes to Postern, with what it needs to decide again', async (t) => {
  const door = await open(t)
  for (const family of families) {
    const sent = `theme=dark; postern_workspace=${secrets.adaOnMapped}`
    const answer = await door.ask(family, 'mapped-3000', { Cookie: sent, Authorization: 'Basic YTpi' })
    t.match(answer, {
      status: 200,
      headers: {
        'x-postern-upstream': `127.0.0.1:${door.edge.main}`,
        cookie: sent,
        authorization: 'Basic YTpi',
      },
    })
    const token = await door.ask(family, 'mapped-3000', { 'X-Postern-Token': secrets.adaToken })
    t.match(token, { status: 200, headers: { 'x-postern-token': secrets.adaToken } })
  }
})

t.test('a public port is open, and tells nothing about who isn’t known', async (t) => {
  const door = await open(t)
  for (const family of families) {
    const answer = await door.ask(family, 'web-4000', { 'X-Postern-User': 'root', X_Postern_User: 'root' })
    t.match(answer, {
      status: 200,
      headers: { 'x-postern-user': '', 'x-postern-email': '', 'x-postern-groups': '' },
    })
    t.match(await door.ask(family, 'web-4000', cookie(secrets.adaOnOpen)), {
      status: 200,
      headers: { 'x-postern-user': 'ada' },
    })
    t.match(await door.ask(family, 'web-5000'), { status: 401 }, 'members only')
    t.match(await door.ask(family, 'web-5000', cookie(secrets.bobOnMembers)), {
      status: 200,
      headers: { 'x-postern-user': 'bob', 'x-postern-email': '' },
    })
  }
})

t.test('signed out, a person is sent to the sign-in and a program is told', async (t) => {
  const door = await open(t)
  const location = 'http://web-3000.ws.localhost:8090/.postern/enter?to=%2Fdeep%2Fpage%3Fx%3D1'
  for (const family of families) {
    const person = await door.ask(family, 'web-3000', page)
    t.equal(person.status, family === 'auth-request' ? 401 : 303, family)
    t.equal(person.headers['location'], location)
    const program = await door.ask(family, 'web-3000', { Accept: '*/*' })
    t.equal(program.status, 401)
    t.match(program.headers['www-authenticate'], /^Bearer/)
    t.notOk(program.headers['location'])
    t.match(JSON.parse(program.body), { code: 'unauthenticated', status: 401 })
    const socket = await door.ask(family, 'web-3000', { ...page, 'Sec-WebSocket-Key': 'x' })
    t.equal(socket.status, 401, 'a WebSocket follows no redirect')
    t.notOk(socket.headers['location'])
    const missing = await door.ask(family, 'nothing-3000', page)
    t.equal(missing.status, person.status, 'whether or not it exists')
  }
})

t.test('not yours and not there are one answer', async (t) => {
  const door = await open(t)
  for (const family of families) {
    const bobs = { Authorization: `Bearer ${secrets.bobToken}` }
    const foreign = await door.ask(family, 'web-3000', bobs)
    const absent = await door.ask(family, 'nothing-3000', bobs)
    const bySession = await door.ask(family, 'web-3000', cookie(secrets.bobOnWeb))
    const plain = ({ status, headers, body }: Answer) => {
      const { date: _, ...rest } = headers
      return { status, rest, body: body.replace(/"requestId":"[^"]*"/, '') }
    }
    t.equal(foreign.status, family === 'auth-request' ? 403 : 404)
    t.same(plain(foreign), plain(absent))
    t.same(plain(bySession), plain(absent))
    t.notMatch(foreign.body, /ada|web/)
  }
})

t.test('nginx hears nothing but 200, 401 and 403', async (t) => {
  const door = await open(t)
  const asked: [string, Headers][] = [
    ['sleepy-3000', cookie(secrets.adaOnSleepy)],
    ['nothing-3000', cookie(secrets.adaOnWeb)],
    ['evil.example', {}],
    ['localhost', {}],
    ['web-3000.ws.localhost@evil.example', {}],
    ['web-99999', {}],
  ]
  for (const [host, visitor] of asked)
    t.ok([401, 403].includes((await door.ask('auth-request', host, visitor)).status), host)
  t.match(await door.ask('forward-auth', 'sleepy-3000', cookie(secrets.adaOnSleepy)), {
    status: 503,
    headers: { 'retry-after': /\d/ },
  })
  for (const host of ['evil.example', 'localhost', 'a, b', 'web-3000.ws.localhost, web-4000.ws.localhost'])
    t.equal((await door.ask('forward-auth', host)).status, 421, host)
})

t.test('a cookie opens nothing for a request of another origin', async (t) => {
  const door = await open(t)
  const own = 'http://web-3000.ws.localhost:8090'
  const sibling = 'http://web-4000.ws.localhost:8090'
  const stranger = 'http://mapped-3000.ws.localhost:8090'
  const socket = { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13' }
  for (const family of families) {
    const mine = cookie(secrets.adaOnWeb)
    const status = async (headers: Headers, method = 'GET') =>
      (await door.ask(family, 'web-3000', { ...mine, ...headers }, { method })).status
    t.equal(await status({ ...socket, Origin: stranger }), 403, 'another workspace’s WebSocket')
    t.equal(await status({ ...socket, Origin: sibling }), 200, 'a sibling’s WebSocket')
    t.equal(await status(socket), 403, 'a WebSocket without Origin')
    t.equal(await status({ ...socket, Origin: own }), 200, 'its own WebSocket')
    const post = (origin: string) => status({ Origin: origin, 'Sec-Fetch-Site': 'same-site' }, 'POST')
    t.equal(await post(stranger), 403, 'another workspace’s POST')
    t.equal(await post(sibling), 200, 'a sibling’s POST')
    t.equal(await status({}, 'POST'), 403, 'a POST without Origin')
    t.equal(await status({ Origin: own }, 'POST'), 200, 'its own POST')
    t.equal(await status({ Origin: 'null', 'Sec-Fetch-Site': 'same-origin' }, 'DELETE'), 200, 'no-referrer')
  }
})

t.test('a sub-request that itself asks for an upgrade is answered, as Caddy’s does', async (t) => {
  const door = await open(t)
  const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', Origin: 'http://web-3000.ws.localhost:8090' }
  const mine = { ...cookie(secrets.adaOnWeb), ...upgrade }
  t.match(await door.ask('forward-auth', 'web-3000', mine), {
    status: 200,
    headers: { 'x-postern-user': 'ada' },
  })
  t.match(await door.ask('forward-auth', 'web-3000', upgrade), { status: 401 })
})

t.test('revoked is refused at once; before the facts have come nothing is allowed', async (t) => {
  const door = await open(t)
  const facts = frontFacts()
  const session = facts.find((fact) => fact.kind === 'session' && fact.row.workspace?.label === 'web-3000')!
  t.ok(session.kind === 'session')
  for (const family of families)
    t.equal((await door.ask(family, 'web-3000', cookie(secrets.adaOnWeb))).status, 200)
  if (session.kind === 'session') door.edge.apply([{ kind: 'gone', of: 'session', key: session.key }])
  for (const family of families)
    t.equal((await door.ask(family, 'web-3000', cookie(secrets.adaOnWeb))).status, 401, family)
  t.equal((await door.ask('forward-auth', 'sleepy-3000', cookie(secrets.adaOnSleepy))).status, 503)
  const late = await open(t, { now: () => 5_000_000_000_000 })
  t.equal((await late.ask('forward-auth', 'sleepy-3000', cookie(secrets.adaOnSleepy))).status, 401, 'expired')
  const unknowing = await open(t, { withoutFacts: true })
  t.equal((await unknowing.ask('forward-auth', 'web-4000')).status, 503)
  t.equal((await unknowing.ask('auth-request', 'web-4000')).status, 403)
})

t.test('an error inside is never a yes', async (t) => {
  const unreadable = {
    ...webRoute(webPorts),
    get ports(): never {
      throw new Error('the table is unreadable')
    },
  }
  const facts: EdgeFact[] = [{ kind: 'route', key: 'w-web', row: unreadable }]
  const door = await open(t, { facts })
  for (const family of families) {
    const { status } = await door.ask(family, 'web-4000', { 'X-Postern-Token': secrets.adaToken })
    t.ok(status >= 400, `${family} ${status}`)
  }
})

t.test('malformed and doubled cookies, and bodies, open nothing', async (t) => {
  const door = await open(t)
  const secret = secrets.adaOnWeb
  for (const value of [
    `postern_workspace=${secret}; postern_workspace=${secret}`,
    `\u00a0postern_workspace=${secret}`,
    `postern_workspace="${secret}"`,
    `Postern_workspace=${secret}`,
    `__Host-postern_workspace=${secret}`,
    `postern_session=${secrets.adaDashboard}`,
    `postern_workspace=${secret.slice(1)}`,
    `=postern_workspace=${secret}`,
  ])
    for (const family of families)
      t.equal((await door.ask(family, 'web-3000', { Cookie: value })).status, 401, value)
  const { port } = door
  const body = await ask({
    port,
    host: 'web-3000.ws.localhost:8090',
    path: '/api/authz/ext-authz/x',
    method: 'POST',
    body: 'x'.repeat(100_000),
  })
  t.equal(body.status, 401)
  const status = await new Promise<number>((resolve, reject) => {
    const headers = { 'x-original-url': 'http://web-4000.ws.localhost/', 'x-original-method': 'GET' }
    const out = request({ host: '127.0.0.1', port, path: '/api/authz/auth-request', headers }, (answer) => {
      answer.resume()
      resolve(answer.statusCode!)
    })
    out.on('error', reject)
    out.end()
  })
  t.equal(status, 200, 'names of headers in small letters')
})

t.test('with https, the sign-in is on https and only __Host- cookies count', async (t) => {
  const door = await open(t, { publicUrl: 'https://postern.example.com' })
  const person = await door.ask('forward-auth', 'web-3000', page)
  t.match(person.headers['location'], /^https:\/\/web-3000\.ws\.localhost\/\.postern\//)
  t.equal((await door.ask('forward-auth', 'web-3000', cookie(secrets.adaOnWeb))).status, 401)
  const secure = { Cookie: `__Host-postern_workspace=${secrets.adaOnWeb}` }
  t.equal((await door.ask('forward-auth', 'web-3000', secure)).status, 200)
})

t.test('the edge’s own paths are not to be had through forward auth', async (t) => {
  const door = await open(t)
  for (const family of families) {
    const answer = await door.ask(family, 'web-4000', {}, { target: '/.postern/callback?code=x' })
    t.ok([403, 404].includes(answer.status), `${family} ${answer.status}`)
  }
})

t.test('answers keep their order and their framing on every kind of connection', async (t) => {
  const door = await open(t)
  const question = (secret: string, version = '1.1', connection = 'keep-alive', method = 'GET'): string =>
    `${method} /api/authz/auth-request HTTP/${version}\r\nHost: a\r\nConnection: ${connection}\r\nX-Original-URL: http://web-3000.ws.localhost:8090/\r\nX-Original-Method: GET\r\nCookie: theme=dark; postern_workspace=${secret}\r\n\r\n`
  const heads = (text: string): string[] => text.match(/HTTP\/1\.1 [0-9]{3}/g) ?? []
  const client = await rawClient(door.port)
  const { adaOnWeb } = secrets
  client.send([adaOnWeb, 'nobody', adaOnWeb].map((secret) => question(secret)).join(''))
  await client.received(/200[^]*401[^]*200 OK[^]*\r\n\r\n$/)
  t.same(heads(client.text()), ['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200'])
  client.send(question(adaOnWeb, '1.1', 'keep-alive', 'HEAD'))
  client.send(question(adaOnWeb, '1.1', 'close'))
  await client.closed()
  t.same(heads(client.text()).slice(3), ['HTTP/1.1 200', 'HTTP/1.1 200'])
  t.match(client.text(), /connection: close/i)
  const old = await rawClient(door.port)
  old.send(question(adaOnWeb, '1.0', 'close'))
  await old.closed()
  // The same fields, whichever way they were written.
  const fieldsOf = (text: string): string[] =>
    text.split('\r\n').filter((line) => /^(?:x-postern|cookie|authorization|cache|vary|content)/i.test(line))
  t.same(fieldsOf(old.text()), fieldsOf(client.text().slice(0, client.text().indexOf('\r\n\r\n'))))
  t.ok(fieldsOf(old.text()).includes('Cookie: theme=dark'))
})

t.test('what is no header value leaves in none', async (t) => {
  const facts = frontFacts().map((fact): EdgeFact => {
    if (fact.kind !== 'route' || fact.key !== 'w-web') return fact
    return {
      ...fact,
      row: { ...fact.row, reach: { kind: 'address', host: '127.0.0.1\r\nX-Postern-User: root' } },
    }
  })
  const door = await open(t, { facts })
  for (const family of families) {
    const answer = await door.ask(family, 'web-3000', cookie(secrets.adaOnWeb))
    t.ok(answer.status >= 400, `${family} ${answer.status}`)
    t.not(answer.headers['x-postern-user'], 'root')
  }
})
