/** The size of a home on Docker: the machine's own engine can't hold one and says so; a fake of one that can is asked for it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from '@postern/plugin'
import plugin from '@postern/plugin-docker'
import t, { type Test } from 'tap'
import { fakeQuotaEngine } from '../../support/docker-disk.ts'
import { engineLacks, machineEngine } from '../../support/docker-engine.ts'
import { tinyImage } from '../../support/docker-image.ts'
import { leftovers, quietHost, specOf } from '../../support/docker-world.ts'

t.setTimeout(180_000)
const MIB = 1024 ** 2
const signal = new AbortController().signal
const skip = engineLacks() ?? false
const sleeps = { command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1; done'] }

async function open(t: Test, host: Host, config: object) {
  const runtime = await plugin.open(plugin.config.parse(config), host)
  t.teardown(async () => {
    for (const { workspaceId } of await runtime.list({ signal }))
      await runtime.remove(workspaceId, { signal, keepData: false })
    await runtime.close()
  })
  return runtime
}

t.test(
  'an engine without quotas: no limit is declared, a size is refused, no volume is left',
  { skip },
  async (t) => {
    const docker = machineEngine()
    const image = await tinyImage(docker)
    const host = quietHost()
    const said: unknown[] = []
    const log = { ...host.log, info: (...words: unknown[]) => void said.push(words) }
    const runtime = await open(t, { ...host, log }, {})
    if (runtime.capabilities?.limits?.disk === true) {
      t.comment('this engine has quotas')
      return
    }
    t.match(JSON.stringify(said), /no quota support/, 'the operator can read why')
    t.equal(runtime.capabilities?.limits?.memory, true)
    t.same(await leftovers(docker, host), [])
    const spec = specOf(image, { ...sleeps, diskBytes: 64 * MIB })
    await t.rejects(runtime.start(spec, { signal }), { code: 'ERR_UNSUPPORTED', fix: /quota/ })
    t.same(await runtime.list({ signal }), [])
    t.same(await leftovers(docker, host), [], 'nothing was made')
    const { diskBytes: _, ...plain } = spec
    t.match(await runtime.start(plain, { signal }), { state: 'running' })
  },
)

t.test('a fake engine with quotas is asked for the size, once and for all', { skip }, async (t) => {
  const docker = machineEngine()
  const image = await tinyImage(docker)
  const folder = await mkdtemp(join(tmpdir(), 'disk-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const socketPath = join(folder, 's')
  const engine = await fakeQuotaEngine(socketPath)
  t.teardown(() => engine.close())
  const host = quietHost()
  const runtime = await open(t, host, { socketPath })
  t.equal(runtime.capabilities?.limits?.disk, true)
  t.notOk(runtime.capabilities?.growsDisk)
  t.same([...engine.sizes], [], 'the volume of the trial is gone')
  t.same(await leftovers(docker, host), [])

  const spec = specOf(image, { ...sleeps, diskBytes: 64 * MIB })
  await runtime.start(spec, { signal })
  t.same([...engine.sizes.values()], [String(64 * MIB)])
  t.match([...engine.sizes.keys()][0], /-home$/)
  const size = async (id: string): Promise<number | undefined> =>
    (await runtime.list({ signal })).find(({ workspaceId }) => workspaceId === id)?.diskBytes
  t.equal(await size(spec.id), 64 * MIB)
  const plain = specOf(image, sleeps)
  await runtime.start(plain, { signal })
  t.equal(engine.sizes.size, 1, 'without a size none is asked for')
  t.equal(await size(plain.id), undefined)

  const next = async (id: string): Promise<void> => runtime.remove(id, { signal, keepData: true })
  await next(spec.id)
  t.equal(await size(spec.id), 64 * MIB, 'also of what is only kept')
  for (const diskBytes of [32 * MIB, 128 * MIB])
    await t.rejects(runtime.start({ ...spec, generation: 2, diskBytes }, { signal }), {
      code: 'ERR_INVALID_SPEC',
      message: /67108864 bytes/,
      fix: /copy/,
    })
  await next(plain.id)
  await t.rejects(runtime.start({ ...plain, generation: 2, diskBytes: 64 * MIB }, { signal }), {
    code: 'ERR_INVALID_SPEC',
    message: /without a size/,
  })
  t.same([...engine.sizes.values()], [String(64 * MIB)], 'nothing was made anew')
  await next(spec.id)
  t.match(await runtime.start({ ...spec, generation: 3 }, { signal }), { state: 'running' })
  await next(plain.id)
  t.match(await runtime.start({ ...plain, generation: 3 }, { signal }), { state: 'running' })
})
