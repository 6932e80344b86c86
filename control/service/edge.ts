/** What gateways ask of control: sign-in, the hand-off to workspace hosts, the Start button. */
import type { Deployment } from '../deployment.ts'
import type { ProviderSignIn } from '../oidc/index.ts'
import { parseBody } from '../api/parse.ts'
import type { Passwords } from '../credentials/passwords.ts'
import { listSessions } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { accessingOf, roleIn } from '../authorization/whose.ts'
import {
  acceptInvitationSchema,
  ApiError,
  reaches,
  resetSchema,
  setupSchema,
  signInSchema,
} from '../wire/index.ts'
import type { EdgeControl } from '../wire/index.ts'
import type { AccountLinks } from './account-links.ts'
import type { Asking } from './access-requests.ts'
import type { Accounts } from './accounts.ts'
import type { AuditEntry } from '../audit/audit.ts'
import { noteActivity } from './edge-notes.ts'
import { guestControl } from './edge-guests.ts'
import { handOff } from './hand-off.ts'
import type { SessionKeeper } from './sessions.ts'
import { endSessions } from './sessions.ts'
import { commandWorkspace } from './workspaces.ts'

export function edgeControl(
  deployment: Deployment,
  accounts: Accounts,
  links: AccountLinks,
  sessions: SessionKeeper,
  providers: ProviderSignIn,
  passwords: Passwords,
  door: Asking,
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
    sessionUsed: (sessionHash) => sessions.used(sessionHash),
    tokenUsed: async (tokenId) => sessions.tokenUsed(tokenId),
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
    ...handOff(deployment, sessions),
    async startWorkspace(workspaceId, userId, origin) {
      const user = await accessingOf(feed.db, userId)
      const workspace = await findWorkspace(feed.db, { id: workspaceId })
      if (user === null || user.disabled || workspace === null) throw new ApiError('not_found')
      if (!reaches(await roleIn(feed.db, workspace, user, now()), 'editor')) throw new ApiError('not_found')
      const entry: AuditEntry = {
        action: 'workspace.start',
        actor: { kind: 'user', id: user.id, name: user.username },
        object: { id: workspace.id, name: workspace.name },
        workspace,
        origin,
      }
      await audit.doing(entry, () => commandWorkspace(deployment, workspaceId, 'start', user.username))
    },
    note: (notes) => noteActivity(deployment, notes),
    ...guestControl(deployment, passwords),
    requestAccess: async (userId, label, origin) => door.ask({ userId, label }, origin),
  }
}
