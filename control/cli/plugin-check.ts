/** A plugin's specifier comes in; the conformance kit is run on it, and what came of it is written line by line. */
import { RuntimeError } from '@postern/plugin'
import type { RuntimePlugin } from '@postern/plugin'
import { runConformance } from '@postern/plugin/testing'
import type { ConformanceFactory, Summary } from '@postern/plugin/testing'
import { importPart, loadPlugin, locatePlugin } from '../../agent/load-plugin.ts'

/**
 * Runs the kit on a plugin's package by the factory that it exports: `conformance`, of its entry `./conformance` or
 * of its main entry. `config` are settings for it, in place of the factory's own. Sets the exit code 1 when a promise is broken.
 * @throws RuntimeError as `loadPlugin` does, ERR_UNSUPPORTED when it exports no factory, and what the plugin lacks here
 */
export async function checkPlugin(
  specifier: string,
  write: (text: string) => void,
  from = process.cwd(),
  config?: unknown,
): Promise<Summary> {
  const plugin = await loadPlugin(specifier, from)
  const { entry, conformance } = locatePlugin(specifier, from)
  const factory = (await importPart(specifier, conformance ?? entry))['conformance']
  if (!isFactory(factory)) {
    throw new RuntimeError('ERR_UNSUPPORTED', `The plugin ${specifier} does not say how it can be tried.`, {
      fix: 'Let it export `conformance`, a ConformanceFactory of @postern/plugin/testing, from its entry ./conformance.',
    })
  }
  write(`${plugin.name}, as ${specifier}\n`)
  const summary = await runConformance(withPlugin(factory, plugin, config), write)
  if (summary.failed > 0) process.exitCode = 1
  return summary
}

function isFactory(value: unknown): value is ConformanceFactory {
  if (typeof value !== 'object' || value === null) return false
  const { plugin, program } = value as Record<string, unknown>
  return typeof plugin === 'object' && plugin !== null && typeof program === 'object' && program !== null
}

/** The factory with the loader's own view of the plugin, so that what the loader refuses fails here as well. */
function withPlugin(factory: ConformanceFactory, plugin: RuntimePlugin, config: unknown): ConformanceFactory {
  const own = {
    plugin: { value: plugin, enumerable: true },
    ...(config === undefined ? {} : { config: { value: config, enumerable: true } }),
  }
  return Object.create(factory, own) as ConformanceFactory
}
