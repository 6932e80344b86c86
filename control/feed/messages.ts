/** Changes go in; the messages of the live stream that one person may see come out, in revision order. */
import type { Person } from '../authorization/authorization.ts'
import { messageNeeds } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import { limitsFor } from '../placement/limits.ts'
import type { Ledger } from '../placement/quotas.ts'
import { readLedger } from '../service/ledger.ts'
import { loadRequests, requestMessages } from '../views/access-request-views.ts'
import { listAccessRequests } from '../store/access-requests.ts'
import type { Change } from '../store/changes.ts'
import { grantsOnWorkspaces } from '../store/grants.ts'
import { listHosts } from '../store/hosts.ts'
import type { Host } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'
import { readSettings } from '../store/settings.ts'
import { findTimeline } from '../store/timeline.ts'
import type { Workspace } from '../store/workspaces.ts'
import { countByHost, listWorkspaces } from '../store/workspaces.ts'
import type { Uses } from '../authorization/uses.ts'
import { isRestricted } from '../authorization/uses.ts'
import { hostView, seenAs, workspaceViews } from '../views/views.ts'
import { readUses } from '../authorization/whose.ts'
import { reaches, roleOn } from '../wire/index.ts'
import type { Accessible, AccessRole, Settings, StreamMessage } from '../wire/index.ts'

interface LoadedMessage {
  readonly message: StreamMessage
  /** The workspace that it is about, as far as it says who may see it; null: about none, or it is gone. */
  readonly of: Accessible | null
  /** Whose the workspace was that is gone. */
  readonly audience: string | null
}

/** What changed, read once for all sockets. */
export interface Loaded {
  readonly messages: readonly LoadedMessage[]
  /** What limits are made of; null: nothing about them changed. */
  readonly limits: {
    readonly hosts: readonly Host[]
    readonly ledger: Ledger
    readonly settings: Settings
    readonly uses: Uses
    readonly revision: number
  } | null
}

/** A view that is shown to several people is read as its owner's; `seenAs` makes it each one's own. */
const asOwner = (): AccessRole => 'owner'

async function accessibleOf(db: Db, rows: readonly Workspace[]): Promise<Map<string, Accessible>> {
  const grants = await grantsOnWorkspaces(
    db,
    rows.map(({ id }) => id),
  )
  return new Map(
    rows.map(({ id, ownerId, ownerGroupId }) => [
      id,
      { ownerId, ownerGroupId, grants: grants.get(id) ?? [] },
    ]),
  )
}

/** The last change of each subject, oldest first: where a reader resumes, nothing before is missing. */
function compact(changes: readonly Change[]): Change[] {
  const last = new Map(changes.map((change) => [`${change.kind} ${change.subject}`, change]))
  return [...last.values()].sort((a, b) => a.revision - b.revision)
}

/** What limits are made of; groups are told of by their people. */
const ofLimits: ReadonlySet<Change['kind']> = new Set(['workspace', 'host', 'settings', 'quota', 'user'])

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
  const lines = new Map(
    (await findTimeline(db, subjects('timeline').map(Number))).map((line) => [String(line.id), line]),
  )
  const changed = new Set(subjects('workspace'))
  const ids = [...new Set([...changed, ...[...lines.values()].map(({ workspaceId }) => workspaceId)])]
  const rows = ids.length === 0 ? [] : await listWorkspaces(db, { ids })
  const shown = rows.filter(({ id }) => changed.has(id))
  const views = new Map((await workspaceViews(deployment, db, shown, asOwner)).map((view) => [view.id, view]))
  const accessible = await accessibleOf(db, rows)
  const isNews = always || compacted.some(({ kind }) => ofLimits.has(kind))
  const hostIds = [...new Set([...subjects('host'), ...subjects('health')])]
  const hosts = await listHosts(db, isNews ? undefined : hostIds)
  const counts = await countByHost(db, hostIds)
  const uses = await readUses(db, deployment.now())
  const asked = subjects('access-request')
  const requests = asked.length === 0 ? [] : await listAccessRequests(db, { ids: asked })
  const requestOf = new Map((await loadRequests(db, requests)).map((each) => [each.request.id, each]))
  const messages: LoadedMessage[] = []
  for (const { kind, subject, revision, audience } of compacted) {
    if (kind === 'workspace') {
      const workspace = views.get(subject)
      const message: StreamMessage =
        workspace === undefined
          ? { type: 'workspace-gone', revision, id: subject }
          : { type: 'workspace', revision, workspace }
      messages.push({ message, of: accessible.get(subject) ?? null, audience })
    } else if (kind === 'timeline') {
      const event = lines.get(subject)
      const of = accessible.get(event?.workspaceId ?? '') ?? null
      if (event !== undefined) messages.push({ message: { type: 'timeline', revision, event }, of, audience })
    } else if (kind === 'host' || kind === 'health') {
      const host = hosts.find(({ id }) => id === subject)
      const message: StreamMessage =
        host === undefined
          ? { type: 'host-gone', revision, id: subject }
          : {
              type: 'host',
              revision,
              host: hostView(host, counts.get(subject) ?? 0, isRestricted(uses, 'host', subject)),
            }
      messages.push({ message, of: null, audience: null })
    } else if (kind === 'access-request')
      messages.push(...requestMessages({ id: subject, revision, audience }, requestOf.get(subject)))
  }
  const revision = changes.at(-1)?.revision ?? 0
  return {
    messages,
    limits: isNews
      ? {
          hosts,
          ledger: await readLedger(deployment, db, hosts),
          settings: await readSettings(db),
          uses,
          revision,
        }
      : null,
  }
}

