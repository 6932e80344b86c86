/**
 * What a container gets of the host, on the machine's engine: fake GPUs (devices that compute nothing, named so), each for
 * itself; mounts that nobody can turn elsewhere; the host's network, of which visitors see declared ports only.
 */
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { Runtime, WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-docker'
import t from 'tap'
import type { Test } from 'tap'
import { engineLacks, machineEngine } from '../../support/docker-engine.ts'
import { tinyImage } from '../../support/docker-image.ts'
import { containerName, inside, leftovers, quietHost, specOf } from '../../support/docker-world.ts'

t.setTimeout(180_000)
const signal = new AbortController().signal
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'it was not refused',
    (err: unknown) => (RuntimeError.is(err) ? err.code : String(err)),
  )

const lacks = engineLacks()
if (lacks !== undefined) t.test('beyond the walls', { skip: lacks }, () => Promise.resolve())
else await tests()

async function tests(): Promise<void> {
  const docker = machineEngine()
  const image = await tinyImage(docker)
  const sleeps = { command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1; done'] }

  async function open(t: Test, config: unknown = {}) {
    const host = quietHost()
    const runtime = await plugin.open(plugin.config.parse(config), host)
    t.teardown(async () => {
      const gone = { signal, keepData: false }
      await Promise.all((await runtime.list({ signal })).map((one) => runtime.remove(one.workspaceId, gone)))
      await runtime.close()
    })
    return { runtime, host }
  }
  const folder = (t: Test): string => {
    const made = realpathSync(mkdtempSync(join(tmpdir(), 'postern-beyond-')))
    t.teardown(() => rmSync(made, { recursive: true, force: true }))
    mkdirSync(join(made, 'set'))
    writeFileSync(join(made, 'set', 'mark'), 'the set')
    return made
  }
  const mounting = (source: string, readOnly = false): WorkspaceSpec =>
    specOf(image, { ...sleeps, mounts: [{ source, target: '/data', readOnly }] })
  const start = (runtime: Runtime, spec: WorkspaceSpec) => runtime.start(spec, { signal })

  await t.test('fake GPUs: a device each, counted over restarts, freed by a stop', async (t) => {
    const fake = ['/dev/loop0', '/dev/loop1']
    const { runtime, host } = await open(t, { gpus: fake })
    t.equal(runtime.gpus, 2)
    const [one, two, three] = [1, 2, 3].map(() => specOf(image, { ...sleeps, gpus: 1 }))
    if (one === undefined || two === undefined || three === undefined) return
    await Promise.all([start(runtime, one), start(runtime, two)])
    const seen = await Promise.all(
      [one, two].map(async ({ id }) =>
        (await inside(docker, containerName(host, id), 'ls /dev/loop*')).text.trim(),
      ),
    )
    t.same(seen.toSorted(), fake, 'each its own')
    t.equal(await codeOf(start(runtime, three)), 'ERR_NO_CAPACITY')
    const later = await plugin.open(plugin.config.parse({ gpus: fake }), host)
    t.equal(await codeOf(start(later, three)), 'ERR_NO_CAPACITY', 'a new process knows who has them')
    await later.close()
    await runtime.stop(one.id, { signal, graceMs: 5_000 })
    t.match(await start(runtime, three), { state: 'running' })
    t.equal(await codeOf(start(runtime, one)), 'ERR_NO_CAPACITY', 'what it had is another’s')
    await runtime.remove(three.id, { signal, keepData: false })
    t.match(await start(runtime, one), { state: 'running' })
  })

  await t.test('a card of NVIDIA without its driver: it is told, and nothing runs', async (t) => {
    const { runtime } = await open(t, { gpus: ['GPU-fake-0'] })
    const spec = specOf(image, { ...sleeps, gpus: 1 })
    t.equal(await codeOf(start(runtime, spec)), 'ERR_UNSUPPORTED')
    t.notMatch(await runtime.list({ signal }), [{ state: 'running' }])
    await runtime.remove(spec.id, { signal, keepData: false })
  })

  await t.test('a mount is private, holds no more than its folder, and is made for nobody', async (t) => {
    const { runtime, host } = await open(t)
    const root = folder(t)
    const spec = mounting(join(root, 'set'), true)
    await start(runtime, spec)
    const name = containerName(host, spec.id)
    t.match(await inside(docker, name, 'cat /data/mark'), { text: 'the set' })
    t.not((await inside(docker, name, 'echo x > /data/mark')).code, 0)
    const { HostConfig: made } = await docker.getContainer(name).inspect()
    t.match(
      made.Mounts?.find(({ Type }) => Type === 'bind'),
      {
        ReadOnly: true,
        BindOptions: { Propagation: 'rprivate', NonRecursive: true },
      },
    )
    t.equal(await codeOf(start(runtime, mounting(join(root, 'none')))), 'ERR_INVALID_SPEC')
    for (const target of ['/home', '/home/dev', '/tmp', '/proc/1', '/'])
      t.equal(
        await codeOf(start(runtime, { ...specOf(image), mounts: [{ source: root, target }] })),
        'ERR_INVALID_SPEC',
        target,
      )
    t.ok(runtime.guarded?.includes('/var/run/docker.sock'), 'the agent is told of the engine’s own parts')
  })

  await t.test('a source can’t be turned elsewhere by who writes around it', async (t) => {
    const { runtime } = await open(t)
    const root = folder(t)
    const inner = join(root, 'set')
    symlinkSync('/etc', join(root, 'link'))
    t.equal(
      await codeOf(start(runtime, mounting(join(root, 'link')))),
      'ERR_CONFLICT',
      'a link is not followed',
    )
    const outer = mounting(root)
    const victim = mounting(inner)
    const at = await Promise.allSettled([start(runtime, outer), start(runtime, victim)])
    t.equal(at[0]?.status, 'fulfilled')
    t.equal(
      await codeOf(start(runtime, mounting(inner))),
      'ERR_CONFLICT',
      'inside of what a live one may write to',
    )
    await runtime.remove(victim.id, { signal, keepData: false })
    await runtime.stop(outer.id, { signal, graceMs: 5_000 })
    const kept = mounting(inner)
    await start(runtime, kept)
    t.match(await start(runtime, mounting(inner)), { state: 'running' }, 'the same folder may be shared')
    await runtime.stop(kept.id, { signal, graceMs: 5_000 })
    renameSync(inner, join(root, 'moved'))
    symlinkSync('/etc', inner)
    t.equal(
      await codeOf(start(runtime, kept)),
      'ERR_CONFLICT',
      'a container that is there isn’t started on a link',
    )
    // The agent gives the path that it leads to: the old container would still mount the old one.
    const elsewhere = { ...kept, mounts: [{ source: join(root, 'moved'), target: '/data', readOnly: true }] }
    await start(runtime, elsewhere)
    const rows = await docker.listContainers({ filters: { label: [`dev.postern.workspace=${kept.id}`] } })
    t.match(
      rows[0]?.Mounts.find(({ Type }) => Type === 'bind'),
      { Source: join(root, 'moved'), RW: false },
    )
  })

  await t.test('on the host’s network there is no network of its own, and nothing is left', async (t) => {
    const { runtime, host } = await open(t)
    const spec = specOf(image, { ...sleeps, hostNetwork: true, ports: [{ port: 45_671 }] })
    const made = await start(runtime, spec)
    t.same(made.reach, { kind: 'ports', host: '127.0.0.1', ports: { '45671': 45_671 } })
    t.same((await runtime.list({ signal }))[0]?.reach, made.reach)
    t.notOk((await leftovers(docker, host)).some((one) => one.startsWith('network')))
    const { HostConfig: its } = await docker.getContainer(containerName(host, spec.id)).inspect()
    t.match(its, { NetworkMode: 'host', CapDrop: ['ALL'], Privileged: false })
    await runtime.remove(spec.id, { signal, keepData: false })
    t.same(await leftovers(docker, host), [])
  })
}
