/** The API as strangers and programs meet it: who may do what, what bad input gets, what answers look like. */
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { httpApi } from '../../control/api/app.ts'
import {
  authorize,
  messageNeeds,
  realtimeNeeds,
  routeNeeds,
} from '../../control/authorization/authorization.ts'
import { startCodes } from '../../control/start-error.ts'
import { openApi } from '../../control/api/openapi.ts'
import { operations } from '../../control/api/operations.ts'
import { apiCodes, paths, reasonCodes } from '../../control/wire/index.ts'
import type { Identity, Role } from '../../control/wire/index.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { undescribed } from '../support/control-described.ts'
import { controlServer, password } from '../support/control-server.ts'
import type { Client, ControlServer } from '../support/control-server.ts'
import { userRow } from '../support/gateway-control.ts'

const root = t.testdir({
  web: {
    'index.html': '<!doctype html><title>Postern</title>',
    assets: { 'app-1a2b.js': 'alive()', 'app-1a2b.js.br': 'pressed', 'app-1a2b.js.gz': 'pressed' },
  },
})
let count = 0
async function serve(t: Test, options = {}): Promise<ControlServer> {
  const server = await controlServer({ stateDirectory: join(root, `s${++count}`), ...options })
  t.teardown(() => server.close())
  return server
}
const api = '/api/v1/workspaces'
const withoutId = (text: string): string => text.replace(/"requestId":"[^"]*"/, '')

