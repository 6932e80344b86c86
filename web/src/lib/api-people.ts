/** The part of the client that is about people: sessions, invitations, reset links, quotas. */
import type { Role, SessionView, UserView } from '../../../control/wire/account.ts'
import type {
  CreatedInvitation,
  CreatedResetLink,
  CreateInvitation,
  InvitationView,
} from '../../../control/wire/invitation.ts'
import { paths } from '../../../control/wire/paths.ts'
import type { PutQuota, QuotaKind, QuotaView } from '../../../control/wire/quota.ts'
import type { Call, Page } from './call.ts'

/** Its calls, made with the client's own. */
export function peopleApi(call: Call) {
  const fill = (path: string, parts: Readonly<Record<string, string>>): string =>
    path.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(parts[name] ?? ''))
  const items = async <T>(path: string, signal?: AbortSignal): Promise<readonly T[]> =>
    (await call<Page<T>>('GET', path, undefined, signal)).items
  return {
    sessions: (signal?: AbortSignal) => call<Page<SessionView>>('GET', paths.sessions, undefined, signal),
    endSession: (id: string) => call<void>('DELETE', fill(paths.session, { id })),
    endOtherSessions: () => call<void>('DELETE', paths.sessions),
    userSessions: (id: string, signal?: AbortSignal) =>
      items<SessionView>(fill(paths.userSessions, { id }), signal),
    endUserSessions: (id: string) => call<void>('DELETE', fill(paths.userSessions, { id })),
    endUserSession: (id: string, session: string) =>
      call<void>('DELETE', fill(paths.userSession, { id, session })),
    createResetLink: (id: string) => call<CreatedResetLink>('POST', fill(paths.userResetLink, { id })),
    invitations: (signal?: AbortSignal) => items<InvitationView>(paths.invitations, signal),
    createInvitation: (given: CreateInvitation) => call<CreatedInvitation>('POST', paths.invitations, given),
    revokeInvitation: (id: string) => call<void>('DELETE', fill(paths.invitation, { id })),
    groupNames: (signal?: AbortSignal) => items<{ id: string; name: string }>(paths.groups, signal),
    quota: (kind: QuotaKind, id: string, signal?: AbortSignal) =>
      call<QuotaView>('GET', fill(paths.quota, { kind, id }), undefined, signal),
    setQuota: (kind: QuotaKind, id: string, given: PutQuota) =>
      call<QuotaView>('PUT', fill(paths.quota, { kind, id }), given),
    deleteQuota: (kind: QuotaKind, id: string) => call<void>('DELETE', fill(paths.quota, { kind, id })),
    users: async (signal?: AbortSignal) => {
      const users: UserView[] = []
      for (let next: string | undefined = ''; next !== undefined;) {
        const query: string = next === '' ? '?limit=500' : `?limit=500&after=${encodeURIComponent(next)}`
        const page: Page<UserView> = await call('GET', paths.users + query, undefined, signal)
        users.push(...page.items)
        next = page.next
      }
      return users
    },
    createUser: (given: { username: string; password: string; email?: string; role: Role }) =>
      call<UserView>('POST', paths.users, given),
    patchUser: (id: string, given: { disabled?: boolean; role?: Role }) =>
      call<UserView>('PATCH', fill(paths.user, { id }), given),
    deleteUser: (id: string) => call<void>('DELETE', fill(paths.user, { id })),
  }
}
