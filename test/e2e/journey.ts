/** The journey of issue after issue: what a person does with Postern, on a runtime and in a mode that the caller names. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import type { Test } from 'tap'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { navigation, type Client } from '../support/product-client.ts'
import { startProduct, type Mode, type Product } from '../support/product.ts'
import { until } from '../support/until.ts'

/** A program that keeps notes in its home and tells which of its own starts this is. */
const notes = `
const http = require('node:http'), fs = require('node:fs'), path = require('node:path')
const born = process.pid + '-' + Date.now()
http.createServer((req, res) => {
  const file = path.join(process.env.HOME, 'workspace', path.basename(req.url))
  if (req.url === '/born') return res.end(born)
  if (req.url.startsWith('/env/')) return res.end(String(process.env[req.url.slice(5)]))
  if (req.method === 'PUT') return req.pipe(fs.createWriteStream(file)).on('finish', () => res.end('kept'))
  fs.createReadStream(file).on('error', () => res.writeHead(404).end('no such note')).pipe(res)
}).listen(Number(process.env.PORT ?? 3000), '0.0.0.0')
`

export interface Journey {
  readonly mode: Mode
  readonly runtime: string
  /** How many objects of the workspace the host still has, data included. */
  leftOver(product: Product, workspaceId: string): Promise<number>
}

const path = (id: string, verb = '') => `/api/v1/workspaces/${id}${verb}`

async function create(client: Client, body: Record<string, unknown>): Promise<WorkspaceView> {
  const made = await client.must<WorkspaceView>('POST', '/api/v1/workspaces', body)
  return phase(client, made.id, 'running')
}

async function phase(client: Client, id: string, wanted: string): Promise<WorkspaceView> {
  let last: WorkspaceView | undefined
  return until(
    async () => {
      last = await client.must<WorkspaceView>('GET', path(id))
      const isThere = wanted !== 'running' || last.generation === last.observedGeneration
      return last.phase === wanted && isThere ? last : null
    },
    { timeoutMs: 30_000, what: `${wanted}` },
  ).catch((cause: unknown) => {
    throw new Error(`waited for ${wanted}: ${JSON.stringify(last)}`, { cause })
  })
}

/** Opens a workspace's host until its program answers 200, as the waking page does by itself. */
async function open(client: Client, url: string): Promise<string> {
  const answer = await until(
    async () => {
      const page = await client.browse(url)
      return page.status === 200 && page.url.startsWith(new URL(url).origin) ? page : null
    },
    { timeoutMs: 20_000, what: `200 from ${url}` },
  )
  return answer.text
}

/** Runs every step as a subtest; each begins where the one before ended. */
export function journey(t: Test, settings: Journey): void {
  const timeout = 180_000
  t.setTimeout(2 * timeout)
  t.test(`a workspace on ${settings.runtime}, ${settings.mode}`, { timeout }, async (t) => {
    const product = await startProduct(t, { mode: settings.mode, runtime: settings.runtime })
    await t.test('the web template is alive: page, upload, events, WebSocket', { timeout }, (t) =>
      web(t, product),
    )
    await t.test('only its owner gets in; others learn nothing', { timeout }, (t) => strangers(t, product))
    const id = await notesWorkspace(t, product)
    await t.test('a stopped one shows a page with Start, which brings it back', { timeout }, (t) =>
      stopped(t, product, id),
    )
    await t.test('what was written survives stop, spec change and restarts', { timeout }, (t) =>
      survival(t, product, id),
    )
    await t.test('the trash gives back what purge takes for ever', { timeout }, (t) =>
      trash(t, product, id, settings),
    )
  })
}