await t.test(
  'every route and kind of message has its row, and a route without one does not start',
  async (t) => {
    const server = await serve(t)
    const mounted = server.router.stack.flatMap(({ methods, path }) =>
      methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${String(path)}`),
    )
    t.ok(mounted.length > 30, 'the walk finds routes')
    t.same(mounted.sort(), Object.keys(routeNeeds).sort(), 'table and router are one')
    const none = { used: async () => undefined, tokenUsed: () => undefined, sweep: async () => undefined }
    t.throws(
      () =>
        httpApi(server.deployment, none, [
          { method: 'GET', path: '/api/v1/new', run: async () => ({ status: 200 }) },
        ]),
      /no row/,
    )
    t.ok(realtimeNeeds[paths.events])
    t.equal(Object.keys(messageNeeds).length, 12)
    const users = mounted.filter((key) => !key.includes('/api/agent/'))
    t.same(Object.keys(operations).sort(), users.sort(), 'and all that users call is described')
    const described = openApi('1', 'http://localhost:8090') as { paths: Record<string, object> }
    t.ok(described.paths['/api/v1/workspaces/{id}/start'])
    t.match(described.paths[paths.restrictions], {
      delete: {
        parameters: [
          { in: 'query', name: 'kind', required: true },
          { in: 'query', name: 'id', required: true },
        ],
      },
    })
    t.match(described.paths[paths.users], {
      get: {
        parameters: [
          { name: 'limit', required: false, schema: { default: 100, maximum: 500 } },
          { name: 'after' },
        ],
      },
    })
    t.match(described.paths[paths.auditExport], {
      get: { responses: { 200: { content: { 'application/x-ndjson': {} } } } },
    })
    t.same(
      undescribed('POST', paths.hostTokens, 201, { id: 'a', token: 'b', expiresAtMs: 1, key: 'c' }),
      ['.key is not described'],
      'what more is answered than is described fails a test',
    )
  },
)

const user = (role: Role) => userRow('u', { role })
const identities: Record<string, Identity> = {
  anonymous: { kind: 'anonymous' },
  member: { kind: 'session', user: user('member'), sessionHash: 'h' },
  auditor: { kind: 'session', user: user('auditor'), sessionHash: 'h' },
  administrator: { kind: 'session', user: user('administrator'), sessionHash: 'h' },
  reader: {
    kind: 'token',
    user: user('administrator'),
    tokenId: 't',
    scopes: ['workspaces:read'],
    bounds: null,
  },
}

await t.test('the table decides for every kind of visitor', async (t) => {
  for (const [key, need] of Object.entries(routeNeeds)) {
    const may = (name: string): string => {
      try {
        authorize(need, identities[name] ?? { kind: 'anonymous' })
        return 'yes'
      } catch (err) {
        return (err as { code: string }).code
      }
    }
    const open = ['public', 'agent', 'gateway'].includes(need.who)
    t.equal(may('anonymous'), open ? 'yes' : 'unauthenticated', `${key}, anonymous`)
    const isOffice = need.who === 'administrator' || need.who === 'reads-all'
    t.equal(may('member'), isOffice ? 'forbidden' : 'yes', `${key}, member`)
    const barsAuditor = !open && !key.startsWith('GET ') && need.own !== true
    t.equal(may('auditor'), barsAuditor ? 'forbidden' : 'yes', `${key}, auditor`)
    t.equal(may('administrator'), 'yes', `${key}, administrator`)
    const reads = open || need.scopes?.includes('workspaces:read') === true
    t.equal(may('reader'), reads ? 'yes' : 'missing_scope', `${key}, token that reads`)
    if (!key.startsWith('GET ') && !open) t.notOk(reads, `${key} is not for a token that reads`)
  }
})

await t.test('not yours and not there are one answer, byte for byte', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const bob = await server.member(ada, 'bob')
  const eve = await server.member(ada, 'eve')
  const { id } = (await bob.call('POST', api, { name: 'secret-plans', image: 'x' })).json
  const rows = [
    ['GET', '', undefined],
    ['PATCH', '', { cpu: 1 }],
    ['DELETE', '', undefined],
    ['DELETE', '?purge=true', undefined],
    ['POST', '/start', undefined],
    ['POST', '/stop', undefined],
    ['POST', '/restart', undefined],
    ['POST', '/restore', undefined],
    ['GET', '/events', undefined],
  ] as const
  for (const [method, rest, body] of rows) {
    const answers = []
    for (const ref of [
      id,
      'secret-plans',
      'no-such-thing',
      'aaaaaaaaaaaaaaaaaaaa',
      '..',
      '%00',
      'x'.repeat(300),
    ])
      answers.push(await eve.call(method, `${api}/${ref}${rest}`, body))
    for (const each of answers) {
      t.equal(each.status, 404, `${method} ${rest}`)
      t.equal(withoutId(each.text), withoutId(answers[0]?.text ?? ''))
      t.same(Object.keys(each.headers), Object.keys(answers[0]?.headers ?? {}))
    }
  }
  t.equal((await bob.call('GET', `${api}/${id}`)).json.want, 'running', 'nothing happened to it')
  t.equal((await ada.call('GET', `${api}/${id}`)).status, 200, 'administrators see it')
  t.same((await ada.call('GET', api)).json.items, [], 'but among their own it is not')
  t.equal((await ada.call('GET', `${api}?owner=all`)).json.items.length, 1)
  t.equal((await eve.call('GET', `${api}?owner=all`)).status, 403)
})

await t.test('bad input gets a clear answer, and nothing is stored', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  await ada.call('POST', api, { name: 'taken', image: 'x' })
  const names = [
    '',
    'x'.repeat(41),
    'Upper',
    'api',
    'app-3000',
    '-a',
    'a-',
    'ä',
    'a.b',
    'xn--a',
    'a b',
    '../x',
  ]
  for (const name of names) {
    const answer = await ada.call('POST', api, { name, image: 'x' })
    t.match(
      answer,
      { status: 422, json: { code: 'invalid_name', errors: [{ path: 'name' }], hint: /./ } },
      JSON.stringify(name),
    )
  }
  t.match(await ada.call('POST', api, { name: 'taken', image: 'x' }), {
    status: 409,
    json: { code: 'name_taken' },
  })
  const fine = { name: 'fine', image: 'x' }
  const fields: [object, string, string][] = [
    [{ ...fine, cpu: 5 }, 'limit_exceeded', 'cpu'],
    [{ ...fine, cpu: 0.001 }, 'limit_exceeded', 'cpu'],
    [{ ...fine, memoryBytes: 1e15 }, 'limit_exceeded', 'memoryBytes'],
    [{ ...fine, pids: 1 }, 'limit_exceeded', 'pids'],
    [{ ...fine, gpus: 1 }, 'unsupported', 'gpus'],
    [{ ...fine, gpus: -1 }, 'invalid_body', 'gpus'],
    [{ ...fine, mounts: [{ source: '/srv', target: '/srv' }] }, 'unsupported', 'mounts'],
    [{ ...fine, mounts: [{ source: 'srv', target: '/srv' }] }, 'invalid_body', 'mounts.0.source'],
    [{ ...fine, networks: ['host'] }, 'unsupported', 'networks'],
    [{ ...fine, diskBytes: 1 }, 'unsupported', 'diskBytes'],
    [{ ...fine, ports: [{ port: 1, protocol: 'udp' }] }, 'invalid_body', 'ports.0.protocol'],
    [{ ...fine, ports: [{ port: 0 }] }, 'invalid_body', 'ports.0.port'],
    [{ ...fine, ports: [{ port: 65536 }] }, 'invalid_body', 'ports.0.port'],
    [{ ...fine, ports: [{ port: 3000 }, { port: 3000 }] }, 'invalid_body', 'ports.1.port'],
    [{ ...fine, ports: [{ port: 3000, visibility: 'world' }] }, 'invalid_body', 'ports.0.visibility'],
    [{ ...fine, cpu: '2' }, 'invalid_body', 'cpu'],
    [{ ...fine, cpu: null }, 'invalid_body', 'cpu'],
    [{ ...fine, env: { A: '1' } }, 'invalid_body', 'env'],
    [{ ...fine, env: [{ name: '1A', value: '' }] }, 'invalid_body', 'env.0.name'],
    [{ ...fine, env: [{ name: 'A', value: 'a\0b' }] }, 'invalid_body', 'env.0.value'],
    [{ ...fine, command: 'sh' }, 'invalid_body', 'command'],
    [{ ...fine, command: [] }, 'invalid_body', 'command'],
    [{ ...fine, image: '--privileged' }, 'invalid_body', 'image'],
    [{ ...fine, template: 'none' }, 'invalid_body', 'template'],
    [{ image: 'x' }, 'invalid_body', 'name'],
    [{ ...fine, name: 7 }, 'invalid_body', 'name'],
  ]
  for (const [body, code, path] of fields) {
    const answer = await ada.call('POST', api, body)
    t.match(answer, { status: 422, json: { code, errors: [{ path }] } }, JSON.stringify(body))
    t.match(answer.headers['content-type'], /^application\/problem\+json/)
  }
  const many = await ada.call('POST', api, { name: 1, cpu: 'x', extra: 1, also: 2 })
  t.same(
    many.json.errors?.map(({ path }) => path).sort(),
    ['also', 'cpu', 'extra', 'name'],
    'all problems at once',
  )
  for (const body of ['', '[]', 'null', '"x"', '7'])
    t.match(await ada.call('POST', api, body), { status: 422, json: { code: 'invalid_body' } }, body)
  for (const body of ['{', '{"name":"a"}}', '\u0000'])
    t.match(await ada.call('POST', api, body), { status: 400, json: { code: 'bad_request' } }, body)
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=utf-16',
    'application/jsonx',
  ])
    t.match(
      await ada.call('POST', api, '{"name":"a"}', { 'content-type': type }),
      { status: 415, json: { code: 'unsupported_media_type' } },
      type,
    )
  const sneaky = await ada.call('POST', api, '{"name":"a","image":"x","__proto__":{"want":"x"}}')
  t.equal(sneaky.status, 422, '__proto__ is an unknown field')
  for (const query of ['limit=0', 'limit=501', 'limit=x', 'owner=bob'])
    t.equal((await ada.call('GET', `${api}?${query}`)).status, 422, query)
  t.equal((await ada.call('DELETE', `${api}/taken?purge=yes`)).status, 422)
  t.equal((await ada.call('GET', api)).json.items.length, 1, 'nothing of all that was stored')
})

await t.test('a body of 50 MB is refused on every route, and the connection ends well', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const big = 'x'.repeat(50 * 1024 * 1024)
  for (const [method, path] of [
    ['POST', api],
    ['POST', `${api}/x/start`],
    ['PATCH', `${api}/x`],
    ['POST', paths.sessions],
    ['POST', paths.setup],
    ['POST', paths.agentRegister],
    ['POST', paths.hostTokens],
    ['DELETE', paths.currentSession],
  ] as const) {
    const answer = await ada.call(method, path, big)
    t.match(answer, { status: 413, json: { code: 'payload_too_large' } }, `${method} ${path}`)
  }
  t.equal(
    (await ada.call('POST', paths.agentReport, big)).status,
    401,
    'reports of nobody are not read at all',
  )
  t.equal((await ada.call('POST', '/api/v1/none', big)).status, 404)
  t.equal((await server.client().call('GET', '/api/v1/me', big)).status, 413)
  const chunked = await ada.call('POST', api, big, { 'transfer-encoding': 'chunked' })
  t.match(chunked, { status: 413 }, 'of no declared length')
  t.equal((await ada.call('GET', '/api/v1/me')).status, 200)
  const almost = await ada.call('POST', api, { name: 'a', image: 'x'.repeat(1024 * 1024 - 100) })
  t.match(almost, { status: 422 }, 'just below the bound it is read')
})

await t.test('a body that is cut off harms nobody', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const socket = connect(server.port, '127.0.0.1')
  socket.write(
    `POST ${api} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"na`,
  )
  await new Promise((sent) => socket.once('connect', sent))
  socket.destroy()
  t.equal((await ada.call('GET', '/api/v1/me')).status, 200)
})

