/** Commands of people about workspaces go in; rows change, or a coded refusal says why not. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { advance } from '../lifecycle/lifecycle.ts'
import type { Command } from '../lifecycle/lifecycle.ts'
import { limitsFor } from '../placement/limits.ts'
import { place } from '../placement/placement.ts'
import { NOTHING, placeOf, usageOf } from '../placement/quotas.ts'
import { isSameProgram } from '../lifecycle/spec.ts'
import { listHosts } from '../store/hosts.ts'
import { takeName } from '../store/names.ts'
import type { Db } from '../store/open.ts'
import { readSettings } from '../store/settings.ts'
import type { Workspace } from '../store/workspaces.ts'
import { findWorkspace, listWorkspaces } from '../store/workspaces.ts'
import { newId } from '../credentials/tokens.ts'
import { readUses } from '../authorization/whose.ts'
import { ApiError, nameProblem, nameProblemText } from '../wire/index.ts'
import type { Accessing, CreateWorkspace, Limits, PatchWorkspace } from '../wire/index.ts'
import { admitWaiting, candidates, settle } from './settle.ts'
import { specOfCreate, specOfPatch } from './asked.ts'
import {
  checkBounds,
  checkDisk,
  checkImage,
  checkTaken,
  withCountedDisk,
  hostsFor,
  shape,
  templatesFor,
  uniquePorts,
} from './shape.ts'
import { checkAsked, checkStart } from './beyond.ts'
import { checkResize, checkRoom, readLedger } from './ledger.ts'
import { checkName } from './names.ts'
import { checkCap } from './settings.ts'

/** Who gives a command. */
export interface Actor extends Accessing {
  readonly groups: readonly { readonly id: string; readonly name: string }[]
  readonly username: string
  /** May do all that an administrator may. */
  readonly administrator: boolean
}

/** The limits as they are for this user now. */
export async function readLimits(deployment: Deployment, db: Db, user: Actor): Promise<Limits> {
  const hosts = await listHosts(db)
  return limitsFor(
    deployment.options.limits,
    hosts,
    await readLedger(deployment, db, hosts),
    user,
    await readSettings(db),
    await readUses(db, deployment.now()),
  )
}

/** The group that is to own it, which must be one that the creator is in. @throws ApiError invalid_body */
function ownGroup({ groups }: Actor, given: string | undefined): string | null {
  if (given === undefined) return null
  const group = groups.find(({ id, name }) => id === given || name === given)
  if (group !== undefined) return group.id
  throw new ApiError('invalid_body', undefined, {
    errors: [{ path: 'ownerGroup', message: 'is no group that you are in' }],
  })
}

/** @throws ApiError invalid_name, invalid_body, limit_exceeded, unsupported, forbidden, name_taken, cap_reached */
export async function createWorkspace(
  deployment: Deployment,
  actor: Actor,
  body: CreateWorkspace,
): Promise<Workspace> {
  const problem = nameProblem(body.name)
  if (problem !== null)
    throw new ApiError('invalid_name', nameProblemText[problem], {
      errors: [{ path: 'name', message: nameProblemText[problem] }],
    })
  uniquePorts(body.ports)
  const id = newId()
  const spec = specOfCreate(deployment.vault, id, body)
  return deployment.feed.write(async (w) => {
    const uses = await readUses(w.db, deployment.now())
    checkImage(spec.image, uses, actor)
    const ownerGroupId = ownGroup(actor, body.ownerGroup)
    const limits = await readLimits(deployment, w.db, actor)
    if (limits.refusal !== null) throw new ApiError('forbidden', limits.refusal)
    checkBounds(body, limits)
    const templates = templatesFor(deployment.templates, uses, actor)
    const ledger = await readLedger(deployment, w.db)
    const account = ledger.accountOf({ ownerId: actor.id, ownerGroupId })
    const { limits: bounds } = deployment.options
    const resolved = withCountedDisk(shape(bounds, templates, spec), ledger.quota(account), bounds)
    checkTaken(resolved, hostsFor(await listHosts(w.db), uses, actor, resolved))
    await checkCap(w.db, spec.ports, [])
    await checkName(w.db, deployment.options, body.name, actor.id)
    checkRoom(ledger, account, usageOf({ want: 'running', admitted: true, resolved }))
    await takeName(w.db, body.name, actor.id, deployment.now())
    const now = deployment.now()
    const placement = place(
      { hostId: null, resolved },
      await candidates(w, { ownerId: actor.id, resolved }, now),
    )
    const draft: Workspace = {
      id,
      name: body.name,
      ownerId: actor.id,
      ownerGroupId,
      want: 'running',
      data: 'keep',
      admitted: true,
      wantedAtMs: now,
      generation: 1,
      programGeneration: 1,
      spec,
      resolved,
      hostId: placement.kind === 'placed' ? placement.hostId : null,
      desiredRevision: 0,
      status: null,
      statusRevision: 0,
      phase: 'pending',
      reason: null,
      createdAtMs: now,
      updatedAtMs: now,
      purgeAtMs: null,
      revision: 0,
    }
    return settle(deployment, w, null, draft, {
      told: { event: { code: 'created', verb: 'created it' }, actor: actor.username },
      waiting: placement.kind === 'waiting' ? placement.why : null,
    })
  })
}

/** Places follow wishes: who no longer wants to run gives its place up, who wants one takes a free one. */
async function withPlace(
  deployment: Deployment,
  w: Writer,
  before: Workspace,
  draft: Workspace,
): Promise<Workspace> {
  if (draft.want !== 'running') return { ...draft, admitted: false }
  if (before.admitted) return draft
  const ledger = await readLedger(deployment, w.db)
  const more = placeOf(draft)
  return { ...draft, admitted: ledger.hasPlace && ledger.lacks(ledger.accountOf(draft), more).length === 0 }
}

