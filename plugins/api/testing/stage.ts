/** One case's stage: a host of its own, runtimes that are closed at the end, and a record of all logs and errors. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import { RuntimeError } from '../errors.ts'
import type { RuntimeCode } from '../errors.ts'
import type { Call, Host, Logger, Runtime } from '../runtime.ts'
import type { Instance, WorkspaceId, WorkspaceSpec } from '../spec.ts'
import { askOver, dial } from './ask.ts'
import type { Answer } from './ask.ts'
import type { ConformanceFactory } from './factory.ts'
import { PROBE_PORT } from './probe.ts'

/** What a case works with. */
export interface Stage {
  readonly factory: ConformanceFactory
  readonly host: Host
  readonly signal: AbortSignal
  readonly call: Call
  /** Everything logged and thrown so far, as text. */
  readonly heard: string[]
  /** Opens a Runtime on this stage's host, or on another one. */
  open(host?: Host): Promise<Runtime>
  /** A host that differs from this stage's in the given ids. */
  otherHost(ids: { deploymentId?: string; hostId?: string }): Promise<Host>
  /** A spec of a fresh workspace that runs the probe; `env` is added to what the probe needs. */
  spec(overrides?: Partial<WorkspaceSpec>): WorkspaceSpec
  /** The instance of a workspace as `list` shows it. */
  find(runtime: Runtime, id: WorkspaceId): Promise<Instance | undefined>
  /** Asks the probe, waiting until it answers. */
  ask(runtime: Runtime, id: WorkspaceId, question: string): Promise<Answer>
  /** Waits until `check` gives something; fails naming `what`. */
  until<T>(what: string, check: () => Promise<T | undefined | false>, timeoutMs?: number): Promise<T>
  /** The error that the promise rejects with; fails if it resolves. */
  refusal(promise: Promise<unknown>, code?: RuntimeCode): Promise<unknown>
  end(): Promise<void>
}

/** Opens a stage: a random deployment, so that stages may run side by side on one machine. */
export async function openStage(factory: ConformanceFactory): Promise<Stage> {
  const heard: string[] = []
  const runtimes: { runtime: Runtime; host: Host }[] = []
  const roots: string[] = []
  const touched = new Map<WorkspaceId, true>()
  const signal = AbortSignal.timeout(factory.deadlineMs ?? 60_000)
  // Every call and every question of the case listens to it.
  setMaxListeners(0, signal)

  async function makeHost(ids: { deploymentId?: string; hostId?: string }): Promise<Host> {
    const stateDirectory = await mkdtemp(join(factory.stateRoot ?? tmpdir(), 'plugin-kit-'))
    await chmod(stateDirectory, 0o711)
    roots.push(stateDirectory)
    const host: Host = {
      deploymentId: ids.deploymentId ?? `kit-${randomBytes(6).toString('hex')}`,
      hostId: ids.hostId ?? `host-${randomBytes(6).toString('hex')}`,
      stateDirectory,
      log: listeningLogger(heard),
      now: () => Date.now(),
    }
    await factory.prepare?.(host)
    return host
  }

  const host = await makeHost({})

  async function open(on: Host = host): Promise<Runtime> {
    const config = factory.plugin.config.parse(factory.config ?? {})
    const runtime = await factory.plugin.open(config, on)
    runtimes.push({ runtime, host: on })
    return runtime
  }

  const stage: Stage = {
    factory,
    host,
    signal,
    call: { signal },
    heard,
    open,
    otherHost: (ids) => makeHost({ deploymentId: host.deploymentId, hostId: host.hostId, ...ids }),
    spec(overrides = {}) {
      const id = overrides.id ?? randomBytes(8).toString('hex')
      touched.set(id, true)
      const env = [{ name: 'PROBE_PORT', value: String(PROBE_PORT) }, ...(overrides.env ?? [])]
      const base = { id, name: `probe-${id.slice(0, 8)}`, generation: 1, ports: [{ port: PROBE_PORT }] }
      return { ...base, ...factory.program, ...overrides, env }
    },
    async find(runtime, id) {
      const found = (await runtime.list({ signal })).filter((instance) => instance.workspaceId === id)
      assert.ok(found.length <= 1, `list shows ${found.length} instances of one workspace`)
      return found[0]
    },
    async ask(runtime, id, question) {
      return stage.until(`an answer to ${question.split('=')[0]}`, async () => {
        const socket = await dial(runtime, id, PROBE_PORT, signal)
        return askOver(socket, question, signal)
      })
    },
    until: (what, check, timeoutMs) => until(signal, what, check, timeoutMs),
    refusal: (promise, code) => refusal(heard, promise, code),
    async end() {
      const problems = await sweep(factory, [...touched.keys()], runtimes)
      for (const root of roots) await rm(root, { recursive: true, force: true })
      assert.deepEqual(problems, [], 'nothing may be left over when all workspaces are removed')
    },
  }
  return stage
}

async function until<T>(
  signal: AbortSignal,
  what: string,
  check: () => Promise<T | undefined | false>,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  let last: unknown
  while (Date.now() < deadline) {
    signal.throwIfAborted()
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value
    } catch (err) {
      last = err
    }
    await pause(25)
  }
  throw new assert.AssertionError({ message: `waited in vain for ${what}: ${inspect(last)}` })
}

async function refusal(heard: string[], promise: Promise<unknown>, code?: RuntimeCode): Promise<unknown> {
  const error: unknown = await promise.then(
    () =>
      assert.fail(`it resolved, and should have been refused${code === undefined ? '' : ` with ${code}`}`),
    (err: unknown) => err,
  )
  heard.push(inspect(error, { depth: 10, showHidden: true }))
  if (code !== undefined) {
    assert.ok(RuntimeError.is(error), `not a RuntimeError: ${inspect(error)}`)
    assert.equal(error.code, code, error.message)
  }
  return error
}

/** Removes every workspace from every host of the stage; what can't be removed or is left over comes back by name. */
async function sweep(
  factory: ConformanceFactory,
  ids: readonly WorkspaceId[],
  runtimes: readonly { runtime: Runtime; host: Host }[],
): Promise<string[]> {
  const problems: string[] = []
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((err: unknown) => problems.push(`${what}: ${inspect(err)}`))
  }
  for (const { runtime } of runtimes) await attempt('close', () => runtime.close())
  const hosts = new Set(runtimes.map((one) => one.host))
  for (const host of hosts) {
    const signal = AbortSignal.timeout(30_000)
    await attempt('sweep', async () => {
      const runtime = await factory.plugin.open(factory.plugin.config.parse(factory.config ?? {}), host)
      const listed = (await runtime.list({ signal })).map((instance) => instance.workspaceId)
      for (const id of new Set([...ids, ...listed])) await runtime.remove(id, { keepData: false, signal })
      problems.push(...(await runtime.list({ signal })).map((left) => `instance ${left.workspaceId}`))
      await runtime.close()
    })
  }
  for (const host of hosts) {
    await attempt('leftovers', async () => problems.push(...((await factory.leftovers?.(host)) ?? [])))
    await attempt('cleanup', async () => factory.cleanup?.(host))
  }
  return problems
}

function listeningLogger(heard: string[], bound: Readonly<Record<string, unknown>> = {}): Logger {
  const write = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
    heard.push(inspect([message, bound, fields], { depth: 10, showHidden: true }))
  }
  const child = (fields: Readonly<Record<string, unknown>>): Logger =>
    listeningLogger(heard, { ...bound, ...fields })
  return { debug: write, info: write, warn: write, error: write, child }
}
