/**
 * The example files of Traefik and Envoy, which can't be started here: what they ask with and copy is compared with what
 * the endpoints read and answer, and their sub-requests are replayed as those programs make them.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { allowHeaders } from '../../gateway/authz/allow.ts'
import { traefikConfig } from '../../gateway/authz/traefik.ts'
import { scanHeaders } from '../../gateway/headers/scan.ts'
import { siteOf } from '../../gateway/host/site.ts'
import { startEdge } from '../support/fronts-edge.ts'
import { frontFacts, secrets, webPorts, webRoute } from '../support/fronts-facts.ts'
import { ask } from '../support/fronts-visitor.ts'

const folder = new URL('../../../examples/forward-auth/', import.meta.url)
const text = (file: string): string => readFileSync(new URL(file, folder), 'utf8')

/** Every header of an allowing answer that a front must set, in small letters. */
const answered = allowHeaders(scanHeaders([]), {
  identity: { kind: 'anonymous' },
  assertion: '',
  upstream: '127.0.0.1:3000',
  again: false,
  allowOrigin: null,
})
  .filter((_, i) => i % 2 === 0)
  .map((name) => name.toLowerCase())
  // What is for the visitor's answer isn't set on the request.
  .filter((name) => !['cache-control', 'vary', 'content-length'].includes(name))
  .sort()

/** What a decision reads of the visitor's own headers. */
const read = [
  'accept',
  'access-control-request-headers',
  'access-control-request-method',
  'authorization',
  'cookie',
  'origin',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'x-postern-token',
]

/** All objects anywhere inside that have the key. */
function* having(value: unknown, key: string): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return
  if (key in value) yield value as Record<string, unknown>
  for (const inner of Object.values(value)) yield* having(inner, key)
}
const only = (value: unknown, key: string): unknown => [...having(value, key)][0]?.[key]
const exactNames = (patterns: unknown): string[] =>
  ((patterns as { patterns: { exact: string }[] }).patterns ?? []).map(({ exact }) => exact).sort()

t.test('Traefik sets every header that the answer has', async (t) => {
  const input = { site: siteOf('http://localhost:8090', 'ws.localhost'), routes: [webRoute(webPorts)] }
  const made = traefikConfig({ ...input, authz: '127.0.0.1:8091', postern: '127.0.0.1:8090' })
  t.same((only(made, 'authResponseHeaders') as string[]).map((name) => name.toLowerCase()).sort(), answered)
  for (const file of ['traefik/pass-on.yml', 'traefik/traefik.yml']) t.ok(parse(text(file)), file)
})

t.test('Envoy sends what a decision reads, and sets every header that the answer has', async (t) => {
  const file: unknown = parse(text('envoy/decide.yaml'))
  t.same(exactNames(only(file, 'allowed_upstream_headers')), answered)
  t.same(exactNames(only(file, 'allowed_headers')), read)
  t.equal(only(file, 'failure_mode_allow'), false)
  t.equal(only(file, 'path_prefix'), '/api/authz/ext-authz')
  t.equal(only(file, 'http_header_name'), 'x-postern-upstream')
  t.ok(parse(text('envoy/pass-on.yaml')))
})

t.test('nginx and Caddy set every header that the answer has', async (t) => {
  const nginx = text('nginx/decide.conf')
  const caddy = text('caddy/decide.Caddyfile')
  const copied = /copy_headers (.*)/.exec(caddy)?.[1]?.toLowerCase().split(' ').sort()
  t.same(copied, answered)
  for (const name of answered) {
    t.match(nginx.toLowerCase(), `proxy_set_header ${name} `)
    // nginx hears short names, and no token: what needs one goes through Postern.
    const short = name.replace('x-postern-', '').replaceAll('-', '_')
    if (name !== 'x-postern-token') t.match(nginx, `$upstream_http_${short};`)
  }
})

t.test('the sub-requests of Traefik and Envoy, as those programs make them', async (t) => {
  const edge = await startEdge(frontFacts(), { publicUrl: 'http://localhost:8090' })
  t.teardown(() => edge.gateway.close(0))
  const visitor = {
    Cookie: `postern_workspace=${secrets.adaOnWeb}`,
    Origin: 'http://web-3000.ws.localhost:8090',
  }
  // Hop-by-hop fields are taken out, X-Forwarded-Proto may be ws, the method is GET whatever the visitor's is.
  const traefik = {
    'User-Agent': 'browser',
    ...visitor,
    'Sec-Websocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-Websocket-Version': '13',
    'X-Forwarded-For': '203.0.113.9',
    'X-Forwarded-Host': 'web-3000.ws.localhost:8090',
    'X-Forwarded-Method': 'GET',
    'X-Forwarded-Port': '80',
    'X-Forwarded-Proto': 'ws',
    'X-Forwarded-Server': 'traefik',
    'X-Forwarded-Uri': '/socket',
    'X-Real-Ip': '203.0.113.9',
    'Accept-Encoding': 'gzip',
  }
  // Set from an answer without a token, it comes to Postern empty.
  const empty = { Cookie: `postern_workspace=${secrets.adaOnMapped}`, 'X-Postern-Token': '' }
  const mapped = { port: edge.main, host: 'mapped-3000.ws.localhost:8090', headers: empty }
  t.match(
    JSON.parse((await ask(mapped)).body),
    { code: 'upstream_unreachable' },
    'let in, and nothing listens',
  )
  const forward = { port: edge.authz, host: '127.0.0.1:8091', path: '/api/authz/forward-auth' }
  t.match(await ask({ ...forward, headers: traefik }), { status: 200, headers: { 'x-postern-user': 'ada' } })
  const { Origin: _, ...withoutOrigin } = traefik
  t.match(await ask({ ...forward, headers: withoutOrigin }), { status: 403 })
  const post = { ...traefik, 'X-Forwarded-Method': 'POST', 'X-Forwarded-Proto': 'http' }
  t.match(await ask({ ...forward, headers: post }), { status: 200 })
  // Envoy keeps method, Host and path, has its own fields, and a Content-Length of 0.
  const envoy = {
    ...visitor,
    'x-envoy-internal': 'true',
    'x-forwarded-for': '203.0.113.9',
    'x-envoy-expected-rq-timeout-ms': '1000',
    'content-length': '0',
  }
  const ext = { port: edge.authz, host: 'web-3000.ws.localhost:8090', path: '/api/authz/ext-authz/a?b=%2f' }
  for (const method of ['GET', 'POST', 'PATCH', 'HEAD'])
    t.match(await ask({ ...ext, method, headers: envoy }), { status: 200 }, method)
  t.match(
    await ask({
      ...ext,
      method: 'POST',
      headers: { ...envoy, Origin: 'http://mapped-3000.ws.localhost:8090' },
    }),
    {
      status: 403,
    },
  )
  t.match(await ask({ ...ext, headers: { 'content-length': '0' } }), { status: 401 })
})
