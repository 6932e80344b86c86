/** The state behind the fake server of the dashboard's tests: views in a table, changed as the API's verbs would. */
import {
  ApiError,
  createWorkspaceSchema,
  patchWorkspaceSchema,
  nameProblem,
  nameProblemText,
  type CreateInvitation,
  type HostView,
  type InvitationView,
  type Limits,
  type Phase,
  type Quota,
  type QuotaView,
  type SessionView,
  type StreamMessage,
  type TemplateView,
  type TimelineEvent,
  type TokenView,
  type UserView,
  type WorkspaceView,
} from '../../control/wire/index.ts'
import {
  fakeHost,
  fakeLimits,
  fakeSessions,
  fakeTemplates,
  fakeUser,
  fakeWorkspace,
  specOf,
} from './web-fake-data.ts'

/** A message of the stream before it has its revision. */
export type Unrevised = StreamMessage extends infer M
  ? M extends { revision: number }
    ? Omit<M, 'revision'>
    : never
  : never

interface TokenAsked {
  name: string
  scopes: TokenView['scopes']
  workspace?: string
  ports?: number[]
}

const TRASH_MS = 6 * 86_400_000

export class FakeState {
  me: UserView | null = fakeUser('ada', 'administrator')
  templates: TemplateView[] = fakeTemplates()
  limits: Limits = fakeLimits()
  revision = 1
  readonly owner: UserView = fakeUser('ada', 'administrator')
  readonly workspaces = new Map<string, WorkspaceView>()
  readonly hosts = new Map<string, HostView>([['h1', fakeHost('h1', 'forge-1')]])
  readonly users: UserView[] = [this.owner, fakeUser('grace', 'member')]
  readonly sessions: SessionView[] = fakeSessions()
  readonly tokens: TokenView[] = []
  readonly invitations: InvitationView[] = []
  quota: QuotaView['quota'] = null
  readonly events: TimelineEvent[] = []
  readonly #tell: (message: StreamMessage) => void
  #last = 0

  constructor(tell: (message: StreamMessage) => void) {
    this.#tell = tell
  }

  tell(message: Unrevised): void {
    this.revision += 1
    this.#tell({ ...message, revision: this.revision })
  }

  /** Everything, as a stream begins. */
  all(): StreamMessage[] {
    const messages: Unrevised[] = [
      ...[...this.workspaces.values()].map((workspace) => ({ type: 'workspace' as const, workspace })),
      ...[...this.hosts.values()].map((host) => ({ type: 'host' as const, host })),
      { type: 'limits', limits: this.limits },
      { type: 'live', version: '0.1.0' },
    ]
    return messages.map((message) => ({ ...message, revision: this.revision }))
  }

  /** Puts a workspace in, or changes it, and tells every open page. */
  put(given: Partial<WorkspaceView> & { name: string }): WorkspaceView {
    const before = [...this.workspaces.values()].find((w) => w.name === given.name)
    const base = before ?? fakeWorkspace(`w${++this.#last}`, given.name, this.owner)
    const workspace = { ...base, ...given, revision: this.revision + 1 }
    this.workspaces.set(workspace.id, workspace)
    this.tell({ type: 'workspace', workspace })
    return workspace
  }

  /** Moves a workspace to a phase with a line in its timeline. */
  phase(name: string, phase: Phase, code: TimelineEvent['code'], message: string): void {
    const atMs = Date.now()
    const { id: workspaceId } = this.put({
      name,
      phase,
      ...(phase === 'running' ? { startedAtMs: atMs } : {}),
      reason: { code, message, hint: '', sinceMs: atMs },
    })
    const event = { id: this.events.length + 1, workspaceId, atMs, phase, code, message, actor: 'ada' }
    this.events.push(event)
    this.tell({ type: 'timeline', event })
  }

