/** Settings come in; a client of the engine that they name goes out. */
import Docker from 'dockerode'
import type { DockerConfig } from './options.ts'

/** The SDK reads DOCKER_HOST where it isn't told; the operator's settings are told in full. */
export function dial(config: DockerConfig): Docker {
  if (config.host === undefined) return new Docker({ socketPath: config.socketPath, host: '' })
  const { hostname, port } = new URL(config.host)
  return new Docker({ host: hostname, port, protocol: 'http' })
}
