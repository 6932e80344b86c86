/** The whole agent on real Docker Engines: what happens behind its back is seen, mended and told; others' things are left. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import type Docker from 'dockerode'
import type { RuntimePlugin } from '@postern/plugin'
import plugin from '@postern/plugin-docker'
import { startAgent } from '../../agent/index.ts'
import type { Agent } from '../../agent/seams.ts'
import { systemClock } from '../../control/cli/clock.ts'
import type { DesiredEntry, Status } from '../../control/wire/index.ts'
import { spec } from '../support/agent-arbitraries.ts'
import { fakeControl, type FakeControl } from '../support/agent-control.ts'
import { clearDeployment, holdings } from '../support/agent-engine.ts'
import { keepingLog } from '../support/agent-start.ts'
import {
  copyImage,
  engineLacks,
  machineEngine,
  secondEngine,
  secondEngineLacks,
} from '../support/docker-engine.ts'
import { tinyImage, TINY_PORT } from '../support/docker-image.ts'
import { until } from '../support/until.ts'

const id = 'engine001'
const docker = machineEngine()
const skip = engineLacks() ?? false
const forever = 'trap "exit 0" TERM; while :; do sleep 1 & wait; done'

interface Stage {
  readonly agent: Agent
  readonly control: FakeControl
  readonly deploymentId: string
  readonly name: string
  /** Waits for a report on the workspace of which this is true. */
  told(what: string, check: (status: Status) => boolean, of?: string): Promise<Status>
}

async function stageOn(
  t: Test,
  engine: Docker,
  socketPath: string,
  known: { deploymentId: string; stateDirectory: string; control?: FakeControl } = {
    deploymentId: `eng${randomBytes(6).toString('hex')}`,
    stateDirectory: join(t.testdir(), 'state'),
  },
): Promise<Stage> {
  const { deploymentId, stateDirectory } = known
  const control = known.control ?? fakeControl({ deploymentId })
  const agent = await startAgent({
    control,
    plugin: plugin as RuntimePlugin,
    stateDirectory,
    log: keepingLog(),
    clock: systemClock,
    pluginConfig: { socketPath, firewall: 'external', subnetPool: '10.232.0.0/16' },
    name: 'host',
    machineId: 'machine',
    version: '0',
    limits: { orphanGraceMs: 0, stopGraceMs: 1_000 },
  })
  t.teardown(async () => {
    await agent.close()
    await clearDeployment(engine, deploymentId)
  })
  const told: Stage['told'] = async (what, check, of = id) => {
    const from = Math.max(0, control.reports.length - 1)
    return await until(
      () =>
        control.reports
          .slice(from)
          .flatMap((report) => report.workspaces)
          .find((status) => status.id === of && check(status)),
      { what, everyMs: 5, timeoutMs: 30_000 },
    ).catch((cause: unknown) => {
      throw new Error(`${what} was not told: ${JSON.stringify(control.reports.slice(from))}`, { cause })
    })
  }
  const name = `postern-${deploymentId.slice(0, 8)}-${id}`
  return { agent, control, deploymentId, name, told }
}

const socket = '/var/run/docker.sock'
const run = (image: string, command: string | null = forever): DesiredEntry => ({
  want: 'running',
  spec: { ...spec(id, 1), image, ...(command === null ? {} : { command: ['sh', '-c', command] }) },
})

t.test(
  'a container killed or removed behind our back is seen within 2 s, told and mended',
  { skip },
  async (t) => {
    const { control, name, told } = await stageOn(t, docker, socket)
    control.want(run(await tinyImage(docker)))
    const first = await told('running', (status) => status.state === 'running')

    let began = Date.now()
    await docker.getContainer(name).kill()
    const killed = await told('the end', (status) => status.exit?.code === 137)
    t.ok(Date.now() - began < 2_000, `seen after ${Date.now() - began} ms`)
    t.match(killed, { state: 'failed', reason: { code: 'exited' } })
    const second = await told('running again', (status) => status.state === 'running')
    t.not(second.incarnation, first.incarnation)

    began = Date.now()
    await docker.getContainer(name).remove({ force: true })
    const gone = await told('that it vanished', (status) => status.reason?.code === 'vanished')
    t.ok(Date.now() - began < 2_000, `seen after ${Date.now() - began} ms`)
    t.match(gone, { state: 'failed' })
    await told('running once more', (status) => status.state === 'running')
    t.equal((await docker.getContainer(name).inspect()).State.Running, true)
  },
)

t.test('a program out of memory is told as oom', { skip }, async (t) => {
  const { control, told } = await stageOn(t, docker, socket)
  const entry = run(await tinyImage(docker), 'a=x; while :; do a=$a$a; done')
  if (entry.want === 'running') Object.assign(entry.spec, { memoryBytes: 16 * 1024 * 1024 })
  control.want(entry)
  t.match(await told('oom', (status) => status.reason?.code === 'oom'), {
    state: 'failed',
    exit: { oom: true },
  })
})

