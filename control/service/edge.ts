/** What gateways ask of control: sign-in, the hand-off to workspace hosts, the Start button. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Deployment } from '../deployment.ts'
import type { ProviderSignIn } from '../oidc/index.ts'
import { parseBody } from '../parse.ts'
import { reusedAtMs } from '../store/names.ts'
import type { Passwords } from '../passwords.ts'
import { consumeCode, findSession, insertCode, listSessions } from '../store/sessions.ts'
import { listMemberships } from '../store/groups.ts'
import { findUser } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { hashToken, newToken } from '../tokens.ts'
import { roleIn } from '../whose.ts'
import {
  acceptInvitationSchema,
  ApiError,
  nameOfLabel,
  reaches,
  resetSchema,
  setupSchema,
  signInSchema,
} from '../wire/index.ts'
import type { EdgeControl } from '../wire/index.ts'
import type { AccountLinks } from './account-links.ts'
import type { Accounts } from './accounts.ts'
import type { AuditEntry } from './audit.ts'
import { noteActivity } from './edge-notes.ts'
import { guestUsed, joinGuest } from './guests.ts'
import { linkDoor } from './links.ts'
import { passDoor } from './workspace-passwords.ts'
import type { SessionKeeper } from './sessions.ts'
import { beginChild, endSessions } from './sessions.ts'
import { commandWorkspace } from './workspaces.ts'

const CODE_MS = 60_000

const grantSchema = z.object({
  userId: z.string(),
  parentHash: z.string(),
  workspaceId: z.string(),
  label: z.string().min(1).max(63),
  challenge: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
})

const isSame = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

export function edgeControl(
  deployment: Deployment,
  accounts: Accounts,
  links: AccountLinks,
  sessions: SessionKeeper,
  providers: ProviderSignIn,
  passwords: Passwords,
): EdgeControl {
  const { feed, audit, now } = deployment
  return {
    setupOpen: () => accounts.setupOpen(),
    async setup(body, origin) {
      return (await accounts.setup(parseBody(setupSchema, body), origin)).session
    },
    async signIn(body, origin) {
      return (await accounts.signIn(parseBody(signInSchema, body), origin)).session
    },
    resetPassword: async (body, origin) => links.reset(parseBody(resetSchema, body), origin),
    acceptInvitation: async (body, origin) => links.accept(parseBody(acceptInvitationSchema, body), origin),
    async signOut(sessionHash) {
      const leave = await providers.leaving(sessionHash)
      await feed.write(async (w) => {
        const [session] = await listSessions(w.db, { hash: sessionHash })
        if (session === undefined) return
        const { id, userId } = session
        const name = (await findUser(w.db, { id: userId }))?.username ?? ''
        const actor = { kind: 'user', id: userId, name, via: { kind: 'session', id } } as const
        await audit.record({ action: 'session.end', actor, object: { id } }, w.db)
        await endSessions(w, [session])
      })
      return leave()
    },
    providers: () => Promise.resolve(providers.offered),
    beginSignIn: (given) => providers.begin(given),
    finishSignIn: (given, origin) => providers.finish(given, origin),
    async issueCode(grant) {
      const { parentHash, userId, ...rest } = parseBody(grantSchema, grant)
      const parent = await findSession(feed.db, parentHash)
      if (
        parent === null ||
        parent.userId !== userId ||
        parent.workspace !== null ||
        parent.expiresAtMs <= now()
      )
        throw new ApiError('unauthenticated')
      const code = newToken('')
      await insertCode(feed.db, {
        ...rest,
        parentHash,
        userId,
        hash: hashToken(code),
        expiresAtMs: now() + CODE_MS,
      })
      await sessions.used(parentHash)
      return code
    },
    async redeemCode({ code, nonce, label }) {
      const refused = new ApiError('forbidden', 'This link is used or too old; open the workspace again.')
      // Consumed outside the transaction below: a code that fails any check is spent all the same.
      const grant = await consumeCode(feed.db, hashToken(code))
      if (grant === null) throw refused
      const challenge = createHash('sha256').update(nonce).digest('base64url')
      const fits =
        isSame(challenge, grant.challenge) && isSame(label, grant.label) && grant.expiresAtMs > now()
      if (!fits) throw refused
      return feed.write(async (w) => {
        const parent = await findSession(w.db, grant.parentHash)
        const user = await findUser(w.db, { id: grant.userId })
        const workspace = await findWorkspace(w.db, { id: grant.workspaceId })
        const alive = parent !== null && parent.expiresAtMs > now() && parent.userId === grant.userId
        if (!alive || user === null || user.disabled || workspace === null) throw refused
        const session = await beginChild(w, parent, { workspaceId: grant.workspaceId, label }, now())
        const since = await reusedAtMs(w.db, nameOfLabel(label))
        return since === null ? session : { ...session, reusedAtMs: since }
      })
    },
    async startWorkspace(workspaceId, userId, origin) {
      const user = await findUser(feed.db, { id: userId })
      const workspace = await findWorkspace(feed.db, { id: workspaceId })
      if (user === null || user.disabled || workspace === null) throw new ApiError('not_found')
      const memberships = await listMemberships(feed.db, { userId })
      const person = { ...user, groups: memberships.map(({ groupId: id }) => ({ id })) }
      if (!reaches(await roleIn(feed.db, workspace, person, now()), 'editor')) throw new ApiError('not_found')
      const entry: AuditEntry = {
        action: 'workspace.start',
        actor: { kind: 'user', id: user.id, name: user.username },
        object: { id: workspace.id, name: workspace.name },
        workspace,
        origin,
      }
      await audit.doing(entry, () => commandWorkspace(deployment, workspaceId, 'start', user.username))
    },
    redeemLink: linkDoor(deployment),
    joinGuest: (given, origin) => feed.write((w) => joinGuest(w, given, origin, now())),
    note: (notes) => noteActivity(deployment, notes),
    guestUsed: (sessionHash) => guestUsed(deployment, sessionHash),
    givePassword: passDoor(deployment, passwords),
  }
}