/** Everything that there is. Its revision is 0: a reader that leaves before `live` begins anew. */
export async function loadEverything(deployment: Deployment, db: Db): Promise<Loaded> {
  const rows = await listWorkspaces(db, {})
  const views = await workspaceViews(deployment, db, rows, asOwner)
  const accessible = await accessibleOf(db, rows)
  const hosts = await listHosts(db)
  const counts = await countByHost(db)
  const uses = await readUses(db, deployment.now())
  return {
    messages: [
      ...hosts.map((host) => ({
        message: {
          type: 'host',
          revision: 0,
          host: hostView(host, counts.get(host.id) ?? 0, isRestricted(uses, 'host', host.id)),
        } as const,
        of: null,
        audience: null,
      })),
      ...views.map((workspace) => ({
        message: { type: 'workspace', revision: 0, workspace } as const,
        of: accessible.get(workspace.id) ?? null,
        audience: workspace.owner.id,
      })),
      ...(await loadRequests(db, await listAccessRequests(db, {}))).flatMap((each) =>
        requestMessages({ id: each.request.id, revision: 0, audience: each.request.userId }, each),
      ),
    ],
    limits: {
      hosts,
      ledger: await readLedger(deployment, db, hosts),
      settings: await readSettings(db),
      uses,
      revision: 0,
    },
  }
}

/** Who is sent messages. */
export interface Audience {
  person: Person
  /** Everybody's workspaces, by office. */
  readonly all: boolean
  /** The workspaces that they were told of: of these they hear when they may no longer see them. */
  readonly known: Set<string>
}

/** A message about a workspace, or that it is gone for this reader; null: it never was there for them. */
function aboutWorkspace(
  { message, of, audience }: LoadedMessage,
  { person, all, known }: Audience,
  nowMs: number,
): StreamMessage | null {
  const role = of === null ? null : roleOn(of, person, nowMs)
  const need = messageNeeds[message.type]
  const byOffice = all && need.also !== undefined
  const sees = of !== null && (byOffice || reaches(role, need.level ?? 'owner'))
  switch (message.type) {
    case 'workspace': {
      const { revision, workspace } = message
      if (sees) known.add(workspace.id)
      else return known.delete(workspace.id) ? { type: 'workspace-gone', revision, id: workspace.id } : null
      return { ...message, workspace: seenAs(workspace, role) }
    }
    case 'workspace-gone':
      return known.delete(message.id) || all || audience === person.id ? message : null
    default:
      return sees ? message : null
  }
}

/** The id of the workspace that a message is about; '': none. */
function subjectOf(message: StreamMessage): string {
  switch (message.type) {
    case 'workspace':
      return message.workspace.id
    case 'workspace-gone':
      return message.id
    case 'timeline':
      return message.event.workspaceId
    default:
      return ''
  }
}

/** False for what a token of one workspace isn't for. */
function isWithin(message: StreamMessage, { token }: Person): boolean {
  const bounds = token?.bounds ?? null
  return bounds === null || bounds.workspaceId === subjectOf(message)
}

/** The message as this reader is to have it; null: it is not for them. */
export function forReader(given: LoadedMessage, reader: Audience, nowMs: number): StreamMessage | null {
  const { message } = given
  switch (messageNeeds[message.type].who) {
    case 'workspace':
      return isWithin(message, reader.person) ? aboutWorkspace(given, reader, nowMs) : null
    case 'reads-all':
      return reader.person.readsAll ? message : null
    case 'administrator':
      return reader.person.administrator ? message : null
    case 'signed-in':
      return given.audience === null || given.audience === reader.person.id ? message : null
    case 'public':
      return message
    case 'agent':
    case 'gateway':
      return null
  }
}

/** What one reader is sent; limits only where they differ from those sent before. */
export function messagesFor(
  deployment: Deployment,
  reader: Audience,
  loaded: Loaded,
  sent: { limits: string },
): StreamMessage[] {
  const nowMs = deployment.now()
  const messages = loaded.messages.flatMap((each) => forReader(each, reader, nowMs) ?? [])
  if (loaded.limits === null) return messages
  const { hosts, ledger, settings, uses, revision } = loaded.limits
  const limits = limitsFor(deployment.options.limits, hosts, ledger, reader.person, settings, uses)
  const text = JSON.stringify(limits)
  if (text === sent.limits) return messages
  sent.limits = text
  return [...messages, { type: 'limits', revision, limits }]
}
