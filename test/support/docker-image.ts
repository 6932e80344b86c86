/** A Docker Engine comes in; a 2 MB image made of busybox alone is there afterwards, without any registry. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type Docker from 'dockerode'
import tar from 'tar-stream'

const run = promisify(execFile)
const BUSYBOX = '/bin/busybox'
const DEV = { uid: 1000, gid: 1000 }

/** Where the tiny image's own program listens when no command is given: HTTP, serving `/srv`. */
export const TINY_PORT = 3000

/**
 * Makes (once per engine) an image with busybox, user `dev` (uid 1000) and the home `/home/dev`, and gives its tag.
 * Its program is `httpd` on port 3000 with a page that says `tiny`. Needs Debian's busybox-static.
 */
export async function tinyImage(docker: Docker, tag = 'postern-test/tiny:1'): Promise<string> {
  const present = await docker
    .getImage(tag)
    .inspect()
    .catch(() => undefined)
  if (present !== undefined) return tag
  const [repo, version] = [tag.slice(0, tag.lastIndexOf(':')), tag.slice(tag.lastIndexOf(':') + 1)]
  const done = await docker.importImage(await rootTree(), {
    repo,
    tag: version,
    changes: [
      'USER dev',
      'ENV HOME=/home/dev',
      'ENV PATH=/bin',
      'WORKDIR /home/dev/workspace',
      `CMD ["httpd","-f","-p","${TINY_PORT}","-h","/srv"]`,
    ],
  })
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(done, (err) => (err ? reject(err) : resolve()))
  })
  return tag
}

async function rootTree(): Promise<NodeJS.ReadableStream> {
  const [binary, applets] = await Promise.all([readFile(BUSYBOX), run(BUSYBOX, ['--list'])])
  const pack = tar.pack()
  for (const name of ['bin', 'etc', 'srv', 'proc', 'sys', 'dev', 'root', 'home'])
    pack.entry({ name, type: 'directory', mode: 0o755 })
  pack.entry({ name: 'tmp', type: 'directory', mode: 0o1777 })
  pack.entry({ name: 'home/dev', type: 'directory', mode: 0o755, ...DEV })
  pack.entry({ name: 'home/dev/workspace', type: 'directory', mode: 0o755, ...DEV })
  pack.entry({ name: 'bin/busybox', mode: 0o755 }, binary)
  for (const name of applets.stdout.split('\n'))
    if (name !== '' && name !== 'busybox')
      pack.entry({ name: `bin/${name}`, type: 'symlink', linkname: 'busybox' })
  pack.entry(
    { name: 'etc/passwd', mode: 0o644 },
    'root:x:0:0::/root:/bin/sh\ndev:x:1000:1000::/home/dev:/bin/sh\n',
  )
  pack.entry({ name: 'etc/group', mode: 0o644 }, 'root:x:0:\ndev:x:1000:\n')
  pack.entry({ name: 'srv/index.html', mode: 0o644 }, 'tiny\n')
  pack.finalize()
  return pack
}
