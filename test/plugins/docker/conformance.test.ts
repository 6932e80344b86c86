/** The conformance kit on the machine's own Docker Engine, with look-alikes of every kind. */
import type Docker from 'dockerode'
import type { Capabilities, Host, WorkspaceSpec } from '@postern/plugin'
import { conformance, shellProbe } from '@postern/plugin/testing'
import type { Foreign } from '@postern/plugin/testing'
import plugin from '@postern/plugin-docker'
import t from 'tap'
import { engineLacks, machineEngine } from '../../support/docker-engine.ts'
import { tinyImage } from '../../support/docker-image.ts'
import { foreignContainer, leftovers } from '../../support/docker-world.ts'

const lacks = engineLacks()
if (lacks !== undefined) {
  t.test('the kit on Docker', { skip: lacks }, () => Promise.resolve())
} else {
  t.jobs = 4
  const { capabilities }: { capabilities: Capabilities } = plugin
  const docker = machineEngine()
  const image = await tinyImage(docker)
  const cases = conformance({
    plugin,
    program: { image, command: shellProbe() },
    deadlineMs: 120_000,
    leftovers: (host: Host) => leftovers(docker, host),
    spawnForeign: (host: Host, spec: WorkspaceSpec) => lookalike(docker, host, spec, image),
  })
  for (const one of cases) {
    const isDeclared = one.needs === undefined || Boolean(capabilities[one.needs])
    t.test(one.name, { buffered: true, skip: isDeclared ? false : `not declared: ${one.needs}` }, () =>
      one.run(),
    )
  }
}

/** The very name and every label but the host's. */
async function lookalike(docker: Docker, host: Host, spec: WorkspaceSpec, image: string): Promise<Foreign> {
  return foreignContainer(docker, { ...host, hostId: 'somebody-else' }, spec, image)
}
