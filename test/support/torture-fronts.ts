// A front's name and an edge come in; the real program, running on the file that a user would copy, comes out as a port.
import type { Test } from 'tap'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { startCaddy, startHaproxy, startNginx } from './fronts-start.ts'
import type { EdgeUnderTest } from './gateway-edge.ts'
import type { FrontName } from './torture-case.ts'

const starts = {
  nginx: [startNginx, 'nginx/pass-on.conf'],
  caddy: [startCaddy, 'caddy/pass-on.Caddyfile'],
  haproxy: [startHaproxy, 'haproxy/pass-on.cfg'],
} as const

/** Starts it; it ends with the test. */
export async function startFront(
  t: Test,
  name: Exclude<FrontName, 'bare'>,
  edge: EdgeUnderTest,
): Promise<number> {
  const [start, file] = starts[name]
  const directory = mkdtempSync(join(tmpdir(), `torture-${name}-`))
  mkdirSync(directory, { recursive: true })
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const ports = { front: await freePort(), postern: edge.port, authz: edge.authzPort }
  const front = await start(file, ports, directory)
  t.teardown(() => front.stop())
  return front.port
}
