/** The Docker runtime on an engine of the test's own: pulls from a real registry, restarts under us, a full disk. */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, open as openFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { RuntimeError } from '@postern/plugin'
import type { Progress, RuntimeCode } from '@postern/plugin'
import plugin from '@postern/plugin-docker'
import t from 'tap'
import type { Test } from 'tap'
import {
  copyImage,
  engineLacks,
  machineEngine,
  secondEngine,
  secondEngineLacks,
} from '../../support/docker-engine.ts'
import type { SecondEngine } from '../../support/docker-engine.ts'
import { tinyImage } from '../../support/docker-image.ts'
import { containerName, inside, leftovers, page, quietHost, specOf } from '../../support/docker-world.ts'
import { until } from '../../support/until.ts'

const run = promisify(execFile)
const signal = new AbortController().signal
const gone = { signal, keepData: false }
const lacks = engineLacks() ?? secondEngineLacks() ?? false
const noRegistry =
  lacks !== false || existsSync('/usr/bin/docker-registry') ? lacks : 'docker-registry is not installed'

async function runtimeOn(engine: SecondEngine, t: Test, more: object = {}) {
  const host = quietHost()
  const config = plugin.config.parse({ socketPath: engine.socketPath, subnetPool: '10.216.0.0/20', ...more })
  const runtime = await plugin.open(config, host)
  t.teardown(() => runtime.close())
  return { host, runtime }
}

async function refusal(promise: Promise<unknown>, code: RuntimeCode): Promise<RuntimeError> {
  const err: unknown = await promise.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  )
  if (!RuntimeError.is(err) || err.code !== code) throw new Error(`not ${code}`, { cause: err })
  return err
}

/** Debian's docker-registry on a loopback port. */
async function registry(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pr-'))
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  const address = `127.0.0.1:${port}`
  const config = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: folder } },
    http: { addr: address },
  }
  await writeFile(join(folder, 'c.yml'), JSON.stringify(config))
  const child = spawn('docker-registry', ['serve', join(folder, 'c.yml')], { stdio: 'ignore' })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  await until(async () => (await fetch(`http://${address}/v2/`)).ok, { what: 'the registry' })
  return address
}

t.test('an image is pulled from a registry, with progress', { skip: noRegistry }, async (t) => {
  const address = await registry(t)
  const [docker, engine] = [machineEngine(), await secondEngine()]
  t.teardown(() => engine.close())
  const repo = `${address}/team/tiny`
  await docker.getImage(await tinyImage(docker)).tag({ repo, tag: '1' })
  const pushed = await docker.getImage(`${repo}:1`).push({ authconfig: {} })
  for await (const chunk of pushed) void chunk
  await docker.getImage(`${repo}:1`).remove()

  const { host, runtime } = await runtimeOn(engine, t)
  const steps: Progress[] = []
  const onProgress = (step: Progress) => void steps.push(step)
  const reason = new Error('changed my mind')
  const abort = new AbortController()
  const cancel = { signal: abort.signal, onProgress: () => abort.abort(reason) }
  await t.rejects(runtime.start(specOf(`${repo}:1`), cancel), reason, 'a pull can be called off')

  const instance = await runtime.start(specOf(`${repo}:1`), { signal, onProgress })
  t.equal(instance.state, 'running')
  t.ok(steps.some((step) => step.step === 'pulling' && step.message.includes(repo)))
  t.ok(
    steps.some(({ done, total }) => total !== undefined && total > 500_000 && (done ?? 0) <= total),
    'in bytes',
  )
  t.equal(steps.at(-1)?.step, 'starting')
  await runtime.remove(instance.workspaceId, gone)

  const always = await runtimeOn(engine, t, { pull: 'always' })
  steps.length = 0
  const anew = await always.runtime.start(specOf(`${repo}:1`), { signal, onProgress })
  t.equal(steps[0]?.step, 'pulling', 'asked for anew')
  await always.runtime.remove(anew.workspaceId, gone)

  const err = await refusal(runtime.start(specOf(`${repo}:nope`), { signal }), 'ERR_IMAGE_UNAVAILABLE')
  t.match(err.message, /manifest unknown|not found/)
  t.same(await leftovers(engine.docker, host), [], 'nothing was made for it')
})

