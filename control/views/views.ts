/** Rows go in; what users are shown of them comes out. */
import type { Deployment } from '../deployment.ts'
import { specView } from '../lifecycle/spec.ts'
import type { Db } from '../store/open.ts'
import { listGroups } from '../store/groups.ts'
import type { Host } from '../store/hosts.ts'
import { hostIdsOf, listHosts } from '../store/hosts.ts'
import type { Alias } from '../store/names.ts'
import { aliasesOf } from '../store/names.ts'
import type { Session } from '../store/sessions.ts'
import type { Token } from '../store/tokens.ts'
import type { User } from '../store/users.ts'
import { listUsers } from '../store/users.ts'
import type { Workspace } from '../store/workspaces.ts'
import { pathLabelOf, reasonCodes } from '../wire/index.ts'
import type {
  AccessRole,
  HostView,
  Reason,
  SessionView,
  SpecView,
  TokenView,
  UserView,
  WorkspaceView,
} from '../wire/index.ts'

/** Addresses of a workspace, by the public URL's scheme and port. */
export function workspaceUrls(
  name: string,
  ports: readonly { readonly port: number }[],
  aliases: readonly { readonly name: string }[],
  place: { readonly publicUrl: string; readonly baseDomain: string },
): WorkspaceView['urls'] {
  const { protocol, port } = new URL(place.publicUrl)
  const origin = (label: string): string => `${protocol}//${label}.${place.baseDomain}${port && `:${port}`}/`
  return {
    default: origin(name),
    ports: Object.fromEntries(ports.map(({ port: number }) => [String(number), origin(`${name}-${number}`)])),
    aliases: Object.fromEntries(aliases.map((alias) => [alias.name, origin(alias.name)])),
  }
}

/** The address by path, which opens for who owns it alone (`opensByPath`). */
const byPath = (name: string, isOwn: boolean, pathUrl: string | null | undefined): { path?: string } =>
  isOwn && pathUrl ? { path: `${pathUrl}${pathLabelOf(name)}/ide/` } : {}

function reasonView({ reason, phase }: Workspace): Reason | undefined {
  if (reason === null) return undefined
  if (phase === 'running' || (phase === 'stopped' && reason.code === 'requested')) {
    if (reason.code !== 'host_away') return undefined
  }
  return { ...reason, hint: reasonCodes[reason.code].hint }
}

/** The spec as this host takes it: what it does not hold or use is null. */
function heldSpec(workspace: Workspace, host: Host | null): SpecView {
  const spec = specView(workspace.spec, workspace.resolved)
  if (host === null) return spec
  const { images, limits } = host.capabilities
  return {
    ...spec,
    image: images === true ? spec.image : null,
    cpu: limits?.cpu === true ? spec.cpu : null,
    memoryBytes: limits?.memory === true ? spec.memoryBytes : null,
    pids: limits?.pids === true ? spec.pids : null,
  }
}

/** What comes and goes with the phase. */
function passing(workspace: Workspace): Partial<WorkspaceView> {
  const { status, phase, purgeAtMs } = workspace
  const reason = reasonView(workspace)
  const isFresh = workspace.statusRevision >= workspace.desiredRevision
  const progress = isFresh && (phase === 'pulling' || phase === 'starting') ? status?.progress : undefined
  const startedAtMs = phase === 'running' ? status?.startedAtMs : undefined
  return {
    ...(reason === undefined ? {} : { reason }),
    ...(progress === undefined ? {} : { progress }),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(purgeAtMs === null ? {} : { purgeAtMs }),
  }
}

/** The spec's generation that is at work: what only gateways read is so as soon as it is stored. */
function observedGeneration({ status, generation, programGeneration }: Workspace): number {
  if (status === null) return 0
  return status.generation === programGeneration ? generation : status.generation
}

/** What a view names besides the workspace itself. */
interface Around {
  readonly owner: { readonly id: string; readonly username: string }
  readonly ownerGroup: WorkspaceView['ownerGroup']
  readonly host: Host | null
  readonly role: AccessRole | null
  readonly aliases: readonly Alias[]
}

