/** What the dashboard knows, as messages of the event stream make it. Pure: a snapshot and messages in, a snapshot out. */
import type { AccessRequestView } from '../../../control/wire/access-requests.ts'
import type { HostView } from '../../../control/wire/account.ts'
import type { StreamMessage } from '../../../control/wire/events.ts'
import type { Limits, TimelineEvent, WorkspaceView } from '../../../control/wire/workspace.ts'

export interface Snapshot {
  readonly revision: number
  readonly workspaces: ReadonlyMap<string, WorkspaceView>
  readonly hosts: ReadonlyMap<string, HostView>
  readonly limits: Limits | null
  /** Requests for access that this person may answer, and those that they made, by id. */
  readonly requests: ReadonlyMap<string, AccessRequestView>
  readonly myRequests: ReadonlyMap<string, AccessRequestView>
  /** By workspace; newest first; only what came while this page was open. */
  readonly timelines: ReadonlyMap<string, readonly TimelineEvent[]>
  readonly version: string
  /** How often it was told that the audit has other newest rows. */
  readonly auditTold: number
}

export const nothingYet: Snapshot = {
  revision: 0,
  workspaces: new Map(),
  hosts: new Map(),
  limits: null,
  requests: new Map(),
  myRequests: new Map(),
  timelines: new Map(),
  version: '',
  auditTold: 0,
}

const TIMELINE_KEPT = 200

/** Both lists as one, each event once, newest first. */
export function mergedEvents(
  a: readonly TimelineEvent[],
  b: readonly TimelineEvent[],
): readonly TimelineEvent[] {
  const byId = new Map([...a, ...b].map((event) => [event.id, event]))
  return [...byId.values()].sort((x, y) => y.id - x.id)
}

/** The snapshot after the messages. Each message is a level, so one that comes twice changes nothing. */
export function applied(before: Snapshot, messages: readonly StreamMessage[]): Snapshot {
  const workspaces = new Map(before.workspaces)
  const hosts = new Map(before.hosts)
  const timelines = new Map(before.timelines)
  const requests = new Map(before.requests)
  const myRequests = new Map(before.myRequests)
  let { revision, limits, version, auditTold } = before
  for (const message of messages) {
    if ('revision' in message) revision = Math.max(revision, message.revision)
    switch (message.type) {
      case 'workspace':
        workspaces.set(message.workspace.id, message.workspace)
        break
      case 'workspace-gone':
        workspaces.delete(message.id)
        timelines.delete(message.id)
        for (const [id, { workspace }] of requests) if (workspace?.id === message.id) requests.delete(id)
        break
      case 'timeline': {
        const { workspaceId } = message.event
        const merged = mergedEvents(timelines.get(workspaceId) ?? [], [message.event])
        timelines.set(workspaceId, merged.slice(0, TIMELINE_KEPT))
        break
      }
      case 'host':
        hosts.set(message.host.id, message.host)
        break
      case 'host-gone':
        hosts.delete(message.id)
        break
      case 'access-request':
        requests.set(message.request.id, message.request)
        break
      case 'access-request-gone':
        requests.delete(message.id)
        break
      case 'my-access-request':
        if (message.request === null) myRequests.delete(message.id)
        else myRequests.set(message.id, message.request)
        break
      case 'limits':
        limits = message.limits
        break
      case 'live':
        version = message.version
        break
      case 'audit':
        auditTold++
        break
      case 'resync':
        break
    }
  }
  return { revision, workspaces, hosts, limits, requests, myRequests, timelines, version, auditTold }
}

/** Puts one answer of the API in at once, unless the stream has told of a later one. */
export function withWorkspace(before: Snapshot, workspace: WorkspaceView): Snapshot {
  const known = before.workspaces.get(workspace.id)
  // Not there although the stream is past it: it is gone, and a late answer must not bring it back.
  const seenRevision = known === undefined ? before.revision : known.revision - 1
  if (seenRevision >= workspace.revision) return before
  return { ...before, workspaces: new Map(before.workspaces).set(workspace.id, workspace) }
}

/** A message of the stream, or null for what isn't one of those that this page knows. */
export function parseMessage(data: unknown): StreamMessage | null {
  if (typeof data !== 'string') return null
  try {
    const message = JSON.parse(data) as { type?: unknown } | null
    return typeof message?.type === 'string' ? (message as StreamMessage) : null
  } catch {
    // A frame that is no JSON tells nothing; the next one will.
    return null
  }
}

/** How long to wait before try `n` (from 0): 0.5 s doubling to 15 s, spread by `chance` in [0, 1). */
export function reconnectMs(n: number, chance: number): number {
  return Math.min(15_000, 500 * 2 ** Math.min(n, 10)) * (0.75 + 0.5 * chance)
}
