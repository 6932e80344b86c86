/** What tests ask the real engine behind the plugin's back: what is there, and things that are somebody else's. */
import { randomBytes } from 'node:crypto'
import { get } from 'node:http'
import type Docker from 'dockerode'
import type { Host, Logger, WorkspaceSpec } from '@postern/plugin'

type Ids = Pick<Host, 'deploymentId' | 'hostId'>

/** The plugin's name for the container of a workspace. */
export function containerName(host: Ids, id: string): string {
  return `postern-${host.deploymentId.replace(/[^a-z0-9]/g, '').slice(0, 8)}-${id}`
}

/** Names of every container, volume and network that carries both of the host's ids. */
export async function leftovers(docker: Docker, host: Ids): Promise<string[]> {
  const filters = {
    label: [`dev.postern.deployment=${host.deploymentId}`, `dev.postern.host=${host.hostId}`],
  }
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

/** A host of a fresh deployment, which says nothing. */
export function quietHost(ids: Partial<Ids> = {}): Host {
  const say = () => undefined
  const log: Logger = { debug: say, info: say, warn: say, error: say, child: () => log }
  const deploymentId = ids.deploymentId ?? randomBytes(8).toString('hex')
  return {
    deploymentId,
    hostId: ids.hostId ?? 'host-1',
    stateDirectory: '/nonexistent',
    log,
    now: () => Date.now(),
  }
}

/** A spec of a fresh workspace. */
export function specOf(image: string, overrides: Partial<WorkspaceSpec> = {}): WorkspaceSpec {
  const id = randomBytes(8).toString('hex')
  return { id, name: `w-${id}`, generation: 1, image, env: [], ports: [{ port: 3000 }], ...overrides }
}

/** What a command inside a container printed, and its exit code. */
export interface Said {
  readonly code: number
  readonly text: string
}

/** Runs a shell line inside a container, as its own user. */
export async function inside(docker: Docker, container: string, line: string): Promise<Said> {
  const exec = await docker
    .getContainer(container)
    .exec({ Cmd: ['sh', '-c', line], AttachStdout: true, AttachStderr: true })
  const stream = await exec.start({ hijack: true, stdin: false })
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  let text = ''
  for (let rest = Buffer.concat(chunks); rest.length >= 8; rest = rest.subarray(8 + rest.readUInt32BE(4)))
    text += rest.toString('utf8', 8, 8 + rest.readUInt32BE(4))
  return { code: (await exec.inspect()).ExitCode ?? -1, text }
}

/** The body that a port answers a plain GET with, over a connection of its own. Rejects after two silent seconds. */
export function page(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, agent: false, timeout: 2_000 }, (answer) => {
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => (body += chunk))
      answer.on('end', () => resolve(body))
      answer.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error('silence')))
    request.on('error', reject)
  })
}
