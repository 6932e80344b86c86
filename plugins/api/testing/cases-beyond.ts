/** Promises about what lies beyond a workspace's own walls: directories of the host, its network, its GPUs. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Runtime } from '../runtime.ts'
import type { WorkspaceSpec } from '../spec.ts'
import { askOver, dial } from './ask.ts'
import type { Sketch } from './cases-life.ts'
import { PROBE_PORT } from './probe.ts'
import type { Stage } from './stage.ts'

const TARGET = '/kit'

/** A directory of the host that any user may write to, with one file in it. */
async function withDirectory(work: (source: string) => Promise<void>): Promise<void> {
  const source = await mkdtemp(join(tmpdir(), 'plugin-kit-mount-'))
  try {
    await chmod(source, 0o777)
    await writeFile(join(source, 'given'), 'by the host')
    await work(source)
  } finally {
    await rm(source, { recursive: true, force: true })
  }
}

/** The probe reads and writes in its home: here the mount. */
function mounting(stage: Stage, source: string, readOnly: boolean): WorkspaceSpec {
  const env = [{ name: 'HOME', value: TARGET }]
  return stage.spec({ env, mounts: [{ source, target: TARGET, readOnly }] })
}

async function directoryIsMounted(stage: Stage): Promise<void> {
  await withDirectory(async (source) => {
    const runtime = await stage.open()
    const spec = mounting(stage, source, false)
    await runtime.start(spec, stage.call)
    assert.equal((await stage.ask(runtime, spec.id, 'read=given')).body.toString(), 'by the host')
    assert.equal((await stage.ask(runtime, spec.id, 'write=made.inside')).status, 200)
    assert.equal(await readFile(join(source, 'made'), 'utf8'), 'inside')
    await runtime.stop(spec.id, { ...stage.call, graceMs: 1_000 })
    await runtime.start(spec, stage.call)
    assert.equal((await stage.ask(runtime, spec.id, 'read=made')).body.toString(), 'inside')
    await runtime.remove(spec.id, { ...stage.call, keepData: false })
    assert.equal(
      await readFile(join(source, 'given'), 'utf8'),
      'by the host',
      'the host keeps what is its own',
    )
  })
}

async function readOnlyIsHeld(stage: Stage): Promise<void> {
  await withDirectory(async (source) => {
    const runtime = await stage.open()
    const spec = mounting(stage, source, true)
    await runtime.start(spec, stage.call)
    assert.equal((await stage.ask(runtime, spec.id, 'read=given')).status, 200)
    const stream = await dial(runtime, spec.id, PROBE_PORT, stage.signal)
    // A probe that ends by the error of its write has not written either.
    await askOver(stream, 'write=made.inside', stage.signal).catch(() => undefined)
    assert.deepEqual(await readdir(source), ['given'])
  })
}

async function missingSourceIsRefused(stage: Stage): Promise<void> {
  await withDirectory(async (source) => {
    const runtime = await stage.open()
    const spec = mounting(stage, join(source, 'nothing'), false)
    await stage.refusal(runtime.start(spec, stage.call), 'ERR_INVALID_SPEC')
    assert.deepEqual(await readdir(source), ['given'], 'nothing is made where there is no source')
    const running = (await runtime.list(stage.call)).filter(({ state }) => state === 'running')
    assert.deepEqual(running, [])
  })
}

async function strangePathsAreRefused(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const paths = ['relative', '/', '/a/../b', '/a/./b', '/a//b', '/a/', '', '/a\0b']
  for (const path of paths) {
    const source = { ...stage.spec(), mounts: [{ source: path, target: TARGET }] }
    await stage.refusal(runtime.start(source, stage.call), 'ERR_INVALID_SPEC')
    const target = { ...stage.spec(), mounts: [{ source: tmpdir(), target: path }] }
    await stage.refusal(runtime.start(target, stage.call), 'ERR_INVALID_SPEC')
  }
  const nested = [TARGET, `${TARGET}/in`].map((target) => ({ source: tmpdir(), target }))
  await stage.refusal(runtime.start({ ...stage.spec(), mounts: nested }, stage.call), 'ERR_INVALID_SPEC')
  for (const target of ['/proc', '/proc/1', '/sys/fs', '/dev/shm']) {
    const spec = { ...stage.spec(), mounts: [{ source: tmpdir(), target }] }
    await stage.refusal(runtime.start(spec, stage.call), 'ERR_INVALID_SPEC')
  }
  assert.deepEqual(await runtime.list(stage.call), [])
}

async function listening(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.end('the host’s own'))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

async function hostNetworkIsReached(stage: Stage): Promise<void> {
  const { server: keeper, port } = await listening()
  await new Promise((resolve) => keeper.close(resolve))
  const own = await listening()
  try {
    const runtime = await stage.open()
    const env = [{ name: 'PROBE_PORT', value: String(port) }]
    const spec = { ...stage.spec(), env, ports: [{ port }], hostNetwork: true }
    await runtime.start(spec, stage.call)
    const answer = await stage.until('an answer', async () =>
      askOver(await dial(runtime, spec.id, port, stage.signal), 'ready', stage.signal),
    )
    assert.equal(answer.body.toString(), 'ready')
    await stage.refusal(dial(runtime, spec.id, own.port, stage.signal), 'ERR_NOT_FOUND')
  } finally {
    own.server.close()
  }
}

async function gpusAreExclusive(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const total = runtime.gpus ?? 0
  const one = (): WorkspaceSpec => stage.spec({ gpus: 1 })
  await stage.refusal(runtime.start(stage.spec({ gpus: total + 1 }), stage.call), 'ERR_NO_CAPACITY')
  assert.deepEqual(await runtime.list(stage.call), [], 'a refused start makes nothing')
  if (total === 0) return
  const specs = Array.from({ length: total + 1 }, one)
  const results = await Promise.allSettled(specs.map((spec) => runtime.start(spec, stage.call)))
  const refused = specs.filter((_, at) => results[at]?.status === 'rejected')
  assert.equal(refused.length, 1, 'as many start as there are GPUs')
  const [late] = refused
  const [early] = specs.filter((spec) => spec !== late)
  assert.ok(early !== undefined && late !== undefined)
  await stage.refusal(runtime.start(late, stage.call), 'ERR_NO_CAPACITY')
  await freed(stage, runtime, early)
  await runtime.start(late, stage.call)
  await stage.refusal(runtime.start(early, stage.call), 'ERR_NO_CAPACITY')
}

/** One that has stopped holds none. */
async function freed(stage: Stage, runtime: Runtime, { id }: WorkspaceSpec): Promise<void> {
  await runtime.stop(id, { ...stage.call, graceMs: 1_000 })
  assert.notEqual((await stage.find(runtime, id))?.state, 'running')
}

export const beyondSketches: readonly Sketch[] = [
  {
    name: 'a directory of the host is mounted, and stays the host’s',
    needs: 'mounts',
    body: directoryIsMounted,
  },
  { name: 'a read-only mount is not written to', needs: 'mounts', body: readOnlyIsHeld },
  {
    name: 'a source that is not there is refused, and not made',
    needs: 'mounts',
    body: missingSourceIsRefused,
  },
  { name: 'a mount by a path that is not plain is ERR_INVALID_SPEC', body: strangePathsAreRefused },
  {
    name: 'on the host’s network only declared ports are reached',
    needs: 'hostNetwork',
    body: hostNetworkIsReached,
  },
  { name: 'a GPU is one workspace’s at a time', needs: 'gpus', body: gpusAreExclusive },
]
