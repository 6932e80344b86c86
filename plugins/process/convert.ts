/**
 * Pure: a spec becomes the environment and arguments of a child, a workspace's record and what is alive of it
 * become an Instance. The marks by which a process is proved a workspace's are made here.
 */
import { createHash } from 'node:crypto'
import type { Exit, Instance, WorkspaceId, WorkspaceSpec } from '@postern/plugin'

/** Whose workspace it is; both ids go into every mark. */
export interface Owner {
  readonly deploymentId: string
  readonly hostId: string
}

/** What is written down of a workspace, in `meta.json`. */
export interface Meta extends Owner {
  readonly id: WorkspaceId
  /** 0: only data is kept. */
  readonly generation: number
  readonly incarnation: string
  readonly createdAtMs: number
  /** Declared workspace port → host port handed over as PORT_<n>. */
  readonly ports: Readonly<Record<string, number>>
  readonly home: string
  /** null: the uid of Postern itself. */
  readonly uid: number | null
  /** The leader, once started: pid, start time in ticks since boot, and which boot. */
  readonly leader: { readonly pid: number; readonly startTicks: number; readonly bootId: string } | null
  /** True from the moment that a stop was asked for until the next start. */
  readonly stopAsked: boolean
}

/** What was found alive of a workspace, and how its program ended if it did. */
export interface Finding {
  readonly isAlive: boolean
  readonly exit: Exit | undefined
  /** Ports on 127.0.0.1 that its own processes listen on. */
  readonly listening: ReadonlySet<number>
  /** The size of its own disk in bytes, if it has one. */
  readonly diskBytes?: number | undefined
}

/** A number of 52 bits that stands for a workspace of an owner; put on its processes as a limit they can't raise. */
export function markOf(owner: Owner, id: WorkspaceId): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([owner.deploymentId, owner.hostId, id]))
    .digest()
  return 2 ** 51 + digest.readUIntBE(0, 6)
}

/** The variables that say whose a process is; a program can't override them through its spec. */
export function markerVariables(
  meta: Pick<Meta, 'deploymentId' | 'hostId' | 'id' | 'incarnation'>,
): Record<string, string> {
  return {
    POSTERN_DEPLOYMENT: meta.deploymentId,
    POSTERN_HOST: meta.hostId,
    POSTERN_WORKSPACE: meta.id,
    POSTERN_INCARNATION: meta.incarnation,
  }
}

/** The whole environment of a workspace's program: nothing of Postern's own is passed on. */
export function environmentOf(spec: WorkspaceSpec, meta: Meta, path: string): Record<string, string> {
  const ports: Record<string, string> = {}
  for (const [port, hostPort] of Object.entries(meta.ports)) ports[`PORT_${port}`] = String(hostPort)
  const first = spec.ports[0] === undefined ? undefined : meta.ports[String(spec.ports[0].port)]
  if (first !== undefined) ports['PORT'] = String(first)
  const account = { HOME: meta.home, PATH: path, SHELL: '/bin/sh', LANG: 'C.UTF-8' }
  const own = Object.fromEntries(spec.env.map(({ name, value }) => [name, value]))
  // A shell that starts with a malformed OPTIND gives up before it has run anything.
  if (!/^\d+$/.test(own['OPTIND'] ?? '0')) delete own['OPTIND']
  return { ...account, ...ports, ...own, ...markerVariables(meta) }
}

const WRAPPER = `{ ulimit -w "$1" || ulimit -x "$1"; } 2>/dev/null
cd -- "$2" || { echo "exit 126" >&3; exit 126; }
shift 2
umask 022
trap : HUP INT TERM
"$@" 3>&-
echo "exit $?" >&3`

/** Arguments of the shell that runs the program and writes its exit code to file descriptor 3. */
export function wrapperArguments(meta: Meta, directory: string, command: readonly string[]): string[] {
  return ['-c', WRAPPER, 'postern-workspace', String(markOf(meta, meta.id)), directory, ...command]
}

/** What the wrapper wrote; undefined: it hasn't ended by itself, or the words aren't whole. */
export function parseExit(text: string, atMs: number): Exit | undefined {
  const code = /^exit (\d{1,3})\n$/.exec(text)?.[1]
  return code === undefined ? undefined : { code: Number(code), oom: false, atMs }
}

/** The instance as the contract shows it. */
export function toInstance(meta: Meta, finding: Finding): Instance {
  const { diskBytes } = finding
  const shared = {
    workspaceId: meta.id,
    createdAtMs: meta.createdAtMs,
    ...(diskBytes === undefined ? {} : { diskBytes }),
  }
  const { generation, incarnation } = meta
  if (generation === 0)
    return { ...shared, generation: 0, incarnation: '', state: 'retained', reach: { kind: 'none' } }
  if (finding.isAlive)
    return { ...shared, generation, incarnation, state: 'running', reach: reachOf(meta, finding.listening) }
  const ended = { ...shared, generation, incarnation, reach: { kind: 'none' } as const }
  if (meta.leader === null) return { ...ended, state: 'stopped' }
  const exit = finding.exit ?? { code: null, oom: false, atMs: meta.createdAtMs }
  return { ...ended, state: meta.stopAsked || exit.code === 0 ? 'stopped' : 'failed', exit }
}

function reachOf(meta: Meta, listening: ReadonlySet<number>): Instance['reach'] {
  const handedOver = new Set(Object.values(meta.ports))
  const ports: Record<string, number> = {}
  for (const port of listening) if (!handedOver.has(port)) ports[String(port)] = port
  for (const [port, hostPort] of Object.entries(meta.ports))
    if (listening.has(hostPort)) ports[port] = hostPort
  return { kind: 'ports', host: '127.0.0.1', ports }
}
