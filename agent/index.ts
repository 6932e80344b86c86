/**
 * The agent: options in, a running reconciler out. Once control has given the ids, a later start opens the runtime
 * without control; what to do stays unknown until control answers, so nothing is done.
 */
import { join } from 'node:path'
import { RuntimeError, type Runtime } from '@postern/plugin'
import { ApiError, type Registered } from '../control/wire/index.ts'
import { connectTo } from './connect.ts'
import { ownDirectory } from './durable-file.ts'
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
  const ending = new AbortController()
  const starting =
    options.signal === undefined ? ending.signal : AbortSignal.any([ending.signal, options.signal])
  const identity = await openIdentity(options.stateDirectory)
  const random = options.random ?? Math.random
  const parts: RegistrationParts = { ...options, identity, random }
  const config = options.plugin.config.parse(options.pluginConfig)
  let tellEnd: (err: Error) => void = () => undefined
  const ended = new Promise<Error>((resolve) => (tellEnd = resolve))
  let heartbeatMs = 15_000

  const onEnd = (err: Error): void => {
    if (ending.signal.aborted) return
    const message =
      err instanceof ApiError && err.code === 'stale_epoch' ? 'a newer process took over' : 'ended'
    options.log.error(`the agent ends: ${message}`, { err })
    void room.loop.close().then(() => tellEnd(err))
  }

  const open = async (ids: HostIds): Promise<Room> => {
    const stateDirectory = join(options.stateDirectory, 'plugin')
    await ownDirectory(stateDirectory)
    const log = options.log.child({ plugin: options.plugin.name })
    const runtime = await options.plugin.open(config, { ...ids, stateDirectory, log, now: options.clock.now })
    options.log.info('the runtime is open', { runtime: options.plugin.name, ...ids })
    const limits = { ...defaultLimits, ...options.limits }
    const { control, clock } = options
    const loop = startLoop({
      ...{ control, clock, runtime, limits, random, onEnd, log: options.log },
      heartbeatMs: () => heartbeatMs,
    })
    return { ids, runtime, loop }
  }

  /** Takes what control said: ids that differ from ours are of another deployment, whose instances are not ours. */
  const settle = async (answer: Registered): Promise<void> => {
    heartbeatMs = answer.heartbeatMs
    const { deploymentId, hostId } = answer
    await identity.keepIds({ deploymentId, hostId })
    if (room.ids.deploymentId !== deploymentId || room.ids.hostId !== hostId) {
      options.log.warn('control knows this agent by other ids; opening the runtime anew', {
        deploymentId,
        hostId,
      })
      await closeRoom(room)
      room = await open({ deploymentId, hostId })
    }
    if (ending.signal.aborted) return
    options.log.info('control knows this agent', { hostId, epoch: answer.epoch })
    room.loop.follow()
  }

  let first: Registered | null = null
  let ids = identity.ids()
  if (ids === null) {
    first = await register(parts, [], starting)
    ids = { deploymentId: first.deploymentId, hostId: first.hostId }
    await identity.keepIds(ids)
  }
  let room = await open(ids)
  const subnets = room.runtime.workspaceSubnets ?? []
  const joining = (async (): Promise<void> => {
    // The subnets are known only now; the first register could not tell them.
    const told = subnets.length === 0 ? first : null
    await settle(told ?? (await register(parts, subnets, ending.signal)))
  })().catch((err: unknown) => {
    if (!ending.signal.aborted) onEnd(err instanceof Error ? err : new Error(String(err)))
  })
  if (first !== null) await joining

  let closed: Promise<void> | null = null
  return {
    get hostId() {
      return room.ids.hostId
    },
    get runtime() {
      return room.runtime
    },
    ended,
    connect: (target, port, call) => {
      if (ending.signal.aborted) return Promise.reject(new RuntimeError('ERR_CLOSED', 'the agent has ended'))
      return connectTo(room.runtime, room.loop.instances(target.workspaceId), target, port, call)
    },
    close: () => {
      ending.abort(new Error('the agent is closed'))
      return (closed ??= joining.then(() => closeRoom(room)))
    },
  }
}

async function closeRoom(room: Room): Promise<void> {
  await room.loop.close()
  await room.runtime.close()
}
