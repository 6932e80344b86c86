// Law 1: an exception, an unreadable store, a malformed cookie or target is never a yes.
import fc from 'fast-check'
import t from 'tap'
import { ask, exchange, requestBytes } from '../../support/gateway-bytes.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'

const HOST = 'shop.ws.localhost:8090'
const isYes = (status: number): boolean => status === 101 || (status >= 200 && status < 300)

t.test('before control has spoken, every door is shut, for what is public too', async (t) => {
  const edge = await startEdge(t, { isUnready: true })
  edge.workspace('shop', {}, 'public')
  for (const door of doorsOf(edge)) t.equal((await door.try({ host: HOST })).status, 503, door.name)
  t.equal((await ask(edge.port, { host: 'localhost:8090', path: '/api/v1/me' })).status, 503)
  t.equal((await ask(edge.port, { host: 'localhost:8090', path: '/healthz' })).status, 200)
  t.equal((await ask(edge.port, { host: 'localhost:8090', path: '/readyz' })).status, 503)
  t.equal(edge.upstream.connections(), 0)
})

t.test('a table that throws is never a yes', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const fields = [`Cookie: ${edge.cookie('alice', route)}`, originOf('shop')]
  for (const door of doorsOf(edge))
    t.ok(isYes((await door.try({ host: HOST, headers: fields })).status), `${door.name} is open`)
  const seen = edge.upstream.requests.length
  for (const method of ['routeByName', 'session', 'user'] as const) {
    const sabotage = () => {
      throw new Error('the table is unreadable')
    }
    Object.defineProperty(edge.gateway.sink, method, { value: sabotage, configurable: true })
    for (const door of doorsOf(edge)) {
      const { status } = await door.try({ host: HOST, headers: fields })
      t.ok(status >= 400, `${door.name} with an unreadable ${method}: ${status}`)
    }
    Reflect.deleteProperty(edge.gateway.sink, method)
  }
  t.equal(edge.upstream.requests.length, seen)
  for (const door of doorsOf(edge))
    t.ok(isYes((await door.try({ host: HOST, headers: fields })).status), `${door.name} is open again`)
})

t.test('a control that fails makes no session', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  edge.control.failure = new Error('the database is gone: 10.0.0.5:5432')
  const form = {
    method: 'POST',
    headers: ['Content-Type: application/x-www-form-urlencoded', 'Accept: text/html'],
  }
  const cases = [
    { host: 'localhost:8090', path: '/sign-in', ...form, body: 'username=alice&password=alice-password' },
    { host: 'localhost:8090', path: '/setup', ...form, body: 'token=x&username=a&password=long-enough' },
    { host: 'localhost:8090', path: '/setup?token=x' },
  ]
  for (const request of cases) {
    const answer = await ask(edge.port, request)
    t.equal(answer.status, 500, request.path)
    t.same(answer.all('set-cookie'), [])
    t.notMatch(answer.body, /10\.0\.0\.5/)
  }
})

t.test('an app of the dashboard that throws is a 500, not the end', async (t) => {
  const edge = await startEdge(t, {
    app: {
      request() {
        throw new Error('thrown')
      },
      upgrade() {
        throw new Error('thrown')
      },
    },
  })
  t.equal((await ask(edge.port, { host: 'localhost:8090' })).status, 500)
  t.equal((await ask(edge.port, { host: 'localhost:8090' })).status, 500)
})

t.test('no bytes in a cookie, a token or a target are a yes', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const bytes = fc
    .array(fc.integer({ min: 0x20, max: 0xff }), { maxLength: 40 })
    .map((codes) => String.fromCharCode(...codes.filter((code) => code !== 0x7f)))
  const field = fc.oneof(
    bytes.map((value) => `Cookie: postern_workspace=${value}`),
    bytes.map((value) => `Cookie: ${value}postern_workspace=x`),
    bytes.map((value) => `Authorization: Bearer pst_${value}`),
    bytes.map((value) => `X-Postern-Token: ${value}`),
  )
  const target = bytes.map((value) => `/${value.replaceAll(' ', '')}`)
  await fc.assert(
    fc.asyncProperty(field, target, async (line, path) => {
      const answer = await exchange(edge.port, requestBytes({ host: HOST, path, headers: [line] }))
      return !isYes(answer.status) && answer.status >= 400
    }),
    { numRuns: 300 },
  )
  for (const path of ['/%zz', '//', '/..%2f', 'http://[', 'x', '']) {
    const answers = await Promise.all(
      doorsOf(edge).map((door) => door.try({ host: HOST, path: path || '*' })),
    )
    for (const { status } of answers) t.notOk(isYes(status), path)
  }
  t.equal(edge.upstream.connections(), 0)
})
