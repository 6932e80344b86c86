// Law 10: a page for a navigation, JSON for a program, a plain refusal for a socket; each says the cause and the next step, none an address.
import t from 'tap'
import { apiCodes } from '../../../control/wire/index.ts'
import type { EdgeRoute } from '../../../control/wire/index.ts'
import { doorsOf, originOf, startEdge } from '../../support/gateway-edge.ts'

const cases: readonly [string, Partial<EdgeRoute>, number, string, RegExp][] = [
  ['stopped', { phase: 'stopped' }, 503, 'workspace_stopped', /shop is stopped/],
  ['failed', { phase: 'failed', reason: 'Its program ended.' }, 503, 'workspace_stopped', /shop has failed/],
  ['starting', { phase: 'starting' }, 503, 'workspace_starting', /shop is waking up/],
  ['no default app', { defaultPort: null, ports: [] }, 404, 'no_default_port', /shop has no default app/],
  ['out of reach', { reach: { kind: 'none' } }, 502, 'not_reachable_directly', /shop is out of reach/],
  [
    'unreachable',
    { reach: { kind: 'ports', host: '10.99.99.1', ports: {} } },
    503,
    'workspace_starting',
    /shop is waking up/,
  ],
]

t.test('every cause has its page, its problem and its refusal', async (t) => {
  for (const [what, row, status, code, title] of cases) {
    const edge = await startEdge(t)
    const route = edge.workspace('shop', row)
    const as = [`Cookie: ${edge.cookie('alice', route)}`, originOf('shop')]
    const [http, upgrade] = doorsOf(edge)
    const page = await http?.try({ host: 'shop.ws.localhost:8090', headers: [...as, 'Accept: text/html'] })
    t.equal(page?.status, status, what)
    t.match(page?.field('content-type'), /^text\/html/)
    t.match(page?.body, title)
    const problem = await http?.try({ host: 'shop.ws.localhost:8090', headers: as })
    t.equal(problem?.field('content-type'), 'application/problem+json')
    const said = JSON.parse(problem?.body ?? '{}') as Record<string, unknown>
    t.equal(said.code, code, what)
    t.ok(typeof said.hint === 'string' && said.hint.length > 5)
    t.match(said.requestId, /^\w{10,}$/)
    if (status === 503) t.match(problem?.field('retry-after'), /^\d+$/)
    const refused = await upgrade?.try({
      host: 'shop.ws.localhost:8090',
      headers: [...as, 'Accept: text/html'],
    })
    t.equal(refused?.status, status, `${what}: a socket’s refusal`)
    t.equal(refused?.field('content-type'), 'application/problem+json')
    for (const answer of [page, problem, refused]) {
      t.equal(answer?.field('cache-control'), 'no-store')
      t.notMatch(`${answer?.head}${answer?.body}`, /127\.0\.0\.1|10\.99|ECONN|at \w+ \(/)
    }
  }
})

t.test('not yours and not there are one answer, page and problem', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop', { phase: 'failed', reason: 'a secret reason' })
  const token = `X-Postern-Token: ${edge.control.token('bob', ['connect'])}`
  const same = (text: string | undefined): string =>
    (text ?? '').replace(/"requestId":"\w+"|<code>\w+<\/code>/g, '')
  for (const accept of ['Accept: text/html', 'Accept: */*']) {
    const [http] = doorsOf(edge)
    const theirs = await http?.try({ host: 'shop.ws.localhost', headers: [token, accept] })
    const absent = await http?.try({ host: 'nix.ws.localhost', headers: [token, accept] })
    t.equal(theirs?.status, 404)
    t.equal(same(theirs?.body), same(absent?.body))
    t.notMatch(theirs?.body, /secret|shop/)
  }
})

t.test('every code says what is so and what to do', (t) => {
  for (const [code, row] of Object.entries(apiCodes)) {
    t.match(row.summary, /\.$/, code)
    t.match(row.hint, /\.$/, code)
    t.ok(row.status >= 400 && row.status < 600, code)
  }
  t.end()
})
