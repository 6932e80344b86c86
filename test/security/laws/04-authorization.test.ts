// Law 4: an app's own Authorization passes untouched and hides nothing of ours.
import t from 'tap'
import { doorsOf, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'

const HOST = 'shop.ws.localhost:8090'
const foreign = [
  'Basic cG9zdGVybjpwc3Rf',
  'Bearer eyJhbGciOi.x.y',
  'Digest username="pst_x"',
  'bearer  PST',
  'token pst_abc',
]

/** HTTP/2 has field names in small letters only. */
const lower = (field: string): string => field.toLowerCase()

t.test('an app’s own Authorization passes, beside a cookie and beside a token', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const cookie = `Cookie: ${edge.cookie('alice', route)}`
  const token = `X-Postern-Token: ${edge.control.token('alice', ['connect'])}`
  for (const door of doorsOf(edge))
    for (const value of foreign)
      for (const ours of [cookie, token]) {
        const { status } = await door.try({
          host: HOST,
          headers: [`Authorization: ${value}`, ours, originOf('shop')],
        })
        t.ok(status === 200 || status === 101, `${value} at ${door.name}: ${status}`)
        if (door.name !== 'forward-auth')
          t.ok(
            edge.upstream.requests
              .at(-1)
              ?.fields.some((field) => lower(field) === lower(`Authorization: ${value}`)),
            `${value} reaches the app`,
          )
      }
})

t.test('it is no credential of ours, and one of ours beside it is taken and taken off', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  edge.workspace('shop')
  const token = edge.control.token('alice', ['connect'])
  for (const door of doorsOf(edge)) {
    for (const value of foreign)
      t.equal(
        (await door.try({ host: HOST, headers: [`Authorization: ${value}`] })).status,
        401,
        `${value} at ${door.name}`,
      )
    const both = await door.try({
      host: HOST,
      headers: ['Authorization: Basic YTpi', `Authorization: bearer \t${token} `],
    })
    t.ok(both.status === 200 || both.status === 101, door.name)
    if (door.name !== 'forward-auth') {
      const fields = edge.upstream.requests.at(-1)?.fields ?? []
      const own = fields.filter((field) => /^authorization/i.test(field))
      t.same(own.map(lower), ['authorization: basic ytpi'])
    }
  }
  t.notMatch(edge.upstream.bytes(), /pst_[\w-]{10}/)
})

t.test(
  'a token that is broken, unknown, doubled or ended is nobody, also beside a good cookie',
  async (t) => {
    const edge = await startEdge(t)
    const route = edge.workspace('shop')
    const cookie = `Cookie: ${edge.cookie('alice', route)}`
    const good = edge.control.token('alice', ['connect'])
    const cases = [
      ['Authorization: Bearer pst_'],
      [`Authorization: Bearer ${good}x`],
      [`Authorization: Bearer ${good} x`],
      [`X-Postern-Token: ${good}, ${good}`],
      [`X-Postern-Token: ${good}`, `X-Postern-Token: ${good}`],
      [`Authorization: Bearer ${good}`, `Authorization: Bearer ${good}`],
      [`X-Postern-Token: ${edge.control.token('alice', ['connect'], 1)}`],
    ]
    for (const door of doorsOf(edge))
      for (const headers of cases) {
        const { status } = await door.try({ host: HOST, headers: [...headers, cookie, originOf('shop')] })
        t.equal(status, 401, `${headers.join(' + ')} at ${door.name}`)
      }
    t.equal(edge.upstream.connections(), 0)
  },
)
