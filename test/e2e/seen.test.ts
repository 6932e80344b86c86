/** What the built product tells of a person’s visit: access lines, metrics, a span at a receiver, a cap that was set. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { startProduct } from '../support/product.ts'
import { otlpReceiver } from '../support/seen-otlp.ts'
import { until } from '../support/until.ts'

const program = `require('node:http').createServer((req, res) => {
  if (req.url === '/slow') return res.write('begun')
  res.end(JSON.stringify(req.headers))
}).listen(Number(process.env.PORT ?? 3000), '0.0.0.0')`

t.test('a visit to a workspace is seen: line, counts, span; and a cap holds', async (t) => {
  const receiver = await otlpReceiver(t)
  const product = await startProduct(t, {
    runtime: 'process',
    args: ['--trace-sample=1', '--max-requests-per-user=2'],
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.base },
  })
  const { id } = await product.admin.must<WorkspaceView>('POST', '/api/v1/workspaces', {
    name: 'seen',
    template: 'blank',
    command: ['node', '-e', program],
    ports: [{ port: 3000 }],
  })
  const url = product.workspaceUrl('seen', '/a?secret=1')
  await until(async () => (await product.admin.browse(url)).status === 200, { timeoutMs: 30_000 })
  const answer = await product.admin.ask(url)
  const told = answer.json<Record<string, string>>()
  const lines = async () =>
    (await readFile(join(product.stateDirectory, 'access.log'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const keys = createRemoteJWKSet(new URL(`${product.url}/.well-known/postern/jwks.json`))
  const asserted = await jwtVerify(told['x-postern-assertion'] ?? '', keys, {
    issuer: product.url,
    audience: `seen.${product.baseDomain}`,
  })
  t.match(asserted.payload, { username: told['x-postern-user'], workspace: id }, 'the program can check it')
  const line = await until(async () =>
    (await lines()).find(({ requestId }) => requestId === told['x-request-id']),
  )
  const me = await product.admin.must<{ id: string }>('GET', '/api/v1/me')
  t.match(line, { class: 'proxy', host: 'seen', path: '/a', status: 200, port: 3000, workspace: id })
  t.match(line, { client: '127.0.0.1', user: /./ })
  t.match(JSON.stringify(me), String(line['user']))
  t.notMatch(await readFile(join(product.stateDirectory, 'access.log'), 'utf8'), /secret=|postern_|token=/)
  const [, traceId, spanId] = /^00-(\w{32})-(\w{16})-01$/.exec(told['traceparent'] ?? '') ?? []
  t.equal(line['trace'], traceId)
  const span = await until(() => receiver.spans.find((one) => one.spanId === spanId))
  t.match(span, { traceId, attributes: { 'url.path': '/a', 'postern.workspace_id': id } })
  t.match(span.resource, { 'service.name': 'postern-gateway', 'service.version': /^\d/ })

  const leaving = new AbortController()
  const slow = [0, 1].map(() =>
    product.admin.ask(product.workspaceUrl('seen', '/slow'), { signal: leaving.signal }).catch(() => null),
  )
  const capped = await until(async () => {
    const refused = await product.admin.ask(url)
    return refused.status === 429 ? refused : null
  })
  t.match(capped.json(), { code: 'user_requests_capped' })
  leaving.abort()
  await Promise.all(slow)
  await until(async () => (await product.admin.ask(url)).status === 200, { what: 'the cap to be left' })
  const metrics = await (await fetch(`http://127.0.0.1:${product.authzPort}/metrics`)).text()
  t.match(metrics, /^postern_gateway_capped_total\{code="user_requests_capped"\} [1-9]/m)
  t.match(metrics, /^postern_gateway_request_seconds_count\{class="proxy",cause="aborted"\} 2$/m)
  t.match(metrics, /^postern_gateway_request_seconds_count\{class="api",cause=""\} [1-9]/m)
})
