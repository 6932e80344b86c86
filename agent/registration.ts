/** Makes this agent known to control: an identity and a runtime in, the ids and the heartbeat that control gives out. */
import type { Logger, Runtime, RuntimePlugin } from '@postern/plugin'
import { ApiError, type AgentControl, type Register, type Registered } from '../control/wire/index.ts'
import { backoffMs, jittered } from './backoff.ts'
import { offeredBy, type HostLaw } from './host-law.ts'
import type { Identity } from './identity.ts'
import type { Clock } from './seams.ts'

export interface RegistrationParts {
  readonly control: AgentControl
  readonly identity: Identity
  readonly plugin: RuntimePlugin
  readonly law: HostLaw
  readonly name: string
  readonly machineId: string
  readonly version: string
  readonly log: Logger
  readonly clock: Clock
  readonly random: () => number
}

const bounds = { firstMs: 250, maxMs: 30_000 }

/**
 * Registers, again and again until control has answered; before the runtime is open only what surely holds is told.
 * @throws ApiError for an answer that no later try would change, such as a join token that isn't known
 */
export async function register(
  parts: RegistrationParts,
  runtime: Runtime | null,
  signal: AbortSignal,
): Promise<Registered> {
  const { clock, log } = parts
  for (let failures = 1; ; failures += 1) {
    try {
      const answer = await parts.control.register(bodyOf(parts, runtime), { signal })
      if (failures > 1) log.info('registered after waiting for control', { failures: failures - 1 })
      return answer
    } catch (err) {
      signal.throwIfAborted()
      if (isRefusal(err)) throw err
      if (failures === 1) log.warn('control cannot be reached to register; trying again', { err })
      await clock.sleep(jittered(backoffMs(failures, bounds), parts.random()), { signal })
    }
  }
}

function bodyOf(parts: RegistrationParts, runtime: Runtime | null): Register {
  const issuedAtMs = parts.clock.now()
  const { name, capabilities } = parts.plugin
  return {
    name: parts.name,
    publicKey: parts.identity.publicKey,
    machineId: parts.machineId,
    issuedAtMs,
    proof: parts.identity.prove(parts.machineId, issuedAtMs),
    runtime: name,
    capabilities: offeredBy(capabilities, runtime, parts.law),
    workspaceSubnets: [...(runtime?.workspaceSubnets ?? [])],
    version: parts.version,
  }
}

/** Refusals that name what is wrong with us; a server in trouble, or one that asks for patience, is none. */
function isRefusal(err: unknown): boolean {
  return err instanceof ApiError && err.status >= 400 && err.status < 500 && err.status !== 429
}
