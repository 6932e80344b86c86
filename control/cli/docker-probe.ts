/** A socket path comes in; whether a Docker Engine answers there, and if not why, comes out. */
import { request } from 'node:http'

export type DockerProbe =
  | { readonly answers: true }
  | {
      readonly answers: false
      readonly cause: 'absent' | 'permission' | 'silent'
      /** One sentence for a person. */
      readonly why: string
      readonly fix: string
    }

/** Where the engine is: a unix socket's path, or a `tcp://` URL. */
export interface DockerPlace {
  readonly socketPath?: string
  readonly host?: string
}

/** What the plugin's settings say, else where Docker's own client would look. */
export function dockerPlace(
  config: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): DockerPlace {
  const { socketPath, host } = config
  if (typeof host === 'string') return { host }
  if (typeof socketPath === 'string') return { socketPath }
  const wanted = env['DOCKER_HOST'] ?? ''
  if (wanted.startsWith('unix://')) return { socketPath: wanted.slice('unix://'.length) }
  return wanted.startsWith('tcp://') ? { host: wanted } : { socketPath: '/var/run/docker.sock' }
}

/** Asks the engine for a ping, 3 s at most. */
export function probeDocker(place: DockerPlace): Promise<DockerProbe> {
  const name = place.socketPath ?? place.host ?? ''
  const where = place.host === undefined ? place : tcpOf(place.host)
  return new Promise((done) => {
    const silent = (detail: string) =>
      done({
        answers: false,
        cause: 'silent',
        why: `the Docker Engine at ${name} does not answer (${detail})`,
        fix: 'Start it, for example with `systemctl start docker`.',
      })
    const call = request({ ...where, path: '/_ping', timeout: 3000 }, (answer) => {
      answer.resume()
      if (answer.statusCode === 200) done({ answers: true })
      else silent(`status ${answer.statusCode}`)
    })
    call.on('timeout', () => call.destroy(new Error('no answer within 3 s')))
    call.on('error', (err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT')
        done({
          answers: false,
          cause: 'absent',
          why: `there is no Docker socket at ${name}`,
          fix: 'Install Docker (on Debian: `apt-get install docker.io`) and start it.',
        })
      else if (err.code === 'EACCES' || err.code === 'EPERM')
        done({
          answers: false,
          cause: 'permission',
          why: `this user may not use the Docker socket at ${name}`,
          fix: 'Add the user to the group `docker` (`usermod -aG docker <user>`) and sign in again.',
        })
      else silent(err.message)
    })
    call.end()
  })
}

function tcpOf(host: string): { host: string; port: number } {
  const url = new URL(host)
  return { host: url.hostname, port: Number(url.port || 2375) }
}
