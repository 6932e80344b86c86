/** Promises about start, stop, remove and close: every verb repeatable, data kept, truth in the runtime. */
import assert from 'node:assert/strict'
import type { Instance } from '../spec.ts'
import type { Capabilities } from '../runtime.ts'
import { askOver, dial } from './ask.ts'
import { PROBE_PORT } from './probe.ts'
import type { Stage } from './stage.ts'

/** A case before it has a stage. */
export interface Sketch {
  readonly name: string
  readonly needs?: keyof Capabilities
  body(stage: Stage): Promise<void>
}

const GRACE_MS = 5_000

async function freshListIsEmpty(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  assert.deepEqual(await runtime.list(stage.call), [])
  assert.equal((await runtime.health(stage.call)).status, 'healthy')
}

async function startThenList(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec({ generation: 7 })
  const before = Date.now()
  const started = await runtime.start(spec, stage.call)
  checkShape(started)
  const listed = await stage.until('state running', async () => {
    const found = await stage.find(runtime, spec.id)
    return found?.state === 'running' ? found : undefined
  })
  checkShape(listed)
  assert.equal(started.workspaceId, spec.id)
  assert.equal(listed.generation, 7)
  assert.equal(listed.incarnation, started.incarnation)
  assert.notEqual(listed.incarnation, '')
  assert.ok(Math.abs(listed.createdAtMs - before) < 60_000, 'createdAtMs is milliseconds since 1970')
}

function checkShape(instance: Instance): void {
  assert.equal(typeof instance.workspaceId, 'string')
  assert.ok(['starting', 'running', 'stopped', 'failed', 'retained'].includes(instance.state))
  assert.ok(['address', 'ports', 'none'].includes(instance.reach.kind))
  assert.deepEqual(structuredClone(instance), instance, 'an instance is plain data')
}

async function startIsRepeatable(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  const both = await Promise.allSettled([runtime.start(spec, stage.call), runtime.start(spec, stage.call)])
  assert.ok(
    both.some((result) => result.status === 'fulfilled'),
    'of two starts at once, at least one succeeds',
  )
  const first = await runtime.start(spec, stage.call)
  const again = await runtime.start(spec, stage.call)
  assert.equal(again.incarnation, first.incarnation, 'a start of what runs leaves it as it is')
  assert.equal((await runtime.list(stage.call)).length, 1)
}

async function otherGenerationConflicts(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec({ generation: 2 })
  const { incarnation } = await runtime.start(spec, stage.call)
  for (const generation of [1, 3])
    await stage.refusal(runtime.start({ ...spec, generation }, stage.call), 'ERR_CONFLICT')
  const left = await stage.find(runtime, spec.id)
  assert.equal(left?.incarnation, incarnation, 'a refused start leaves what is there')
  await runtime.remove(spec.id, { ...stage.call, keepData: true })
  await runtime.start({ ...spec, generation: 3 }, stage.call)
  assert.equal((await stage.find(runtime, spec.id))?.generation, 3)
}

async function stopIsRepeatable(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  await runtime.stop(spec.id, { ...stage.call, graceMs: GRACE_MS })
  assert.deepEqual(await runtime.list(stage.call), [], 'a stop of something absent makes nothing')
  const first = await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  for (let round = 0; round < 2; round++) {
    await runtime.stop(spec.id, { ...stage.call, graceMs: GRACE_MS })
    assert.equal((await stage.find(runtime, spec.id))?.state, 'stopped')
  }
  const second = await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  assert.notEqual(second.incarnation, first.incarnation, 'a restarted program is a new incarnation')
  assert.equal((await stage.find(runtime, spec.id))?.incarnation, second.incarnation)
}

async function stopKeepsData(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'write=note.kept')
  await runtime.stop(spec.id, { ...stage.call, graceMs: GRACE_MS })
  await runtime.stop(spec.id, { ...stage.call, graceMs: GRACE_MS })
  await runtime.start(spec, stage.call)
  assert.equal((await stage.ask(runtime, spec.id, 'read=note')).body.toString(), 'kept')
}

async function removeIsRepeatable(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  await runtime.remove(spec.id, { ...stage.call, keepData: false })
  await runtime.remove(spec.id, { ...stage.call, keepData: true })
  assert.deepEqual(await runtime.list(stage.call), [], 'a remove of something absent makes nothing')
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  await runtime.remove(spec.id, { ...stage.call, keepData: false })
  await runtime.remove(spec.id, { ...stage.call, keepData: false })
  assert.deepEqual(await runtime.list(stage.call), [])
}

async function keepDataRetains(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec({ generation: 4 })
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'write=note.kept')
  for (let round = 0; round < 2; round++) {
    await runtime.remove(spec.id, { ...stage.call, keepData: true })
    const left = await stage.find(runtime, spec.id)
    assert.deepEqual([left?.state, left?.generation, left?.incarnation], ['retained', 0, ''])
  }
  await runtime.start({ ...spec, generation: 5 }, stage.call)
  assert.equal((await stage.ask(runtime, spec.id, 'read=note')).body.toString(), 'kept')
  await runtime.remove(spec.id, { ...stage.call, keepData: true })
  await runtime.remove(spec.id, { ...stage.call, keepData: false })
  assert.deepEqual(await runtime.list(stage.call), [])
  await runtime.start({ ...spec, generation: 6 }, stage.call)
  assert.equal((await stage.ask(runtime, spec.id, 'read=note')).status, 404, 'deleted data stays deleted')
}

