/** Invitations: an administrator makes one, its link or a verified e-mail address redeems it, and a user comes of it. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { Invitation } from '../store/account-links.ts'
import {
  deleteInvitation,
  findOpenInvitation,
  insertInvitation,
  listInvitations,
  useInvitation,
} from '../store/account-links.ts'
import { insertMembership, listGroups } from '../store/groups.ts'
import type { Group } from '../store/groups.ts'
import type { Db } from '../store/open.ts'
import type { User } from '../store/users.ts'
import { listUsers } from '../store/users.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { ApiError, paths } from '../wire/index.ts'
import type { CreatedInvitation, CreateInvitation, InvitationView } from '../wire/index.ts'

const DAY = 86_400_000
/** How long an invitation is open unless its maker says otherwise, and at most, in ms. */
export const INVITATION_MS = 7 * DAY
const INVITATION_MAX_MS = 90 * DAY
/** Invitations that are kept at once. */
const INVITATIONS_MAX = 1000

/** What redeems an invitation: the hash of its link's secret, or an e-mail address that a sign-in provider has verified. */
export type InvitationKey = { readonly hash: string } | { readonly verifiedEmail: string }

/** The open invitation of a key, without redeeming it; null: there is none. */
export async function findInvitation(db: Db, key: InvitationKey, nowMs: number): Promise<Invitation | null> {
  const by = 'hash' in key ? key : { email: key.verifiedEmail }
  return findOpenInvitation(db, by, nowMs)
}

/**
 * Redeems the open invitation of a key inside the transaction `w`: `make` stores the user, with the invitation's role;
 * then the invitation is used up and the user is in its groups. Null: there is none (any more), and `make` didn't run.
 */
export async function redeemInvitation(
  w: Writer,
  key: InvitationKey,
  nowMs: number,
  make: (invitation: Invitation) => Promise<User>,
): Promise<User | null> {
  const invitation = await findInvitation(w.db, key, nowMs)
  if (invitation === null) return null
  const user = await make(invitation)
  // Writers come one after the other; that this is the first is known twice.
  if (!(await useInvitation(w.db, invitation.id, user.id))) throw new ApiError('forbidden')
  for (const { id } of await listGroups(w.db, { ids: invitation.groupIds }))
    await insertMembership(w.db, { groupId: id, userId: user.id, source: '' })
  await w.changed('user', user.id, user.id)
  return user
}

interface Around {
  readonly names: ReadonlyMap<string, string>
  readonly groups: readonly Group[]
  readonly nowMs: number
}

function view(one: Invitation, { names, groups, nowMs }: Around): InvitationView {
  const known = (id: string): { id: string; name: string }[] =>
    groups.filter((group) => group.id === id).map(({ name }) => ({ id, name }))
  return {
    id: one.id,
    email: one.email,
    role: one.role,
    groups: one.groupIds.flatMap(known),
    state: one.usedBy !== null ? 'used' : one.expiresAtMs <= nowMs ? 'expired' : 'open',
    createdBy: names.get(one.createdBy) ?? null,
    usedBy: names.get(one.usedBy ?? '') ?? null,
    createdAtMs: one.createdAtMs,
    expiresAtMs: one.expiresAtMs,
  }
}

async function around(db: Db, nowMs: number): Promise<Around> {
  const names = new Map((await listUsers(db)).map(({ id, username }) => [id, username]))
  return { names, groups: await listGroups(db), nowMs }
}

/** All that are kept, newest first. */
export async function invitationViews({ feed, now }: Deployment): Promise<InvitationView[]> {
  const known = await around(feed.db, now())
  return (await listInvitations(feed.db)).map((one) => view(one, known))
}

function expiry(given: string | undefined, nowMs: number): number {
  const expiresAtMs = given === undefined ? nowMs + INVITATION_MS : Date.parse(given)
  const message =
    expiresAtMs <= nowMs
      ? 'is over already'
      : expiresAtMs > nowMs + INVITATION_MAX_MS
        ? 'at most in 90 days'
        : null
  if (message !== null)
    throw new ApiError('invalid_body', undefined, { errors: [{ path: 'expiresAt', message }] })
  return expiresAtMs
}

/** @throws ApiError invalid_body for a group that isn't there, limit_exceeded */
export async function createInvitation(
  { feed, options, now }: Deployment,
  by: string,
  given: CreateInvitation,
): Promise<CreatedInvitation> {
  const token = newToken('psv_')
  const invitation: Invitation = {
    id: newId(),
    hash: hashToken(token),
    email: given.email?.toLowerCase() ?? null,
    role: given.role,
    groupIds: [...new Set(given.groups ?? [])],
    createdBy: by,
    createdAtMs: now(),
    expiresAtMs: expiry(given.expiresAt, now()),
    usedBy: null,
  }
  return feed.write(async (w) => {
    const known = await around(w.db, now())
    const unknown = invitation.groupIds.findIndex((id) => known.groups.every((group) => group.id !== id))
    if (unknown >= 0)
      throw new ApiError('invalid_body', undefined, {
        errors: [{ path: `groups.${unknown}`, message: 'there is no such group' }],
      })
    if ((await listInvitations(w.db)).length >= INVITATIONS_MAX)
      throw new ApiError('limit_exceeded', `At most ${INVITATIONS_MAX} invitations; revoke some first.`)
    await insertInvitation(w.db, invitation)
    return { ...view(invitation, known), url: `${options.publicUrl}${paths.invitationPage}#${token}` }
  })
}

/** From now on its link opens nothing. @throws ApiError not_found */
export async function revokeInvitation({ feed }: Deployment, id: string): Promise<Invitation> {
  return feed.write(async (w) => {
    const gone = await deleteInvitation(w.db, id)
    if (gone === null) throw new ApiError('not_found')
    return gone
  })
}