async function withHost(
  deployment: Deployment,
  w: Writer,
  draft: Workspace,
): Promise<{ draft: Workspace; waiting: string | null }> {
  if (draft.hostId !== null || draft.want !== 'running') return { draft, waiting: null }
  const placement = place(draft, await candidates(w, draft, deployment.now()))
  return placement.kind === 'placed'
    ? { draft: { ...draft, hostId: placement.hostId }, waiting: null }
    : { draft, waiting: placement.why }
}

/** What failed is tried anew by any patch; what runs is left alone by one that is only the edge's. */
function programGenerationOf(
  before: Workspace,
  generation: number,
  change: Pick<Workspace, 'spec' | 'resolved'> | null,
): number {
  const isUntouched =
    generation === before.generation ||
    (change !== null && before.phase !== 'failed' && isSameProgram(before, change))
  return isUntouched ? before.programGeneration : generation
}

async function obey(
  deployment: Deployment,
  w: Writer,
  before: Workspace,
  command: Command,
  actor: string | null,
  change: Pick<Workspace, 'spec' | 'resolved'> | null,
): Promise<Workspace> {
  const outcome = advance(before, command, {
    phase: before.phase,
    now: deployment.now(),
    trashMs: deployment.options.limits.trashMs,
  })
  if (outcome.kind === 'refused') throw new ApiError(outcome.code, outcome.detail)
  const programGeneration = programGenerationOf(before, outcome.wish.generation, change)
  const isStart =
    outcome.wish.want === 'running' &&
    (before.want !== 'running' || programGeneration !== before.programGeneration)
  if (isStart) await checkStart(w.db, { ...before, ...change }, deployment.now())
  // What comes back from the trash counts again.
  if (before.want === 'removed' && outcome.wish.want !== 'removed') {
    const ledger = await readLedger(deployment, w.db)
    checkRoom(ledger, ledger.accountOf(before), { ...NOTHING, workspaces: 1 })
  }
  const wished = await withPlace(deployment, w, before, {
    ...before,
    ...outcome.wish,
    ...change,
    programGeneration,
  })
  const { draft, waiting } = await withHost(deployment, w, wished)
  const after = await settle(deployment, w, before, draft, {
    told: outcome.event === null ? null : { event: outcome.event, actor },
    waiting,
  })
  if (before.admitted && !after.admitted) await admitWaiting(deployment, w)
  return after
}

/**
 * Start, stop, restart, delete, purge or restore. `seen` is the workspace that was to be removed: one that has another
 * owner by now is not that any more. @throws ApiError not_found, not_trashed
 */
export async function commandWorkspace(
  deployment: Deployment,
  id: string,
  command: Exclude<Command, 'patch'>,
  actor: string | null,
  seen?: Pick<Workspace, 'ownerId' | 'ownerGroupId'>,
): Promise<Workspace> {
  return deployment.feed.write(async (w) => {
    const before = await findWorkspace(w.db, { id })
    const isOther =
      seen !== undefined && (before?.ownerId !== seen.ownerId || before.ownerGroupId !== seen.ownerGroupId)
    if (before === null || isOther) throw new ApiError('not_found')
    return obey(deployment, w, before, command, actor, null)
  })
}

/** Purges the trash whose time is over. What was brought back meanwhile is not touched: it is looked at under the lock. */
export async function emptyTrash(deployment: Deployment): Promise<void> {
  const over = { purgeableAtMs: deployment.now() }
  if ((await listWorkspaces(deployment.feed.db, { ...over, limit: 1 })).length === 0) return
  await deployment.feed.write(async (w) => {
    for (const before of await listWorkspaces(w.db, over)) {
      await obey(deployment, w, before, 'purge', null, null)
      const { id, name } = before
      const actor = { kind: 'system', id: '', name: '' } as const
      const entry = { action: 'workspace.purge', actor, object: { id, name }, workspace: before } as const
      await deployment.audit.record(entry, w.db)
    }
  })
}

/** A part of the spec, and a new generation. @throws ApiError not_found, invalid_body, limit_exceeded, unsupported, not_trashed */
export async function patchWorkspace(
  deployment: Deployment,
  actor: Actor,
  id: string,
  body: PatchWorkspace,
): Promise<Workspace> {
  uniquePorts(body.ports)
  return deployment.feed.write(async (w) => {
    const before = await findWorkspace(w.db, { id })
    if (before === null) throw new ApiError('not_found')
    const hosts = (await listHosts(w.db)).filter(
      ({ id: hostId }) => before.hostId === null || hostId === before.hostId,
    )
    const spec = specOfPatch(deployment.vault, before, body)
    checkBounds(body, await readLimits(deployment, w.db, actor))
    if (body.ports !== undefined) await checkCap(w.db, spec.ports, before.resolved.ports)
    if (body.image !== before.spec.image)
      checkImage(body.image, await readUses(w.db, deployment.now()), actor)
    const shaped = shape(deployment.options.limits, deployment.templates, spec, before.resolved)
    const resolved = { ...shaped, diskBytes: spec.diskBytes ?? before.resolved.diskBytes }
    await checkAsked(w.db, before, resolved, actor, deployment.now())
    checkDisk(before, resolved, hosts)
    checkTaken(resolved, hosts)
    checkResize(await readLedger(deployment, w.db), before, resolved)
    return obey(deployment, w, before, 'patch', actor.username, { spec, resolved })
  })
}
