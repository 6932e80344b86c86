/** A configuration comes in; an agent that obeys a server elsewhere runs in this process. Loads no database. */
import { join } from 'node:path'
import { systemClock } from './clock.ts'
import { Closing } from './closing.ts'
import { readJoinToken } from './join-token.ts'
import { lawOf, ownDirectories } from './law-options.ts'
import type { RootLog } from './log.ts'
import type { AgentConfig } from './options.ts'
import { findProduct } from './product.ts'
import { chooseRuntime } from './runtime-choice.ts'
import { holdStateDirectory, readMachineId } from './state-directory.ts'

/** A running agent, as its starter needs it. */
export interface StartedAgent {
  readonly hostId: string
  readonly runtime: string
  readonly warnings: readonly string[]
  /** Resolves with why when it has ended for good by itself, such as a newer process of this agent. */
  readonly ended: Promise<Error>
  /** Ends the loop; workspaces live on. */
  close(): Promise<void>
}

/** Starts `postern agent`. @throws StartupError or the error of a room, which `explain` makes into one */
export async function startAgentProcess(
  config: AgentConfig,
  root: RootLog,
  signal: AbortSignal = new AbortController().signal,
): Promise<StartedAgent> {
  // Plugins ask the system for its temporary folder; this is how they are told of another.
  process.env['TMPDIR'] = config.buildDirectory
  const runtime = await chooseRuntime(config.runtime, config.runtimeConfig, process.env)
  const law = await lawOf(config, ownDirectories(config))
  const closing = new Closing()
  return closing.guard(async () => {
    const held = await holdStateDirectory(config.stateDirectory)
    closing.add(() => held.release())
    const joinToken = await readJoinToken(config)
    const { startAgent } = await import('../../agent/index.ts')
    const { httpControl } = await import('../../agent/http-control.ts')
    const stateDirectory = join(held.path, 'agent')
    const control = httpControl({ serverUrl: config.serverUrl, joinToken, stateDirectory })
    closing.add(() => control.close())
    const agent = await startAgent({
      control,
      plugin: runtime.plugin,
      pluginConfig: runtime.config,
      stateDirectory,
      name: config.deploymentName,
      machineId: await readMachineId(held.path),
      version: findProduct().version,
      log: root.log.child({ room: 'agent' }),
      clock: systemClock,
      law,
      signal,
    })
    closing.add(() => agent.close())
    return {
      hostId: agent.hostId,
      runtime: runtime.plugin.name,
      warnings: runtime.warnings,
      ended: agent.ended,
      close: () => closing.close(),
    }
  })
}
