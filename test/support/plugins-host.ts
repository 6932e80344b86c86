/** A host for a runtime plugin in a test: silent, with a state directory of its own under the system's temporary one. */
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host, Logger } from '@postern/plugin'

/** Hears nothing. */
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }

/** Makes a host with random ids; `remove` takes its directory away. */
export async function testHost(): Promise<Host & { remove(): Promise<void> }> {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'postern-host-'))
  await chmod(stateDirectory, 0o711)
  return {
    deploymentId: `test-${randomBytes(6).toString('hex')}`,
    hostId: `host-${randomBytes(6).toString('hex')}`,
    stateDirectory,
    log: silent,
    now: () => Date.now(),
    remove: () => rm(stateDirectory, { recursive: true, force: true }),
  }
}
