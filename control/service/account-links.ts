/** People who come with a one-time link of an administrator: one sets a new password, another becomes a user. */
import type { Deployment } from '../deployment.ts'
import { findResetLink, replaceResetLink, takeResetLink } from '../store/account-links.ts'
import type { Db } from '../store/open.ts'
import { findUser, insertUser, updateUser } from '../store/users.ts'
import type { User } from '../store/users.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { ApiError, paths } from '../wire/index.ts'
import type { AuditAction, CreatedResetLink, NewSession, Origin } from '../wire/index.ts'
import type { SignInParts } from './accounts.ts'
import { checkPassword, remembered } from './accounts.ts'
import { linkAttempt } from './familiar.ts'
import { findInvitation, redeemInvitation } from './invitations.ts'
import { beginSession, endAllOf } from './sessions.ts'
import { orTold } from './told-refusals.ts'

/** How long a reset link works, in ms. */
export const RESET_MS = 86_400_000

/** What is said of a link that opens nothing (any more); which of these it is, isn't told. */
export const LINK_OVER =
  'This link is used, too old, revoked or replaced by a newer one. Ask an administrator for another.'

/** A link that sets a user's password, in the place of older ones. @throws ApiError not_found, forbidden for a disabled user */
export async function createResetLink(
  { feed, options, now }: Deployment,
  userId: string,
): Promise<CreatedResetLink & { readonly username: string }> {
  const token = newToken('psr_')
  const [id, expiresAtMs] = [newId(), now() + RESET_MS]
  const username = await feed.write(async (w) => {
    const user = await findUser(w.db, { id: userId })
    if (user === null) throw new ApiError('not_found')
    if (user.disabled) throw new ApiError('forbidden', 'This user is disabled; enable them first.')
    await replaceResetLink(w.db, { hash: hashToken(token), id, userId, expiresAtMs })
    return user.username
  })
  return { id, url: `${options.publicUrl}${paths.resetPage}#${token}`, expiresAtMs, username }
}

export interface AccountLinks {
  /** Sets the password, ends all that the user was signed in by, and signs in. @throws ApiError forbidden, invalid_body, rate_limited */
  reset(body: { token: string; password: string }, origin: Origin): Promise<NewSession>
  /** Makes the invited user and signs in. @throws ApiError forbidden, invalid_body, name_taken, rate_limited */
  accept(body: { token: string; username: string; password: string }, origin: Origin): Promise<NewSession>
}

export function accountLinks(deployment: Deployment, parts: SignInParts): AccountLinks {
  const { feed, audit, log, now } = deployment
  const { limit, passwords, devices } = parts
  /** Links are tried as passwords are; a right one costs nothing. */
  const limited = <T>(action: AuditAction, origin: Origin, act: () => Promise<T>): Promise<T> =>
    orTold(deployment, { action }, origin, async () => {
      const attempt = linkAttempt(origin)
      limit.spend(attempt)
      const result = await act()
      limit.refund(attempt)
      return result
    })
  const actor = ({ id, username }: User) => ({ kind: 'user', id, name: username }) as const
  return {
    reset: ({ token, password }, origin) =>
      limited('password.reset', origin, async () => {
        const hash = hashToken(token)
        const ownerOf = async (db: Db, userId: string | null): Promise<User> => {
          const found = userId === null ? null : await findUser(db, { id: userId })
          if (found === null || found.disabled) throw new ApiError('forbidden', LINK_OVER)
          return found
        }
        const owner = await ownerOf(feed.db, await findResetLink(feed.db, hash, now()))
        checkPassword('password', password, owner)
        const passwordHash = await passwords.hash(password)
        const { user, session } = await feed.write(async (w) => {
          const found = await ownerOf(w.db, await takeResetLink(w.db, hash, now()))
          await updateUser(w.db, found.id, { passwordHash })
          await endAllOf(w, found.id, { tokens: true })
          const object = { kind: 'user', id: found.id, name: found.username }
          await audit.record({ action: 'password.reset', actor: actor(found), object, origin }, w.db)
          return { user: found, session: await beginSession(w, found.id, origin, now(), 'reset') }
        })
        log.info('a password was set by a link', {
          userId: user.id,
          ip: origin.ip,
          requestId: origin.requestId,
        })
        return remembered(devices, session, user, origin)
      }),
    accept: ({ token, username, password }, origin) =>
      limited('invitation.accept', origin, async () => {
        const key = { hash: hashToken(token) }
        const invited = await findInvitation(feed.db, key, now())
        if (invited === null) throw new ApiError('forbidden', LINK_OVER)
        checkPassword('password', password, { username, email: invited.email })
        const passwordHash = await passwords.hash(password)
        const { user, session } = await feed.write(async (w) => {
          const made = await redeemInvitation(w, key, now(), async ({ role, email }) => {
            if ((await findUser(w.db, { username })) !== null)
              throw new ApiError('name_taken', 'There is a user of that name already.')
            const fresh = {
              id: newId(),
              username,
              email,
              role,
              disabled: false,
              passwordHash,
              createdAtMs: now(),
            }
            await insertUser(w.db, fresh)
            return fresh
          })
          if (made === null) throw new ApiError('forbidden', LINK_OVER)
          const object = { id: invited.id, name: made.username }
          await audit.record({ action: 'invitation.accept', actor: actor(made), object, origin }, w.db)
          return { user: made, session: await beginSession(w, made.id, origin, now(), 'invitation') }
        })
        log.info('an invitation was accepted', {
          userId: user.id,
          ip: origin.ip,
          requestId: origin.requestId,
        })
        return remembered(devices, session, user, origin)
      }),
  }
}
