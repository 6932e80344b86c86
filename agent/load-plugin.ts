/** A specifier comes in (built-in name, npm package, path); a plugin that keeps the contract's shape comes out. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { RuntimeError, pluginProblems, runtimeProblems } from '@postern/plugin'
import type { Host, Runtime, RuntimePlugin } from '@postern/plugin'

/** The plugins that come with Postern, by the short names that `--runtime` takes. */
export const builtInPlugins: Readonly<Record<string, string>> = {
  docker: '@postern/plugin-docker',
  process: '@postern/plugin-process',
  kubernetes: '@postern/plugin-kubernetes',
}

/** What a specifier leads to; `conformance` is the URL of the package's entry of that name, if it has one. */
export interface PluginLocation {
  readonly entry: string
  readonly conformance: string | null
}

/**
 * Imports a plugin and checks it; its `open` then checks the runtime that it gives.
 * A path begins with `.` or `/`; packages are looked up beside Postern, then from `from` upwards.
 * @throws RuntimeError ERR_NOT_FOUND, ERR_UNSUPPORTED (not a plugin of this version), ERR_INTERNAL (its code failed)
 */
export async function loadPlugin(specifier: string, from = process.cwd()): Promise<RuntimePlugin> {
  const module = await importPart(specifier, locatePlugin(specifier, from).entry)
  if (module['default'] === undefined)
    throw unsuitable(
      specifier,
      'it has no default export',
      'Let its entry `export default` the plugin object.',
    )
  const problems = pluginProblems(module['default'])
  if (problems.length > 0)
    throw unsuitable(specifier, problems.join('; '), 'Use a version of it that is made for this Postern.')
  return checked(specifier, module['default'] as RuntimePlugin)
}

/** Imports a part of a plugin's package. @throws RuntimeError ERR_INTERNAL when its code can't be loaded. */
export async function importPart(specifier: string, url: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(url)) as Record<string, unknown>
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND'
    throw new RuntimeError(
      'ERR_INTERNAL',
      `The plugin ${specifier} was found, and failed while it was loaded.`,
      {
        cause,
        fix: isMissing ? 'Install its dependencies (npm install).' : 'Ask its author; the cause is given.',
      },
    )
  }
}

/** Finds a plugin's files without running them. @throws RuntimeError ERR_NOT_FOUND saying where was looked. */
export function locatePlugin(specifier: string, from = process.cwd()): PluginLocation {
  const name = builtInPlugins[specifier] ?? specifier
  if (/^(\.{0,2}\/|\.{1,2}$)/.test(name)) return locatePath(specifier, resolve(from, name))
  if (!/^(@[a-z0-9._~-]+\/)?[a-z0-9][a-z0-9._~-]*$/i.test(name))
    throw notFound(specifier, 'it is neither the name of a package nor a path (those begin with . or /)')
  const own = createRequire(import.meta.url).resolve.paths(name) ?? []
  const theirs = createRequire(join(from, 'package.json')).resolve.paths(name) ?? []
  const directory = [...own, ...theirs].map((root) => join(root, name)).find((path) => existsSync(path))
  if (directory === undefined)
    throw notFound(specifier, `no such package is installed beside Postern or in ${from}`)
  return locatePath(specifier, directory)
}

function locatePath(specifier: string, path: string): PluginLocation {
  const kind = statSync(path, { throwIfNoEntry: false })
  if (kind === undefined) throw notFound(specifier, `there is nothing at ${path}`)
  if (kind.isFile()) return { entry: pathToFileURL(path).href, conformance: null }
  const manifest = readManifest(join(path, 'package.json'))
  const file = (name: string): string => pathToFileURL(join(path, name)).href
  const entry = target(entryPoint(manifest, '.')) ?? target(manifest['main']) ?? 'index.js'
  if (!existsSync(join(path, entry)))
    throw notFound(specifier, `its entry ${join(path, entry)} is not there: build it`)
  const conformance = target(entryPoint(manifest, './conformance'))
  return { entry: file(entry), conformance: conformance === undefined ? null : file(conformance) }
}

function readManifest(path: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new RuntimeError('ERR_NOT_FOUND', `${path} cannot be read.`, {
      cause,
      fix: 'Mend or reinstall the package.',
    })
  }
}

function entryPoint(manifest: Readonly<Record<string, unknown>>, subpath: string): unknown {
  const { exports } = manifest
  const isTable =
    typeof exports === 'object' && exports !== null && Object.keys(exports).some((key) => key.startsWith('.'))
  if (isTable) return (exports as Record<string, unknown>)[subpath]
  return subpath === '.' ? exports : undefined
}

/** The file that a target of `exports` names for an import. Source: Node.js, "Conditional exports". */
function target(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null) return undefined
  for (const [condition, inner] of Object.entries(value))
    if (condition === 'import' || condition === 'node' || condition === 'default') {
      const found = target(inner)
      if (found !== undefined) return found
    }
  return undefined
}

/** The same plugin, whose refusals of settings carry a code, and whose runtimes are held to what it declares. */
function checked(specifier: string, plugin: RuntimePlugin): RuntimePlugin {
  return {
    apiVersion: plugin.apiVersion,
    name: plugin.name,
    capabilities: plugin.capabilities,
    config: { parse: (input: unknown) => parse(plugin, input) },
    open: (config, host) => open(specifier, plugin, config, host),
  }
}

function parse(plugin: RuntimePlugin, input: unknown): unknown {
  try {
    return plugin.config.parse(input)
  } catch (cause) {
    if (RuntimeError.is(cause)) throw cause
    const message = cause instanceof Error ? cause.message : String(cause)
    const fix = `Mend the settings of the runtime plugin ${plugin.name}; its README names them.`
    throw new RuntimeError('ERR_INVALID_SPEC', message, { cause, fix })
  }
}

async function open(specifier: string, plugin: RuntimePlugin, config: unknown, host: Host): Promise<Runtime> {
  const runtime = await plugin.open(config, host)
  const problems = runtimeProblems(plugin.capabilities, runtime)
  if (problems.length === 0) return runtime
  if (typeof runtime.close === 'function') await runtime.close()
  throw unsuitable(specifier, problems.join('; '), 'Ask its author to declare what it implements.')
}

function notFound(specifier: string, why: string): RuntimeError {
  const names = Object.keys(builtInPlugins).join(', ')
  const fix = `Name one that comes with Postern (${names}), an installed npm package, or a path.`
  return new RuntimeError('ERR_NOT_FOUND', `The runtime plugin ${specifier} cannot be found: ${why}.`, {
    fix,
  })
}

function unsuitable(specifier: string, why: string, fix: string): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `${specifier} is not a runtime plugin for this Postern: ${why}.`,
    { fix },
  )
}
