/** The runtime plugin `process`: workspaces as child processes of this machine, where no container engine is found. */
import { chmod, mkdir, realpath } from 'node:fs/promises'
import { RuntimeError } from '@postern/plugin'
import type { Capabilities, Host, Runtime, RuntimePlugin } from '@postern/plugin'
import { parseConfig } from './config.ts'
import type { ProcessConfig } from './config.ts'
import { lackForDisks } from './disk-probe.ts'
import { homesRoot, isWalkable } from './homes.ts'
import { openObserver } from './observe.ts'
import { coded, processRuntime } from './runtime.ts'
import { openStore } from './store.ts'

export type { ProcessConfig } from './config.ts'

const ISOLATES_NOTHING =
  'The process runtime isolates nothing: workspaces see this machine’s files, network and processes. ' +
  'Install a container engine, such as Docker, to hold them apart.'

async function warningsFor(isRoot: boolean): Promise<readonly string[]> {
  const node = await realpath(process.execPath)
  if (!isRoot || (await isWalkable(node))) return [ISOLATES_NOTHING]
  return [
    ISOLATES_NOTHING,
    `Workspaces cannot run Node.js: it is ${node}, in a directory that only its owner may pass through. ` +
      'Install it for everybody, such as from the packages of the system.',
  ]
}

async function open(config: ProcessConfig, host: Host): Promise<Runtime> {
  if (process.platform !== 'linux')
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      'The process runtime needs Linux: it finds its processes in /proc.',
      {
        fix: 'Use --runtime docker on this machine.',
      },
    )
  const isRoot = process.getuid?.() === 0
  try {
    await mkdir(host.stateDirectory, { recursive: true, mode: 0o700 })
    const homes = isRoot ? await homesRoot(config, host.stateDirectory, host) : null
    // Homes inside it must be reachable for the workspaces' uids: they may pass through, not list or read it.
    if (isRoot && homes === null) await chmod(host.stateDirectory, 0o711)
    const store = await openStore(host.stateDirectory, host, isRoot)
    const lack = await lackForDisks(host.stateDirectory, isRoot)
    if (lack !== undefined) host.log.info('disks of a size cannot be held here', { lack })
    const holdsDisks = lack === undefined
    const warnings = await warningsFor(isRoot)
    const runtime = processRuntime({
      config,
      host,
      store,
      observer: openObserver(store),
      homes,
      isRoot,
      holdsDisks,
      warnings,
    })
    return holdsDisks
      ? runtime
      : { ...runtime, capabilities: { ...capabilities, limits: {}, growsDisk: false } }
  } catch (err) {
    throw coded(err)
  }
}

const capabilities = {
  watch: true,
  logs: true,
  connect: true,
  volumes: true,
  limits: { disk: true },
  growsDisk: true,
} as const satisfies Capabilities

const plugin = {
  apiVersion: 1,
  name: 'process',
  capabilities,
  config: { parse: (input: unknown) => parseConfig(input, process.execPath) },
  open,
} satisfies RuntimePlugin<ProcessConfig>

export default plugin
