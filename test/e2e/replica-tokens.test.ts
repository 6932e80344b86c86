/** `postern gateway` as a real process beside a server whose tokens are short: it goes on over their renewal, restarts and absences. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { paths } from '../../control/wire/index.ts'
import type { Client } from '../support/product-client.ts'
import { startGatewayProcess } from '../support/product-gateway.ts'
import { pageOf, startReplicaServer, visitorOf, type ReplicaServer } from '../support/replica-server.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)
/** Renewed after half of it: long enough that a busy machine doesn't miss that. */
const TOKEN_MS = 8000
const LONG = { timeoutMs: 60_000, everyMs: 50 }

const isFed = async (server: ReplicaServer): Promise<boolean> =>
  (await server.gateways()).some(({ connected }) => connected)
/** Both what the server's gateways need control for, and what they don't. */
const serves = async (visitor: Client, page: string): Promise<readonly number[]> => [
  (await visitor.ask(page)).status,
  (await visitor.api('GET', '/api/v1/me')).status,
]

t.test('over renewals, restarts and lost keys it goes on', async (t) => {
  const server = await startReplicaServer(t, TOKEN_MS)
  await server.workspace(server.admin, 'shop')
  const gateway = await startGatewayProcess(t, server, { args: ['--stale-for=2m', '--log-level=debug'] })
  const page = pageOf(server, 'shop')
  const visitor = await visitorOf(gateway, 'admin', page)
  const events = await visitor.socket('/api/v1/events')
  const socket = await visitor.socket(page)

  await t.test('a token’s renewal is no gap', async (t) => {
    const [exchanges, feeds] = [server.asked(paths.gatewayExchange), server.asked(paths.gatewayChanges)]
    const seen = new Set<string>()
    let rounds = 0
    await until(async () => {
      seen.add((await serves(visitor, page)).join())
      rounds++
      return server.asked(paths.gatewayExchange) >= exchanges + 2
    }, LONG)
    seen.add((await serves(visitor, page)).join())
    t.same([...seen], ['200,200'], `each of ${rounds} rounds`)
    t.equal(server.asked(paths.gatewayChanges), feeds, 'the feed was not opened anew')
    t.equal(events.readyState, events.OPEN)
    t.equal(socket.readyState, socket.OPEN)
    t.same(
      server.log.lines.filter((line) => line.includes('no longer fed')),
      [],
    )
    t.ok(await isFed(server))
  })

  await t.test('the credential travels on the exchange alone, and no secret is in a log', async (t) => {
    const credential = (await readFile(join(gateway.stateDirectory, 'credential'), 'utf8')).trim()
    const ofGateway = server.calls.filter(({ path }) => path.startsWith('/api/gateway/'))
    const kinds = new Set(
      ofGateway.map(({ path, bearer }) => `${path} ${/^(psi_|psg_|eyJ)/.exec(bearer)?.[0]}`),
    )
    t.ok(kinds.has(`${paths.gatewayExchange} psg_`))
    t.ok(kinds.has(`${paths.gatewayChanges} eyJ`))
    t.ok(kinds.has(`${paths.gatewaySignIn} eyJ`))
    t.same([...kinds].filter((kind) => !kind.endsWith(' eyJ')).toSorted(), [
      `${paths.gatewayJoin} psi_`,
      `${paths.gatewayExchange} psg_`,
    ])
    const passed = server.calls.filter(({ visitor }) => visitor !== '')
    t.ok(passed.length > 0)
    t.same(
      passed.filter(({ visitor }) => !/^eyJ[^ ]+ 127\.0\.0\.1$/.test(visitor)),
      [],
    )
    const said = `${gateway.cli.stdout}\n${gateway.cli.stderr}\n${server.log.lines.join('\n')}`
    t.match(said, /a gateway is fed/)
    for (const { bearer } of ofGateway) if (said.includes(bearer)) t.fail('a secret is in the log')
    t.notOk(said.includes(credential))
    t.notMatch(said, /eyJ[A-Za-z0-9_-]{8}/)
  })

  await t.test('a server that starts anew', async (t) => {
    await server.stop()
    t.equal((await visitor.ask(page)).status, 200, 'what it knows it decides alone')
    t.equal((await visitor.api('GET', '/api/v1/me')).status, 503)
    await server.start()
    await until(() => isFed(server), { ...LONG, what: 'the feed' })
    await until(async () => (await serves(visitor, page)).join() === '200,200', LONG)
    t.equal(socket.readyState, socket.OPEN, 'what was open stays')
  })

  await t.test('a server that has lost the keys it signed by', async (t) => {
    await server.parts.deployment.feed.db('signing_keys').where({ purpose: 'gateway' }).delete()
    await server.stop()
    await server.start()
    await until(() => isFed(server), { ...LONG, what: 'the feed, by another token' })
    await until(async () => (await serves(visitor, page)).join() === '200,200', LONG)
    t.ok(gateway.cli.running)
  })

  await t.test('a revoked one ends, though its token has minutes left', async (t) => {
    const [view] = await server.gateways()
    const ended = once(socket, 'close')
    await server.admin.must('DELETE', `/api/v1/gateways/${view?.id}`)
    await until(() => !gateway.cli.running, { timeoutMs: 60_000, what: 'its end' }).catch((err: unknown) => {
      t.comment(gateway.cli.stdout.slice(-5000))
      t.comment(server.log.lines.slice(-30).join('\n'))
      throw err
    })
    t.equal((await gateway.cli.ended).code, 2)
    t.match(gateway.cli.stderr, /join_refused/)
    await ended
  })
})

t.test(
  'away for longer than the bound, its token over meanwhile: it refuses all, and comes back',
  async (t) => {
    const server = await startReplicaServer(t, 3000)
    await server.workspace(server.admin, 'shop')
    const gateway = await startGatewayProcess(t, server, { args: ['--stale-for=4s'], workers: 1 })
    const page = pageOf(server, 'shop')
    const visitor = await visitorOf(gateway, 'admin', page)
    const socket = await visitor.socket(page)
    const ended = once(socket, 'close')
    await server.stop()
    await until(async () => (await visitor.ask(page)).status === 503, { ...LONG, what: 'the bound' })
    const refusal = await visitor.ask(page, { headers: { Accept: 'application/json' } })
    t.equal(refusal.json()['code'], 'control_away')
    await ended
    t.equal((await gateway.client().ask('/readyz')).status, 503)
    await gateway.cli.printed(/token is over/, 60_000)
    t.equal((await visitor.api('GET', '/api/v1/me')).status, 503)
    t.equal((await visitor.ask(page)).status, 503, 'and stays closed')
    await server.start()
    await until(async () => (await serves(visitor, page)).join() === '200,200', {
      ...LONG,
      what: 'its return',
    })
    await until(async () => (await gateway.client().ask('/readyz')).status === 200, LONG)
    t.ok(await isFed(server))
    const again = await visitor.socket(page)
    again.terminate()
  },
)