t.test('look-alikes of others are never touched', { skip }, async (t) => {
  const { control, deploymentId, name, told } = await stageOn(t, docker, socket)
  const image = await tinyImage(docker)
  const labels = (over: object): Record<string, string> => ({
    'dev.postern.deployment': deploymentId,
    'dev.postern.host': 'host0001',
    'dev.postern.generation': '1',
    'dev.postern.workspace': 'lookalike1',
    'dev.postern.role': 'container',
    ...over,
  })
  const make = async (as: string, its: Record<string, string>): Promise<string> => {
    const made = await docker.createContainer({ name: as, Image: image, Labels: its, Cmd: ['sleep', '600'] })
    t.teardown(() => made.remove({ force: true }))
    await made.start()
    return made.id
  }
  const others = [
    await make(`${deploymentId}-copied-labels`, labels({})),
    await make(`postern-${deploymentId.slice(0, 8)}-lookalike2`, {}),
    await make(`postern-${deploymentId.slice(0, 8)}-lookalike3`, labels({ 'dev.postern.host': 'host0002' })),
    await make(name, { mine: 'not yours' }),
  ]
  control.want(run(image), { want: 'removed', id: 'lookalike1', data: 'delete' })
  const taken = await told('the conflict', (status) => status.reason?.code === 'conflict')
  t.match(taken, { state: 'failed', reason: { message: new RegExp(name) } })
  t.ok(taken.reason?.nextTryAtMs)
  await told('that nothing is there', (status) => status.state === 'absent', 'lookalike1')
  control.want()
  await until(() => control.reports.at(-1)?.revision === control.revision())
  for (const other of others) t.equal((await docker.getContainer(other).inspect()).State.Running, true)
})

t.test('an image that cannot be had is told, with when it is tried again', { skip }, async (t) => {
  const { control, told } = await stageOn(t, docker, socket)
  control.want(run('127.0.0.1:1/no/such:1'))
  const missing = await told('the missing image', (status) => status.reason?.code === 'image_unavailable')
  t.equal(missing.state, 'failed')
  t.ok((missing.reason?.nextTryAtMs ?? 0) > Date.now() - 1_000)
  control.want({ want: 'stopped', id, graceMs: 1_000 })
  await told('that a stop is accepted', (status) => status.state !== 'failed')
})

t.test('workspaces live on while the agent is away, and are not started anew', { skip }, async (t) => {
  const stateDirectory = join(t.testdir(), 'state')
  const deploymentId = `eng${randomBytes(6).toString('hex')}`
  const one = await stageOn(t, docker, socket, { deploymentId, stateDirectory })
  const image = await tinyImage(docker)
  one.control.want(run(image, null))
  const before = await one.told('running', (status) => status.state === 'running')
  await one.agent.close()
  const held = await holdings(docker, deploymentId)
  t.match(held[0], /running/)
  const two = await stageOn(t, docker, socket, { deploymentId, stateDirectory })
  two.control.want(run(image, null))
  const after = await two.told('running still', (status) => status.state === 'running')
  t.equal(after.incarnation, before.incarnation)
  t.same(await holdings(docker, deploymentId), held)
  const { signal } = new AbortController()
  const stream = await until(() =>
    two.agent.connect({ workspaceId: id, incarnation: after.incarnation }, TINY_PORT, { signal }),
  )
  stream.write('GET / HTTP/1.0\r\n\r\n')
  t.match(await text(stream), /tiny/)
})

t.test(
  'an engine that restarts under us: nothing is inferred meanwhile, all runs afterwards',
  { skip: secondEngineLacks() ?? skip },
  async (t) => {
    const second = await secondEngine()
    t.teardown(() => second.close())
    const image = await tinyImage(docker)
    await copyImage(image, docker, second.docker)
    const { control, deploymentId, told } = await stageOn(t, second.docker, second.socketPath)
    control.want(run(image))
    await told('running', (status) => status.state === 'running')
    for (const end of [second.stop, second.kill]) {
      const from = control.reports.length
      await end()
      await until(() => control.reports.slice(from).some((report) => !report.observed), {
        what: 'that it cannot be read',
      })
      await second.start()
      await until(() => control.reports.at(-1)?.observed, {
        what: 'that it can be read again',
        timeoutMs: 20_000,
      })
      await told('running again', (status) => status.state === 'running')
      const held = await holdings(second.docker, deploymentId)
      t.equal(held.filter((line) => line.startsWith('container')).length, 1)
      t.match(held[0], /running/)
    }
  },
)
