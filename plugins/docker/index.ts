/** `@postern/plugin-docker`: runs workspaces on a Docker Engine of this machine. */
import { API_VERSION, RuntimeError } from '@postern/plugin'
import type { Capabilities, Host, RuntimePlugin } from '@postern/plugin'
import type Docker from 'dockerode'
import { dial } from './dial.ts'
import { lackForDisks } from './disk.ts'
import { ask } from './engine.ts'
import type { Engine } from './engine.ts'
import { engineError } from './errors.ts'
import { externalFirewall, managedFirewall } from './firewall.ts'
import { findGpus } from './gpus.ts'
import type { Owner } from './labels.ts'
import { parseConfig } from './options.ts'
import type { DockerConfig } from './options.ts'
import { dockerRuntime } from './runtime.ts'
import { turnstile } from './turnstile.ts'

export type { DockerConfig } from './options.ts'

/** An engine that hasn't said a word in this time counts as away. */
const OPEN_DEADLINE_MS = 10_000

async function open(config: DockerConfig, host: Host) {
  const docker = dial(config)
  const where = config.host ?? config.socketPath
  const owner = { deploymentId: host.deploymentId, hostId: host.hostId }
  const { isApart, publishes, gpus, root, lack } = await look(docker, config, owner).catch((err: unknown) => {
    const known = engineError(err, `open the Docker Engine at ${where}`)
    const code = known.code === 'ERR_PERMISSION' ? 'ERR_PERMISSION' : 'ERR_UNAVAILABLE'
    throw new RuntimeError(code, known.message, {
      cause: err,
      fix: known.fix ?? `See that a Docker Engine answers at ${where}.`,
    })
  })
  const isOurs = config.firewall === 'managed' && !publishes
  const firewall = isOurs
    ? managedFirewall(host.log, () => host.now(), process.getuid?.() === 0)
    : externalFirewall
  if (lack !== undefined) host.log.info('disks of a size cannot be held here', { lack })
  const guarded = [config.socketPath, ...(root === '' ? [] : [root]), host.stateDirectory]
  const engine: Engine = {
    docker,
    owner,
    config,
    publishes,
    firewall,
    gpus,
    holdsDisks: lack === undefined,
    guarded,
    turnstile: turnstile(),
    log: host.log,
  }
  const limits = { ...capabilities.limits, disk: engine.holdsDisks }
  return dockerRuntime(engine, { ...capabilities, ...(isApart ? apart : {}), limits })
}

/** What the engine says of itself. Fails when nobody answers. */
async function look(docker: Docker, config: DockerConfig, owner: Owner) {
  const signal = AbortSignal.timeout(OPEN_DEADLINE_MS)
  const version = (await ask(signal, 'ask for its version', () => docker.version())) as {
    readonly Platform?: { readonly Name?: string }
  }
  const info = (await ask(signal, 'ask about it', () => docker.info())) as {
    readonly DockerRootDir?: string
    readonly Runtimes?: Readonly<Record<string, unknown>>
  }
  const isApart = process.platform !== 'linux' || (version.Platform?.Name ?? '').startsWith('Docker Desktop')
  const knowsCards = info.Runtimes?.['nvidia'] !== undefined
  return {
    isApart,
    publishes: config.publishOnLoopback === 'auto' ? isApart : config.publishOnLoopback,
    gpus: config.gpus !== 'auto' ? config.gpus : knowsCards ? await findGpus(signal) : [],
    root: info.DockerRootDir ?? '',
    lack: await lackForDisks(docker, owner, { signal }),
  }
}

const capabilities = {
  watch: true,
  logs: true,
  connect: true,
  images: true,
  volumes: true,
  isolation: true,
  gpus: true,
  mounts: true,
  hostNetwork: true,
  limits: { cpu: true, memory: true, pids: true, tmp: true, disk: true },
} as const satisfies Capabilities

/** An engine in a virtual machine has neither this machine's network nor its paths. */
const apart = { mounts: false, hostNetwork: false } as const satisfies Capabilities

export default {
  apiVersion: API_VERSION,
  name: 'docker',
  capabilities,
  config: { parse: parseConfig },
  open,
} satisfies RuntimePlugin<DockerConfig>
