/** A configuration comes in; gateway, control and agent run in this one process. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Agent } from '../../agent/seams.ts'
import { RuntimeError } from '@postern/plugin'
import { systemClock } from './clock.ts'
import type { RootLog } from './log.ts'
import type { StandaloneConfig } from './options.ts'
import { chooseRuntime } from './runtime-choice.ts'
import { lawOf, ownDirectories } from './law-options.ts'
import { startCore, type Started } from './server.ts'

/** Starts `postern standalone`. @throws StartupError or the error of a room, which `explain` makes into one */
export async function startStandalone(
  config: StandaloneConfig,
  root: RootLog,
  signal: AbortSignal = new AbortController().signal,
): Promise<Started> {
  const runtime = await chooseRuntime(config.runtime, config.runtimeConfig, process.env)
  const law = await lawOf(config, ownDirectories(config))
  let agent: Agent | undefined
  const core = await startCore(config, root, {
    connect: (target, port, call) => {
      if (agent) return agent.connect(target, port, call)
      return Promise.reject(new RuntimeError('ERR_UNAVAILABLE', 'The agent has not started yet.'))
    },
    close: async () => agent?.close(),
  })
  return core.closing.guard(async () => {
    const { startAgent } = await import('../../agent/index.ts')
    agent = await startAgent({
      control: core.control.embeddedAgent(),
      plugin: runtime.plugin,
      pluginConfig: runtime.config,
      stateDirectory: join(config.stateDirectory, 'agent'),
      name: hostname(),
      machineId: core.machineId,
      version: core.product.version,
      log: root.log.child({ room: 'agent' }),
      clock: systemClock,
      law,
      signal,
    })
    return { ...core, ended: agent.ended, warnings: [...runtime.warnings, ...core.warnings] }
  })
}
