/** Sessions of visitors without an account, each on one workspace host, at rest: row ⇄ object. */
import type { Db } from './open.ts'

/** A visitor who came by a link, or who gave the password of a public port. */
export interface Guest {
  readonly hash: string
  /** The first session of this visitor, which those on the workspace's other hosts hang on; its own for that one. */
  readonly rootHash: string
  readonly workspaceId: string
  readonly label: string
  /** Null: without a link. */
  readonly linkId: string | null
  /** Use moves its end. */
  readonly slides: boolean
  readonly createdAtMs: number
  readonly lastUsedAtMs: number
  readonly expiresAtMs: number
  /** Never slides. */
  readonly endsAtMs: number
  readonly ip: string
  readonly userAgent: string
}

interface Row {
  hash: string
  root_hash: string
  workspace_id: string
  label: string
  link_id: string | null
  slides: number
  created_at_ms: number
  last_used_at_ms: number
  expires_at_ms: number
  ends_at_ms: number
  ip: string
  user_agent: string
}

const fromRow = (row: Row): Guest => ({
  hash: row.hash,
  rootHash: row.root_hash,
  workspaceId: row.workspace_id,
  label: row.label,
  linkId: row.link_id,
  slides: row.slides !== 0,
  createdAtMs: row.created_at_ms,
  lastUsedAtMs: row.last_used_at_ms,
  expiresAtMs: row.expires_at_ms,
  endsAtMs: row.ends_at_ms,
  ip: row.ip,
  userAgent: row.user_agent,
})

export async function insertGuest(db: Db, guest: Guest): Promise<void> {
  await db<Row>('guests').insert({
    hash: guest.hash,
    root_hash: guest.rootHash,
    workspace_id: guest.workspaceId,
    label: guest.label,
    link_id: guest.linkId,
    slides: guest.slides ? 1 : 0,
    created_at_ms: guest.createdAtMs,
    last_used_at_ms: guest.lastUsedAtMs,
    expires_at_ms: guest.expiresAtMs,
    ends_at_ms: guest.endsAtMs,
    ip: guest.ip.slice(0, 64),
    user_agent: guest.userAgent.slice(0, 400),
  })
}

export type GuestChoice =
  | { hash: string }
  | { rootHash: string }
  | { linkId: string }
  | { workspaceId: string }
  | { expiredAtMs: number }
  | 'all'

export async function listGuests(db: Db, choice: GuestChoice): Promise<Guest[]> {
  const query = db<Row>('guests').orderBy('created_at_ms')
  if (choice !== 'all') {
    if ('hash' in choice) query.where({ hash: choice.hash })
    else if ('rootHash' in choice) query.where({ root_hash: choice.rootHash })
    else if ('linkId' in choice) query.where({ link_id: choice.linkId })
    else if ('workspaceId' in choice) query.where({ workspace_id: choice.workspaceId })
    else query.where('expires_at_ms', '<=', choice.expiredAtMs)
  }
  return (await query).map(fromRow)
}

export async function findGuest(db: Db, hash: string): Promise<Guest | null> {
  return (await listGuests(db, { hash }))[0] ?? null
}
