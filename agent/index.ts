/**
 * The agent: options in, a running reconciler out. Once control has given the ids, a later start opens the runtime
 * without control; what to do stays unknown until control answers, so nothing is done.
 */
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { RuntimeError, type Runtime } from '@postern/plugin'
import { ApiError, type Registered } from '../control/wire/index.ts'
import { connectTo, type Target } from './connect.ts'
import { ownDirectory } from './durable-file.ts'
import { lawfulSpec, noLaw, offeredBy } from './host-law.ts'
import { openIdentity, type HostIds } from './identity.ts'
import { startLoop, type Loop } from './loop.ts'
import { defaultLimits } from './plan.ts'
import { register, type RegistrationParts } from './registration.ts'
import type { Agent, AgentOptions } from './seams.ts'

/** A runtime opened under one pair of ids, and the loop that works on it. */
interface Room {
  readonly ids: HostIds
  readonly runtime: Runtime
  readonly loop: Loop
}

/**
 * Starts the agent. The first time it waits until control has answered; later it waits for the runtime only.
 * @throws ApiError when control refuses this agent; RuntimeError when the runtime can't be opened; what
 * `plugin.config.parse` throws
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const identity = await openIdentity(options.stateDirectory)
  const parts: RegistrationParts = {
    ...options,
    identity,
    law: options.law ?? noLaw,
    random: options.random ?? Math.random,
  }
  const config = options.plugin.config.parse(options.pluginConfig)
  let first: Registered | null = null
  let ids = identity.ids()
  if (ids === null) {
    first = await register(parts, null, options.signal ?? new AbortController().signal)
    ids = { deploymentId: first.deploymentId, hostId: first.hostId }
    await identity.keepIds(ids)
  }
  const agent = new OpenAgent(options, parts, config)
  await agent.open(ids)
  const joining = agent.join(first)
  if (first !== null) await joining
  return agent
}

class OpenAgent implements Agent {
  readonly ended: Promise<Error>
  readonly #options: AgentOptions
  readonly #parts: RegistrationParts
  readonly #config: unknown
  readonly #ending = new AbortController()
  #tellEnd: (err: Error) => void = () => undefined
  #heartbeatMs = 15_000
  #hasEnded = false
  #room: Room | null = null
  #joining: Promise<void> = Promise.resolve()
  #closed: Promise<void> | null = null

  constructor(options: AgentOptions, parts: RegistrationParts, config: unknown) {
    this.#options = options
    this.#parts = parts
    this.#config = config
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve))
  }

  get hostId(): string {
    return this.#open.ids.hostId
  }

  get runtime(): Runtime {
    return this.#open.runtime
  }

  get #open(): Room {
    if (this.#room === null) throw new RuntimeError('ERR_CLOSED', 'the runtime is not open')
    return this.#room
  }

  async connect(target: Target, port: number, call: { readonly signal: AbortSignal }): Promise<Duplex> {
    if (this.#ending.signal.aborted) throw new RuntimeError('ERR_CLOSED', 'the agent has ended')
    const { runtime, loop } = this.#open
    return await connectTo(runtime, loop.instances(target.workspaceId), target, port, call)
  }

  close(): Promise<void> {
    this.#ending.abort(new Error('the agent is closed'))
    return (this.#closed ??= this.#joining.then(() => this.#closeRoom()))
  }

  async open(ids: HostIds): Promise<void> {
    const { plugin, log, clock, control, limits } = this.#options
    const stateDirectory = join(this.#options.stateDirectory, 'plugin')
    await ownDirectory(stateDirectory)
    const host = { ...ids, stateDirectory, log: log.child({ plugin: plugin.name }), now: () => clock.now() }
    const runtime = await plugin.open(this.#config, host)
    log.info('the runtime is open', { runtime: plugin.name, ...ids })
    const { law } = this.#parts
    const offered = offeredBy(plugin.capabilities, runtime, law)
    const loop = startLoop({
      control,
      clock,
      runtime,
      lawful: (spec) => lawfulSpec(spec, law, runtime, offered),
      log,
      limits: { ...defaultLimits, ...limits },
      random: this.#parts.random,
      heartbeatMs: () => this.#heartbeatMs,
      onEnd: (err) => this.#end(err),
    })
    this.#room = { ids, runtime, loop }
  }

  /** Makes control know this agent and follows it from then on; `first` is an answer that was given already. */
  join(first: Registered | null): Promise<void> {
    // A register before the runtime was open could not tell its subnets, nor all that it can do.
    const { runtime } = this.#open
    const { plugin, law } = this.#parts
    const before = offeredBy(plugin.capabilities, null, law)
    const isAll = isDeepStrictEqual(before, offeredBy(plugin.capabilities, runtime, law))
    const told = (runtime.workspaceSubnets ?? []).length === 0 && isAll ? first : null
    const { signal } = this.#ending
    this.#joining = (async (): Promise<void> => {
      await this.#settle(told ?? (await register(this.#parts, runtime, signal)))
    })().catch((err: unknown) => {
      if (!signal.aborted) this.#end(err instanceof Error ? err : new Error(String(err)))
    })
    return this.#joining
  }

  /** Takes what control said: ids that differ from ours are of another deployment, whose instances are not ours. */
  async #settle(answer: Registered): Promise<void> {
    const { deploymentId, hostId, epoch } = answer
    const { log } = this.#options
    this.#heartbeatMs = answer.heartbeatMs
    await this.#parts.identity.keepIds({ deploymentId, hostId })
    const { ids } = this.#open
    if (ids.deploymentId !== deploymentId || ids.hostId !== hostId) {
      log.warn('control knows this agent by other ids; opening the runtime anew', { deploymentId, hostId })
      await this.#closeRoom()
      await this.open({ deploymentId, hostId })
    }
    if (this.#ending.signal.aborted) return
    log.info('control knows this agent', { hostId, epoch })
    this.#open.loop.follow()
  }

  #end(err: Error): void {
    if (this.#ending.signal.aborted || this.#hasEnded) return
    this.#hasEnded = true
    const isStale = err instanceof ApiError && err.code === 'stale_epoch'
    const message = isStale ? 'the agent ends: a newer process took over' : 'the agent ends'
    this.#options.log.error(message, { err })
    void this.#room?.loop.close().then(() => this.#tellEnd(err))
  }

  async #closeRoom(): Promise<void> {
    const room = this.#room
    this.#room = null
    await room?.loop.close()
    await room?.runtime.close()
  }
}
