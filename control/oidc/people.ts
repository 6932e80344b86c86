/** Somebody whom a provider named comes in; the user whom they are here comes out: known, linked, made, or refused. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { LINK_OVER } from '../service/account-links.ts'
import type { InvitationKey } from '../service/invitations.ts'
import { redeemInvitation } from '../service/invitations.ts'
import { endOffice } from '../service/office.ts'
import type { Invitation } from '../store/account-links.ts'
import type { AuditEntry } from '../store/audit.ts'
import { deleteIdentity, insertIdentity, providersOf, userIdOf } from '../store/identities.ts'
import { endSessions } from '../service/sessions.ts'
import { listSessions } from '../store/sessions.ts'
import type { User } from '../store/users.ts'
import {
  countAdministrators,
  countUsers,
  findUser,
  insertUser,
  listUsersByEmail,
  updateUser,
} from '../store/users.ts'
import { newId } from '../credentials/tokens.ts'
import { ApiError } from '../wire/index.ts'
import type { Origin, Role } from '../wire/index.ts'
import type { Person } from './claims.ts'
import { freeUsername, groupsOf, mayEnter, roleOf } from './claims.ts'
import { followGroups } from './groups.ts'
import type { OidcProvider } from './settings.ts'

/** Verifies as no password: who came by a provider has none until a reset link sets one. */
const NO_PASSWORD = ''
/** Who changes what a provider says otherwise now. */
const NOBODY_HERE = { kind: 'system', id: '', name: '' } as const

async function linked(w: Writer, provider: OidcProvider, person: Person): Promise<User | null> {
  const { email } = person
  const same = email === null ? [] : await listUsersByEmail(w.db, email)
  const [user] = same
  if (user === undefined) return null
  if (!provider.linkByVerifiedEmail || same.length > 1) throw new ApiError('account_conflict')
  // Whoever is bound to another subject of this provider is somebody else, whatever the address says.
  if ((await providersOf(w.db, [user.id])).get(user.id)?.includes(provider.id) === true)
    throw new ApiError('account_conflict')
  return user
}

/** A link's secret names one invitation, a verified address those that were made for it; null: none is looked for. */
function invitationKey(
  { allow }: OidcProvider,
  { email }: Person,
  hash: string | null,
): InvitationKey | null {
  if (!allow.invitation) return null
  if (hash !== null) return { hash }
  return email === null ? null : { verifiedEmail: email }
}

/** A new user, and the act by which they are one. */
interface Made {
  readonly user: User
  readonly by: Pick<AuditEntry, 'action' | 'object'> | null
}

async function made(w: Writer, { provider, person, invitation, nowMs }: Arrival): Promise<Made> {
  // The first user is made by the set-up link, and by nobody's provider.
  if ((await countUsers(w.db)) === 0)
    throw new ApiError('account_not_allowed', 'Postern has not been set up yet.')
  const isTaken = async (username: string): Promise<boolean> => (await findUser(w.db, { username })) !== null
  const make = async ({ role }: { readonly role: Role }): Promise<User> => {
    const user: User = {
      id: newId(),
      username: await freeUsername(person.wish, isTaken),
      // An address that nobody verified would one day link its owner to this account.
      email: person.email,
      role,
      disabled: false,
      passwordHash: NO_PASSWORD,
      createdAtMs: nowMs,
    }
    await insertUser(w.db, user)
    await w.changed('user', user.id, user.id)
    return user
  }
  const key = invitationKey(provider, person, invitation)
  let id = ''
  const makeInvited = (invited: Invitation): Promise<User> => {
    id = invited.id
    return make(invited)
  }
  const invited = key === null ? null : await redeemInvitation(w, key, nowMs, makeInvited)
  if (invited !== null)
    return { user: invited, by: { action: 'invitation.accept', object: { id, name: invited.username } } }
  // Whoever came with a link is let in by that or not at all: they were told of what it gives.
  if (invitation !== null) throw new ApiError('account_not_allowed', LINK_OVER)
  if (!mayEnter(person, provider)) throw new ApiError('account_not_allowed')
  return { user: await make({ role: 'member' }), by: { action: 'user.create' } }
}

