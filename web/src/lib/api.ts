/** The typed client of the users' API: verbs in, the wire's views out, ApiProblem thrown. Knows no browser globals. */
import type { HostView, Scope, TokenView, UserView } from '../../../control/wire/account.ts'
import type { ObjectKind } from '../../../control/wire/access.ts'
import type { CreateGrant, GrantView, GroupView } from '../../../control/wire/grants.ts'
import { paths, SIGN_OUT_AT_HEADER } from '../../../control/wire/paths.ts'
import type { CreateLink, LinkView, PasswordView } from '../../../control/wire/links.ts'
import type {
  CreateWorkspace,
  Limits,
  PatchWorkspace,
  TemplateView,
  TimelineEvent,
  WorkspaceView,
} from '../../../control/wire/workspace.ts'
import { peopleApi } from './api-people.ts'
import { fill, type Page } from './call.ts'
import { offline, problemOf } from './problem.ts'
import { shareApi } from './share-api.ts'
import { toldApi } from './told-api.ts'

export type { Page } from './call.ts'

/** A secret that is shown once. */
export interface Minted {
  readonly id: string
  readonly token: string
}

export interface ApiOptions {
  fetch(this: void, path: string, init: RequestInit): Promise<Response>
  /** Called on a 401 before the error is thrown; goes to the sign-in. */
  onSignedOut(): void
}

async function body(response: Response): Promise<unknown> {
  const text = await response.text()
  if (text === '') return undefined
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Not JSON: a page of some proxy. The caller says so by status.
    return undefined
  }
}

/** One call of the API: its view, or ApiProblem thrown. */
function caller(options: ApiOptions) {
  return async function call<T>(
    method: string,
    path: string,
    send?: unknown,
    signal?: AbortSignal,
    seen?: (headers: Headers) => void,
  ): Promise<T> {
    const headers: Record<string, string> = { accept: 'application/json' }
    if (send !== undefined) headers['content-type'] = 'application/json'
    const init: RequestInit = { method, headers, credentials: 'same-origin' }
    if (send !== undefined) init.body = JSON.stringify(send)
    if (signal !== undefined) init.signal = signal
    let response: Response
    try {
      response = await options.fetch(path, init)
    } catch (err) {
      if (signal?.aborted === true) throw err
      throw offline(err)
    }
    const answer = await body(response)
    if (response.ok) {
      seen?.(response.headers)
      if (answer === undefined && response.status !== 204 && response.status !== 202)
        throw problemOf(response.status, undefined)
      return answer as T
    }
    const problem = problemOf(response.status, answer)
    // A wrong password in a form is a 401 too, but the session is fine.
    if (problem.status === 401 && problem.code !== 'invalid_credentials') options.onSignedOut()
    throw problem
  }
}

