/** `@postern/plugin-docker`: runs workspaces on a Docker Engine of this machine. */
import { API_VERSION, RuntimeError } from '@postern/plugin'
import type { Host, RuntimePlugin } from '@postern/plugin'
import type Docker from 'dockerode'
import { dial } from './dial.ts'
import { ask } from './engine.ts'
import type { Engine } from './engine.ts'
import { engineError } from './errors.ts'
import { externalFirewall, managedFirewall } from './firewall.ts'
import { parseConfig } from './options.ts'
import type { DockerConfig } from './options.ts'
import { dockerRuntime } from './runtime.ts'

export type { DockerConfig } from './options.ts'

/** An engine that hasn't said a word in this time counts as away. */
const OPEN_DEADLINE_MS = 10_000

async function open(config: DockerConfig, host: Host) {
  const docker = dial(config)
  const where = config.host ?? config.socketPath
  const publishes = await reachOf(docker, config).catch((err: unknown) => {
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
  const owner = { deploymentId: host.deploymentId, hostId: host.hostId }
  const engine: Engine = { docker, owner, config, publishes, firewall, log: host.log }
  return dockerRuntime(engine)
}

/** Whether ports must be published: Docker Desktop keeps its bridges in a virtual machine. Fails when nobody answers. */
async function reachOf(docker: Docker, config: DockerConfig): Promise<boolean> {
  const deadline = AbortSignal.timeout(OPEN_DEADLINE_MS)
  const version = (await ask(deadline, 'ask for its version', () => docker.version())) as {
    readonly Platform?: { readonly Name?: string }
  }
  if (config.publishOnLoopback !== 'auto') return config.publishOnLoopback
  return process.platform !== 'linux' || (version.Platform?.Name ?? '').startsWith('Docker Desktop')
}

export default {
  apiVersion: API_VERSION,
  name: 'docker',
  capabilities: {
    watch: true,
    logs: true,
    connect: true,
    images: true,
    volumes: true,
    isolation: true,
    limits: { cpu: true, memory: true, pids: true, tmp: true },
  },
  config: { parse: parseConfig },
  open,
} satisfies RuntimePlugin<DockerConfig>
