/** Workspaces of a host go in; the set that its agent is to make real comes out, and who waits for a new one is woken. */
import type { Deployment } from '../deployment.ts'
import { runtimeSpec } from '../lifecycle/spec.ts'
import type { Host } from '../store/hosts.ts'
import type { Workspace } from '../store/workspaces.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import type { Desired, DesiredEntry } from '../wire/index.ts'

/** Given to a program that is to end before it is forced, in ms. */
const STOP_GRACE_MS = 10_000

const idOf = (entry: DesiredEntry): string => (entry.want === 'running' ? entry.spec.id : entry.id)

/** One line of a host's desired set. What the host cannot run is kept stopped, its data safe. */
export function desiredEntry(deployment: Deployment, workspace: Workspace, host: Host): DesiredEntry {
  const { id, want, data } = workspace
  if (want === 'removed') return { want, id, data }
  const stopped = { want: 'stopped', id, graceMs: STOP_GRACE_MS } as const
  if (want === 'stopped' || !workspace.admitted) return stopped
  const env = workspace.spec.env.map(({ name, value, secret }) => ({
    name,
    value: secret ? deployment.vault.open({ workspaceId: id, name }, value) : value,
  }))
  const spec = runtimeSpec(workspace, env, host.capabilities)
  return spec === null ? stopped : ({ want, spec } as DesiredEntry)
}

/** The whole desired set. Its revision is older than its rows at worst: the agent is woken once too often then. */
export async function desiredOf(deployment: Deployment, host: Host): Promise<Desired> {
  const workspaces = await listWorkspaces(deployment.feed.db, { hostId: host.id })
  const entries = workspaces.map((workspace) => desiredEntry(deployment, workspace, host))
  return {
    revision: host.desiredRevision,
    workspaces: entries.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)),
  }
}

/** One wait: `done` gives true when the host's set may have changed, false when the time is over. */
export interface Wait {
  readonly done: Promise<boolean>
  /** To be called whatever happens. */
  end(): void
}

/** Who waits for the desired set of a host. */
export class Waiters {
  readonly #byHost = new Map<string, Set<(changed: boolean) => void>>()

  /** Waits from now on, until `end`. Rejects with the signal's reason. */
  add(hostId: string, signal: AbortSignal, waitMs: number): Wait {
    const waiting = this.#byHost.get(hostId) ?? new Set()
    this.#byHost.set(hostId, waiting)
    let end = (): void => undefined
    const done = new Promise<boolean>((resolve, reject) => {
      const wake = (changed: boolean): void => resolve(changed)
      const abort = (): void => reject(signal.reason as Error)
      const timer = setTimeout(() => resolve(false), waitMs)
      waiting.add(wake)
      signal.addEventListener('abort', abort, { once: true })
      end = () => {
        clearTimeout(timer)
        waiting.delete(wake)
        signal.removeEventListener('abort', abort)
        resolve(false)
      }
      if (signal.aborted) abort()
    })
    // An abort may come while nobody awaits it yet.
    done.catch(() => undefined)
    return { done, end: () => end() }
  }

  /** Wakes those of the named hosts; all without names. */
  wake(hostIds: Iterable<string> = this.#byHost.keys(), changed = true): void {
    for (const hostId of new Set(hostIds)) for (const wake of this.#byHost.get(hostId) ?? []) wake(changed)
  }
}