await t.test('methods: state changes by no GET, HEAD and OPTIONS are sane', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  for (const path of ['start', 'stop', 'restart', 'restore'])
    t.match(await ada.call('GET', `${api}/x/${path}`), { status: 405, json: { code: 'method_not_allowed' } })
  const takes = (path: string) => async (method: string) => {
    const { status, headers } = await ada.call(method, path)
    return [status, String(headers.allow).split(', ').sort()]
  }
  for (const method of ['PUT', 'DELETE', 'TRACE', 'PROPFIND'])
    t.same(await takes(api)(method), [405, ['GET', 'HEAD', 'POST']], `${method}: what the path takes is said`)
  t.same(await takes(`${api}/x/start`)('TRACE'), [405, ['POST']])
  const head = await ada.call('HEAD', api)
  t.match(head, { status: 200, text: '' })
  const options = await ada.call('OPTIONS', api)
  t.equal(options.status, 200)
  t.match(options.headers.allow, /GET/)
  t.notOk(
    Object.keys(options.headers).some((name) => name.startsWith('access-control')),
    'no CORS',
  )
  for (const path of [
    '/api/v1/none',
    '/api/v1/',
    '/api/',
    '/api/v2/me',
    '/api/v1/me/',
    '/API/v1/me'.toLowerCase() + '/x',
  ])
    t.equal((await ada.call('GET', path)).status, 404, path)
  const answer = await ada.call('GET', '/api/v1/me')
  t.match(answer.headers, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': /^r/,
  })
  t.match(await server.client().call('GET', '/api/v1/me'), {
    status: 401,
    headers: { 'www-authenticate': /Bearer/ },
    json: { code: 'unauthenticated', type: 'about:blank', status: 401, requestId: /^r/ },
  })
})

