/**
 * Directories of the host that a container is to get come in; a refusal leaves unless it is safe to ask the engine now. It
 * follows links when it mounts, so nothing on the way to a source may be changed by a workspace meanwhile.
 */
import { realpath } from 'node:fs/promises'
import { posix } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { WorkspaceSpec } from '@postern/plugin'
import type { ContainerInfo } from 'dockerode'

/** @throws RuntimeError ERR_CONFLICT while something could turn a source elsewhere under the engine's hands */
export async function checkSources(
  { mounts = [] }: WorkspaceSpec,
  others: readonly ContainerInfo[],
): Promise<void> {
  for (const { source } of mounts) {
    const over = others
      .flatMap((row) => row.Mounts)
      .find(({ Type, RW, Source }) => Type === 'bind' && RW && isAbove(Source, source))
    if (over !== undefined)
      throw new RuntimeError(
        'ERR_CONFLICT',
        `${source} is in ${over.Source}, which another workspace may write to now.`,
        { fix: 'Stop that workspace, let it mount read-only, or mount the same directory in both.' },
      )
    const real = await realpath(source).catch(() => null)
    if (real === null)
      throw new RuntimeError('ERR_INVALID_SPEC', `There is no ${source} on this host.`, {
        fix: 'Make it there, or let the agent see it; then start the workspace again.',
      })
    if (real !== source)
      throw new RuntimeError('ERR_CONFLICT', `${source} has become another thing meanwhile.`, {
        fix: 'It is looked at again by itself.',
      })
  }
}

/** The directory itself may be shared: who has it can't replace it. */
const isAbove = (above: string, path: string): boolean =>
  above !== path && path.startsWith(posix.join(above, '/'))
