/** What a host's owner lets workspaces have of the machine: two options come in; the law that the agent holds comes out. */
import { realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { HostLaw } from '../../agent/host-law.ts'
import { isPlainPath } from '../wire/index.ts'
import { readList, readSwitch } from './option-values.ts'
import type { OptionTable } from './options.ts'
import { findProduct } from './product.ts'
import { StartupError } from './startup-error.ts'

/** Absolute, plain directories; never the whole machine. @throws Error */
function readMountable(raw: unknown): readonly string[] {
  return readList(raw).map((item) => {
    const path = item.length > 1 && item.endsWith('/') ? item.slice(0, -1) : item
    if (path === '/') throw new Error('/ would give away the whole machine; name directories')
    if (!isPlainPath(path))
      throw new Error(`${JSON.stringify(item)} is not an absolute path without . and .., such as /srv/data`)
    return path
  })
}

export const lawOptions = {
  'allow-mounts': {
    describe:
      'Directories of this host that workspaces with a grant for it may mount, with all below them; repeat or separate with commas',
    array: true,
    defaultDescription: 'none',
    read: readMountable,
  },
  'allow-host-network': {
    describe:
      'Let workspaces with a grant for it have this host’s own network, all that listens on it included',
    bare: true,
    initial: 'off',
    read: readSwitch,
  },
} as const satisfies OptionTable

/** Directories of Postern itself: its state, its logs, its settings, its program. */
export function ownDirectories(config: {
  readonly stateDirectory: string
  readonly logDirectory: string | null
}): readonly string[] {
  const { stateDirectory, logDirectory } = config
  return [
    stateDirectory,
    ...(logDirectory?.startsWith('/') === true ? [logDirectory] : []),
    join(homedir(), '.config', 'postern'),
    findProduct().root,
  ]
}

/**
 * The law of this host. `own`: Postern's directories, which nobody gets.
 * @throws StartupError config_invalid for a directory that is a link, since whoever may change it could turn it elsewhere
 */
export async function lawOf(
  {
    allowMounts,
    allowHostNetwork,
  }: { readonly allowMounts: readonly string[] | null; readonly allowHostNetwork: boolean },
  own: readonly string[],
): Promise<HostLaw> {
  const problems: string[] = []
  for (const path of allowMounts ?? []) {
    const real = await realpath(path).catch(() => path)
    if (real !== path) problems.push(`allow_mounts: ${path} is a link to ${real}; name that`)
  }
  if (problems.length > 0)
    throw new StartupError('config_invalid', {
      problems,
      next: 'Name the directories by their real paths.',
    })
  return { mounts: allowMounts ?? [], hostNetwork: allowHostNetwork, guarded: own }
}
