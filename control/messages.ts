/** Changes go in; the messages of the live stream that one person may see come out, in revision order. */
import type { Person } from './authorization.ts'
import { messageNeeds } from './authorization.ts'
import type { Deployment } from './deployment.ts'
import { limitsOf } from './limits.ts'
import type { Change } from './store/changes.ts'
import { listHosts } from './store/hosts.ts'
import type { Host } from './store/hosts.ts'
import type { Db } from './store/open.ts'
import { findTimeline } from './store/timeline.ts'
import type { Counts } from './store/workspaces.ts'
import { countByHost, countWorkspaces, listWorkspaces } from './store/workspaces.ts'
import { hostView, workspaceViews } from './views.ts'
import type { StreamMessage } from './wire/index.ts'

/** What changed, read once for all sockets. `audience` is the owner; null: administrators. */
export interface Loaded {
  readonly messages: readonly { readonly message: StreamMessage; readonly audience: string | null }[]
  /** What limits are made of; null: nothing about them changed. */
  readonly limits: {
    readonly hosts: readonly Host[]
    readonly counts: Counts
    readonly revision: number
  } | null
}

/** The last change of each subject, oldest first: where a reader resumes, nothing before is missing. */
function compact(changes: readonly Change[]): Change[] {
  const last = new Map(changes.map((change) => [`${change.kind} ${change.subject}`, change]))
  return [...last.values()].sort((a, b) => a.revision - b.revision)
}

/** Reads the rows behind changes; `always` also what limits are made of. */
export async function loadChanges(
  deployment: Deployment,
  db: Db,
  changes: readonly Change[],
  always: boolean,
): Promise<Loaded> {
  const compacted = compact(changes)
  const subjects = (kind: Change['kind']): string[] =>
    compacted.filter((change) => change.kind === kind).map(({ subject }) => subject)
  const ids = subjects('workspace')
  const rows = ids.length === 0 ? [] : await listWorkspaces(db, { ids })
  const views = new Map((await workspaceViews(deployment, db, rows)).map((view) => [view.id, view]))
  const lines = new Map(
    (await findTimeline(db, subjects('timeline').map(Number))).map((line) => [String(line.id), line]),
  )
  const hosts = await listHosts(db)
  const counts = await countByHost(db)
  const messages: { message: StreamMessage; audience: string | null }[] = []
  for (const { kind, subject, revision, audience } of compacted) {
    if (kind === 'workspace') {
      const workspace = views.get(subject)
      const message: StreamMessage =
        workspace === undefined
          ? { type: 'workspace-gone', revision, id: subject }
          : { type: 'workspace', revision, workspace }
      messages.push({ message, audience })
    } else if (kind === 'timeline') {
      const event = lines.get(subject)
      if (event !== undefined) messages.push({ message: { type: 'timeline', revision, event }, audience })
    } else if (kind === 'host') {
      const host = hosts.find(({ id }) => id === subject)
      const message: StreamMessage =
        host === undefined
          ? { type: 'host-gone', revision, id: subject }
          : { type: 'host', revision, host: hostView(host, counts.get(subject) ?? 0) }
      messages.push({ message, audience: null })
    }
  }
  const isNews = always || compacted.some(({ kind }) => kind === 'workspace' || kind === 'host')
  const revision = changes.at(-1)?.revision ?? 0
  return { messages, limits: isNews ? { hosts, counts: await countWorkspaces(db), revision } : null }
}

/** Everything that there is. Its revision is 0: a reader that leaves before `live` begins anew. */
export async function loadEverything(deployment: Deployment, db: Db): Promise<Loaded> {
  const views = await workspaceViews(deployment, db, await listWorkspaces(db, {}))
  const hosts = await listHosts(db)
  const counts = await countByHost(db)
  return {
    messages: [
      ...hosts.map((host) => ({
        message: { type: 'host', revision: 0, host: hostView(host, counts.get(host.id) ?? 0) } as const,
        audience: null,
      })),
      ...views.map((workspace) => ({
        message: { type: 'workspace', revision: 0, workspace } as const,
        audience: workspace.owner.id,
      })),
    ],
    limits: { hosts, counts: await countWorkspaces(db), revision: 0 },
  }
}

function maySee(
  message: StreamMessage,
  audience: string | null,
  reader: { person: Person; all: boolean },
): boolean {
  switch (messageNeeds[message.type].who) {
    case 'owner':
      return audience === reader.person.id || reader.all
    case 'administrator':
      return reader.person.administrator
    case 'signed-in':
    case 'public':
      return true
    case 'agent':
    case 'gateway':
      return false
  }
}

/** What one reader is sent; limits only where they differ from those sent before. */
export function messagesFor(
  deployment: Deployment,
  reader: { readonly person: Person; readonly all: boolean },
  loaded: Loaded,
  sent: { limits: string },
): StreamMessage[] {
  const messages = loaded.messages
    .filter(({ message, audience }) => maySee(message, audience, reader))
    .map(({ message }) => message)
  if (loaded.limits === null) return messages
  const { hosts, counts, revision } = loaded.limits
  const limits = limitsOf(deployment.options.limits, hosts, counts, reader.person)
  const text = JSON.stringify(limits)
  if (text === sent.limits) return messages
  sent.limits = text
  return [...messages, { type: 'limits', revision, limits }]
}
