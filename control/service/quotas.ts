/** Quotas are set, shown and taken away here. */
import type { Deployment } from '../deployment.ts'
import type { Account } from '../placement/quotas.ts'
import { heldLimits } from '../placement/limits.ts'
import { findGroup } from '../store/groups.ts'
import { listHosts } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'
import { deleteQuota, saveQuota } from '../store/quotas.ts'
import { findUser } from '../store/users.ts'
import { ApiError } from '../wire/index.ts'
import type { PutQuota, QuotaView } from '../wire/index.ts'
import { readLedger } from './ledger.ts'
import { admitWaiting } from './settle.ts'

/** @throws ApiError not_found */
async function nameOf(db: Db, { kind, id }: Account): Promise<string> {
  const name = kind === 'user' ? (await findUser(db, { id }))?.username : (await findGroup(db, { id }))?.name
  if (name === undefined) throw new ApiError('not_found')
  return name
}

/** What was set and what counts. @throws ApiError not_found */
export async function quotaView(deployment: Deployment, db: Db, account: Account): Promise<QuotaView> {
  const name = await nameOf(db, account)
  const ledger = await readLedger(deployment, db)
  const row = ledger.set(account)
  const quota = row && {
    maxWorkspaces: row.maxWorkspaces,
    maxRunning: row.maxRunning,
    cpu: row.cpu,
    memoryBytes: row.memoryBytes,
    diskBytes: row.diskBytes,
  }
  return { ...account, name, quota, standing: ledger.standing(account), over: ledger.over(account) }
}

/** What nobody can hold isn't promised anew; what was set while somebody could stays. @throws ApiError unsupported */
async function checkHeld(
  deployment: Deployment,
  db: Db,
  account: Account,
  given: PutQuota | null,
): Promise<void> {
  const disk = given?.diskBytes ?? null
  if (disk === null || heldLimits(await listHosts(db)).disk) return
  if ((await readLedger(deployment, db)).set(account)?.diskBytes === disk) return
  throw new ApiError('unsupported', 'No host here can hold a limit on disk.', {
    errors: [{ path: 'diskBytes', message: 'no host here can hold this limit' }],
  })
}

/** Sets it; null takes it away. Stops nothing that runs; who waited for room gets it. @throws ApiError not_found, unsupported */
export async function setQuota(
  deployment: Deployment,
  account: Account,
  given: PutQuota | null,
): Promise<QuotaView> {
  return deployment.feed.write(async (w) => {
    await nameOf(w.db, account)
    await checkHeld(deployment, w.db, account, given)
    const isKnown =
      given === null
        ? await deleteQuota(w.db, account)
        : await saveQuota(w.db, account, {
            maxWorkspaces: given.maxWorkspaces ?? null,
            maxRunning: given.maxRunning ?? null,
            cpu: given.cpu ?? null,
            memoryBytes: given.memoryBytes ?? null,
            diskBytes: given.diskBytes ?? null,
          }).then(() => true)
    if (!isKnown) throw new ApiError('not_found', 'No quota was set here.')
    await w.changed('quota', account.id)
    await admitWaiting(deployment, w)
    return quotaView(deployment, w.db, account)
  })
}
