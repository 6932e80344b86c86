/** Ports of a real workspace: composed, called by one another, and changed without an end of what runs. */
import t from 'tap'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

/** Two programs in one: each says who it is, what it was asked for, and by which process. */
const program = `
const http = require('node:http')
for (const [name, port] of [['web', process.env.PORT_3000], ['api', process.env.PORT_8000]])
  http.createServer((req, res) => res.end(JSON.stringify({ name, url: req.url, pid: process.pid }))).listen(Number(port), '127.0.0.1')
`

interface Said {
  readonly name: string
  readonly url: string
  readonly pid: number
}

t.test('ports of a workspace', { timeout: 120_000 }, async (t) => {
  const product = await startProduct(t, { runtime: 'process' })
  const { admin } = product
  const made = await admin.must<WorkspaceView>('POST', '/api/v1/workspaces', {
    name: 'duo',
    template: 'blank',
    command: ['node', '-e', program],
    ports: [
      { port: 3000, name: 'web' },
      { port: 8000, name: 'api' },
    ],
    paths: [{ prefix: '/api', port: 8000 }],
  })
  const view = () => admin.must<WorkspaceView>('GET', `/api/v1/workspaces/${made.id}`)
  const patch = (body: object) => admin.must<WorkspaceView>('PATCH', `/api/v1/workspaces/${made.id}`, body)
  const running = () =>
    until(
      async () => {
        const now = await view()
        return now.phase === 'running' && now.generation === now.observedGeneration ? now : null
      },
      { timeoutMs: 30_000, what: 'running' },
    )
  await running()
  const say = async (label: string, path: string): Promise<Said> => {
    const answer = await until(
      async () => {
        const page = await admin.browse(product.workspaceUrl(label, path))
        return page.status === 200 && page.text.startsWith('{') ? page : null
      },
      { timeoutMs: 20_000, what: `${label}${path}` },
    )
    return JSON.parse(answer.text) as Said
  }
  const first = await say('duo', '/')
  t.match(first, { name: 'web', url: '/' })
  t.match(await say('duo', '/api/x?y=%2f'), { name: 'api', url: '/api/x?y=%2f' })
  t.match(await say('duo', '/apix'), { name: 'web', url: '/apix' })

  t.match(await say('duo-3000', '/'), { name: 'web' })
  const page = product.workspaceUrl('duo-3000', '')
  const call = (label: string, origin: string) =>
    admin.ask(product.workspaceUrl(label, '/'), { method: 'PUT', headers: { Origin: origin } })
  const called = await call('duo-8000', page)
  t.match(called.headers, { 'access-control-allow-origin': page, 'access-control-allow-credentials': 'true' })
  t.match(called.json(), { name: 'api' }, 'one sign-in was one for both ports')
  t.equal((await call('duo-8000', product.workspaceUrl('other-3000', ''))).status, 403)

  const changed = await patch({
    ports: [
      { port: 3000, name: 'web' },
      { port: 8000, name: 'api', cors: 'app', visibility: 'members' },
    ],
    paths: [{ prefix: '/v2', port: 8000 }],
  })
  t.match(changed, { phase: 'running', generation: 2, observedGeneration: 2 })
  t.equal((await call('duo-8000', page)).status, 403, 'held to at once')
  t.match(await say('duo', '/v2'), { name: 'api', pid: first.pid }, 'nothing was restarted')
  t.match(await say('duo', '/api'), { name: 'web', pid: first.pid })
  await patch({ env: [{ name: 'NEW', value: '1' }] })
  t.match(await running(), { generation: 3 })
  t.not((await say('duo', '/')).pid, first.pid, 'what the program reads restarts it')
})
