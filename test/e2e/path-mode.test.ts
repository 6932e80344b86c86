/** Path mode of the built product: by its option, on the server and on a replica with workers, on a host name of its own or another port. */
import t, { type Test } from 'tap'
import type { WorkspaceView } from '../../control/wire/index.ts'
import type { Client } from '../support/product-client.ts'
import { startGatewayProcess } from '../support/product-gateway.ts'
import { adminName, adminPassword, type Product, startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

t.setTimeout(240_000)
const LONG = { timeoutMs: 60_000, everyMs: 50 }

const program = `require('node:http').createServer((req, res) => res.end(JSON.stringify([req.url, req.headers])))
  .listen(Number(process.env.PORT ?? 3000), '0.0.0.0')`

const makeShop = ({ admin }: Product) =>
  admin.must('POST', '/api/v1/workspaces', {
    name: 'shop',
    template: 'blank',
    command: ['node', '-e', program],
    ports: [{ port: 3000, visibility: 'public' }],
  })

/** Signs in, and goes by path until the program answers. */
async function comesIn(t: Test, visitor: Client, url: string): Promise<[string, Record<string, string>]> {
  const page = await visitor.submit('/sign-in', { username: adminName, password: adminPassword })
  t.equal(page.status, 303)
  const answer = await until(async () => {
    let landed = await visitor.browse(url)
    const question = new URL(landed.url)
    if (question.pathname === '/.postern/authorize') {
      t.match(landed.text, /Open shop by path/)
      const next = await visitor.submit(
        question.origin + question.pathname,
        Object.fromEntries(question.searchParams),
      )
      landed = await visitor.browse(next.headers.location ?? '')
    }
    return landed.status === 200 && landed.url === url ? landed : null
  }, LONG)
  return answer.json()
}

t.test('the server, and a replica with workers that learns of it by joining', async (t) => {
  const pathUrl = 'http://paths.localhost:4242'
  const product = await startProduct(t, {
    mode: 'split',
    runtime: 'process',
    args: [`--path-url=${pathUrl}`],
  })
  await makeShop(product)
  const shop = await product.admin.must<WorkspaceView & Record<string, unknown>>(
    'GET',
    '/api/v1/workspaces/shop',
  )
  const url = `${pathUrl}/dev/shop/ide/`
  t.equal(shop.urls.path, url)
  const gateway = await startGatewayProcess(t, product)
  for (const at of [product, gateway]) {
    const visitor = at.client()
    const [path, headers] = await comesIn(t, visitor, `${url}a/b?c`)
    t.equal(path, '/a/b?c')
    t.match(headers, {
      'x-forwarded-prefix': '/dev/shop/ide',
      'x-postern-user': adminName,
      host: 'paths.localhost:4242',
    })
    t.equal(headers['cookie'], undefined)
    const leadsThere = await visitor.browse('/dev/shop/ide/a')
    t.equal(leadsThere.url, `${url}a`, 'the dashboard’s path leads there')
    t.equal((await visitor.ask(`${pathUrl}/api/v1/me`)).status, 404)
    t.equal((await at.client().ask(url)).status, 401, 'public on its host, and nobody’s here')
    await visitor.must('DELETE', '/api/v1/sessions/current')
    await until(async () => (await visitor.ask(url)).status === 401, LONG)
  }
})

t.test('standalone, on another port of the dashboard’s own host', async (t) => {
  const product = await startProduct(t, { runtime: 'process', args: ['--path-url=http://localhost:4243'] })
  t.match(product.server.stderr, /is another port of the dashboard's own host/)
  await makeShop(product)
  const visitor = product.client()
  const [path, headers] = await comesIn(t, visitor, 'http://localhost:4243/dev/shop/3000/x')
  t.equal(path, '/x')
  t.equal(headers['cookie'], undefined, 'the dashboard’s cookie comes along there, and goes no further')
  t.equal((await visitor.ask('http://localhost:4243/api/v1/me')).status, 404)
  t.equal((await visitor.api('GET', '/api/v1/me')).status, 200)
})
