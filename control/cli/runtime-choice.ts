/** What `--runtime` says comes in; a loaded plugin, and what a person must know about it, come out. */
import { RuntimeError, type RuntimePlugin } from '@postern/plugin'
import { dockerPlace, probeDocker } from './docker-probe.ts'
import { StartupError } from './startup-error.ts'

export interface ChosenRuntime {
  readonly plugin: RuntimePlugin
  /** For `plugin.config.parse`, which has taken it once already. */
  readonly config: Readonly<Record<string, unknown>>
  /** Sentences for a person; empty: nothing to warn of. */
  readonly warnings: readonly string[]
}

/** Docker where its socket answers, else processes; what is named is taken or refused, never replaced. */
export async function chooseRuntime(
  wanted: string | null,
  given: Readonly<Record<string, unknown>> | null,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ChosenRuntime> {
  const chosen = wanted ?? 'docker'
  const warnings: string[] = []
  let name = chosen
  let config = given ?? {}
  if (chosen === 'docker') {
    const place = dockerPlace(config, env)
    const probe = await probeDocker(place)
    if (probe.answers) config = { ...config, ...place }
    if (!probe.answers && wanted === 'docker')
      throw new StartupError(probe.cause === 'permission' ? 'runtime_permission' : 'runtime_unavailable', {
        message: `Docker cannot be used: ${probe.why}.`,
        next: `${probe.fix} Or start without it: --runtime process.`,
      })
    if (!probe.answers) {
      name = 'process'
      warnings.push(`Docker is not used: ${probe.why}. ${probe.fix}`)
    }
  }
  const plugin = await load(name)
  if (plugin.capabilities.isolation !== true)
    warnings.push(
      `The runtime "${plugin.name}" isolates nothing: a workspace's programs see and do what this machine allows them.`,
    )
  parseConfig(plugin, config)
  return { plugin, config, warnings }
}

async function load(specifier: string): Promise<RuntimePlugin> {
  const { loadPlugin } = await import('../../agent/load-plugin.ts')
  try {
    return await loadPlugin(specifier)
  } catch (err) {
    const known = RuntimeError.is(err) ? err : null
    throw new StartupError('plugin_unloadable', {
      message: known?.message ?? `The runtime plugin ${specifier} cannot be loaded.`,
      next: known?.fix ?? 'Install the package beside Postern (npm install), or give the path of its file.',
      cause: known === null ? err : known.cause,
    })
  }
}

function parseConfig(plugin: RuntimePlugin, config: Readonly<Record<string, unknown>>): void {
  try {
    plugin.config.parse(config)
  } catch (err) {
    throw new StartupError('config_invalid', {
      message: `The settings of the runtime plugin ${plugin.name} are not usable.`,
      problems: (err as Error).message.split('\n').map((line) => `runtime_config: ${line}`),
      next: `Mend runtime_config in the configuration file; the documentation of ${plugin.name} names its keys.`,
    })
  }
}
