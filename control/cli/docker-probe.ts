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

/** Where Docker's own client would look. */
export function dockerSocket(env: Readonly<Record<string, string | undefined>>): string {
  const host = env.DOCKER_HOST
  return host?.startsWith('unix://') ? host.slice('unix://'.length) : '/var/run/docker.sock'
}

/** Asks the engine for a ping, 3 s at most. */
export function probeDocker(socketPath: string): Promise<DockerProbe> {
  return new Promise((done) => {
    const silent = (detail: string) =>
      done({
        answers: false,
        cause: 'silent',
        why: `the Docker Engine at ${socketPath} does not answer (${detail})`,
        fix: 'Start it, for example with `systemctl start docker`.',
      })
    const call = request({ socketPath, path: '/_ping', timeout: 3000 }, (answer) => {
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
          why: `there is no Docker socket at ${socketPath}`,
          fix: 'Install Docker (on Debian: `apt-get install docker.io`) and start it.',
        })
      else if (err.code === 'EACCES' || err.code === 'EPERM')
        done({
          answers: false,
          cause: 'permission',
          why: `this user may not use the Docker socket at ${socketPath}`,
          fix: 'Add the user to the group `docker` (`usermod -aG docker <user>`) and sign in again.',
        })
      else silent(err.message)
    })
    call.end()
  })
}
