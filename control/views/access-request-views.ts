/** Requests for access go in; what the one who asked and those who may answer are shown of them comes out. */
import type { AccessRequest } from '../store/access-requests.ts'
import { grantsOnWorkspaces } from '../store/grants.ts'
import { findWorkspaceByHost } from '../store/names.ts'
import type { Db } from '../store/open.ts'
import { readSettings } from '../store/settings.ts'
import { listUsers } from '../store/users.ts'
import type { Workspace } from '../store/workspaces.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { cappedVisibility } from '../wire/index.ts'
import type { Accessible, AccessRequestView, Settings, StreamMessage } from '../wire/index.ts'

/** What a change of one request is to those whom it concerns; `request` is absent when it is over. */
export function requestMessages(
  given: { readonly id: string; readonly revision: number; readonly audience: string | null },
  loaded: LoadedRequest | undefined,
): { message: StreamMessage; of: Accessible | null; audience: string | null }[] {
  const { id, revision, audience } = given
  const mine: StreamMessage = { type: 'my-access-request', revision, id, request: loaded?.mine ?? null }
  const messages = [{ message: mine, of: null as Accessible | null, audience }]
  if (loaded === undefined || loaded.of === null) return messages
  const { toAnswer, of } = loaded
  const message: StreamMessage =
    toAnswer === null
      ? { type: 'access-request-gone', revision, id }
      : { type: 'access-request', revision, request: toAnswer }
  return [...messages, { message, of, audience: null }]
}

/** A request with what decides who may answer it. */
export interface LoadedRequest {
  readonly request: AccessRequest
  /** As the one who asked sees it: nothing in it says whether there is such a workspace, unless it was granted. */
  readonly mine: AccessRequestView
  /** As those who may answer see it; null: it waits for no answer. */
  readonly toAnswer: AccessRequestView | null
  /** The workspace, as far as it says who may answer; null: there is none. */
  readonly of: Accessible | null
}

/** Would a viewer open what was asked for? */
function isShared(
  workspace: Workspace,
  request: AccessRequest,
  settings: Settings,
  aliasPort: number | null,
): boolean {
  const port = request.port ?? aliasPort ?? workspace.resolved.defaultPort
  const declared = workspace.resolved.ports.find((each) => each.port === port)
  return declared !== undefined && cappedVisibility(declared.visibility, settings.maxVisibility) !== 'owner'
}

/** Reads what stands around requests, once for all of them. */
export async function loadRequests(db: Db, requests: readonly AccessRequest[]): Promise<LoadedRequest[]> {
  if (requests.length === 0) return []
  const users = new Map((await listUsers(db)).map(({ id, username }) => [id, { id, username }]))
  const ids = [...new Set(requests.flatMap(({ workspaceId }) => workspaceId ?? []))]
  const rows = ids.length === 0 ? [] : await listWorkspaces(db, ids.length > 500 ? {} : { ids })
  const workspaces = new Map(rows.map((row) => [row.id, row]))
  const grants = await grantsOnWorkspaces(db, ids)
  const settings = await readSettings(db)
  return Promise.all(
    requests.map(async (request): Promise<LoadedRequest> => {
      const { id, userId, name, port, state, createdAtMs, expiresAtMs } = request
      const user = users.get(userId) ?? { id: userId, username: '' }
      const workspace = workspaces.get(request.workspaceId ?? '')
      const common = { id, user, name, port, createdAtMs, expiresAtMs }
      // A refusal would say that there is something to be refused.
      const shown = state === 'granted' ? 'granted' : 'open'
      const mine = { ...common, state: shown, workspace: null, isShared: null } as const
      if (workspace === undefined) return { request, mine, toAnswer: null, of: null }
      const alias = await findWorkspaceByHost(db, name)
      const shared = isShared(workspace, request, settings, alias?.port ?? null)
      const about = { id: workspace.id, name: workspace.name }
      const toAnswer = { ...common, state: 'open', workspace: about, isShared: shared } as const
      const { ownerId, ownerGroupId } = workspace
      const of = { ownerId, ownerGroupId, grants: grants.get(workspace.id) ?? [] }
      return { request, mine, toAnswer: state === 'open' ? toAnswer : null, of }
    }),
  )
}
