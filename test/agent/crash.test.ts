/**
 * Crash anywhere, start again: the same end state, nothing doubled, nothing lost, nothing left over. A relay before the
 * real engine kills the agent (-9) before it forwards call N of each step of a workspace's life, and when call N is
 * answered and the agent doesn't know: for every call and every N, until the step ends without a kill.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  nextStep,
  Points,
  steps,
  wanted,
  workspaceId,
  type Point,
  type Stand,
  type Step,
} from '../support/agent-crash.ts'
import { clearDeployment, holdings, homeFile } from '../support/agent-engine.ts'
import { agentProcesses, type AgentProcess } from '../support/agent-process.ts'
import { relayTo } from '../support/agent-relay.ts'
import { agentServer } from '../support/agent-server.ts'
import { engineLacks, machineEngine } from '../support/docker-engine.ts'
import { tinyImage } from '../support/docker-image.ts'
import { until } from '../support/until.ts'

const docker = machineEngine()

/** What the engine must hold where a workspace stands so, with ids and generations of this run taken out. */
function due(stand: Stand, isMarked: boolean): readonly string[] {
  const home = 'volume postern-*-crash0001-home'
  if (stand === 'absent') return []
  if (stand === 'retained') return [home]
  const container = `container /postern-*-crash0001 ${stand === 'running' ? 'running' : 'exited'} G`
  const mark = isMarked ? ['volume postern-*-crash0001-stop'] : []
  return [container, 'network postern-*-crash0001', home, ...mark]
}

/** One workspace that goes from step to step on a deployment of its own. */
async function lane(folder: string, image: string) {
  const deploymentId = `crash${randomBytes(6).toString('hex')}`
  const relay = await relayTo('/var/run/docker.sock', join(folder, `${deploymentId}.sock`))
  const processes = agentProcesses()
  const { control, ...server } = await agentServer({ deploymentId, hostId: 'host0001' })
  const order = {
    serverUrl: server.url,
    stateDirectory: join(folder, deploymentId),
    pluginConfig: { socketPath: relay.socketPath, firewall: 'external', subnetPool: '10.231.0.0/16' },
  }
  let agent: AgentProcess | null = null
  let generation = 0
  let stand: Stand = 'absent'
  let born: string | null = null
  let isMarked = false
  const restart = async (): Promise<void> => {
    await agent?.kill()
    agent = processes.start(order)
  }

  return {
    stand: () => stand,
    /** Takes the step; the agent dies at the point. @returns the call at which it died, if it came so far */
    async take(step: Step, point: Point | null) {
      let killed: string | null = null
      if (step.isFreshAgent) await agent?.kill()
      relay.arm(point?.at ?? Infinity, point?.moment ?? 'before', async (call) => {
        killed = call
        await restart()
      })
      if (agent === null || step.isFreshAgent) await restart()
      generation += step.grows
      const seen = control.reports.length
      control.want(wanted(step.to, image, generation))
      const made = step.to === 'absent' || step.to === 'retained' ? 0 : generation
      const isReached = (): boolean => {
        const status = control.status(workspaceId)
        const isCurrent =
          control.reports.length > seen && control.reports.at(-1)?.revision === control.revision()
        return isCurrent && `${status?.state} ${status?.generation}` === `${step.to} ${made}`
      }
      const where = `${step.name}, ${point?.moment} call ${point?.at}`
      await until(isReached, { timeoutMs: 90_000, everyMs: 5 }).catch(() => {
        throw new Error(`${where}, was never reached: ${agent?.said()}`)
      })
      stand = step.to
      if (step.mark !== 'kept') isMarked = step.mark === 'made'
      const lines = await holdings(docker, deploymentId)
      const held = lines.map((line) =>
        line.replaceAll(deploymentId.slice(0, 8), '*').replace(new RegExp(` ${generation}$`), ' G'),
      )
      const mark = await homeFile(docker, deploymentId, 'born')
      if (stand === 'absent') born = null
      else if ((born ??= mark) !== mark) throw new Error(`data was lost at ${where}`)
      return { killed, held, due: due(stand, isMarked) }
    },
    async close() {
      relay.arm(Infinity, 'before', async () => undefined)
      await processes.close()
      await server.close()
      await relay.close()
      await clearDeployment(docker, deploymentId)
    },
  }
}

t.setTimeout(900_000)
t.test('killed at every engine call', { skip: engineLacks() ?? false }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-crash-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const image = await tinyImage(docker)
  const points = new Points()
  let kills = 0
  const work = async (): Promise<void> => {
    const one = await lane(folder, image)
    t.teardown(() => one.close())
    for (let step = nextStep(one.stand(), points); step !== null; step = nextStep(one.stand(), points)) {
      const point = points.take(step)
      const { killed, held, due } = await one.take(step, point)
      if (killed !== null) kills++
      else if (point !== null) points.missed(step, point)
      t.same(held, due, `${step.name}, killed ${point?.moment} ${point?.at}: ${killed}`)
    }
  }
  await Promise.all([work(), work(), work()])
  t.comment(`${kills} kills; calls met: ${JSON.stringify(points.met())}`)
  t.same(
    steps.filter((step) => points.isLeft(step)),
    [],
    'every call of every step was a crash point',
  )
  for (const [name, calls] of Object.entries(points.met())) t.ok(calls > 2, `${name}: ${calls} calls`)
})