t.test('an engine that goes away and comes back', { skip: lacks }, async (t) => {
  const engine = await secondEngine()
  t.teardown(() => engine.close())
  const image = await tinyImage(engine.docker)
  const { host, runtime } = await runtimeOn(engine, t)
  const spec = specOf(image)
  const first = await runtime.start(spec, { signal })
  await inside(engine.docker, containerName(host, spec.id), 'echo kept > ~/note')

  const watching = new AbortController()
  const hints: string[] = []
  const watched = (async () => {
    for await (const hint of runtime.watch?.({ signal: watching.signal }) ?? []) hints.push(hint)
  })().catch((err: unknown) => err)

  await engine.kill()
  await refusal(runtime.list({ signal }), 'ERR_UNAVAILABLE')
  await refusal(runtime.start(specOf(image), { signal }), 'ERR_UNAVAILABLE')
  t.match(await runtime.health({ signal }), { status: 'undetected' })
  await until(() => hints.includes('*'), { what: 'a hint that the engine went away' })
  hints.length = 0

  await engine.start()
  await until(() => hints.includes('*'), { what: 'a hint that the engine is back' })
  t.equal((await runtime.health({ signal })).status, 'healthy')
  t.match(await runtime.list({ signal }), [{ workspaceId: spec.id, incarnation: first.incarnation }])
  const second = await runtime.start(spec, { signal })
  t.not(second.incarnation, first.incarnation)
  t.equal((await inside(engine.docker, containerName(host, spec.id), 'cat ~/note')).text, 'kept\n')

  await until(() => hints.includes(spec.id), { what: 'hints to go on' })
  watching.abort(new Error('enough'))
  t.equal(await watched, watching.signal.reason)
  await runtime.remove(spec.id, gone)
  t.same(await leftovers(engine.docker, host), [])
})

t.test('with live restore, a program outlives its engine', { skip: lacks }, async (t) => {
  const engine = await secondEngine({ liveRestore: true })
  t.teardown(() => engine.close())
  const { runtime } = await runtimeOn(engine, t)
  const spec = specOf(await tinyImage(engine.docker))
  const first = await runtime.start(spec, { signal })
  const address = first.reach.kind === 'address' ? first.reach.host : ''
  await runtime.list({ signal })
  await engine.kill()
  t.equal(await page(address, 3000), 'tiny\n', 'it answers without its engine')
  await engine.start()
  t.same((await runtime.start(spec, { signal })).incarnation, first.incarnation)
  t.match(await runtime.list({ signal }), [{ state: 'running', incarnation: first.incarnation }])
})

t.test('a full disk is no capacity, and mends itself', { skip: lacks }, async (t) => {
  const engine = await secondEngine({ dataMiB: 48 })
  t.teardown(() => engine.close())
  const docker = machineEngine()
  const image = await tinyImage(docker)
  await copyImage(image, docker, engine.docker)
  const { host, runtime } = await runtimeOn(engine, t)
  const spec = specOf(image)
  const running = await runtime.start(specOf(image), { signal })
  await fill(join(engine.dataRoot, 'filler'))

  const err = await refusal(runtime.start(spec, { signal }), 'ERR_NO_CAPACITY')
  t.ok(err.retryable)
  await runtime.list({ signal })
  await runtime.stop(running.workspaceId, { signal, graceMs: 100 })
  const stopped = (await runtime.list({ signal })).find((one) => one.workspaceId === running.workspaceId)
  t.ok(stopped?.state === 'stopped' || stopped?.state === 'failed', 'what runs can be ended')

  await rm(join(engine.dataRoot, 'filler'))
  t.equal((await runtime.start(spec, { signal })).state, 'running')
  for (const id of [spec.id, running.workspaceId]) await runtime.remove(id, gone)
  t.same(await leftovers(engine.docker, host), [])
})

/** Takes every block that is left. */
async function fill(path: string): Promise<void> {
  const file = await openFile(path, 'w')
  for (const size of [1 << 20, 1 << 12, 1])
    for (let full = false; !full;)
      full = await file.write(Buffer.alloc(size)).then(
        () => false,
        () => true,
      )
  await file.close()
  await run('sync', ['-f', path]).catch(() => undefined)
}
