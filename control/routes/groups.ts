/** Groups of people: administrators make them, members see their own. */
import type { Person } from '../authorization/authorization.ts'
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { addMember, createGroup, removeGroup, removeMember } from '../service/groups.ts'
import { listGroups } from '../store/groups.ts'
import { groupViews } from '../views/views-grants.ts'
import { ApiError, createGroupSchema, joinGroupSchema, paths } from '../wire/index.ts'
import type { GroupView } from '../wire/index.ts'

async function shown({ feed }: Deployment, person: Person, id: string | null): Promise<GroupView[]> {
  const groups = await listGroups(feed.db, {
    ...(person.readsAll ? {} : { userId: person.id }),
    ...(id === null ? {} : { ids: [id] }),
  })
  return groupViews(feed.db, groups)
}

export function groupRoutes(deployment: Deployment): Route[] {
  return [
    {
      method: 'GET',
      path: paths.groups,
      async run({ person }) {
        return { status: 200, body: { items: await shown(deployment, person, null) } }
      },
    },
    {
      method: 'POST',
      path: paths.groups,
      async run({ body }) {
        const group = await createGroup(deployment, parseBody(createGroupSchema, body).name)
        return { status: 201, body: { ...group, members: [] } satisfies GroupView }
      },
    },
    {
      method: 'GET',
      path: paths.group,
      async run({ params, person }) {
        const [group] = await shown(deployment, person, params['id'] ?? '')
        if (group === undefined) throw new ApiError('not_found')
        return { status: 200, body: group }
      },
    },
    {
      method: 'DELETE',
      path: paths.group,
      async run({ params }) {
        await removeGroup(deployment, params['id'] ?? '')
        return { status: 204 }
      },
    },
    {
      method: 'POST',
      path: paths.groupMember,
      async run({ params, body, person }) {
        const { reason } = parseBody(joinGroupSchema, body ?? {})
        const userId = params['user'] ?? ''
        await addMember(deployment, person, { groupId: params['id'] ?? '', userId, reason })
        return { status: 204, audit: { details: { added: userId, ...(reason && { reason }) } } }
      },
    },
    {
      method: 'DELETE',
      path: paths.groupMember,
      async run({ params }) {
        await removeMember(deployment, params['id'] ?? '', params['user'] ?? '')
        return { status: 204, audit: { details: { removed: params['user'] ?? '' } } }
      },
    },
  ]
}
