/** Promises about what a runtime must not do: touch what is foreign, go on after an abort, let a secret out. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { Runtime } from '../runtime.ts'
import type { WorkspaceSpec } from '../spec.ts'
import type { Sketch } from './cases-life.ts'
import { PROBE_PORT } from './probe.ts'
import type { Stage } from './stage.ts'

async function othersAreInvisible(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const others = [
    await stage.otherHost({ deploymentId: `${stage.host.deploymentId}x` }),
    await stage.otherHost({ hostId: `${stage.host.hostId}x` }),
  ]
  for (const host of others) {
    const theirs = await stage.open(host)
    const spec = stage.spec()
    const { incarnation } = await theirs.start(spec, stage.call)
    await stage.ask(theirs, spec.id, 'ready')
    assert.deepEqual(await runtime.list(stage.call), [], 'what another host made is not listed')
    await runtime.stop(spec.id, { ...stage.call, graceMs: 100 })
    await runtime.remove(spec.id, { ...stage.call, keepData: false })
    const left = await stage.find(theirs, spec.id)
    assert.deepEqual([left?.state, left?.incarnation], ['running', incarnation], 'nor touched')
    await stage.ask(theirs, spec.id, 'ready')
  }
}

async function lookalikesAreLeft(stage: Stage): Promise<void> {
  const { spawnForeign } = stage.factory
  if (spawnForeign === undefined) return
  const runtime = await stage.open()
  const spec = stage.spec()
  const foreign = await spawnForeign.call(stage.factory, stage.host, spec)
  try {
    assert.deepEqual(await runtime.list(stage.call), [], 'a look-alike is not listed')
    await runtime.stop(spec.id, { ...stage.call, graceMs: 100 })
    await runtime.remove(spec.id, { ...stage.call, keepData: false })
    assert.ok(await foreign.isUntouched(), 'stop and remove leave a look-alike alone')
    await runtime
      .start(spec, stage.call)
      .catch((err: unknown) => stage.refusal(Promise.reject(err), 'ERR_CONFLICT'))
    await runtime.remove(spec.id, { ...stage.call, keepData: false })
    assert.ok(await foreign.isUntouched(), 'start leaves a look-alike alone')
  } finally {
    await foreign.remove()
  }
}

async function abortedBefore(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  const reason = new Error('the caller has gone')
  const signal = AbortSignal.abort(reason)
  const calls: (() => Promise<unknown>)[] = [
    () => runtime.health({ signal }),
    () => runtime.list({ signal }),
    () => runtime.start(spec, { signal }),
    () => runtime.stop(spec.id, { signal, graceMs: 1 }),
    () => runtime.remove(spec.id, { signal, keepData: false }),
  ]
  for (const call of calls)
    assert.equal(await stage.refusal(Promise.resolve().then(call)), reason, 'it rejects with the very reason')
  assert.deepEqual(await runtime.list(stage.call), [])
}

async function abortedHalfWay(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  for (const delayMs of [0, 1, 5, 20, 60]) {
    const spec = stage.spec()
    const reason = new Error(`gone after ${delayMs} ms`)
    const controller = new AbortController()
    const started = runtime.start(spec, { signal: controller.signal })
    const settled = started.then(
      () => undefined,
      (err: unknown) => err,
    )
    await pause(delayMs)
    controller.abort(reason)
    const error = await settled
    if (error !== undefined)
      assert.equal(error, reason, `after ${delayMs} ms it rejects with the very reason`)
    await checkNothingUnlabelled(stage, runtime, spec)
  }
}

async function checkNothingUnlabelled(stage: Stage, runtime: Runtime, spec: WorkspaceSpec): Promise<void> {
  const whole = await runtime.start(spec, stage.call)
  assert.equal(
    (await stage.find(runtime, spec.id))?.incarnation,
    whole.incarnation,
    'start goes on from there',
  )
  await runtime.remove(spec.id, { ...stage.call, keepData: false })
  assert.deepEqual(await runtime.list(stage.call), [])
  assert.deepEqual(
    await (stage.factory.leftovers?.(stage.host) ?? []),
    [],
    'nothing is left that remove missed',
  )
}

async function stopAbortedHalfWay(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec({ env: [{ name: 'PROBE_TERM', value: 'ignore' }] })
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  const reason = new Error('no longer')
  const controller = new AbortController()
  const stopping = stage.refusal(runtime.stop(spec.id, { signal: controller.signal, graceMs: 50_000 }))
  await pause(100)
  controller.abort(reason)
  assert.equal(await stopping, reason)
  await runtime.stop(spec.id, { ...stage.call, graceMs: 100 })
  assert.equal((await stage.find(runtime, spec.id))?.state, 'stopped')
}

async function badSpecsAreRefused(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const bad: Partial<WorkspaceSpec>[] = [
    { id: 'NOT-an-id' },
    { id: '../../../../tmp' },
    { generation: 0 },
    { ports: [{ port: 70_000 }] },
    { env: [{ name: 'NO=NAME', value: '' }] },
    { files: [{ path: '../outside', content: '' }] },
    { memoryBytes: -1 },
  ]
  for (const overrides of bad) {
    const spec = { ...stage.spec(), ...overrides }
    await stage.refusal(runtime.start(spec, stage.call), 'ERR_INVALID_SPEC')
  }
  assert.deepEqual(await runtime.list(stage.call), [], 'a refused spec makes nothing')
}

async function missingImage(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec({ image: '127.0.0.1:1/not/there:1' })
  await stage.refusal(runtime.start(spec, stage.call), 'ERR_IMAGE_UNAVAILABLE')
  assert.deepEqual(
    (await runtime.list(stage.call)).filter((instance) => instance.state === 'running'),
    [],
  )
}

async function longestNames(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const values = {
    [`E${'n'.repeat(199)}`]: 'x',
    KIT_EMPTY: '',
    KIT_TEXT: 'žluťoučký 馬 "$HOME" `id` \\ \'',
    KIT_LINES: 'a\nb',
  }
  const spec = stage.spec({
    id: stage.host.deploymentId.replace(/[^a-z0-9]/g, '').padEnd(40, '0'),
    name: 'n'.repeat(40),
    generation: 2 ** 31,
    env: Object.entries(values).map(([name, value]) => ({ name, value })),
  })
  await runtime.start(spec, stage.call)
  for (const [name, value] of Object.entries(values)) {
    const answer = await stage.ask(runtime, spec.id, `env=${name}`)
    assert.deepEqual([answer.status, answer.body.toString()], [200, value], name.slice(0, 20))
  }
  assert.equal((await stage.find(runtime, spec.id))?.generation, 2 ** 31)
}

async function secretStaysIn(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const secret = 'canary-5f1d0a9c-never-shown'
  const spec = stage.spec({ env: [{ name: 'KIT_SECRET', value: secret }] })
  stage.heard.push(inspect(await runtime.start(spec, stage.call), { depth: 10 }))
  await stage.ask(runtime, spec.id, 'ready')
  await stage.refusal(runtime.start({ ...spec, generation: 9 }, stage.call), 'ERR_CONFLICT')
  await stage.refusal(runtime.start({ ...spec, ports: [{ port: -1 }] }, stage.call), 'ERR_INVALID_SPEC')
  const zero = { ...spec, env: [{ name: 'KIT_SECRET', value: `${secret}\0` }] }
  await stage.refusal(runtime.start(zero, stage.call), 'ERR_INVALID_SPEC')
  const failing = stage.spec({ env: [{ name: 'KIT_SECRET', value: secret }], command: ['/not/there'] })
  stage.heard.push(
    inspect(await runtime.start(failing, stage.call).catch((err: unknown) => err), {
      depth: 10,
      showHidden: true,
    }),
  )
  stage.heard.push(inspect([await runtime.list(stage.call), await runtime.health(stage.call)], { depth: 10 }))
  await runtime.stop(spec.id, { ...stage.call, graceMs: 1_000 })
  await runtime.remove(failing.id, { ...stage.call, keepData: false })
  const told = stage.heard.find((text) => text.includes(secret))
  assert.equal(told?.replaceAll(secret, '(the secret)'), undefined, 'no error and no log may hold it')
}

async function manyAtOnce(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const specs = Array.from({ length: 4 }, () => stage.spec())
  const started = await Promise.all(specs.map((spec) => runtime.start(spec, stage.call)))
  assert.equal(new Set(started.map((instance) => instance.incarnation)).size, specs.length)
  const [first, ...rest] = specs
  assert.ok(first !== undefined)
  await runtime.remove(first.id, { ...stage.call, keepData: false })
  for (const spec of rest) assert.equal((await stage.ask(runtime, spec.id, 'ready')).status, 200)
  const left = (await runtime.list(stage.call)).map((instance) => instance.workspaceId)
  assert.deepEqual(left.toSorted(), rest.map((spec) => spec.id).toSorted())
}

async function strangePortIsNotFound(stage: Stage): Promise<void> {
  const runtime = await stage.open()
  const spec = stage.spec()
  await runtime.start(spec, stage.call)
  await stage.ask(runtime, spec.id, 'ready')
  const { id } = spec
  const dial = (of: string, port: number): Promise<unknown> =>
    Promise.resolve().then(() => runtime.connect?.(of, port, stage.call))
  await stage.refusal(dial(id, 1), 'ERR_NOT_FOUND')
  await stage.refusal(dial(`${id}x`, PROBE_PORT), 'ERR_NOT_FOUND')
  await runtime.stop(id, { ...stage.call, graceMs: 1_000 })
  await stage.refusal(dial(id, PROBE_PORT), 'ERR_NOT_FOUND')
}

export const boundSketches: readonly Sketch[] = [
  { name: 'what another host or deployment made is never listed or touched', body: othersAreInvisible },
  { name: 'a foreign look-alike is never listed or touched', body: lookalikesAreLeft },
  { name: 'an abort before a call rejects with the very reason', body: abortedBefore },
  { name: 'an abort half-way through start leaves nothing unlabelled', body: abortedHalfWay },
  { name: 'an abort half-way through stop rejects at once', body: stopAbortedHalfWay },
  { name: 'an unusable spec is ERR_INVALID_SPEC', body: badSpecsAreRefused },
  { name: 'a missing image is ERR_IMAGE_UNAVAILABLE', needs: 'images', body: missingImage },
  { name: 'longest names, empty, non-ASCII and many-line values', body: longestNames },
  { name: 'a secret in the environment is in no error and no log', body: secretStaysIn },
  { name: 'several workspaces at once keep out of each other’s way', body: manyAtOnce },
  {
    name: 'a port that nothing of it listens on is ERR_NOT_FOUND',
    needs: 'connect',
    body: strangePortIsNotFound,
  },
]
