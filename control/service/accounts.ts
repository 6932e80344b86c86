/** Set-up, sign-in and the accounts of people: commands go in, rows and facts change. */
import { timingSafeEqual } from 'node:crypto'
import type { Deployment } from '../deployment.ts'
import type { Devices } from '../credentials/devices.ts'
import type { Passwords } from '../credentials/passwords.ts'
import type { SignInLimit } from '../credentials/sign-in-limit.ts'
import { deleteResetLinks } from '../store/account-links.ts'
import { deleteQuota } from '../store/quotas.ts'
import { deleteSetupTokens, hasSetupToken, insertSetupToken, settleFact } from '../store/facts.ts'
import { listGrants } from '../store/grants.ts'
import type { User } from '../store/users.ts'
import {
  countAdministrators,
  countUsers,
  deleteUser,
  findUser,
  insertUser,
  updateUser,
} from '../store/users.ts'
import { findSession } from '../store/sessions.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { ApiError, passwordProblem } from '../wire/index.ts'
import type { ApiCode, NewSession, Origin, PasswordOwner, Role } from '../wire/index.ts'
import { attemptOf, linkAttempt } from './familiar.ts'
import { takeGrants } from './grants.ts'
import { endOffice } from './office.ts'
import { beginSession, endAllOf } from './sessions.ts'
import { orTold, tellRefused } from './told-refusals.ts'

export interface NewUser {
  readonly username: string
  readonly password: string
  readonly email?: string | undefined
  readonly role: Role
}

export interface UserChange {
  readonly role?: Role | undefined
  readonly disabled?: boolean | undefined
  readonly password?: string | undefined
  readonly email?: string | null | undefined
}

export interface Accounts {
  setupOpen(): Promise<boolean>
  setupUrl(): Promise<string | null>
  setup(
    body: { token: string; username: string; password: string; email?: string | undefined },
    origin: Origin,
  ): Promise<{ session: NewSession; user: User }>
  signIn(
    body: { username: string; password: string },
    origin: Origin,
  ): Promise<{ session: NewSession; user: User }>
  createUser(given: NewUser): Promise<User>
  patchUser(id: string, change: UserChange): Promise<User>
  deleteUser(id: string): Promise<void>
  changePassword(
    who: { id: string; sessionHash: string | null },
    given: { currentPassword: string; newPassword: string; keepTokens: boolean },
    origin: Origin,
  ): Promise<void>
}

/** The session, with a device cookie where the browser has none of this user. */
export function remembered(
  devices: Devices,
  session: NewSession,
  { username }: User,
  origin: Origin,
): NewSession {
  const isKnown = devices.idOf(origin.device, username) !== null
  return isKnown ? session : { ...session, device: devices.mint(username) }
}

/** What signing in needs beside the store. */
export interface SignInParts {
  readonly limit: SignInLimit
  readonly passwords: Passwords
  readonly devices: Devices
}

/** Links of earlier starts that nobody used open set-up for so long, in ms. */
const SETUP_TOKEN_MS = 30 * 86_400_000

/** @throws ApiError invalid_body, with the sentence at the field `path` */
export function checkPassword(path: string, password: string, owner: PasswordOwner): void {
  const message = passwordProblem(password, owner)
  if (message !== null) throw new ApiError('invalid_body', undefined, { errors: [{ path, message }] })
}

/** True while a password that was checked against `known` is still this user's. */
function isAsKnown(user: User | null, known: User): boolean {
  if (user === null || user.disabled) return false
  const [now, then] = [user.passwordHash, known.passwordHash].map((hash) => Buffer.from(hashToken(hash)))
  return now !== undefined && then !== undefined && timingSafeEqual(now, then)
}

async function makeUser({ now }: Deployment, passwords: Passwords, given: NewUser): Promise<User> {
  checkPassword('password', given.password, given)
  return {
    id: newId(),
    username: given.username,
    email: given.email ?? null,
    role: given.role,
    disabled: false,
    passwordHash: await passwords.hash(given.password),
    createdAtMs: now(),
  }
}