/** A workspace as who is `role` to it sees it. */
export function workspaceView(
  deployment: Deployment,
  workspace: Workspace,
  { owner, ownerGroup, host, role, aliases }: Around,
): WorkspaceView {
  return {
    id: workspace.id,
    name: workspace.name,
    owner: { id: owner.id, username: owner.username },
    ownerGroup,
    role,
    want: workspace.want,
    phase: workspace.phase,
    ...passing(workspace),
    generation: workspace.generation,
    observedGeneration: observedGeneration(workspace),
    spec: heldSpec(workspace, host),
    host: host === null ? null : { id: host.id, name: host.name },
    aliases: aliases.map(({ name, port }) => ({ name, port })),
    urls: {
      ...workspaceUrls(workspace.name, workspace.resolved.ports, aliases, deployment.options),
      ...byPath(
        workspace.name,
        workspace.ownerGroupId === null && role === 'owner',
        deployment.options.pathUrl,
      ),
    },
    createdAtMs: workspace.createdAtMs,
    updatedAtMs: workspace.updatedAtMs,
    revision: workspace.revision,
  }
}

/** What its owner sees of it as who is `role` to it does. */
export function seenAs(view: WorkspaceView, role: AccessRole | null): WorkspaceView {
  const { path, ...urls } = view.urls
  return { ...view, role, urls: role === 'owner' && path !== undefined ? view.urls : urls }
}

/** Views in the order of the rows, for who is `roleOf` to each; the people, groups and hosts behind them are read once. */
export async function workspaceViews(
  deployment: Deployment,
  db: Db,
  workspaces: readonly Workspace[],
  roleOf: (workspace: Workspace) => AccessRole | null,
): Promise<WorkspaceView[]> {
  if (workspaces.length === 0) return []
  const users = new Map((await listUsers(db)).map((user) => [user.id, user]))
  const around = await listHosts(db, hostIdsOf(workspaces))
  const hosts = new Map(around.map((host) => [host.id, host]))
  const aliases = await aliasesOf(
    db,
    workspaces.map(({ id }) => id),
  )
  const groupIds = workspaces.flatMap(({ ownerGroupId }) => (ownerGroupId === null ? [] : [ownerGroupId]))
  const owning = groupIds.length === 0 ? [] : await listGroups(db, { ids: [...new Set(groupIds)] })
  const groups = new Map(owning.map(({ id, name }) => [id, { id, name }]))
  return workspaces.map((workspace) =>
    workspaceView(deployment, workspace, {
      owner: users.get(workspace.ownerId) ?? { id: workspace.ownerId, username: '' },
      ownerGroup: groups.get(workspace.ownerGroupId ?? '') ?? null,
      host: hosts.get(workspace.hostId ?? '') ?? null,
      role: roleOf(workspace),
      aliases: aliases.get(workspace.id) ?? [],
    }),
  )
}

export const userView = (user: User): UserView => ({
  id: user.id,
  username: user.username,
  email: user.email,
  role: user.role,
  disabled: user.disabled,
  createdAtMs: user.createdAtMs,
})

/** `names`: of the workspaces that its user may see. */
export const tokenView = (token: Token, names: ReadonlyMap<string, string>): TokenView => ({
  id: token.id,
  name: token.name,
  scopes: [...token.scopes],
  workspace:
    token.bounds === null
      ? null
      : { id: token.bounds.workspaceId, name: names.get(token.bounds.workspaceId) ?? null },
  ports: token.bounds === null || token.bounds.ports === null ? null : [...token.bounds.ports],
  createdAtMs: token.createdAtMs,
  expiresAtMs: token.expiresAtMs,
  lastUsedAtMs: token.lastUsedAtMs,
})

export const sessionView = (session: Session, currentHash: string | null): SessionView => ({
  id: session.id,
  current: session.hash === currentHash,
  createdAtMs: session.createdAtMs,
  lastUsedAtMs: session.lastUsedAtMs,
  expiresAtMs: session.expiresAtMs,
  device: session.userAgent === '' ? session.ip : `${session.userAgent} (${session.ip})`,
  address: session.ip,
  via: session.via,
})

export const hostView = (host: Host, workspaces: number, restricted: boolean): HostView => ({
  id: host.id,
  name: host.name,
  runtime: host.runtime,
  connected: host.connected,
  lastSeenAtMs: host.lastSeenAtMs,
  health: { ...host.health, warnings: [...host.health.warnings] },
  workspaces,
  restricted,
  gives: {
    gpus: host.capabilities.gpus ?? 0,
    mounts: [...(host.capabilities.mounts ?? [])],
    hostNetwork: host.capabilities.hostNetwork === true,
  },
})