/** Makes the client. Each call throws ApiProblem; an AbortSignal's abort passes through untouched. */
export function createApi(options: ApiOptions) {
  const call = caller(options)

  return {
    ...toldApi(call),
    ...shareApi(call),
    me: (signal?: AbortSignal) => call<UserView>('GET', paths.me, undefined, signal),
    changePassword: (given: { currentPassword: string; newPassword: string; keepTokens: boolean }) =>
      call<void>('POST', paths.password, given),
    /** Where the browser then signs out at the provider that it came by; null: nowhere. */
    async signOut(): Promise<string | null> {
      let at: string | null = null
      await call<void>('DELETE', paths.currentSession, undefined, undefined, (headers) => {
        at = headers.get(SIGN_OUT_AT_HEADER)
      })
      return at
    },

    ...peopleApi(call),
    tokens: (signal?: AbortSignal) => call<Page<TokenView>>('GET', paths.tokens, undefined, signal),
    createToken: (given: {
      name: string
      scopes: Scope[]
      workspace?: string
      ports?: number[]
      expiresAt?: string
    }) => call<Minted>('POST', paths.tokens, given),
    deleteToken: (id: string) => call<void>('DELETE', fill(paths.token, id)),

    createWorkspace: (given: CreateWorkspace) => call<WorkspaceView>('POST', paths.workspaces, given),
    patchWorkspace: (id: string, given: PatchWorkspace) =>
      call<WorkspaceView>('PATCH', fill(paths.workspace, id), given),
    start: (id: string) => call<WorkspaceView>('POST', fill(paths.workspaceStart, id)),
    stop: (id: string) => call<WorkspaceView>('POST', fill(paths.workspaceStop, id)),
    restart: (id: string) => call<WorkspaceView>('POST', fill(paths.workspaceRestart, id)),
    restore: (id: string) => call<WorkspaceView>('POST', fill(paths.workspaceRestore, id)),
    trash: (id: string) => call<WorkspaceView>('DELETE', fill(paths.workspace, id)),
    purge: (id: string) => call<WorkspaceView>('DELETE', `${fill(paths.workspace, id)}?purge=true`),
    timeline: (id: string, next?: string, signal?: AbortSignal) =>
      call<Page<TimelineEvent>>(
        'GET',
        fill(paths.workspaceEvents, id) + (next === undefined ? '' : `?after=${encodeURIComponent(next)}`),
        undefined,
        signal,
      ),

    links: (id: string, signal?: AbortSignal) =>
      call<Page<LinkView>>('GET', fill(paths.workspaceLinks, id), undefined, signal),
    createLink: (id: string, given: CreateLink) =>
      call<{ id: string; url: string }>('POST', fill(paths.workspaceLinks, id), given),
    revokeLink: (id: string, link: string) =>
      call<void>('DELETE', fill(paths.workspaceLink, id).replace(':link', encodeURIComponent(link))),
    passwords: (id: string, signal?: AbortSignal) =>
      call<Page<PasswordView>>('GET', fill(paths.workspacePassword, id), undefined, signal),
    setPassword: (id: string, given: { password: string; port?: number }) =>
      call<void>('PUT', fill(paths.workspacePassword, id), given),
    removePassword: (id: string, given: { port?: number }) =>
      call<void>('DELETE', fill(paths.workspacePassword, id), given),

    grantsOn: (kind: ObjectKind, id: string, signal?: AbortSignal) =>
      call<Page<GrantView>>(
        'GET',
        `${paths.grants}?kind=${kind}&id=${encodeURIComponent(id)}&limit=500`,
        undefined,
        signal,
      ),
    createGrant: (given: CreateGrant) => call<GrantView>('POST', paths.grants, given),
    deleteGrant: (id: string) => call<void>('DELETE', fill(paths.grant, id)),
    breakGlass: (id: string, reason: string) =>
      call<GrantView>('POST', fill(paths.workspaceBreakGlass, id), { reason }),
    groups: (signal?: AbortSignal) => call<Page<GroupView>>('GET', paths.groups, undefined, signal),
    createGroup: (given: { name: string }) => call<GroupView>('POST', paths.groups, given),
    deleteGroup: (id: string) => call<void>('DELETE', fill(paths.group, id)),
    /** `reason`: asked for of who adds themself, where the group opens workspaces of others. */
    addMember: (group: string, user: string, reason?: string) =>
      call<void>('POST', fill(paths.groupMember, group).replace(':user', encodeURIComponent(user)), {
        reason,
      }),
    removeMember: (group: string, user: string) =>
      call<void>('DELETE', fill(paths.groupMember, group).replace(':user', encodeURIComponent(user))),

    templates: (signal?: AbortSignal) => call<Page<TemplateView>>('GET', paths.templates, undefined, signal),
    limits: (signal?: AbortSignal) => call<Limits>('GET', paths.limits, undefined, signal),
    hosts: (signal?: AbortSignal) => call<Page<HostView>>('GET', paths.hosts, undefined, signal),
    createHostToken: (given: { name: string }) => call<{ token: string }>('POST', paths.hostTokens, given),
  }
}
export type Api = ReturnType<typeof createApi>
