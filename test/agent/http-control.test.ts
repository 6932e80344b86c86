/** Control over HTTP against a real server: bearer, epoch, long-poll, problems, what is kept on disk. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stat, readFile, writeFile } from 'node:fs/promises'
import { createPublicKey, verify } from 'node:crypto'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { ApiError, registerSchema, reportSchema, type Register } from '../../control/wire/index.ts'
import { httpControl, type HttpControl } from '../../agent/http-control.ts'
import { openIdentity } from '../../agent/identity.ts'
import { startAgent } from '../../agent/index.ts'
import { fakeRuntime } from '@postern/plugin/testing'
import { keepingLog } from '../support/agent-start.ts'
import { systemClock } from '../../control/cli/clock.ts'
import { spec } from '../support/agent-arbitraries.ts'
import { until } from '../support/until.ts'

interface Seen {
  readonly line: string
  readonly authorization: string | undefined
  readonly epoch: string | undefined
  readonly body: unknown
}
type Reply = (seen: Seen, res: ServerResponse, req: IncomingMessage) => void

async function serve(t: Test, reply: Reply): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = []
  const server = createServer((req, res) => {
    void (async () => {
      const body: unknown = req.method === 'POST' ? await json(req) : null
      const epoch = req.headers['x-postern-epoch']
      const one: Seen = {
        line: `${req.method} ${req.url}`,
        authorization: req.headers.authorization,
        epoch: Array.isArray(epoch) ? epoch.join() : epoch,
        body,
      }
      seen.push(one)
      reply(one, res, req)
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, seen }
}

const answer = (res: ServerResponse, status: number, body: unknown): void => {
  const type = status >= 400 ? 'application/problem+json' : 'application/json'
  res.writeHead(status, { 'content-type': type }).end(JSON.stringify(body))
}
const problem = (res: ServerResponse, code: ConstructorParameters<typeof ApiError>[0]): void => {
  const err = new ApiError(code)
  answer(res, err.status, err.problem('r1'))
}
const registered = { deploymentId: 'deployment1', hostId: 'host0001', epoch: 4, heartbeatMs: 10_000 }
const registration: Register = {
  name: 'host',
  publicKey: 'k',
  machineId: 'm',
  issuedAtMs: 1,
  proof: 'p',
  runtime: 'fake',
  capabilities: {},
  workspaceSubnets: [],
  version: '0',
}
const call = { signal: new AbortController().signal }
const opened = (t: Test, url: string, joinToken: string | null, stateDirectory: string): HttpControl => {
  const control = httpControl({ serverUrl: url, joinToken, stateDirectory })
  t.teardown(() => control.close())
  return control
}

t.test('joins by token once, then by the credential, with the epoch that it was given', async (t) => {
  const { url, seen } = await serve(t, ({ line }, res) => {
    if (line.startsWith('GET')) return void res.writeHead(204).end()
    answer(res, 200, line.endsWith('register') ? { ...registered, credential: 'psa_secret' } : {})
  })
  const directory = join(t.testdir(), 'state')
  const control = opened(t, url, 'psj_once', directory)
  t.equal((await control.register(registration, call)).epoch, 4)
  t.equal(await control.desired(-1, call), null)
  const health = { status: 'healthy' as const, message: '', warnings: [] }
  await control.report({ revision: 0, observed: true, health, workspaces: [] }, call)
  t.same(
    seen.map((each) => [each.line, each.authorization, each.epoch]),
    [
      ['POST /api/agent/v1/register', 'Bearer psj_once', '0'],
      ['GET /api/agent/v1/desired?since=-1&wait=25', 'Bearer psa_secret', '4'],
      ['POST /api/agent/v1/report', 'Bearer psa_secret', '4'],
    ],
  )
  t.ok(reportSchema.safeParse(seen[2]?.body).success)
  const file = join(directory, 'credential')
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.equal((await stat(directory)).mode & 0o777, 0o700)
  t.equal((await readFile(file, 'utf8')).trim(), 'psa_secret')

  const again = opened(t, url, null, directory)
  await again.register(registration, call)
  t.equal(seen.at(-1)?.authorization, 'Bearer psa_secret')
})

t.test('a credential that the server forgot gives way to a join token', async (t) => {
  const { url, seen } = await serve(t, ({ authorization }, res) => {
    if (authorization === 'Bearer psj_new') answer(res, 200, { ...registered, credential: 'psa_new' })
    else problem(res, 'unauthenticated')
  })
  const directory = t.testdir({ credential: 'psa_old\n' })
  await opened(t, url, 'psj_new', directory).register(registration, call)
  t.same(
    seen.map((each) => each.authorization),
    ['Bearer psa_old', 'Bearer psj_new'],
  )
  t.equal(await readFile(join(directory, 'credential'), 'utf8'), 'psa_new\n')
  await t.rejects(opened(t, url, null, t.testdir()).register(registration, call), { code: 'unauthenticated' })
})

t.test('problems keep their code; what is no answer of ours is told apart', async (t) => {
  const replies: Reply[] = [
    (_, res) => problem(res, 'stale_epoch'),
    (_, res) => void res.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>'),
    (_, res) => void res.writeHead(200).end('not json'),
    (_, res) => answer(res, 200, { revision: 'one' }),
    (_, res) => answer(res, 418, { code: 'made_up' }),
  ]
  const { url } = await serve(t, (seen, res, req) => replies.shift()?.(seen, res, req))
  const control = opened(t, url, null, t.testdir())
  await t.rejects(control.desired(-1, call), { name: 'ApiError', code: 'stale_epoch' })
  await t.rejects(control.desired(-1, call), /answered 502/)
  await t.rejects(control.desired(-1, call), /without JSON/)
  await t.rejects(control.desired(-1, call), { name: 'ZodError' })
  await t.rejects(control.desired(-1, call), /answered 418/)
})

t.test('a poll ends with the signal that cut it off', async (t) => {
  const { url, seen } = await serve(t, () => undefined)
  const control = opened(t, url, null, t.testdir())
  const cut = new AbortController()
  const polling = control.desired(3, { signal: cut.signal })
  await until(() => seen.length === 1)
  const reason = new Error('enough')
  cut.abort(reason)
  t.equal(await polling.catch((err: unknown) => err), reason)
  t.ok(await control.desired(3, { signal: cut.signal }).catch((err: unknown) => err === reason))
})

t.test('an identity is made once, kept, and proves itself', async (t) => {
  const directory = join(t.testdir(), 'agent')
  const first = await openIdentity(directory)
  t.equal(first.ids(), null)
  await first.keepIds({ deploymentId: 'deployment1', hostId: 'host0001' })
  t.equal((await stat(directory)).mode & 0o777, 0o700)
  t.equal((await stat(join(directory, 'agent.json'))).mode & 0o777, 0o600)
  const second = await openIdentity(directory)
  t.equal(second.publicKey, first.publicKey)
  t.same(second.ids(), { deploymentId: 'deployment1', hostId: 'host0001' })
  const key = createPublicKey({
    key: Buffer.from(second.publicKey, 'base64url'),
    format: 'der',
    type: 'spki',
  })
  const words = Buffer.from(`postern-register\nmachine\n${second.publicKey}\n77`)
  t.ok(verify(null, words, key, Buffer.from(second.prove('machine', 77), 'base64url')))
  t.notOk(verify(null, words, key, Buffer.from(second.prove('machine', 78), 'base64url')))
  await writeFile(join(directory, 'agent.json'), '{"privateKey":"gone"}')
  await t.rejects(openIdentity(directory), /agent\.json is not an agent's identity/)
})

t.test('the whole agent over HTTP: waits for the server, joins, runs a workspace, reports', async (t) => {
  let isUp = false
  let handed = false
  const waiting: ServerResponse[] = []
  const set = { revision: 5, workspaces: [{ want: 'running', spec: spec('ws000012', 1) }] }
  const { url, seen } = await serve(t, ({ line }, res) => {
    if (!isUp) return void res.writeHead(502).end('nobody home')
    if (line.endsWith('register')) return answer(res, 200, { ...registered, credential: 'psa_1' })
    if (line.endsWith('report')) return void res.writeHead(204).end()
    if (handed) return void waiting.push(res)
    handed = true
    answer(res, 200, set)
  })
  const stateDirectory = t.testdir()
  const world = fakeRuntime()
  const starting = startAgent({
    control: opened(t, url, 'psj_1', stateDirectory),
    plugin: world.plugin,
    pluginConfig: {},
    stateDirectory,
    name: 'host',
    machineId: 'machine',
    version: '0.0.0',
    log: keepingLog(),
    clock: systemClock,
  })
  await until(() => seen.length > 0)
  isUp = true
  const agent = await starting
  t.teardown(() => agent.close())
  const reported = await until(() =>
    seen.findLast((each) => each.line.endsWith('report') && JSON.stringify(each.body).includes('"running"')),
  )
  t.match(reported.body, { revision: 5, observed: true, workspaces: [{ id: 'ws000012', state: 'running' }] })
  const join = registerSchema.parse(seen.find((each) => each.line.endsWith('register'))?.body)
  t.match(join, { machineId: 'machine', runtime: 'fake', capabilities: { watch: true } })
  const { incarnation } = world.instances()[0] ?? { incarnation: '' }
  await t.rejects(agent.connect({ workspaceId: 'ws000012', incarnation: 'older' }, 3000, call), {
    code: 'ERR_NOT_FOUND',
  })
  await t.rejects(agent.connect({ workspaceId: 'ws000012', incarnation }, 1, call), { code: 'ERR_NOT_FOUND' })
})

t.test('a join token that is not known ends the start with the server’s answer', async (t) => {
  const { url } = await serve(t, (_, res) => problem(res, 'unauthenticated'))
  const stateDirectory = t.testdir()
  const options = {
    control: opened(t, url, 'psj_bad', stateDirectory),
    plugin: fakeRuntime().plugin,
    pluginConfig: {},
    stateDirectory,
    name: 'host',
    machineId: 'machine',
    version: '0',
    log: keepingLog(),
    clock: systemClock,
  }
  await t.rejects(startAgent(options), { code: 'unauthenticated' })
})
