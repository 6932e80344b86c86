/**
 * The one way in which a workspace changes: a draft goes in; its phase is derived, the row is stored, its host's
 * desired set moves on, the timeline gets its line, and the feed is told. Runs inside a transaction.
 */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { CommandEvent } from '../lifecycle/lifecycle.ts'
import type { Appearance } from '../lifecycle/phase.ts'
import { deriveAppearance } from '../lifecycle/phase.ts'
import type { Candidate } from '../placement/placement.ts'
import { place } from '../placement/placement.ts'
import { placeOf } from '../placement/quotas.ts'
import { lacking } from '../lifecycle/spec.ts'
import { deleteGrants, listGrants } from '../store/grants.ts'
import type { Host } from '../store/hosts.ts'
import { findHost, listHosts, updateHost } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'
import { appendTimeline } from '../store/timeline.ts'
import type { StoredReason, Workspace } from '../store/workspaces.ts'
import {
  countByHost,
  gpusByHost,
  deleteWorkspace,
  insertWorkspace,
  listWorkspaces,
  updateWorkspace,
} from '../store/workspaces.ts'
import { listAliases, reserveName } from '../store/names.ts'
import { listSessions } from '../store/sessions.ts'
import { listTokens } from '../store/tokens.ts'
import { endGuestsOf } from './guests.ts'
import { tellHooks } from '../hooks/hook-events.ts'
import { barredBeyond } from './beyond.ts'
import { readLedger } from './ledger.ts'
import { mayUseHost, needsOf } from '../authorization/uses.ts'
import { accessingOf, readUses } from '../authorization/whose.ts'
import { endSessions } from './sessions.ts'
import { endTokens } from './tokens.ts'

/** What the timeline says of a command; null actor: nobody asked, it came about. */
export interface Told {
  readonly event: CommandEvent
  readonly actor: string | null
}

function isDesiredChange(before: Workspace | null, draft: Workspace): boolean {
  if (before === null) return true
  return (
    before.want !== draft.want ||
    before.data !== draft.data ||
    before.admitted !== draft.admitted ||
    before.programGeneration !== draft.programGeneration ||
    before.hostId !== draft.hostId
  )
}

/** Moves a host's desired set on, so that its waiting agent is answered. */
export async function desiredChanged(w: Writer, hostId: string): Promise<number> {
  const revision = await w.changed('desired', hostId)
  await updateHost(w.db, hostId, { desiredRevision: revision })
  return revision
}

function reasonOf(before: Workspace | null, appearance: Appearance, now: number): StoredReason {
  const known = before?.reason ?? null
  const lasts = known !== null && known.code === appearance.code && before?.phase === appearance.phase
  return {
    code: appearance.code,
    message: appearance.message,
    sinceMs: lasts ? known.sinceMs : now,
    ...(appearance.nextTryAtMs === undefined ? {} : { nextTryAtMs: appearance.nextTryAtMs }),
  }
}

async function writeTimeline(
  deployment: Deployment,
  w: Writer,
  before: Workspace | null,
  after: Workspace,
  told: Told | null,
  now: number,
): Promise<void> {
  const isNews = before?.phase !== after.phase || before.reason?.code !== after.reason?.code
  if (told === null && !isNews) return
  const { id: workspaceId, phase, generation } = after
  const code = told?.event.code ?? after.reason?.code ?? 'internal'
  deployment.log.info('a workspace changed', {
    workspaceId,
    phase,
    code,
    generation,
    actor: told?.actor ?? null,
  })
  const message =
    told === null ? (after.reason?.message ?? '') : `${told.actor ?? 'Postern'} ${told.event.verb}.`
  const id = await appendTimeline(w.db, {
    workspaceId: after.id,
    atMs: now,
    phase: after.phase,
    code,
    message,
    actor: told?.actor ?? null,
  })
  await w.changed('timeline', String(id), after.ownerId)
  if (before?.phase === after.phase) return
  const { name, ownerId } = after
  const data = {
    workspace: { id: workspaceId, name, ownerId },
    phase,
    from: before?.phase ?? null,
    code,
    message,
  }
  await tellHooks(w.db, { type: 'workspace.phase', atMs: now, data })
}

/** Nothing of it is left on any host: the row goes, and its names stay its former owner's. */
async function finishPurge(w: Writer, workspace: Workspace, now: number): Promise<void> {
  await endSessions(w, await listSessions(w.db, { workspaceId: workspace.id }))
  await endTokens(w, await listTokens(w.db, { workspaceId: workspace.id }))
  const grants = await listGrants(w.db, { object: { kind: 'workspace', id: workspace.id } })
  await deleteGrants(
    w.db,
    grants.map(({ id }) => id),
  )
  const aliases = await listAliases(w.db, [workspace.id])
  if (grants.length > 0 || workspace.ownerGroupId !== null)
    await w.changed('access', workspace.id, workspace.ownerId)
  await endGuestsOf(w, { workspaceId: workspace.id })
  await deleteWorkspace(w.db, workspace.id)
  for (const { name } of [workspace, ...aliases]) await reserveName(w.db, name, workspace.ownerId, now)
  await w.changed('workspace', workspace.id, workspace.ownerId)
  if (workspace.hostId !== null) await desiredChanged(w, workspace.hostId)
}

function isGone(workspace: Workspace): boolean {
  if (workspace.want !== 'removed' || workspace.data !== 'delete') return false
  if (workspace.hostId === null) return true
  return workspace.status?.state === 'absent' && workspace.statusRevision >= workspace.desiredRevision
}

