/** What there is to give out is read here, and asked by everything that gives a workspace, a place, CPU or memory away. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { heldDisk } from '../lifecycle/disk.ts'
import { heldLimits } from '../placement/limits.ts'
import { Ledger, NOTHING, usageOf } from '../placement/quotas.ts'
import type { Account, Usage } from '../placement/quotas.ts'
import type { Host } from '../store/hosts.ts'
import { listHosts } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'
import { listQuotas, membershipsThatCount, usageByOwner } from '../store/quotas.ts'
import type { Workspace } from '../store/workspaces.ts'
import { ApiError } from '../wire/index.ts'
import type { FieldProblem } from '../wire/index.ts'

/** As it is now; inside a transaction nothing of it changes beside that transaction. */
export async function readLedger(
  { options }: Pick<Deployment, 'options'>,
  db: Db,
  hosts?: readonly Host[],
): Promise<Ledger> {
  return new Ledger(options.limits, {
    held: await usageByOwner(db),
    quotas: await listQuotas(db),
    memberships: await membershipsThatCount(db),
    holds: heldLimits(hosts ?? (await listHosts(db))),
  })
}

/** @throws ApiError cap_reached, saying which limits */
export function checkRoom(ledger: Ledger, account: Account, more: Usage): void {
  if (more.running > 0 && !ledger.hasPlace) throw new ApiError('cap_reached')
  const errors = ledger.lacks(account, more)
  if (errors.length > 0)
    throw new ApiError('cap_reached', errors.map(({ message }) => message).join(' '), { errors })
}

/**
 * Before a workspace is given to another owner, in the transaction that does it: the new account must have room for it as
 * it is. @throws ApiError cap_reached
 */
export async function checkTransfer(
  deployment: Deployment,
  w: Writer,
  workspace: Workspace,
  to: { readonly ownerId: string; readonly ownerGroupId: string | null },
): Promise<void> {
  const ledger = await readLedger(deployment, w.db)
  const [from, account] = [ledger.accountOf(workspace), ledger.accountOf(to)]
  if (from.kind === account.kind && from.id === account.id) return
  // It has its place in the deployment already.
  const errors = [
    ...ledger.lacks(account, usageOf(workspace)),
    ...unsizedProblems(ledger, account, workspace),
  ]
  if (errors.length > 0)
    throw new ApiError('cap_reached', errors.map(({ message }) => message).join(' '), { errors })
}

/** Where disk counts, nothing comes in whose disk can't be counted. */
function unsizedProblems(ledger: Ledger, account: Account, workspace: Workspace): FieldProblem[] {
  const isCounted = ledger.quota(account).diskBytes === null || heldDisk(workspace) !== null
  return isCounted ? [] : [{ path: 'diskBytes', message: 'The quota counts disk, and its disk has no size.' }]
}

/** Before a spec changes: what it takes more must fit; less always does. @throws ApiError cap_reached */
export function checkResize(ledger: Ledger, before: Workspace, resolved: Workspace['resolved']): void {
  const more = {
    ...NOTHING,
    cpu: Math.max(0, resolved.cpu - before.resolved.cpu),
    memoryBytes: Math.max(0, resolved.memoryBytes - before.resolved.memoryBytes),
    diskBytes: Math.max(0, (resolved.diskBytes ?? 0) - (heldDisk(before) ?? 0)),
  }
  const account = ledger.accountOf(before)
  if (before.admitted) return checkRoom(ledger, account, more)
  // Of what doesn't run only the disk is taken now.
  checkRoom(ledger, account, { ...NOTHING, diskBytes: more.diskBytes })
  checkAlone(ledger, account, resolved, more)
}

/** It doesn't run; but what could never run must not wait for ever. */
function checkAlone(ledger: Ledger, account: Account, resolved: Workspace['resolved'], more: Usage): void {
  const { cpu: cores, memoryBytes: bytes } = ledger.quota(account)
  const alone = [
    ...(cores !== null && more.cpu > 0 && resolved.cpu > cores
      ? [{ path: 'cpu', message: `The quota is ${cores} cores for all that run.` }]
      : []),
    ...(bytes !== null && more.memoryBytes > 0 && resolved.memoryBytes > bytes
      ? [{ path: 'memoryBytes', message: `The quota is ${bytes} bytes of memory for all that run.` }]
      : []),
  ]
  if (alone.length > 0)
    throw new ApiError('cap_reached', alone.map(({ message }) => message).join(' '), { errors: alone })
}
