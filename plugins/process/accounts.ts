/** As root: gives each workspace of this machine a uid of its own, written down where all deployments look. */
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { WorkspaceId } from '@postern/plugin'
import type { Owner } from './convert.ts'

/** One file a uid in use; shared by all deployments of the machine, so that no two give the same one. */
export const CLAIMS_DIRECTORY = '/var/lib/postern/uids'

/** Takes the lowest free uid of the range. @throws RuntimeError ERR_NO_CAPACITY when all are in use. */
export async function claimUid(
  owner: Owner,
  id: WorkspaceId,
  range: { readonly firstUid: number; readonly lastUid: number },
): Promise<number> {
  await mkdir(CLAIMS_DIRECTORY, { recursive: true, mode: 0o755 })
  for (let uid = range.firstUid; uid <= range.lastUid; uid++) {
    try {
      const file = await open(join(CLAIMS_DIRECTORY, String(uid)), 'wx', 0o600)
      await file.writeFile(claimText(owner, id))
      await file.close()
      return uid
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err
    }
    // Claimed for this very workspace by a start that was cut short.
    if (await isClaimOf(uid, owner, id)) return uid
  }
  const fix = 'Widen first_uid and last_uid in the settings of the process runtime.'
  throw new RuntimeError('ERR_NO_CAPACITY', 'Every uid for workspaces is in use.', { fix })
}

/** Gives a uid back, if it is that workspace's. */
export async function releaseUid(owner: Owner, id: WorkspaceId, uid: number): Promise<void> {
  if (await isClaimOf(uid, owner, id)) await rm(join(CLAIMS_DIRECTORY, String(uid)), { force: true })
}

async function isClaimOf(uid: number, owner: Owner, id: WorkspaceId): Promise<boolean> {
  const text = await readFile(join(CLAIMS_DIRECTORY, String(uid)), 'utf8').catch(() => '')
  return text === claimText(owner, id)
}

function claimText({ deploymentId, hostId }: Owner, id: WorkspaceId): string {
  return `${JSON.stringify({ deploymentId, hostId, id })}\n`
}
