/** What the conformance kit needs to try this plugin: the probe in the image of the template `blank`, and a look at the engine. */
import { RuntimeError } from '@postern/plugin'
import type { Host, WorkspaceSpec } from '@postern/plugin'
import { nodeProbe } from '@postern/plugin/testing'
import type { ConformanceFactory, Foreign } from '@postern/plugin/testing'
import type Docker from 'dockerode'
import { dial } from './dial.ts'
import { unless } from './engine.ts'
import { engineError } from './errors.ts'
import plugin from './index.ts'
import { labelsOf, nameOf, ownFilter } from './labels.ts'
import { parseConfig } from './options.ts'

/** Made by `npm run images`; it has Node.js. */
const IMAGE = 'postern/blank:1'

/** An engine under load takes its time for networks. */
const DEADLINE_MS = 120_000

/** Tries the Docker plugin on the engine that its settings name. */
export const conformance: ConformanceFactory = {
  plugin,
  program: { image: IMAGE, command: nodeProbe('node') },
  deadlineMs: DEADLINE_MS,
  ready() {
    return needImage(this)
  },
  leftovers(host) {
    return leftovers(engineOf(this), host)
  },
  spawnForeign(host, spec) {
    return spawnForeign(engineOf(this), host, spec)
  },
}

function engineOf({ config }: ConformanceFactory): Docker {
  return dial(parseConfig(config))
}

async function needImage(factory: ConformanceFactory): Promise<void> {
  const { image = IMAGE } = factory.program
  const { socketPath, host } = parseConfig(factory.config)
  const found = await engineOf(factory)
    .getImage(image)
    .inspect()
    .catch(unless(404))
    .catch((err: unknown) => {
      const known = engineError(err, `open the Docker Engine at ${host ?? socketPath}`)
      throw new RuntimeError(known.code, known.message, {
        cause: err,
        fix: known.fix ?? `See that a Docker Engine answers at ${host ?? socketPath}.`,
      })
    })
  if (found === undefined)
    throw new RuntimeError(
      'ERR_IMAGE_UNAVAILABLE',
      `The kit runs its probe in the image ${image}, which is not here.`,
      {
        fix: 'Make it: npm run images -- blank (or: postern images build blank).',
      },
    )
}

/** Names of every container, volume and network that carries both of the host's ids. */
async function leftovers(docker: Docker, host: Host): Promise<string[]> {
  const filters = ownFilter(host)
  const [containers, volumes, networks] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listVolumes({ filters }),
    docker.listNetworks({ filters }),
  ])
  return [
    ...containers.map((one) => `container ${one.Names[0] ?? one.Id}`),
    ...(volumes.Volumes ?? []).map((one) => `volume ${one.Name}`),
    ...networks.map((one) => `network ${one.Name}`),
  ]
}

/** A running container with the very name and every label but the host's. */
async function spawnForeign(docker: Docker, host: Host, spec: WorkspaceSpec): Promise<Foreign> {
  const container = await docker.createContainer({
    name: nameOf(host, spec.id, 'container'),
    Image: spec.image ?? IMAGE,
    Cmd: ['sleep', 'infinity'],
    Labels: labelsOf({ ...host, hostId: 'somebody-else' }, spec.id, spec.generation, 'container'),
  })
  await container.start()
  const before = (await container.inspect()).State.StartedAt
  return {
    async isUntouched() {
      const { State: state } = await container.inspect()
      return state.Running && state.StartedAt === before
    },
    remove: () => container.remove({ force: true, v: true }).then(() => undefined),
  }
}