await t.test('what fails inside is logged, not shown', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  await server.deployment.feed.db.schema.dropTable('tokens')
  const answer = await ada.call('GET', paths.tokens)
  t.match(answer, { status: 500, json: { code: 'internal' } })
  t.notOk(/tokens|SQLITE|select/i.test(answer.json.detail ?? ''))
  t.ok(
    server.log.lines.some((line) => line.includes('no such table') && line.includes(answer.json.requestId)),
  )
})

await t.test('lists come in pages that miss and repeat nothing', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  const all = Array.from({ length: 25 }, (_, n) => `w${String(n).padStart(2, '0')}`)
  for (const name of [...all].reverse()) await ada.call('POST', api, { name, image: 'x' })
  const seen: string[] = []
  let next: string | undefined
  do {
    const page = await ada.call('GET', `${api}?limit=7${next === undefined ? '' : `&after=${next}`}`)
    seen.push(...page.json.items.map(({ name }) => name))
    next = page.json.next
  } while (next !== undefined)
  t.same(seen, all)
  t.equal((await ada.call('GET', api)).json.next, undefined)
})

const page = (client: Client, path: string, headers = {}) => client.call('GET', path, undefined, headers)

await t.test('the dashboard is served under strict headers, its app on every path', async (t) => {
  const server = await serve(t, { webRoot: join(root, 'web') })
  const visitor = server.client()
  for (const path of ['/', '/workspaces/one', '/settings?x=1']) {
    const answer = await page(visitor, path)
    t.match(answer, { status: 200, text: /<title>Postern/, headers: { 'cache-control': 'no-cache' } }, path)
    t.match(
      answer.headers['content-security-policy'],
      /default-src 'self'.*connect-src 'self' ws:\/\/localhost:8090;.*frame-ancestors 'none'/,
    )
    t.match(answer.headers, {
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
      'x-frame-options': 'DENY',
    })
  }
  const script = await page(visitor, '/assets/app-1a2b.js')
  t.match(script, { status: 200, text: 'alive()', headers: { 'cache-control': /immutable/ } })
  t.match(await page(visitor, '/assets/app-1a2b.js', { 'accept-encoding': 'br' }), {
    text: 'pressed',
    headers: { 'content-encoding': 'br' },
  })
  t.equal((await page(visitor, '/assets/gone.js')).status, 404, 'a missing script is not the page')
  for (const path of ['/../secrets.key', '/%2e%2e/s1/postern.sqlite', '/..%2fs1%2fsecrets.key'])
    t.notOk((await page(visitor, path)).text.includes('SQLite'), path)
  t.equal((await visitor.call('POST', '/', { a: 1 })).status, 405)
  const bare = await serve(t)
  t.match(await page(bare.client(), '/'), { status: 200, text: /has not been built/ })
})

await t.test('the README’s tables of codes are those of the code', async (t) => {
  const readme = await readFile(new URL('../../../control/README.md', import.meta.url), 'utf8')
  const section = (title: string): string => readme.split(`## ${title}`)[1]?.split('\n## ')[0] ?? ''
  const codes = (text: string): string[] =>
    [...text.matchAll(/^\| `([a-z_]+)` +\| (?:(\d{3}) +\| )?/gm)].map(([, code, status]) =>
      status === undefined ? `${code}` : `${code} ${status}`,
    )
  t.same(
    codes(section('Error codes')),
    Object.entries(apiCodes).map(([code, { status }]) => `${code} ${status}`),
  )
  t.same(codes(section('Reason codes')), Object.keys(reasonCodes))
  t.same(codes(section('Codes of a failed start')), Object.keys(startCodes))
})

await t.test('a password never comes back', async (t) => {
  const server = await serve(t)
  const ada = await server.setUp()
  await ada.call('GET', '/api/v1/users')
  const { password_hash: hash } = (await server.deployment.feed.db('users').first()) as {
    password_hash: string
  }
  t.match(hash, /^scrypt\$/)
  for (const text of [...server.answers, ...server.log.lines])
    t.notOk(text.includes(password) || text.includes(hash))
})
