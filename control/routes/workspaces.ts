/** Workspaces: create, look, change, command. */
import { barrier, purgeNeed } from '../authorization/authorization.ts'
import type { Call, Reply, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import type { Command } from '../lifecycle/lifecycle.ts'
import { numberedPageOf, pageOf, paged } from '../api/paging.ts'
import { parseBody, parseQuery } from '../api/parse.ts'
import { commandWorkspace, createWorkspace, patchWorkspace } from '../service/workspaces.ts'
import { grantsOnWorkspaces } from '../store/grants.ts'
import { listTimeline } from '../store/timeline.ts'
import type { Workspace } from '../store/workspaces.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { workspaceViews } from '../views/views.ts'
import {
  ApiError,
  createWorkspaceSchema,
  patchWorkspaceSchema,
  paths,
  removeQuerySchema,
  roleOn,
  workspacesQuerySchema,
} from '../wire/index.ts'
import type { AccessRole } from '../wire/index.ts'

async function shown(
  deployment: Deployment,
  status: number,
  workspace: Workspace,
  role: AccessRole | null,
): Promise<Reply> {
  const [body] = await workspaceViews(deployment, deployment.feed.db, [workspace], () => role)
  return { status, body }
}

function commandRoute(deployment: Deployment, path: string, command: Exclude<Command, 'patch'>): Route {
  return {
    method: 'POST',
    path,
    async run({ workspace, person, role }) {
      return shown(
        deployment,
        202,
        await commandWorkspace(deployment, workspace.id, command, person.username),
        role,
      )
    },
  }
}

async function list(deployment: Deployment, { query, person }: Call): Promise<Reply> {
  const page = pageOf(query)
  const { owner } = parseQuery(workspacesQuerySchema, query)
  if (owner === 'all' && !person.readsAll) throw new ApiError('forbidden')
  const { db } = deployment.feed
  const nowMs = deployment.now()
  const bounds = person.token?.bounds ?? null
  const rows = await listWorkspaces(db, {
    ...(owner === 'all' ? {} : { visibleTo: { holder: person, nowMs } }),
    ...(bounds === null ? {} : { ids: [bounds.workspaceId] }),
    after: page.after,
    limit: page.limit + 1,
  })
  const shownRows = rows.slice(0, page.limit)
  const grants = await grantsOnWorkspaces(
    db,
    shownRows.map(({ id }) => id),
  )
  const views = await workspaceViews(deployment, db, shownRows, (row) =>
    roleOn({ ...row, grants: grants.get(row.id) ?? [] }, person, nowMs),
  )
  return {
    status: 200,
    body: paged(
      rows,
      page,
      ({ name }) => name,
      () => views,
    ),
  }
}

async function timeline(deployment: Deployment, { query, workspace }: Call): Promise<Reply> {
  const page = numberedPageOf(query)
  const { before } = page
  const events = await listTimeline(deployment.feed.db, workspace.id, { before, limit: page.limit + 1 })
  return {
    status: 200,
    body: paged(
      events,
      page,
      ({ id }) => String(id),
      (rows) => rows,
    ),
  }
}

export function workspaceRoutes(deployment: Deployment): Route[] {
  return [
    { method: 'GET', path: paths.workspaces, run: (call) => list(deployment, call) },
    {
      method: 'POST',
      path: paths.workspaces,
      async run({ body, person }) {
        return shown(
          deployment,
          202,
          await createWorkspace(deployment, person, parseBody(createWorkspaceSchema, body)),
          'owner',
        )
      },
    },
    {
      method: 'GET',
      path: paths.workspace,
      run: ({ workspace, role }) => shown(deployment, 200, workspace, role),
    },
    {
      method: 'PATCH',
      path: paths.workspace,
      async run({ body, person, workspace, role }) {
        const given = parseBody(patchWorkspaceSchema, body)
        return shown(deployment, 202, await patchWorkspace(deployment, person, workspace.id, given), role)
      },
    },
    {
      method: 'DELETE',
      path: paths.workspace,
      async run({ query, person, workspace, role }) {
        const command = parseQuery(removeQuerySchema, query).purge === 'true' ? 'purge' : 'delete'
        const barred = command === 'purge' ? barrier(purgeNeed, person, role) : null
        if (barred !== null) throw new ApiError(barred)
        return shown(
          deployment,
          202,
          await commandWorkspace(deployment, workspace.id, command, person.username, workspace),
          role,
        )
      },
    },
    commandRoute(deployment, paths.workspaceStart, 'start'),
    commandRoute(deployment, paths.workspaceStop, 'stop'),
    commandRoute(deployment, paths.workspaceRestart, 'restart'),
    commandRoute(deployment, paths.workspaceRestore, 'restore'),
    { method: 'GET', path: paths.workspaceEvents, run: (call) => timeline(deployment, call) },
  ]
}
