/** Promises about the size of a workspace's disk: what is declared is held, and never at the cost of data. */
import assert from 'node:assert/strict'
import type { Runtime } from '../runtime.ts'
import type { WorkspaceSpec } from '../spec.ts'
import type { Sketch } from './cases-life.ts'
import type { Stage } from './stage.ts'

const MIB = 1024 * 1024
const SIZE = 32 * MIB

/** Whether it is held as opened; a plugin that doesn't declare it makes no promise. */
function isHeld({ factory }: Stage, runtime: Runtime): boolean {
  return (runtime.capabilities ?? factory.plugin.capabilities).limits?.disk === true
}

async function sizeIsHeld(stage: Stage): Promise<void> {
  if (stage.factory.plugin.capabilities.limits?.disk !== true) return
  const runtime = await stage.open()
  const spec = stage.spec({ diskBytes: SIZE })
  if (!isHeld(stage, runtime)) {
    await stage.refusal(runtime.start(spec, stage.call), 'ERR_UNSUPPORTED')
    assert.deepEqual(await runtime.list(stage.call), [], 'a refused start makes nothing')
    return
  }
  const ask = async (question: string): Promise<string> => {
    const { status, body } = await stage.ask(runtime, spec.id, question)
    return status === 200 ? body.toString() : String(status)
  }
  await runtime.start(spec, stage.call)
  assert.equal(await ask('write=kept.before'), 'ok')
  assert.equal((await stage.find(runtime, spec.id))?.diskBytes, SIZE, 'list says what its data has')
  assert.equal(await ask(`fill=some.${8 * MIB}`), 'ok', 'what fits is taken')
  assert.equal(await ask(`fill=beyond.${SIZE}`), '404', 'what goes beyond it is refused')
  assert.equal(await ask('read=kept'), 'before', 'what was there is safe')
  const other = stage.spec()
  await runtime.start(other, stage.call)
  assert.equal((await stage.ask(runtime, other.id, 'write=free.yes')).status, 200, 'nobody else is hit')
}

async function nextOf(
  stage: Stage,
  runtime: Runtime,
  spec: WorkspaceSpec,
  bytes: number,
): Promise<WorkspaceSpec> {
  await runtime.remove(spec.id, { ...stage.call, keepData: true })
  return { ...spec, generation: spec.generation + 1, diskBytes: bytes }
}

async function sizeOnlyGrows(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  if (!isHeld(stage, runtime)) return
  let spec = stage.spec({ diskBytes: SIZE })
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'write=kept.before')
  spec = await nextOf(stage, runtime, spec, SIZE / 2)
  await stage.refusal(runtime.start(spec, stage.call), 'ERR_INVALID_SPEC')
  const grows = (runtime.capabilities ?? stage.factory.plugin.capabilities).growsDisk === true
  spec = await nextOf(stage, runtime, spec, 4 * SIZE)
  if (grows) await runtime.start(spec, stage.call)
  else {
    await stage.refusal(runtime.start(spec, stage.call), 'ERR_INVALID_SPEC')
    spec = await nextOf(stage, runtime, spec, SIZE)
    await runtime.start(spec, stage.call)
  }
  assert.equal((await stage.ask(runtime, spec.id, 'read=kept')).body.toString(), 'before', 'data is kept')
  const { status } = await stage.ask(runtime, spec.id, `fill=more.${2 * SIZE}`)
  assert.equal(status, grows ? 200 : 404, 'it has the size that it now has')
}

export const diskSketches: readonly Sketch[] = [
  {
    name: 'a disk has the size that was asked for, or the start is refused',
    needs: 'limits',
    body: sizeIsHeld,
  },
  { name: 'a disk with data grows or is refused, and keeps its data', needs: 'limits', body: sizeOnlyGrows },
]