class LocalAccounts implements Accounts {
  readonly #deployment: Deployment
  readonly #limit: SignInLimit
  readonly #passwords: Passwords
  readonly #devices: Devices
  #setupToken: string | null = null

  constructor(deployment: Deployment, { limit, passwords, devices }: SignInParts) {
    this.#passwords = passwords
    this.#devices = devices
    this.#deployment = deployment
    this.#limit = limit
  }

  async setupOpen(): Promise<boolean> {
    return (await countUsers(this.#deployment.feed.db)) === 0
  }

  async setupUrl(): Promise<string | null> {
    const { feed, options, now } = this.#deployment
    if (!(await this.setupOpen())) return null
    if (this.#setupToken === null) {
      const token = newToken('')
      await deleteSetupTokens(feed.db, now() - SETUP_TOKEN_MS)
      await insertSetupToken(feed.db, hashToken(token), now())
      this.#setupToken = token
    }
    return `${options.publicUrl}/setup?token=${this.#setupToken}`
  }

  async setup(
    body: { token: string; username: string; password: string; email?: string | undefined },
    origin: Origin,
  ): Promise<{ session: NewSession; user: User }> {
    const { feed, audit, now } = this.#deployment
    const attempt = linkAttempt(origin)
    await orTold(this.#deployment, { action: 'deployment.set-up' }, origin, async () => {
      this.#limit.spend(attempt)
      const isKnown = await hasSetupToken(feed.db, hashToken(body.token))
      // Asked after the link: who set up in between has taken all links away.
      if (!(await this.setupOpen())) throw new ApiError('setup_closed')
      if (!isKnown)
        throw new ApiError(
          'forbidden',
          'This set-up link is not valid; the newest one is in the server’s output.',
        )
    })
    const user = await makeUser(this.#deployment, this.#passwords, { ...body, role: 'administrator' })
    const session = await feed.write(async (w) => {
      // The guard is a unique row: of two visitors at once, on two servers even, one is first.
      const first = await settleFact(w.db, 'set_up_by', user.id)
      if (first !== user.id || (await countUsers(w.db)) > 0) throw new ApiError('setup_closed')
      await insertUser(w.db, user)
      await deleteSetupTokens(w.db)
      await w.changed('user', user.id, user.id)
      const actor = { kind: 'user', id: user.id, name: user.username } as const
      await audit.record({ action: 'deployment.set-up', actor, origin }, w.db)
      return beginSession(w, user.id, origin, now(), 'setup')
    })
    this.#limit.refund(attempt)
    return { session: remembered(this.#devices, session, user, origin), user }
  }

  async signIn(
    body: { username: string; password: string },
    origin: Origin,
  ): Promise<{ session: NewSession; user: User }> {
    const { feed, now, log } = this.#deployment
    const username = body.username.trim().toLowerCase()
    const found = await findUser(feed.db, { username })
    const refused = (code: ApiCode): Promise<void> => tellRefused(this.#deployment, code, found, origin)
    const attempt = await attemptOf(feed.db, this.#devices, { id: found?.id ?? null, username }, origin)
    try {
      this.#limit.spend(attempt)
    } catch (err) {
      await refused('rate_limited')
      throw err
    }
    const isKnown = attempt.familiar.by !== 'nothing'
    const right = await this.#passwords.verify(body.password, found?.passwordHash ?? null, isKnown)
    const { ip, requestId } = origin
    if (!right || found === null || found.disabled) {
      // What nobody is called isn't kept: people type their password there.
      log.warn('a sign-in was refused', { username: found?.username ?? '', ip, requestId })
      await refused('invalid_credentials')
      throw new ApiError('invalid_credentials')
    }
    const session = await feed.write(async (w) => {
      const user = await findUser(w.db, { id: found.id })
      if (!isAsKnown(user, found)) throw new ApiError('invalid_credentials')
      return beginSession(w, found.id, origin, now(), 'password')
    })
    this.#limit.refund(attempt)
    log.info('signed in', { userId: found.id, ip, requestId })
    return { session: remembered(this.#devices, session, found, origin), user: found }
  }

  async createUser(given: NewUser): Promise<User> {
    const user = await makeUser(this.#deployment, this.#passwords, given)
    await this.#deployment.feed.write(async (w) => {
      if ((await findUser(w.db, { username: user.username })) !== null)
        throw new ApiError('name_taken', 'There is a user of that name already.')
      await insertUser(w.db, user)
      await w.changed('user', user.id, user.id)
    })
    return user
  }

  async patchUser(id: string, change: UserChange): Promise<User> {
    if (change.password !== undefined) {
      const known = await findUser(this.#deployment.feed.db, { id })
      if (known === null) throw new ApiError('not_found')
      checkPassword('password', change.password, known)
    }
    const passwordHash =
      change.password === undefined ? undefined : await this.#passwords.hash(change.password)
    return this.#deployment.feed.write(async (w) => {
      const user = await findUser(w.db, { id })
      if (user === null) throw new ApiError('not_found')
      const { role, disabled, email } = change
      await updateUser(w.db, id, { role, disabled, email, passwordHash })
      if ((await countAdministrators(w.db)) === 0) throw new ApiError('last_administrator')
      const weaker = change.disabled === true || passwordHash !== undefined
      const demoted = change.role !== undefined && change.role !== user.role
      if (weaker || demoted) await endAllOf(w, id, { tokens: weaker })
      if (weaker) await deleteResetLinks(w.db, id)
      if (user.role === 'administrator' && (demoted || disabled === true)) await endOffice(w, id)
      await w.changed('user', id, id)
      return (await findUser(w.db, { id })) ?? user
    })
  }

  async deleteUser(id: string): Promise<void> {
    await this.#deployment.feed.write(async (w) => {
      const user = await findUser(w.db, { id })
      if (user === null) throw new ApiError('not_found')
      if ((await listWorkspaces(w.db, { ownerId: id, limit: 1 })).length > 0)
        throw new ApiError('has_workspaces')
      await endAllOf(w, id, { tokens: true })
      await takeGrants(w, await listGrants(w.db, { subject: { kind: 'user', id } }))
      await deleteQuota(w.db, { kind: 'user', id })
      if (user.role === 'administrator') await endOffice(w, id)
      await deleteUser(w.db, id)
      if ((await countAdministrators(w.db)) === 0) throw new ApiError('last_administrator')
      await w.changed('user', id, id)
    })
  }

  async changePassword(
    who: { id: string; sessionHash: string | null },
    given: { currentPassword: string; newPassword: string; keepTokens: boolean },
    origin: Origin,
  ): Promise<void> {
    const user = await findUser(this.#deployment.feed.db, { id: who.id })
    if (user === null) throw new ApiError('not_found')
    const attempt = await attemptOf(this.#deployment.feed.db, this.#devices, user, origin)
    this.#limit.spend(attempt)
    if (!(await this.#passwords.verify(given.currentPassword, user.passwordHash, true)))
      throw new ApiError('invalid_credentials', 'The current password is not right.')
    this.#limit.refund(attempt)
    checkPassword('newPassword', given.newPassword, user)
    const passwordHash = await this.#passwords.hash(given.newPassword)
    await this.#deployment.feed.write(async (w) => {
      // Hashing takes its time: another may have set a password since, or ended the session that asks.
      if (!isAsKnown(await findUser(w.db, { id: user.id }), user)) throw new ApiError('invalid_credentials')
      if (who.sessionHash !== null && (await findSession(w.db, who.sessionHash)) === null)
        throw new ApiError('unauthenticated')
      await updateUser(w.db, user.id, { passwordHash })
      await deleteResetLinks(w.db, user.id)
      await endAllOf(w, user.id, { tokens: !given.keepTokens, but: who.sessionHash })
    })
  }
}

export function localAccounts(deployment: Deployment, parts: SignInParts): Accounts {
  return new LocalAccounts(deployment, parts)
}
