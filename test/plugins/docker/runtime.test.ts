/** The Docker runtime against the machine's engine: what others own, what cut-short calls leave, many at once. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { Progress, Runtime, RuntimeCode } from '@postern/plugin'
import plugin from '@postern/plugin-docker'
import t from 'tap'
import type { Test } from 'tap'
import { engineLacks, machineEngine } from '../../support/docker-engine.ts'
import { tinyImage } from '../../support/docker-image.ts'
import { containerName, inside, leftovers, page, quietHost, specOf } from '../../support/docker-world.ts'
import { until } from '../../support/until.ts'

const signal = new AbortController().signal
const lacks = engineLacks()
if (lacks !== undefined) t.test('the Docker runtime', { skip: lacks }, () => Promise.resolve())
else await tests()

async function refusal(promise: Promise<unknown>, code: RuntimeCode): Promise<RuntimeError> {
  const err: unknown = await promise.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  )
  if (!RuntimeError.is(err) || err.code !== code) throw new Error(`not ${code}`, { cause: err })
  return err
}

async function tests(): Promise<void> {
  const docker = machineEngine()
  const image = await tinyImage(docker)
  const gone = { signal, keepData: false }

  async function open(
    t: Test,
    config: unknown = {},
    host = quietHost(),
  ): Promise<{ runtime: Runtime; host: typeof host }> {
    const runtime = await plugin.open(plugin.config.parse(config), host)
    t.teardown(async () => {
      await Promise.all((await runtime.list({ signal })).map((one) => runtime.remove(one.workspaceId, gone)))
      await runtime.close()
    })
    return { runtime, host }
  }

  t.test('a network or volume of our name that is somebody else’s is a named conflict', async (t) => {
    const { runtime, host } = await open(t)
    const spec = specOf(image)
    const name = containerName(host, spec.id)
    const network = await docker.createNetwork({ Name: name, Labels: { 'dev.postern.workspace': spec.id } })
    t.match((await refusal(runtime.start(spec, { signal }), 'ERR_CONFLICT')).message, `The network ${name}`)
    await runtime.remove(spec.id, gone)
    await network.inspect()
    await network.remove()

    const volume = `${name}-home`
    await docker.createVolume({ Name: volume, Labels: { 'dev.postern.deployment': host.deploymentId } })
    t.match((await refusal(runtime.start(spec, { signal }), 'ERR_CONFLICT')).message, `The volume ${volume}`)
    await runtime.remove(spec.id, gone)
    await docker.getVolume(volume).inspect()
    await docker.getVolume(volume).remove()
    t.same(await leftovers(docker, host), [])
  })

  t.test('a container with all our labels under another name is not ours', async (t) => {
    const { runtime, host } = await open(t)
    const spec = specOf(image)
    await runtime.start(spec, { signal })
    const { Config: config } = await docker.getContainer(containerName(host, spec.id)).inspect()
    await runtime.remove(spec.id, gone)
    const copy = await docker.createContainer({
      name: `copy-${spec.id}`,
      Image: image,
      Labels: config.Labels,
    })
    t.teardown(() => copy.remove({ force: true }))
    t.same(await runtime.list({ signal }), [])
    await runtime.remove(spec.id, gone)
    await copy.inspect()
  })

  t.test('an image made here that is missing names the command, and asks no registry', async (t) => {
    const { runtime, host } = await open(t)
    const steps: Progress[] = []
    const call = { signal, onProgress: (step: Progress) => void steps.push(step) }
    const err = await refusal(runtime.start(specOf('postern/not-made:1'), call), 'ERR_IMAGE_UNAVAILABLE')
    t.match(err.fix, /npm run images/)
    t.same(steps, [], 'no pull was begun')
    const never = await open(t, { pull: 'never' })
    await refusal(never.runtime.start(specOf('127.0.0.1:1/x:1'), { signal }), 'ERR_IMAGE_UNAVAILABLE')
    t.same(await leftovers(docker, host), [], 'and nothing was made')
  })

  t.test('what cut-short calls leave is listed, started on and removed', async (t) => {
    const { runtime, host } = await open(t)
    const spec = specOf(image, { files: [{ path: 'a/b.txt', content: 'seed' }] })
    const name = containerName(host, spec.id)
    await runtime.start(spec, { signal })
    const seed = () =>
      inside(docker, name, 'cat ~/workspace/a/b.txt; stat -c %u ~/workspace/a ~/workspace/a/b.txt')
    t.equal((await seed()).text, 'seed1000\n1000\n', 'files of the spec, owned by the user')
    await inside(docker, name, 'echo mine > ~/workspace/a/b.txt')

    await docker.getContainer(name).remove({ force: true })
    t.match(
      await runtime.list({ signal }),
      [{ state: 'starting', generation: 1, incarnation: '' }],
      'network and home',
    )
    await runtime.start(spec, { signal })
    t.match((await seed()).text, 'mine', 'what is there is not overwritten')

    await docker.getContainer(name).stop({ t: 0 })
    await docker.getNetwork(name).remove()
    const again = await runtime.start(spec, { signal })
    t.equal(again.state, 'running', 'its network was removed while it was stopped')
    t.match((await seed()).text, 'mine')

    await docker.getContainer(name).kill()
    const killed = await until(async () => {
      const [one] = await runtime.list({ signal })
      return one?.state === 'failed' ? one : undefined
    })
    t.match(killed, { incarnation: again.incarnation, exit: { code: 137, oom: false } })
    await runtime.remove(spec.id, { signal, keepData: true })
    t.same(await leftovers(docker, host), [`volume ${name}-home`])
    await runtime.remove(spec.id, gone)
    t.same(await leftovers(docker, host), [])
  })

  t.test('a program that can’t be executed has failed', async (t) => {
    const { runtime } = await open(t)
    await runtime.start(specOf(image, { command: ['/not/there'] }), { signal })
    const failed = await until(async () => {
      const [one] = await runtime.list({ signal })
      return one?.state === 'failed' ? one : undefined
    })
    t.match(failed.exit, { code: 127, oom: false })
  })

  t.test('a full pool is no capacity', async (t) => {
    const { runtime } = await open(t, { subnetPool: '10.215.7.0/24', subnetPrefix: 24 })
    await runtime.start(specOf(image), { signal })
    const err = await refusal(runtime.start(specOf(image), { signal }), 'ERR_NO_CAPACITY')
    t.match(err.fix, /subnetPool/)
  })

  t.test('published on loopback where the bridge can’t be reached', async (t) => {
    const { runtime } = await open(t, { publishOnLoopback: true })
    const spec = specOf(image)
    const { reach } = await runtime.start(spec, { signal })
    t.match(reach, { kind: 'ports', host: '127.0.0.1', ports: { 3000: Number } })
    const port = reach.kind === 'ports' ? reach.ports['3000'] : undefined
    t.equal(await until(() => page('127.0.0.1', port ?? 0)), 'tiny\n')
    for (const instance of [...(await runtime.list({ signal })), ...(await runtime.list({ signal }))])
      t.same(instance.reach, reach, 'listed alike, inspected or not')
    await refusal(runtime.connect?.(spec.id, 3001, { signal }) ?? Promise.resolve(), 'ERR_NOT_FOUND')
  })

  t.test('sixty workspaces at once, each with a network of its own', async (t) => {
    const { runtime, host } = await open(t)
    const specs = Array.from({ length: 60 }, () => specOf(image, { command: ['sleep', '600'] }))
    const began = performance.now()
    const instances = await Promise.all(specs.map((spec) => runtime.start(spec, { signal })))
    t.comment(`60 were started in ${Math.round(performance.now() - began)} ms`)
    t.equal(new Set(instances.map(({ reach }) => (reach.kind === 'address' ? reach.host : ''))).size, 60)
    await runtime.list({ signal })
    const before = performance.now()
    const listed = await runtime.list({ signal })
    t.ok(performance.now() - before < 1_000, `a list of 60 took ${Math.round(performance.now() - before)} ms`)
    t.equal(listed.filter((one) => one.state === 'running').length, 60)
    await Promise.all(specs.map(({ id }) => runtime.remove(id, gone)))
    t.same(await leftovers(docker, host), [])
  })

  t.test('no engine, and no permission to use it, are told apart and say how to mend it', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'pd-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const config = plugin.config.parse({ socketPath: join(folder, 'none') })
    const away = await refusal(plugin.open(config, quietHost()), 'ERR_UNAVAILABLE')
    t.ok(away.fix)
    const silent = createServer((socket) => socket.end()).listen(join(folder, 'other'))
    await once(silent, 'listening')
    t.teardown(() => silent.close())
    const other = plugin.config.parse({ socketPath: join(folder, 'other') })
    await refusal(plugin.open(other, quietHost()), 'ERR_UNAVAILABLE')
  })

  t.test('an engine behind a loopback port', async (t) => {
    const relay = createServer((socket) => {
      const engine = connect('/var/run/docker.sock')
      socket.pipe(engine).pipe(socket)
      for (const [one, other] of [
        [socket, engine],
        [engine, socket],
      ] as const)
        one.on('error', () => other.destroy()).on('close', () => other.destroy())
    }).listen(0, '127.0.0.1')
    await once(relay, 'listening')
    t.teardown(() => relay.close())
    const { port } = relay.address() as AddressInfo
    const { runtime } = await open(t, { host: `tcp://127.0.0.1:${port}`, firewall: 'external' })
    t.match(await runtime.health({ signal }), { status: 'healthy', warnings: undefined })
    t.equal((await runtime.start(specOf(image), { signal })).state, 'running')
  })

  const notRoot = process.getuid?.() === 0 ? false : 'only root can become another user'
  t.test('without the group docker, open is refused', { skip: notRoot }, async (t) => {
    const script = `import plugin from ${JSON.stringify(import.meta.resolve('@postern/plugin-docker'))}
      await plugin.open(plugin.config.parse({}), { deploymentId: 'd', hostId: 'h' }).catch((e) => console.log(e.code, e.fix))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      uid: 65534,
      gid: 65534,
      cwd: '/',
    })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await once(child, 'close')
    t.match(said, /^ERR_PERMISSION .*group docker/)
  })
}
