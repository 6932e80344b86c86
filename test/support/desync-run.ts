// The corpus and a chain come in; what the app saw that nobody asked for, and visitors who got another's answer, come out.
import { portDefaults } from '../../control/wire/index.ts'
import { type Attack, attacks, HOST_LENGTH, MARKER } from './desync-corpus.ts'
import { routeRow } from './gateway-control.ts'
import type { Engine } from './torture-case.ts'
import { type TortureClient, tortureClient } from './torture-client.ts'
import type { World } from './torture-run.ts'
import { tortureUpstream, type TortureUpstream } from './torture-upstream.ts'
import { until } from './until.ts'

/** Answers every request with its own path, and each refused upgrade too. */
function echo(): Promise<TortureUpstream> {
  return tortureUpstream({
    onWhole: ({ connection, path, line }) => {
      const body = line.startsWith('HEAD ') ? '' : path
      connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${body}`, 'latin1')
    },
  })
}

interface Scene {
  readonly port: number
  readonly host: string
  readonly upstream: TortureUpstream
  readonly problems: string[]
  readonly asTwo: string[]
  victims: number
}

/** An honest request; it must get its own answer. */
async function victim(scene: Scene, client: TortureClient, during: string): Promise<void> {
  const path = `/victim-${++scene.victims}`
  const before = client.answers.length
  client.send(`GET ${path} HTTP/1.1\r\nHost: ${scene.host}\r\n\r\n`)
  await client.answered(before + 1)
  const answer = client.answers[before]
  if (answer?.body !== path)
    scene.problems.push(
      `${during}: ${path} got ${JSON.stringify([answer?.line, answer?.body.slice(0, 200)])}`,
    )
}

async function attack(scene: Scene, one: Attack, nth: number, kept: TortureClient): Promise<void> {
  const id = String(nth).padStart(3, '0')
  const [marker, own] = [MARKER.replace('{id}', id), `/attack-${id}`]
  const attacker = await tortureClient({ port: scene.port })
  attacker.send(one.bytes.replaceAll('{host}', scene.host).replaceAll('{id}', id))
  // Those who were there before, and those who come after, on whatever connections the chain keeps.
  const late = await Promise.all([1, 2].map(() => tortureClient({ port: scene.port })))
  await victim(scene, kept, one.name)
  for (const client of late) await victim(scene, client, one.name)
  attacker.send(`GET /after HTTP/1.1\r\nHost: ${scene.host}\r\n\r\n`)
  await victim(scene, kept, one.name)
  for (const client of late) await victim(scene, client, one.name)
  for (const client of late) client.socket.destroy()
  const paths = scene.upstream.requests.map(({ path }) => path)
  if (paths.filter((path) => path === own).length > 1) scene.problems.push(`${one.name}: seen twice`)
  if (paths.includes(marker)) await readAsTwo(scene, one, marker, attacker)
  attacker.socket.destroy()
}

/** The chain took what is hidden for a request of the attacker's own: then the attacker, and nobody else, gets its answer. */
async function readAsTwo(scene: Scene, one: Attack, marker: string, attacker: TortureClient): Promise<void> {
  if (one.isOwn !== true) scene.asTwo.push(one.name)
  const isAnswered = (): boolean => attacker.answers.some(({ body }) => body === marker)
  await until(() => isAnswered() || attacker.closed, { everyMs: 5 })
  if (!isAnswered()) scene.problems.push(`${one.name}: ${marker} reached the app behind the chain's back`)
}

/** What came of the corpus. */
export interface CorpusOutcome {
  readonly problems: readonly string[]
  /** Attacks that a reader by the letter refuses, and this chain took for two requests of the attacker's own. */
  readonly asTwo: readonly string[]
}

const AT_ONCE = 6

/** Runs the whole corpus through a chain, a few attacks at once. */
export async function runCorpus({ edge, port }: World, engine: Engine): Promise<CorpusOutcome> {
  const upstream = await echo()
  // As long as the corpus counts with.
  const name = engine.padEnd(HOST_LENGTH - '.ws.localhost:8090'.length, 'x')
  const route = routeRow(name, {
    ports: [{ ...portDefaults, port: upstream.port, visibility: 'public', lenient: engine === 'compat' }],
    defaultPort: upstream.port,
  })
  edge.control.route(route)
  const host = `${name}.ws.localhost:8090`
  const scene: Scene = { port, host, upstream, problems: [], asTwo: [], victims: 0 }
  const waiting = attacks.map((one, nth) => ({ one, nth }))
  const worker = async (): Promise<void> => {
    let kept = await tortureClient({ port })
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (kept.closed || kept.ended) kept = await tortureClient({ port })
      await attack(scene, next.one, next.nth, kept)
    }
    kept.socket.destroy()
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  for (const fault of upstream.faults()) scene.problems.push(`what reached the app is not HTTP: ${fault}`)
  for (const { path } of upstream.requests)
    if (!/^\/(?:attack-|smuggled-|after$|victim-)/.test(path)) scene.problems.push(`the app saw ${path}`)
  await upstream.close()
  return { problems: scene.problems, asTwo: scene.asTwo.sort() }
}
