// A table of cases, an engine and a front come in; each case is put to a real edge, and what was wrong comes out.
import type { Test } from 'tap'
import { type EdgeUnderTest, startEdge } from './gateway-edge.ts'
import { portDefaults } from '../../control/wire/index.ts'
import { routeRow } from './gateway-control.ts'
import { type Case, type Engine, expectedOn, type FrontName, type Stage, type Told } from './torture-case.ts'
import { tortureClient } from './torture-client.ts'
import { deviations } from './torture-deviations.ts'
import { startFront } from './torture-fronts.ts'
import { judge } from './torture-judge.ts'
import { HONEST_PATH, type Script, tortureUpstream } from './torture-upstream.ts'

const AT_ONCE = 12

/** An edge, with a front before it unless bare. */
export interface World {
  readonly front: FrontName
  readonly edge: EdgeUnderTest
  /** Where visitors connect. */
  readonly port: number
}

/** Starts an edge and its front; both end with the test. */
export async function world(t: Test, front: FrontName): Promise<World> {
  const edge = await startEdge(t, { trustedProxies: front === 'bare' ? [] : ['127.0.0.0/8'] })
  const port = front === 'bare' ? edge.port : await startFront(t, front, edge)
  return { front, edge, port }
}

let made = 0

/** What an app does for a case. */
function scriptOf(one: Case): Script {
  if (one.app !== undefined || !('send' in one)) return one.app ?? {}
  const { says = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' } = one
  return { onWhole: ({ connection }) => void connection.socket.write(says, 'latin1') }
}

/** Puts one case; gives what was wrong. */
export async function put(world: World, engine: Engine, one: Case): Promise<string[]> {
  const { edge, front, port } = world
  const upstream = await tortureUpstream(scriptOf(one), one.upstreamHost)
  const name = `${engine}${(++made).toString(36)}x`
  const route = routeRow(name, {
    reach: { kind: 'address', host: one.upstreamHost ?? '127.0.0.1' },
    ports: [{ ...portDefaults, port: upstream.port, visibility: 'public', lenient: engine === 'compat' }],
    defaultPort: upstream.port,
  })
  edge.control.route(route)
  const problems: string[] = []
  const host = `${name}.ws.localhost:8090`
  const texts: Record<string, string> = {
    host,
    origin: `http://${host}`,
    cookie: edge.cookie('alice', route),
    port: String(upstream.port),
    name,
    NAME: name.toUpperCase(),
  }
  const open = new Set<{ destroy(): void }>()
  const stage: Stage = {
    engine,
    front,
    edge,
    upstream,
    host,
    origin: `http://${host}`,
    cookie: texts['cookie'] as string,
    workspaceId: route.workspaceId,
    async client(isHead = false) {
      const client = await tortureClient({ port, isHead: () => isHead })
      open.add(client.socket)
      return client
    },
    fill: (text) =>
      text.replaceAll(/\{(host|origin|cookie|port|name|NAME)\}/g, (_all, key: string) => texts[key] ?? ''),
    ok: (isSo, what) => void (isSo || problems.push(what)),
    same(found, wanted, what) {
      const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
      if (a !== b) problems.push(`${what}: ${a}, not ${b}`)
    },
    honest: () => honest(stage),
  }
  try {
    if ('play' in one) await one.play(stage)
    else await tell(stage, one)
    stage.same(upstream.faults(), [], 'what reached the app is HTTP')
  } catch (err) {
    problems.push(
      err instanceof Error
        ? `${err.message}${err.cause instanceof Error ? `: ${err.cause.message}` : ''}`
        : String(err),
    )
  }
  for (const socket of open) socket.destroy()
  edge.control.gone('route', route.workspaceId)
  await upstream.close()
  return problems
}

async function honest(stage: Stage): Promise<void> {
  const client = await stage.client()
  client.send(stage.fill(`GET ${HONEST_PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n`))
  await client.answered(1)
  stage.same(
    [client.answers[0]?.line.slice(9, 12), client.answers[0]?.body],
    ['200', 'honest'],
    'the honest request’s answer',
  )
  client.socket.destroy()
}

async function tell(stage: Stage, one: Told): Promise<void> {
  const client = await stage.client(one.isHead)
  for (const piece of typeof one.send === 'string' ? [one.send] : one.send) {
    client.send(stage.fill(piece))
    await new Promise(setImmediate)
  }
  await client.answered(one.statuses.filter((status) => status >= 200 || status === 101).length)
  if (one.kept === false || one.cut === true) await client.over()
  const before = client.answers.length
  if (one.kept === true && one.cut !== true) {
    client.send(stage.fill(`GET ${HONEST_PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n`))
    await client.answered(one.statuses.filter((status) => status >= 200).length + 1)
    stage.same(
      client.answers.slice(before).map(({ line, body }) => [line.slice(9, 12), body]),
      [['200', 'honest']],
      'the connection’s next answer',
    )
  }
  client.socket.destroy()
  await stage.honest()
  judge(stage, one, client, client.answers.slice(0, before))
}

/** What came of a table. */
export interface Outcome {
  readonly put: number
  readonly wrong: readonly { readonly name: string; readonly problems: readonly string[] }[]
  readonly cannot: readonly { readonly name: string; readonly why: string }[]
}

/** Puts all cases of a table, some at once. */
export async function putAll(world: World, engine: Engine, table: readonly Case[]): Promise<Outcome> {
  const wrong: Outcome['wrong'][number][] = []
  const cannot: Outcome['cannot'][number][] = []
  const waiting = [...table]
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const here = expectedOn(one, engine, deviations[world.front][one.name])
      if ('cannot' in here) cannot.push({ name: one.name, why: here.cannot })
      else {
        const problems = await put(world, engine, here)
        if (problems.length > 0) wrong.push({ name: one.name, problems })
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return { put: table.length - cannot.length, wrong, cannot }
}

/** Puts a table and asserts; what can't be expressed is counted in one line. */
export async function assertAll(
  t: Test,
  world: World,
  engine: Engine,
  table: readonly Case[],
): Promise<void> {
  const { put: count, wrong, cannot } = await putAll(world, engine, table)
  for (const { name, problems } of wrong)
    t.fail(`${world.front}, ${engine}: ${name}: ${problems.join('; ')}`, { stack: '', at: null })
  t.ok(wrong.length === 0, `${count} cases hold, ${world.front}, ${engine}`)
  t.comment(`${cannot.length} cases not expressible through ${world.front} (${engine})`)
  for (const { name, why } of cannot) t.comment(`  ${name}: ${why}`)
  t.same(world.edge.log.lines, [], 'nothing was logged as a warning or an error')
}
