/**
 * Crash anywhere, start again: the same end state, nothing doubled, nothing lost, nothing left over. A relay before the
 * real engine kills the agent (-9) before it forwards call N of each step of a workspace's life; and in another pass
 * when the N-th call that changes something is answered and the agent doesn't know (after the answer to a GET the world
 * is as it was before it, which the first pass has had). For every N, until a life ends without a kill.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { DesiredEntry } from '../../control/wire/index.ts'
import { spec } from '../support/agent-arbitraries.ts'
import { clearDeployment, holdings, homeFile } from '../support/agent-engine.ts'
import { agentProcesses, type AgentProcess, type AgentProcesses } from '../support/agent-process.ts'
import { relayTo, type Moment, type Relay } from '../support/agent-relay.ts'
import { agentServer } from '../support/agent-server.ts'
import { engineLacks, machineEngine } from '../support/docker-engine.ts'
import { tinyImage } from '../support/docker-image.ts'
import { until } from '../support/until.ts'

const id = 'crash0001'
/** Marks its home once, and ends at once when it is asked to. */
const program =
  'test -e ~/born || echo $RANDOM$RANDOM > ~/born; trap "exit 0" TERM; while :; do sleep 1 & wait; done'

type Step = { readonly name: string; readonly want: DesiredEntry; readonly state: string }

const running = (image: string, generation: number): DesiredEntry => ({
  want: 'running',
  spec: {
    ...spec(id, generation),
    image,
    command: ['sh', '-c', program],
    files: [{ path: 'a', content: 'b' }],
  },
})

const scenario = (image: string): Step[] => [
  { name: 'create', want: running(image, 1), state: 'running 1' },
  { name: 'spec change', want: running(image, 2), state: 'running 2' },
  { name: 'stop', want: { want: 'stopped', id, graceMs: 5_000 }, state: 'stopped 2' },
  { name: 'start', want: running(image, 2), state: 'running 2' },
  { name: 'trash', want: { want: 'removed', id, data: 'keep' }, state: 'retained 0' },
  { name: 'purge', want: { want: 'removed', id, data: 'delete' }, state: 'absent 0' },
]

interface Run {
  /** What the engine held after each step, with ids of this run taken out. */
  readonly held: string[][]
  /** The calls at which the agent was killed, by step. */
  readonly kills: string[]
}

interface Lane {
  readonly folder: string
  readonly image: string
  readonly relay: Relay
  readonly processes: AgentProcesses
}

const docker = machineEngine()

/** One life of a workspace; the agent is killed at call `at` of each step that has so many. */
async function liveOnce(lane: Lane, at: number, moment: Moment): Promise<Run> {
  const deploymentId = `crash${randomBytes(6).toString('hex')}`
  const { relay } = lane
  const server = await agentServer({ deploymentId, hostId: 'host0001' })
  const { control } = server
  const order = {
    serverUrl: server.url,
    stateDirectory: join(lane.folder, deploymentId),
    pluginConfig: { socketPath: relay.socketPath, firewall: 'external', subnetPool: '10.231.0.0/16' },
  }
  const agent: { now: AgentProcess | null } = { now: null }
  const restart = async (): Promise<void> => {
    await agent.now?.kill()
    agent.now = lane.processes.start(order)
  }
  const run: Run = { held: [], kills: [] }
  let born: string | null = null
  try {
    for (const step of scenario(lane.image)) {
      relay.arm(at, moment, async (call) => {
        run.kills.push(`${step.name}: ${call}`)
        await restart()
      })
      if (agent.now === null) await restart()
      control.want(step.want)
      const isReached = (): boolean => {
        const status = control.status(id)
        const isCurrent = control.reports.at(-1)?.revision === control.revision()
        return isCurrent && `${status?.state} ${status?.generation}` === step.state
      }
      await until(isReached, { timeoutMs: 60_000, everyMs: 5 }).catch(() => {
        throw new Error(`${step.name}, ${moment} call ${at}, was never reached: ${agent.now?.said()}`)
      })
      const lines = await holdings(docker, deploymentId)
      run.held.push(lines.map((line) => line.replaceAll(deploymentId.slice(0, 8), '*')))
      const mark = await homeFile(docker, deploymentId, 'born')
      born ??= mark
      if (step.name !== 'purge' && born !== mark) throw new Error(`data was lost at ${step.name}`)
    }
    return run
  } finally {
    relay.arm(Infinity, moment, async () => undefined)
    await agent.now?.kill()
    await server.close()
    await clearDeployment(docker, deploymentId)
  }
}

t.setTimeout(900_000)
t.test('killed at every engine call', { skip: engineLacks() ?? false }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-crash-'))
  const image = await tinyImage(docker)
  const lanes = await Promise.all(
    ['one', 'two', 'three'].map(async (name): Promise<Lane> => {
      const relay = await relayTo('/var/run/docker.sock', join(folder, `${name}.sock`))
      return { image, folder, relay, processes: agentProcesses() }
    }),
  )
  t.teardown(async () => {
    for (const { relay, processes } of lanes) {
      await processes.close()
      await relay.close()
    }
    await rm(folder, { recursive: true, force: true })
  })
  const [first] = lanes
  if (first === undefined) return
  const whole = await liveOnce(first, Infinity, 'before')
  t.same(whole.kills, [])
  t.same(whole.held.at(-1), [], 'a life without a kill leaves nothing')
  t.equal(whole.held[0]?.length, 3, 'one container, one network, one home')

  for (const moment of ['before', 'after'] as const) {
    let next = 1
    let last = Infinity
    let kills = 0
    const work = async (lane: Lane): Promise<void> => {
      for (let at = next++; at <= last; at = next++) {
        const run = await liveOnce(lane, at, moment)
        kills += run.kills.length
        if (run.kills.length === 0) last = Math.min(last, at)
        else t.same(run.held, whole.held, `killed ${moment} call ${at} of ${run.kills.join(', ')}`)
      }
    }
    await Promise.all(lanes.map(work))
    t.comment(`${moment}: ${kills} kills; the first life without one was at N = ${last}`)
    t.ok(
      kills > (moment === 'before' ? 60 : 15) && last < Infinity,
      `every call of every step was a crash point`,
    )
  }
})
