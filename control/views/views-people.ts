/** People go in; their views with how they can sign in come out. */
import type { Deployment } from '../deployment.ts'
import { providersOf } from '../store/identities.ts'
import type { User } from '../store/users.ts'
import { userView } from './views.ts'
import type { UserView } from '../wire/index.ts'

/** The views of people, in their order; a provider that is no longer configured is called by its id. */
export async function waysIn({ feed, options }: Deployment, users: readonly User[]): Promise<UserView[]> {
  const bound = await providersOf(
    feed.db,
    users.map(({ id }) => id),
  )
  const names = new Map((options.oidcProviders ?? []).map(({ id, name }) => [id, name]))
  return users.map((user) => ({
    ...userView(user),
    signInBy: [
      ...(user.passwordHash === '' ? [] : ['password']),
      ...(bound.get(user.id) ?? []).map((id) => names.get(id) ?? id),
    ],
  }))
}