  #create(body: unknown): WorkspaceView {
    const parsed = createWorkspaceSchema.safeParse(body)
    if (!parsed.success) {
      const errors = parsed.error.issues.map((i) => ({ path: i.path.join('.'), message: i.message }))
      throw new ApiError('invalid_body', undefined, { errors })
    }
    const problem = nameProblem(parsed.data.name)
    if (problem !== null) throw new ApiError('invalid_name', nameProblemText[problem])
    if (parsed.data.name === 'taken') throw new ApiError('name_taken')
    const made = this.put({ name: parsed.data.name, spec: specOf(parsed.data), phase: 'pending' })
    this.phase(made.name, 'pending', 'created', 'ada created it')
    return this.workspaces.get(made.id) ?? made
  }

  #act(id: string, verb: string, purge: boolean, body: unknown): WorkspaceView {
    const workspace = this.workspaces.get(id)
    if (workspace === undefined) throw new ApiError('not_found')
    const { name } = workspace
    if (verb === 'PATCH') {
      const spec = specOf(patchWorkspaceSchema.parse(body), workspace.spec)
      this.put({ name, spec, generation: workspace.generation + 1 })
      this.phase(name, workspace.phase, 'spec_changed', 'ada changed its spec')
    } else if (verb === 'DELETE' && purge) {
      this.workspaces.delete(id)
      this.tell({ type: 'workspace-gone', id })
      return { ...workspace, phase: 'removing', want: 'removed' }
    } else if (verb === 'DELETE') {
      this.put({ name, want: 'removed', purgeAtMs: Date.now() + TRASH_MS })
      this.phase(name, 'trashed', 'trashed', 'ada put it into the trash')
    } else if (verb === 'stop') {
      this.put({ name, want: 'stopped' })
      this.phase(name, 'stopping', 'requested', 'ada stopped it')
    } else if (verb === 'restore') {
      this.put({ name, want: 'stopped' })
      this.phase(name, 'stopped', 'restored', 'ada brought it back from the trash')
    } else {
      this.put({ name, want: 'running' })
      this.phase(name, 'starting', 'requested', 'ada started it')
    }
    return this.workspaces.get(id) ?? workspace
  }

  /** The answer to a GET. @throws ApiError not_found */
  read(path: string): unknown {
    const events = /^\/api\/v1\/workspaces\/([^/]+)\/events$/.exec(path)
    if (events !== null) return { items: this.events.filter((e) => e.workspaceId === events[1]).reverse() }
    const answers: Record<string, unknown> = {
      '/api/v1/me': this.me,
      '/api/v1/templates': { items: this.templates },
      '/api/v1/limits': this.limits,
      '/api/v1/users': { items: this.users },
      '/api/v1/sessions': { items: this.sessions },
      '/api/v1/tokens': { items: this.tokens },
      '/api/v1/invitations': { items: this.invitations },
      '/api/v1/restrictions': { items: [{ kind: 'image', id: 'registry.example.com/team/app' }] },
      '/api/v1/grants': { items: [] },
      '/api/v1/groups': { items: [{ id: 'g1', name: 'pilots' }] },
      '/api/v1/users/u-grace/sessions': {
        items: fakeSessions().map((each) => ({ ...each, current: false })),
      },
    }
    if (path.startsWith('/api/v1/quotas/')) return this.#quotaView()
    if (answers[path] === undefined) throw new ApiError('not_found')
    return answers[path]
  }

  #quotaView(): QuotaView {
    const { quota, limits } = this
    const running = { used: limits.quota.running.used, max: quota?.maxRunning ?? limits.maxRunning.perUser }
    const over = running.used > running.max ? [`${running.used} run, ${running.max} may: they go on.`] : []
    const standing = { ...limits.quota, running }
    return { kind: 'user', id: 'u-grace', name: 'grace', quota, standing, over }
  }

  #invite({ email, role, expiresAt }: CreateInvitation): unknown {
    const invitation: InvitationView = {
      id: 'i1',
      email: email ?? null,
      role,
      groups: [{ id: 'g1', name: 'pilots' }],
      state: 'open',
      createdBy: 'ada',
      usedBy: null,
      createdAtMs: Date.now(),
      expiresAtMs: Date.parse(expiresAt ?? ''),
    }
    this.invitations.push(invitation)
    return { ...invitation, url: 'http://localhost/invitation#psv_fake' }
  }

  /** The answer to anything else; undefined for 204. @throws ApiError as the API does */
  change(method: string, url: URL, body: unknown): unknown {
    const { pathname } = url
    if (pathname === '/api/v1/workspaces') return this.#create(body)
    const [, id, verb] = /^\/api\/v1\/workspaces\/([^/]+)(?:\/([a-z]+))?$/.exec(pathname) ?? []
    if (id !== undefined) return this.#act(id, verb ?? method, url.searchParams.has('purge'), body)
    if (pathname === '/api/v1/tokens') {
      const { name, scopes, workspace, ports } = body as TokenAsked
      const end = { createdAtMs: Date.now(), expiresAtMs: null, lastUsedAtMs: null }
      const at =
        workspace === undefined ? null : { id: workspace, name: this.workspaces.get(workspace)?.name ?? null }
      this.tokens.push({ id: 't1', name, scopes, workspace: at, ports: ports ?? null, ...end })
      return { id: 't1', token: 'pst_fakefakefake' }
    }
    if (pathname === '/api/v1/invitations') return this.#invite(body as CreateInvitation)
    if (pathname.startsWith('/api/v1/invitations/')) this.invitations.length = 0
    if (pathname.endsWith('/reset-link'))
      return { id: 'r1', url: 'http://localhost/reset#psr_fake', expiresAtMs: Date.now() + 86_400_000 }
    if (pathname.startsWith('/api/v1/quotas/')) {
      const none = { maxWorkspaces: null, maxRunning: null, cpu: null, memoryBytes: null }
      this.quota = method === 'PUT' ? { ...none, ...(body as Quota) } : null
      return this.#quotaView()
    }
    if (pathname === '/api/v1/hosts/tokens') return { token: 'psj_fakefakefake' }
    if (pathname === '/api/v1/sessions/current') this.me = null
    return undefined
  }
}
