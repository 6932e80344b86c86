#!/usr/bin/env -S node --initial-old-space-size=64
/** The command line: arguments, environment and signals come in; a service runs until it is told to stop. */
import { join } from 'node:path'
import { runArguments, type Commands } from './arguments.ts'
import { loadConfigFile } from './config-file.ts'
import { resolveConfig, type Given } from './config.ts'
import { explain } from './explain.ts'
import { openLog, type LogOptions, type RootLog } from './log.ts'
import {
  agentOptions,
  gatewayOptions,
  serverOptions,
  standaloneOptions,
  type CommandName,
  type GatewayConfig,
  type ServerConfig,
} from './options.ts'
import { findProduct } from './product.ts'
import type { Started } from './server.ts'
import { aborted, onHangUp, stopSignal } from './signals.ts'
import { describeStartupError } from './startup-error.ts'

const say = (text: string) => void process.stdout.write(text)

interface Running {
  readonly lines: readonly string[]
  readonly warnings: readonly string[]
  /** Resolves with why when it has ended for good by itself; else never. */
  readonly ended: Promise<Error>
  /** Reads its configuration anew and goes on by it; absent: it can't. */
  reload?(): Promise<void>
  close(): Promise<void>
}

const commands: Commands = {
  async service(name, flags) {
    const { config, ...rest } = flags
    const named = typeof config === 'string' ? config : undefined
    const read = async (): Promise<Given> => {
      const { file, fileName } = await loadConfigFile(named, process.env)
      return { flags: rest, env: process.env, file, fileName }
    }
    await serve(name, read)
  },
  async buildImages(templates, buildDirectory) {
    if (buildDirectory !== undefined) process.env['TMPDIR'] = buildDirectory
    const { buildImages } = await import('./images.ts')
    await buildImages(templates, say)
  },
  async checkPlugin(specifier, configFile) {
    const { file } = await loadConfigFile(configFile, process.env)
    const { checkPlugin } = await import('./plugin-check.ts')
    const settings = file?.['runtime'] === specifier ? file['runtime_config'] : undefined
    await checkPlugin(specifier, say, process.cwd(), settings)
  },
}

async function serve(name: CommandName, read: () => Promise<Given>): Promise<void> {
  const stop = stopSignal()
  const { root, running } = await start(name, read, stop).catch((err: unknown) => {
    if (stop.aborted) process.exit(0)
    throw err
  })
  for (const line of running.lines) say(`${line}\n`)
  for (const warning of running.warnings) process.stderr.write(`Warning: ${warning}\n`)
  root.log.info('started', { command: name })
  if (running.reload !== undefined)
    onHangUp(() => {
      root.log.info('reloading')
      running.reload?.().catch((err: unknown) => root.log.error('it goes on as it was', { err }))
    })
  const failure = await Promise.race([aborted(stop), running.ended])
  root.log.info('stopping', failure === undefined ? {} : { err: failure })
  await running.close()
  root.log.info('stopped')
  root.close()
  if (failure !== undefined) throw failure
  // Whatever a library still holds open must not keep the process.
  process.exit(0)
}

/** Opens the log, then the parts of the command. */
async function start(
  name: CommandName,
  read: () => Promise<Given>,
  signal: AbortSignal,
): Promise<{ root: RootLog; running: Running }> {
  const given = await read()
  if (name === 'gateway') return startGateway(read, given, signal)
  if (name === 'agent') {
    const config = resolveConfig(agentOptions, given)
    const root = openLog(logOptions(config, name, join(config.stateDirectory, 'log')))
    const { startAgentProcess } = await import('./agent.ts')
    say(`Joining ${config.serverUrl} as ${config.deploymentName} …\n`)
    const started = await startAgentProcess(config, root, signal)
    const line = `Postern agent ${config.deploymentName} runs workspaces by ${started.runtime}`
    return { root, running: { ...started, lines: [line] } }
  }
  if (name === 'server') {
    const config = resolveConfig(serverOptions, given)
    const root = openLog(logOptions(config, name, null))
    const { startServer } = await import('./server.ts')
    return { root, running: asRunning(await startServer(config, root)) }
  }
  const config = resolveConfig(standaloneOptions, given)
  const root = openLog(logOptions(config, name, null))
  const { startStandalone } = await import('./standalone.ts')
  return { root, running: asRunning(await startStandalone(config, root, signal)) }
}

async function startGateway(
  read: () => Promise<Given>,
  given: Given,
  signal: AbortSignal,
): Promise<{ root: RootLog; running: Running }> {
  const config = resolveConfig(gatewayOptions, given)
  const log = gatewayLog(config)
  const root = openLog(log)
  const { startGatewayProcess } = await import('./gateway.ts')
  say(`Joining ${config.serverUrl} as ${config.gatewayName} …\n`)
  const started = await startGatewayProcess(config, root, log, signal)
  const reload = async (): Promise<void> => {
    const next = resolveConfig(gatewayOptions, await read())
    await started.reload(next, gatewayLog(next))
  }
  return { root, running: { ...started, reload } }
}

/** This process and each worker have a share of the bytes. */
function gatewayLog(config: GatewayConfig): LogOptions {
  const log = logOptions(config, 'gateway', null)
  return { ...log, maxBytes: Math.floor(log.maxBytes / (config.workers + 1)) }
}

function asRunning(started: Started): Running {
  return {
    lines: [
      ...(started.setupUrl === null ? [] : [`Set up Postern: ${started.setupUrl}`]),
      `Postern ${findProduct().version} answers on ${started.url}`,
      ...(started.authz === null ? [] : [`Forward auth answers on ${started.authz}`]),
    ],
    warnings: started.warnings,
    ended: started.ended,
    close: started.close,
  }
}

type LogConfig = Pick<ServerConfig, 'logLevel' | 'logMaxSize' | 'logDirectory'>

/** `-` is standard output. */
function logOptions(config: LogConfig, name: string, usual: string | null): LogOptions {
  const directory = config.logDirectory ?? usual
  return {
    level: config.logLevel,
    directory: directory === '-' ? null : directory,
    maxBytes: config.logMaxSize,
    name,
  }
}

try {
  await runArguments(process.argv.slice(2), findProduct().version, commands)
} catch (err) {
  process.stderr.write(describeStartupError(explain(err)))
  if (process.env['POSTERN_LOG_LEVEL'] === 'debug') console.error(err)
  // Not process.exitCode: what a failed start left open must not keep the process.
  process.exit(2)
}