async function web(t: Test, product: Product): Promise<void> {
  const admin = product.admin
  const made = await create(admin, { name: 'shop', template: 'node-web' })
  t.equal(made.urls.ports['3000'], product.workspaceUrl('shop-3000'))
  t.equal(made.urls.default, product.workspaceUrl('shop'))
  t.match(await open(admin, product.workspaceUrl('shop')), /Hello from your workspace/)
  t.match(await open(admin, product.workspaceUrl('shop-3000')), /Hello from your workspace/)

  const origin = product.workspaceUrl('shop-3000', '')
  const body = Buffer.alloc(3_000_000, 'postern')
  const upload = await admin.ask(`${origin}/upload`, { method: 'POST', body, headers: { Origin: origin } })
  t.strictSame(upload.json(), { bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') })

  const seen = await admin.ask(`${origin}/headers`)
  t.notMatch(seen.text, /postern_(session|workspace|flow)/, 'no cookie of ours reaches the program')
  t.match(seen.json(), { headers: { 'x-postern-user': 'admin', host: new URL(origin).host } })

  const socket = await admin.socket(`${origin}/ws`)
  socket.send('over the wire')
  const [echo] = (await once(socket, 'message')) as [Buffer]
  t.equal(echo.toString(), 'over the wire')
  socket.close()
  await once(socket, 'close')

  t.match(
    await firstEvent(product, `${origin}/events`),
    /^data: .+\n\n$/,
    'an event comes before the answer ends',
  )
  await admin.must('DELETE', `${path(made.id)}?purge=true`)
}

/** The first bytes of an answer that never ends; the connection is cut then. */
async function firstEvent(product: Product, target: string): Promise<string> {
  const url = new URL(target)
  const cookie = [...product.admin.cookies(target)].map(([name, value]) => `${name}=${value}`).join('; ')
  const call = request({
    host: '127.0.0.1',
    port: product.port,
    path: url.pathname,
    headers: { Host: url.host, Cookie: cookie, Accept: 'text/event-stream' },
  }).end()
  const [answer] = (await once(call, 'response')) as [IncomingMessage]
  const [bytes] = (await once(answer, 'data')) as [Buffer]
  call.on('error', () => undefined) // the cut below
  call.destroy()
  return bytes.toString()
}

async function strangers(t: Test, product: Product): Promise<void> {
  const made = await create(product.admin, { name: 'closed', template: 'node-web' })
  const target = product.workspaceUrl('closed-3000', '/headers?a=1&b=%20')
  await open(product.admin, target)
  const visitor = product.client()
  const page = await visitor.browse(target)
  t.match(page.hops.at(-1), /\/sign-in\?/, 'signed out: the sign-in')
  const nowhere = await product.client().browse(product.workspaceUrl('nowhere-3000', '/'))
  t.match(nowhere.hops.at(-1), /\/sign-in\?/, 'also for a name that does not exist')

  const sent = await visitor.submit(page.url, {
    username: 'admin',
    password: 'correct horse battery',
    ...next(page.url),
  })
  t.equal(sent.status, 303)
  const landed = await until(async () => {
    const answer = await visitor.browse(new URL(String(sent.headers.location), page.url).href)
    return answer.status === 200 ? answer : null
  })
  t.equal(landed.url, target, 'the very path that was asked for')

  const mallory = await product.member('mallory')
  const refused = await mallory.browse(target)
  const absent = await mallory.browse(product.workspaceUrl('absent-3000', '/headers?a=1&b=%20'))
  t.equal(refused.status, 404)
  t.equal(absent.status, 404)
  const neutral = (text: string) =>
    text
      .replaceAll('closed', 'N')
      .replaceAll('absent', 'N')
      .replace(/Request [\w-]+|<code>[\w-]{8,}<\/code>/g, '')
  t.equal(neutral(refused.text), neutral(absent.text), 'not yours and not there are one answer')
  t.equal((await mallory.api('GET', path(made.id))).status, 404)
  t.equal((await mallory.api('POST', path(made.id, '/stop'))).status, 404)
  await t.rejects(
    mallory.socket(product.workspaceUrl('closed-3000', '/ws')),
    /Unexpected server response: 40[134]/,
  )
  await product.admin.must('DELETE', `${path(made.id)}?purge=true`)
}

/** The fields of the sign-in form that the page's own address carries. */
function next(url: string): Record<string, string> {
  const value = new URL(url).searchParams.get('next')
  return value === null ? {} : { next: value }
}

async function notesWorkspace(t: Test, product: Product): Promise<string> {
  const made = await create(product.admin, {
    name: 'notes',
    template: 'node-web',
    command: ['node', '-e', notes],
    env: [
      { name: 'COLOUR', value: 'teal' },
      { name: 'SECRET', value: 'nobody-reads-this', secret: true },
    ],
  })
  await open(product.admin, product.workspaceUrl('notes', '/born'))
  const url = product.workspaceUrl('notes', '/first')
  const kept = await product.admin.ask(url, {
    method: 'PUT',
    body: 'remember me',
    headers: { Origin: new URL(url).origin },
  })
  t.equal(kept.text, 'kept')
  t.equal((await product.admin.ask(product.workspaceUrl('notes', '/env/SECRET'))).text, 'nobody-reads-this')
  const told = await product.admin.api('GET', path(made.id))
  t.notMatch(told.text, /nobody-reads-this/, 'the API never gives a secret back')
  return made.id
}

async function stopped(t: Test, product: Product, id: string): Promise<void> {
  const { admin } = product
  await admin.must('POST', path(id, '/stop'))
  await phase(admin, id, 'stopped')
  const target = product.workspaceUrl('notes', '/first')
  const page = await admin.ask(target, { headers: navigation })
  t.match(page.text, /<form[^>]+action="\/\.postern\/start"/, 'a Start button')
  const program = await admin.ask(target, { headers: { Accept: 'application/json' } })
  t.equal(program.status, 503)
  t.match(program.json(), { code: 'workspace_stopped' })
  t.match(program.headers, { 'retry-after': /^\d+$/ })
  const pressed = await admin.submit(new URL('/.postern/start', target).href, { to: '/first' })
  t.equal(pressed.status, 303)
  await phase(admin, id, 'running')
  t.equal(await open(admin, target), 'remember me')
}

async function survival(t: Test, product: Product, id: string): Promise<void> {
  const { admin } = product
  const note = product.workspaceUrl('notes', '/first')
  const changed = await admin.must<WorkspaceView>('PATCH', path(id), {
    env: [
      { name: 'COLOUR', value: 'amber' },
      { name: 'SECRET', secret: true },
    ],
  })
  await phase(admin, id, 'running')
  t.equal(await open(admin, product.workspaceUrl('notes', '/env/COLOUR')), 'amber')
  t.equal(await open(admin, product.workspaceUrl('notes', '/env/SECRET')), 'nobody-reads-this')
  t.equal(await open(admin, note), 'remember me')
  t.ok(changed.generation > 1)

  const born = await open(admin, product.workspaceUrl('notes', '/born'))
  await product.restart('SIGTERM')
  t.equal(
    await open(admin, product.workspaceUrl('notes', '/born')),
    born,
    'the program lived on through a restart',
  )
  await product.restart('SIGKILL')
  t.equal(await open(admin, product.workspaceUrl('notes', '/born')), born, 'and through a kill')
  if (product.agent !== null) {
    await product.agent.end('SIGKILL')
    t.equal(await open(admin, product.workspaceUrl('notes', '/born')), born, 'and while its agent is away')
    await product.startAgent()
  }
  await admin.must('POST', path(id, '/restart'))
  const anew = await until(async () => {
    const now = await admin.browse(product.workspaceUrl('notes', '/born'))
    return now.status === 200 && now.text !== born ? now.text : null
  })
  t.not(anew, born)
  t.equal(await open(admin, note), 'remember me')
}

async function trash(t: Test, product: Product, id: string, settings: Journey): Promise<void> {
  const { admin } = product
  await admin.must('DELETE', path(id))
  const trashed = await phase(admin, id, 'trashed')
  t.ok((trashed.purgeAtMs ?? 0) > Date.now())
  await admin.must('POST', path(id, '/restore'))
  await admin.must('POST', path(id, '/start'))
  await phase(admin, id, 'running')
  t.equal(await open(admin, product.workspaceUrl('notes', '/first')), 'remember me')
  await admin.must('DELETE', `${path(id)}?purge=true`)
  await until(async () => (await admin.api('GET', path(id))).status === 404, {
    what: 'the purge',
    timeoutMs: 20_000,
  })
  t.equal(await settings.leftOver(product, id), 0, 'nothing is left of it')
  const gone = product.workspaceUrl('notes', '/first')
  await until(async () => (await admin.browse(gone)).status === 404, { what: '404 at the edge' })
}