async function newRuntimeSeesOld(stage: Stage): Promise<void> {
  const old = await stage.open()
  const spec = stage.spec({ generation: 3 })
  const { incarnation } = await old.start(spec, stage.call)
  await stage.ask(old, spec.id, 'ready')
  await old.close()
  const runtime = await stage.open()
  const found = await stage.find(runtime, spec.id)
  assert.deepEqual([found?.generation, found?.incarnation, found?.state], [3, incarnation, 'running'])
  assert.equal((await stage.ask(runtime, spec.id, 'ready')).status, 200, 'it lives on after close')
  const again = await runtime.start(spec, stage.call)
  assert.equal(again.incarnation, incarnation)
  await runtime.stop(spec.id, { ...stage.call, graceMs: GRACE_MS })
  assert.equal((await stage.find(runtime, spec.id))?.state, 'stopped')
}

async function closeIsRepeatable(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  await runtime.close()
  await runtime.close()
  const spec = stage.spec()
  const calls: (() => Promise<unknown>)[] = [
    () => runtime.health(stage.call),
    () => runtime.list(stage.call),
    () => runtime.start(spec, stage.call),
    () => runtime.stop(spec.id, { ...stage.call, graceMs: 1 }),
    () => runtime.remove(spec.id, { ...stage.call, keepData: false }),
  ]
  for (const call of calls) await stage.refusal(Promise.resolve().then(call), 'ERR_CLOSED')
}

async function graceIsHonoured(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec({ env: [{ name: 'PROBE_TERM', value: 'linger' }] })
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  await runtime.stop(spec.id, { ...stage.call, graceMs: 15_000 })
  const stopped = await stage.find(runtime, spec.id)
  assert.equal(stopped?.state, 'stopped')
  if (stopped?.exit !== undefined) assert.equal(stopped.exit.code, 0, 'it ended by itself within the grace')
  if (stage.factory.plugin.capabilities.volumes !== true) return
  await runtime.start(spec, stage.call)
  assert.equal((await stage.ask(runtime, spec.id, 'read=lingered')).body.toString(), '1')
}

async function forceAfterGrace(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec({ env: [{ name: 'PROBE_TERM', value: 'ignore' }] })
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  const before = performance.now()
  await runtime.stop(spec.id, { ...stage.call, graceMs: 1_000 })
  const tookMs = performance.now() - before
  assert.ok(tookMs > 900, `it was given ${Math.round(tookMs)} ms of a grace of 1000`)
  assert.ok(tookMs < 15_000, `it took ${Math.round(tookMs)} ms to use force`)
  assert.equal((await stage.find(runtime, spec.id))?.state, 'stopped')
}

async function exitIsReported(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  for (const [code, state] of [
    [3, 'failed'],
    [0, 'stopped'],
  ] as const) {
    const spec = stage.spec()
    await runtime.start(spec, stage.call)
    await stage.ask(runtime, spec.id, 'ready')
    await leave(stage, runtime, spec.id, code)
    const ended = await stage.until(`state ${state}`, async () => {
      const found = await stage.find(runtime, spec.id)
      return found?.state === state ? found : undefined
    })
    if (ended.exit !== undefined) assert.equal(ended.exit.code, code)
    const again = await runtime.start(spec, stage.call)
    assert.notEqual(again.incarnation, ended.incarnation, 'start brings an ended program back')
    await stage.ask(runtime, spec.id, 'ready')
  }
}

/** Asks the probe to end; whether it manages to answer is its own affair. */
export async function leave(
  stage: Stage,
  runtime: Awaited<ReturnType<Stage['open']>>,
  id: string,
  code: number,
): Promise<void> {
  const stream = await dial(runtime, id, PROBE_PORT, stage.signal)
  await askOver(stream, `exit=${code}`, stage.signal).catch(() => undefined)
}

export const lifeSketches: readonly Sketch[] = [
  { name: 'a fresh list is empty and health is healthy', body: freshListIsEmpty },
  { name: 'start, then list shows the same generation and incarnation', body: startThenList },
  { name: 'start twice, and twice at once, leaves one', body: startIsRepeatable },
  { name: 'start at another generation is refused with ERR_CONFLICT', body: otherGenerationConflicts },
  { name: 'stop twice, start again: a new incarnation', body: stopIsRepeatable },
  { name: 'stop, stop, start keeps the data', needs: 'volumes', body: stopKeepsData },
  { name: 'remove while running, twice, and of something absent', body: removeIsRepeatable },
  {
    name: 'remove with keepData leaves it retained, without leaves nothing',
    needs: 'volumes',
    body: keepDataRetains,
  },
  { name: 'a new runtime sees what an old one made, alive', body: newRuntimeSeesOld },
  { name: 'close twice; use after close is ERR_CLOSED', body: closeIsRepeatable },
  { name: 'the grace period is honoured', body: graceIsHonoured },
  { name: 'force follows the grace period', body: forceAfterGrace },
  { name: 'a program that ends is stopped or failed by its exit code', body: exitIsReported },
]