/** Role, groups and address as the provider says them now, told in the audit; the last administrator stays one. */
export async function follow(
  { audit }: Pick<Deployment, 'audit'>,
  w: Writer,
  { provider, person, nowMs }: Pick<Arrival, 'provider' | 'person' | 'nowMs'>,
  user: User,
): Promise<void> {
  const wanted = roleOf(person, provider) ?? user.role
  const isLast =
    user.role === 'administrator' && wanted !== 'administrator' && (await countAdministrators(w.db)) === 1
  const role = isLast ? user.role : wanted
  const { email } = person
  const isNew = email !== null && email !== user.email?.toLowerCase()
  const isFree = isNew && (await listUsersByEmail(w.db, email)).length === 0
  const isOther = role !== user.role
  if (isOther || isFree) await updateUser(w.db, user.id, { role, ...(isFree ? { email } : {}) })
  if (isOther && user.role === 'administrator') await endOffice(w, user.id)
  const groups = groupsOf(person, provider)
  const isMoved = await followGroups(w, { userId: user.id, source: provider.id }, groups, nowMs)
  if (!isOther && !isFree && !isMoved) return
  await w.changed('user', user.id, user.id)
  const fields = [...(isOther ? ['role'] : []), ...(isFree ? ['email'] : []), ...(isMoved ? ['groups'] : [])]
  const said = { ...(isOther ? { role } : {}), ...(isMoved ? { groups } : {}) }
  const details = { provider: provider.id, fields, ...said }
  const object = { kind: 'user', id: user.id, name: user.username }
  await audit.record({ action: 'user.change', actor: NOBODY_HERE, object, details }, w.db)
}

/** Somebody at the door, and whose door it is. */
export interface Arrival {
  readonly provider: OidcProvider
  readonly person: Person
  /** The hash of the secret of the invitation that they came with; null: with none. */
  readonly invitation: string | null
  readonly origin: Origin
  readonly nowMs: number
}

/**
 * The user behind a subject, as of now. Who has an account stays who they are: an invitation is used up by nobody else
 * than somebody new. @throws ApiError account_not_allowed, account_conflict
 */
export async function admit({ audit }: Deployment, w: Writer, arrival: Arrival): Promise<User> {
  const { provider, person, origin, nowMs } = arrival
  const subject = { provider: provider.id, issuer: person.issuer, subject: person.subject }
  const knownId = await userIdOf(w.db, subject)
  const known = knownId === null ? null : await findUser(w.db, { id: knownId })
  const same = known ?? (await linked(w, provider, person))
  const { user, by } = same === null ? await made(w, arrival) : { user: same, by: null }
  if (user.disabled) throw new ApiError('account_not_allowed', 'This account is disabled.')
  if (known === null) {
    await insertIdentity(w.db, subject, user.id, nowMs)
    const actor = { kind: 'user', id: user.id, name: user.username } as const
    const object = { kind: 'user', id: user.id, name: user.username }
    const details = { provider: provider.id }
    if (by !== null) await audit.record({ object, ...by, actor, origin, details }, w.db)
    await audit.record({ action: 'identity.link', actor, object, origin, details }, w.db)
  }
  await follow({ audit }, w, arrival, user)
  return user
}

/** Forgets whom a user is at a provider; what they are signed in by and in by that provider ends. @throws ApiError not_found */
export async function unlink({ feed }: Deployment, userId: string, provider: string): Promise<User> {
  return feed.write(async (w) => {
    const user = await findUser(w.db, { id: userId })
    if (user === null || !(await deleteIdentity(w.db, provider, userId))) throw new ApiError('not_found')
    const sessions = await listSessions(w.db, { userId })
    await endSessions(
      w,
      sessions.filter(({ via, workspace }) => via === provider && workspace === null),
    )
    await followGroups(w, { userId, source: provider }, [], 0)
    await w.changed('user', userId, userId)
    return user
  })
}
