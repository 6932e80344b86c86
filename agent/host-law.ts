/**
 * What a host's owner lets workspaces have of it: their opt-ins and a spec in; what is told to control, and the spec as
 * the runtime may take it, out. It holds whatever control says.
 */
import { realpath, stat } from 'node:fs/promises'
import { RuntimeError } from '@postern/plugin'
import type { Capabilities, MountSpec, Runtime, WorkspaceSpec } from '@postern/plugin'
import type { Register } from '../control/wire/index.ts'

/** The opt-ins of a host's owner; nothing of the host is given away by default. */
export interface HostLaw {
  /** Directories that may be mounted, with all that is below them; absolute and plain. */
  readonly mounts: readonly string[]
  readonly hostNetwork: boolean
  /** Postern's own directories, which no workspace may get hold of. */
  readonly guarded: readonly string[]
}

export const noLaw: HostLaw = { mounts: [], hostNetwork: false, guarded: [] }

/** Neither these, nor what is in them, nor what holds them, is mounted by way of a wider directory that was named. */
const guardedAlways = [
  '/',
  '/proc',
  '/sys',
  '/dev',
  '/etc',
  '/run',
  '/var/run',
  '/boot',
  '/root',
  '/var/run/docker.sock',
  '/var/lib/docker',
  '/var/lib/containerd',
]

/** What this host offers: what the runtime can, as far as its owner lets it. `runtime` is null before it is open. */
export function offeredBy(
  declared: Capabilities,
  runtime: Runtime | null,
  law: HostLaw,
): Register['capabilities'] {
  const { gpus, mounts, hostNetwork, ...plain } = runtime?.capabilities ?? declared
  // Whether this machine can hold a disk's size shows when it is open.
  if (runtime === null) return { ...plain, ...(plain.limits && { limits: { ...plain.limits, disk: false } }) }
  return {
    ...plain,
    ...(gpus === true && (runtime.gpus ?? 0) > 0 ? { gpus: runtime.gpus } : {}),
    ...(mounts === true && law.mounts.length > 0 ? { mounts: [...law.mounts] } : {}),
    ...(hostNetwork === true && law.hostNetwork ? { hostNetwork } : {}),
  }
}

const refusal = (message: string, fix: string): RuntimeError =>
  new RuntimeError('ERR_UNSUPPORTED', message, { fix })

const isIn = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)

/** What a path leads to; null where there is nothing, or nothing that may be seen. */
const leadsTo = (path: string): Promise<string | null> => realpath(path).catch(() => null)

const identityOf = async (path: string): Promise<string | null> =>
  stat(path, { bigint: true }).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => null,
  )

interface Bounds {
  /** What was named and is what it was: not a link, which somebody may have put in its place. */
  readonly named: readonly string[]
  readonly guarded: readonly string[]
}

async function boundsOf(law: HostLaw, runtime: Runtime): Promise<Bounds> {
  const guarded = [...guardedAlways, ...law.guarded, ...(runtime.guarded ?? [])]
  const real = await Promise.all(guarded.map(leadsTo))
  const named = await Promise.all(law.mounts.map(leadsTo))
  return {
    named: law.mounts.filter((path, at) => named[at] === path),
    guarded: [...new Set([...guarded, ...real.filter((path) => path !== null)])],
  }
}

/** One answer for all that isn't given away, so that nothing is told of what lies elsewhere on the machine. */
const notGiven = (source: string): RuntimeError =>
  refusal(
    `This host does not give ${source} to workspaces.`,
    'Its owner names what may be mounted with --allow-mounts.',
  )

/** The mount by the path that its source leads to. @throws RuntimeError ERR_UNSUPPORTED, ERR_INVALID_SPEC */
async function lawfulMount(mount: MountSpec, law: HostLaw, bounds: Bounds): Promise<MountSpec> {
  const { named, guarded } = bounds
  // By what was asked for and by what it leads to: neither a link nor a name may lead out.
  if (!law.mounts.some((directory) => isIn(mount.source, directory))) throw notGiven(mount.source)
  const source = await leadsTo(mount.source)
  if (source === null)
    throw new RuntimeError('ERR_INVALID_SPEC', `There is no ${mount.source} on this host.`, {
      fix: 'Make it there, or let the agent see it; then start the workspace again.',
    })
  if (!named.some((directory) => isIn(source, directory))) throw notGiven(mount.source)
  const isNamed = named.includes(source)
  for (const path of guarded) {
    if (path !== source && isIn(path, source)) throw notGiven(mount.source)
    if (isIn(source, path) && path !== '/' && !isNamed) throw notGiven(mount.source)
  }
  if (source === '/') throw notGiven(mount.source)
  // The same thing by another name, such as by the case of its letters or a second mount.
  const own = await identityOf(source)
  const theirs = await Promise.all(guarded.map(identityOf))
  if (!isNamed && (own === null || theirs.includes(own))) throw notGiven(mount.source)
  const found = await stat(source)
  if (!isNamed && !found.isDirectory() && !found.isFile()) throw notGiven(mount.source)
  return { ...mount, source }
}

/**
 * The spec with every mount by its real path, if this host gives away all that it asks for.
 * @throws RuntimeError ERR_UNSUPPORTED for what it doesn't, ERR_INVALID_SPEC for a source that isn't there
 */
export async function lawfulSpec(
  spec: WorkspaceSpec,
  law: HostLaw,
  runtime: Runtime,
  offered: Register['capabilities'],
): Promise<WorkspaceSpec> {
  const { gpus = 0, mounts = [], hostNetwork = false } = spec
  if (hostNetwork && offered.hostNetwork !== true)
    throw refusal(
      'This host does not give its network to workspaces.',
      'Its owner allows that with --allow-host-network.',
    )
  if (gpus > (offered.gpus ?? 0))
    throw refusal(`This host has ${offered.gpus ?? 0} GPUs to give out, not ${gpus}.`, 'Ask for fewer.')
  if (mounts.length === 0) return spec
  if (offered.mounts === undefined) throw notGiven(mounts[0]?.source ?? '')
  const bounds = await boundsOf(law, runtime)
  const lawful: MountSpec[] = []
  for (const mount of mounts) lawful.push(await lawfulMount(mount, law, bounds))
  return { ...spec, mounts: lawful }
}