/** Stores what became of `before` (null: it is new). @returns the stored row; a purged one as it was last */
export async function settle(
  deployment: Deployment,
  w: Writer,
  before: Workspace | null,
  given: Workspace,
  options: {
    readonly told?: Told | null
    readonly waiting?: string | null
    readonly host?: Host | null
  } = {},
): Promise<Workspace> {
  const now = deployment.now()
  let draft = given
  if (draft.hostId !== null && isDesiredChange(before, draft))
    draft = { ...draft, desiredRevision: await desiredChanged(w, draft.hostId) }
  if (isGone(draft)) {
    await finishPurge(w, draft, now)
    return draft
  }
  const host =
    options.host !== undefined
      ? options.host
      : draft.hostId === null
        ? null
        : await findHost(w.db, { id: draft.hostId })
  const appearance = deriveAppearance({
    ...draft,
    generation: draft.programGeneration,
    host,
    fresh: draft.statusRevision >= draft.desiredRevision,
    lacks: host === null ? null : (lacking(draft.resolved, host.capabilities)?.message ?? null),
    waiting: options.waiting ?? (draft.reason?.code === 'waiting_for_host' ? draft.reason.message : null),
  })
  draft = { ...draft, phase: appearance.phase, reason: reasonOf(before, appearance, now) }
  if (before !== null && JSON.stringify(before) === JSON.stringify(draft)) return before
  const revision = await w.changed('workspace', draft.id, draft.ownerId)
  draft = { ...draft, updatedAtMs: now, revision }
  if (before === null) await insertWorkspace(w.db, draft)
  else await updateWorkspace(w.db, draft)
  await writeTimeline(deployment, w, before, draft, options.told ?? null, now)
  return draft
}

/** The hosts as placement weighs them, for a workspace of that owner and shape. */
export async function candidates(
  w: Writer,
  { ownerId, resolved }: Pick<Workspace, 'ownerId' | 'resolved'>,
  nowMs: number,
): Promise<Candidate[]> {
  const counts = await countByHost(w.db)
  const owner = await accessingOf(w.db, ownerId)
  const uses = await readUses(w.db, nowMs)
  const needs = needsOf(resolved)
  const gpus = resolved.gpus === 0 ? null : await gpusByHost(w.db)
  return (await listHosts(w.db)).map((host) => ({
    id: host.id,
    name: host.name,
    connected: host.connected,
    healthy: host.health.status === 'healthy',
    capabilities: host.capabilities,
    workspaces: counts.get(host.id) ?? 0,
    gpusTaken: gpus?.get(host.id) ?? 0,
    open: owner !== null && mayUseHost(uses, host.id, owner, needs),
  }))
}

/** Places that became free go to those who wait longest, as far as the quotas of their accounts go. */
export async function admitWaiting(deployment: Deployment, w: Writer): Promise<void> {
  for (const workspace of await admissible(deployment, w.db)) {
    const why = await barredBeyond(w.db, workspace, deployment.now())
    if (why === null) await settle(deployment, w, workspace, { ...workspace, admitted: true })
    else await notStarted(deployment, w, workspace, why)
  }
}

async function notStarted(deployment: Deployment, w: Writer, workspace: Workspace, why: string) {
  const event = { code: 'not_granted', verb: `did not start it: ${why}` } as const
  const draft = { ...workspace, want: 'stopped', admitted: false } as const
  await settle(deployment, w, workspace, draft, { told: { event, actor: null } })
}

/**
 * A host gives away again what its owner had taken back: what was stopped for that would start anew, and so the grants of
 * its owners are looked at again, as at each start.
 */
export async function judgeRegained(
  deployment: Deployment,
  w: Writer,
  before: Host,
  now: Host,
): Promise<void> {
  const could = (host: Host, workspace: Workspace): boolean =>
    lacking(workspace.resolved, host.capabilities) === null
  let freed = false
  for (const workspace of await listWorkspaces(w.db, { hostId: now.id })) {
    if (workspace.want !== 'running' || !workspace.admitted) continue
    if (could(before, workspace) || !could(now, workspace)) continue
    const why = await barredBeyond(w.db, workspace, deployment.now())
    if (why === null) continue
    await notStarted(deployment, w, workspace, why)
    freed = true
  }
  if (freed) await admitWaiting(deployment, w)
}

async function admissible(deployment: Deployment, db: Db): Promise<Workspace[]> {
  const waiting = await listWorkspaces(db, { waitingForPlace: true })
  if (waiting.length === 0) return []
  const ledger = await readLedger(deployment, db)
  return waiting.filter((workspace) => {
    const more = placeOf(workspace)
    const fits = ledger.hasPlace && ledger.lacks(ledger.accountOf(workspace), more).length === 0
    if (fits) ledger.add(workspace, more)
    return fits
  })
}

/** The same by time: somebody may have come into a group that may have more. */
export async function admitByTime(deployment: Deployment): Promise<void> {
  if ((await admissible(deployment, deployment.feed.db)).length === 0) return
  await deployment.feed.write((w) => admitWaiting(deployment, w))
}

/** Workspaces without a host are looked at again when hosts changed. */
export async function placeWaiting(deployment: Deployment, w: Writer): Promise<void> {
  const waiting = await listWorkspaces(w.db, { unplaced: true })
  for (const workspace of waiting) {
    const placement = place(workspace, await candidates(w, workspace, deployment.now()))
    const hostId = placement.kind === 'placed' ? placement.hostId : null
    await settle(
      deployment,
      w,
      workspace,
      { ...workspace, hostId },
      { waiting: placement.kind === 'waiting' ? placement.why : null },
    )
  }
}
