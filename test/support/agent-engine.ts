/** What a Docker Engine holds of one deployment, counted straight at the engine by label, past every plugin. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type Docker from 'dockerode'

const label = (deploymentId: string): { label: string[] } => ({
  label: [`dev.postern.deployment=${deploymentId}`],
})

/** One line a thing: kind, name, and for containers state and generation; sorted. */
export async function holdings(docker: Docker, deploymentId: string): Promise<string[]> {
  const filters = label(deploymentId)
  const [containers, networks, { Volumes }] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
    docker.listVolumes({ filters }),
  ])
  const lines = [
    ...containers.map((c) => `container ${c.Names[0]} ${c.State} ${c.Labels['dev.postern.generation']}`),
    ...networks.map((n) => `network ${n.Name}`),
    ...(Volumes ?? []).map((v) => `volume ${v.Name}`),
  ]
  return lines.sort()
}

/** The text of a file in a workspace's home, read past the engine; null when there is none. */
export async function homeFile(docker: Docker, deploymentId: string, path: string): Promise<string | null> {
  const { Volumes } = await docker.listVolumes({ filters: label(deploymentId) })
  const home = (Volumes ?? []).find((volume) => volume.Labels['dev.postern.role'] === 'home')
  if (home === undefined) return null
  return await readFile(join(home.Mountpoint, path), 'utf8').catch(() => null)
}

/** Removes everything of the deployment. */
export async function clearDeployment(docker: Docker, deploymentId: string): Promise<void> {
  const filters = label(deploymentId)
  for (const { Id } of await docker.listContainers({ all: true, filters })) {
    await docker
      .getContainer(Id)
      .remove({ force: true, v: true })
      .catch(() => undefined)
  }
  for (const { Id } of await docker.listNetworks({ filters })) {
    await docker
      .getNetwork(Id)
      .remove()
      .catch(() => undefined)
  }
  for (const { Name } of (await docker.listVolumes({ filters })).Volumes ?? []) {
    await docker
      .getVolume(Name)
      .remove({ force: true })
      .catch(() => undefined)
  }
}
