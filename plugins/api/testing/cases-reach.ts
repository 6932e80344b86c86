/** Promises about what is declared: endpoints that answer, hints that come, lines that were printed. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { pluginProblems, runtimeProblems } from '../check.ts'
import type { LogLine } from '../runtime.ts'
import { askOver, dialReach } from './ask.ts'
import { leave } from './cases-life.ts'
import type { Sketch } from './cases-life.ts'
import { PROBE_PORT } from './probe.ts'
import type { Stage } from './stage.ts'

async function declaredIsImplemented(stage: Stage): Promise<void> {
  const { plugin } = stage.factory
  assert.deepEqual(pluginProblems(plugin), [])
  assert.deepEqual(runtimeProblems(plugin.capabilities, await stage.open()), [])
}

async function endpointAnswers(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  await runtime.start(spec, stage.call)
  const answer = await stage.ask(runtime, spec.id, 'ready')
  assert.deepEqual([answer.status, answer.body.toString()], [200, 'ready'])
  const instance = await stage.until('a way to the port', async () => {
    const found = await stage.find(runtime, spec.id)
    const { reach } = found ?? {}
    return reach?.kind === 'ports' && reach.ports[String(PROBE_PORT)] === undefined ? undefined : found
  })
  if (instance.reach.kind === 'none') {
    assert.ok(runtime.connect !== undefined, 'reach is none, and there is no connect')
    return
  }
  const direct = await askOver(await dialReach(instance, PROBE_PORT, stage.signal), 'ready', stage.signal)
  assert.equal(direct.body.toString(), 'ready', 'reach leads to the same program')
}

async function watchHints(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  const reason = new Error('seen enough')
  const controller = new AbortController()
  const seen = new Set<string>()
  const watching = (async () => {
    for await (const hint of runtime.watch?.({ signal: controller.signal }) ?? []) seen.add(hint)
  })()
  // Subscribing takes a moment; what changed before it is what a caller sees in its first list.
  await pause(300)
  await leave(stage, runtime, spec.id, 3)
  await stage.until('a hint', () => Promise.resolve(seen.has(spec.id) || seen.has('*')), 5_000)
  controller.abort(reason)
  const ended = await watching.catch((err: unknown) => err)
  assert.ok(ended === undefined || ended === reason, 'an aborted watch ends, or rejects with the very reason')
}

async function logsAreGiven(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'print=first')
  await stage.ask(runtime, spec.id, 'print=second')
  const lines = await stage.until('both lines', async () => {
    const got: LogLine[] = []
    for await (const line of runtime.logs?.(spec.id, { ...stage.call, tail: 50 }) ?? []) got.push(line)
    return got.some((line) => line.text === 'second') ? got : undefined
  })
  const texts = lines.map((line) => line.text).filter((text) => text === 'first' || text === 'second')
  assert.deepEqual(texts, ['first', 'second'])
  assert.ok(lines.every((line) => line.stream === 'stdout' || line.stream === 'stderr'))
  const controller = new AbortController()
  const followed: string[] = []
  const following = (async () => {
    const query = { signal: controller.signal, tail: 1, follow: true }
    for await (const line of runtime.logs?.(spec.id, query) ?? []) followed.push(line.text)
  })()
  await stage.until('a followed line', async () => {
    await stage.ask(runtime, spec.id, 'print=third')
    return followed.includes('third')
  })
  controller.abort(new Error('enough'))
  await following.catch((err: unknown) => assert.equal(err, controller.signal.reason))
}

export const reachSketches: readonly Sketch[] = [
  { name: 'what is declared is implemented, and nothing else', body: declaredIsImplemented },
  { name: 'the endpoint answers HTTP', body: endpointAnswers },
  { name: 'watch hints within 5 s of a change from outside', needs: 'watch', body: watchHints },
  { name: 'logs give what was printed, in order, and follow', needs: 'logs', body: logsAreGiven },
]
