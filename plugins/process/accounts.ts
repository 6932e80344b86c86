/** As root: gives each workspace of this machine a uid of its own, written down where all deployments look. */
import { createHash } from 'node:crypto'
import { link, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '@postern/plugin'
import type { WorkspaceId } from '@postern/plugin'
import type { Owner } from './convert.ts'

/** One file a uid in use; shared by all deployments of the machine, so that no two give the same one. */
export const CLAIMS_DIRECTORY = '/var/lib/postern/uids'

/**
 * The uid that the workspace has claimed already, in a start that was cut short, else the lowest free one of the range.
 * @throws RuntimeError ERR_NO_CAPACITY when all are in use
 */
export async function claimUid(
  owner: Owner,
  id: WorkspaceId,
  range: { readonly firstUid: number; readonly lastUid: number },
): Promise<number> {
  await mkdir(CLAIMS_DIRECTORY, { recursive: true, mode: 0o755 })
  await rm(draftOf(owner, id), { force: true })
  for (const name of await readdir(CLAIMS_DIRECTORY))
    if (/^\d+$/.test(name) && (await isClaimOf(Number(name), owner, id))) return Number(name)
  for (let uid = range.firstUid; uid <= range.lastUid; uid++) if (await takes(owner, id, uid)) return uid
  const fix = 'Widen first_uid and last_uid in the settings of the process runtime.'
  throw new RuntimeError('ERR_NO_CAPACITY', 'Every uid for workspaces is in use.', { fix })
}

/** Writes the claim down whole or not at all, so that none is ever nobody's; false when another has the uid. */
async function takes(owner: Owner, id: WorkspaceId, uid: number): Promise<boolean> {
  const draft = draftOf(owner, id)
  try {
    await writeFile(draft, claimText(owner, id), { mode: 0o600, flag: 'wx' })
    await link(draft, join(CLAIMS_DIRECTORY, String(uid)))
    return true
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err
    return false
  } finally {
    await rm(draft, { force: true })
  }
}

/** One name for each workspace, so that the next start finds what a killed one left. */
function draftOf(owner: Owner, id: WorkspaceId): string {
  const name = createHash('sha256').update(claimText(owner, id)).digest('hex')
  return join(CLAIMS_DIRECTORY, `.${name}`)
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
