/** Rows go in; the facts that gateways decide on come out: all of them at first, then those of what changed. */
import type { Reach } from '@postern/plugin'
import type { Deployment } from '../deployment.ts'
import type { Batch } from './feed.ts'
import { signingFact } from '../service/signing.ts'
import type { Db } from '../store/open.ts'
import { grantsOnWorkspaces } from '../store/grants.ts'
import type { Grant } from '../store/grants.ts'
import { listGroups, listMemberships } from '../store/groups.ts'
import type { Membership } from '../store/groups.ts'
import type { Host } from '../store/hosts.ts'
import { hostIdsOf, listHosts, listSubnets } from '../store/hosts.ts'
import type { Alias } from '../store/names.ts'
import { aliasesOf } from '../store/names.ts'
import { readSettings } from '../store/settings.ts'
import type { Session } from '../store/sessions.ts'
import { listSessions } from '../store/sessions.ts'
import type { Token } from '../store/tokens.ts'
import { listTokens } from '../store/tokens.ts'
import type { WorkspacePassword } from '../store/workspace-passwords.ts'
import { listWorkspacePasswords, passesOf } from '../store/workspace-passwords.ts'
import type { Guest } from '../store/guests.ts'
import { findGuest, listGuests } from '../store/guests.ts'
import type { Link } from '../store/links.ts'
import { findLink, listLinks } from '../store/links.ts'
import type { User } from '../store/users.ts'
import { findUser, listUsers } from '../store/users.ts'
import type { Workspace } from '../store/workspaces.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import type { StoredPort } from '../lifecycle/spec.ts'
import { cappedVisibility } from '../wire/index.ts'
import type { AccessGrant, EdgeFact, EdgePort, EdgeUser, Settings } from '../wire/index.ts'

type EdgeGroup = EdgeUser['groups'][number]

const edgePort = (
  { port, visibility, lenient, hostHeader, scheme, cors }: StoredPort,
  { maxVisibility }: Settings,
): EdgePort => ({
  port,
  visibility: cappedVisibility(visibility, maxVisibility),
  lenient,
  hostHeader,
  scheme,
  cors,
})

const edgeGrant = ({ subjectKind, subjectId, role, ports, expiresAtMs }: Grant): AccessGrant => ({
  subjectKind,
  subjectId,
  role,
  ports,
  expiresAtMs,
})

/** What a route is made of besides its own row. */
interface Around {
  readonly hosts: ReadonlyMap<string, Host>
  readonly grants: ReadonlyMap<string, readonly Grant[]>
  readonly aliases: ReadonlyMap<string, readonly Alias[]>
  readonly settings: Settings
  readonly passwords: ReadonlyMap<string, readonly WorkspacePassword[]>
  readonly machineId: string
}

async function around(
  db: Db,
  hosts: readonly Host[],
  machineId: string,
  workspaceIds?: readonly string[],
): Promise<Around> {
  return {
    hosts: new Map(hosts.map((host) => [host.id, host])),
    grants: await grantsOnWorkspaces(db, workspaceIds),
    aliases: await aliasesOf(db, workspaceIds),
    settings: await readSettings(db),
    passwords: byWorkspace(await listWorkspacePasswords(db, workspaceIds)),
    machineId,
  }
}

function routeFact(workspace: Workspace, given: Around): EdgeFact {
  const { hosts, grants, aliases, settings, machineId } = given
  const { id, name, ownerId, ownerGroupId, phase, resolved, status, reason } = workspace
  const live = status !== null && (status.state === 'running' || status.state === 'starting')
  const host = hosts.get(workspace.hostId ?? '')
  const named = aliases.get(id) ?? []
  const aliasPorts = named.flatMap((each) =>
    each.port === null ? [] : [{ name: each.name, port: each.port }],
  )
  const near = host !== undefined && host.machineId === machineId
  const locks = given.passwords.get(id)
  return {
    kind: 'route',
    key: id,
    row: {
      workspaceId: id,
      name,
      ownerId,
      ownerGroupId,
      grants: (grants.get(id) ?? []).map(edgeGrant),
      aliases: named.map((alias) => alias.name),
      ...(aliasPorts.length === 0 ? {} : { aliasPorts }),
      phase,
      reason: phase === 'running' ? '' : (reason?.message ?? ''),
      incarnation: live ? status.incarnation : '',
      reach: live && near ? (status.reach satisfies Reach) : { kind: 'none' },
      defaultPort: resolved.defaultPort,
      ports: resolved.ports.map((port) => edgePort(port, settings)),
      paths: resolved.paths,
      ...(locks === undefined ? {} : { passwords: locks.map(({ port, version }) => ({ port, version })) }),
    },
  }
}

/** The groups that people are in, by user. */
async function groupsByUser(db: Db, memberships: readonly Membership[]): Promise<Map<string, EdgeGroup[]>> {
  const byUser = new Map<string, EdgeGroup[]>()
  if (memberships.length === 0) return byUser
  const names = new Map((await listGroups(db)).map(({ id, name }) => [id, name]))
  for (const { userId, groupId } of memberships) {
    const groups = byUser.get(userId) ?? []
    if (!groups.some(({ id }) => id === groupId)) groups.push({ id: groupId, name: names.get(groupId) ?? '' })
    byUser.set(userId, groups)
  }
  return byUser
}

const userFact = (
  { id, username, email, role, disabled }: User,
  groups: readonly EdgeGroup[] = [],
): EdgeFact =>
  disabled
    ? { kind: 'gone', of: 'user', key: id }
    : { kind: 'user', key: id, row: { id, username, email: email ?? '', role, groups } }

/** The versions of the passwords that a session or token has given. */
type Passes = readonly string[] | undefined

const sessionFact = ({ hash, userId, expiresAtMs, workspace }: Session, passes: Passes): EdgeFact => ({
  kind: 'session',
  key: hash,
  row: { hash, userId, expiresAtMs, workspace, ...(passes === undefined ? {} : { passes }) },
})

const guestFact = (guest: Guest, link: Link | null, passes: Passes): EdgeFact => ({
  kind: 'session',
  key: guest.hash,
  row: {
    hash: guest.hash,
    userId: '',
    expiresAtMs: guest.expiresAtMs,
    workspace: { parentHash: guest.rootHash, workspaceId: guest.workspaceId, label: guest.label },
    link: link === null ? null : { id: link.id, ports: link.port === null ? null : [link.port] },
    ...(passes === undefined ? {} : { passes }),
  },
})

const tokenFact = ({ hash, id, userId, scopes, bounds, expiresAtMs }: Token, passes: Passes): EdgeFact => ({
  kind: 'token',
  key: hash,
  row: { hash, id, userId, scopes, bounds, expiresAtMs, ...(passes === undefined ? {} : { passes }) },
})

/** A session as it is now, a person's or a guest's. */
async function changedSession(db: Db, hash: string): Promise<EdgeFact> {
  const passes = (await passesOf(db, [hash])).get(hash)
  const [session] = await listSessions(db, { hash })
  if (session !== undefined) return sessionFact(session, passes)
  const guest = await findGuest(db, hash)
  if (guest === null) return { kind: 'gone', of: 'session', key: hash }
  return guestFact(guest, guest.linkId === null ? null : await findLink(db, { id: guest.linkId }), passes)
}

const subnetFact = async (db: Db): Promise<EdgeFact> => ({ kind: 'subnets', row: await listSubnets(db) })

function byWorkspace(
  passwords: readonly WorkspacePassword[],
): ReadonlyMap<string, readonly WorkspacePassword[]> {
  const found = new Map<string, WorkspacePassword[]>()
  for (const each of passwords) found.set(each.workspaceId, [...(found.get(each.workspaceId) ?? []), each])
  return found
}

/** Everything, for a gateway that starts on the machine `machineId` (the server's own unless said otherwise). */
export async function allFacts(
  deployment: Deployment,
  db: Db,
  machineId = deployment.options.machineId,
): Promise<EdgeFact[]> {
  const hosts = await listHosts(db)
  const given = await around(db, hosts, machineId)
  const groups = await groupsByUser(db, await listMemberships(db))
  const passes = await passesOf(db, 'all')
  const links = new Map((await listLinks(db, 'all')).map((link) => [link.id, link]))
  return [
    ...(await listUsers(db))
      .filter((user) => !user.disabled)
      .map((user) => userFact(user, groups.get(user.id))),
    ...(await listSessions(db, 'all')).map((row) => sessionFact(row, passes.get(row.hash))),
    ...(await listGuests(db, 'all')).map((row) =>
      guestFact(row, links.get(row.linkId ?? '') ?? null, passes.get(row.hash)),
    ),
    ...(await listTokens(db, 'all')).map((row) => tokenFact(row, passes.get(row.hash))),
    ...(await listWorkspaces(db, {})).map((row) => routeFact(row, given)),
    await subnetFact(db),
    await signingFact(deployment, db),
  ]
}

/** The facts of what changed, as it is now; what is no longer there is `gone`. */
export async function changedFacts(
  deployment: Deployment,
  db: Db,
  batch: Batch,
  machineId = deployment.options.machineId,
): Promise<EdgeFact[]> {
  const subjects = (kind: string): string[] => [
    ...new Set(batch.changes.filter((change) => change.kind === kind).map(({ subject }) => subject)),
  ]
  const facts: EdgeFact[] = []
  const isRecapped = batch.changes.some(({ kind }) => kind === 'settings')
  const changed = subjects('workspace')
  const rows = isRecapped
    ? await listWorkspaces(db, {})
    : changed.length > 0
      ? await listWorkspaces(db, { ids: changed })
      : []
  const rowOf = new Map(rows.map((row) => [row.id, row]))
  const workspaceIds = new Set([...rowOf.keys(), ...changed])
  if (subjects('host').length > 0) facts.push(await subnetFact(db))
  if (subjects('signing').length > 0) facts.push(await signingFact(deployment, db))
  const userIds = subjects('user')
  const groups = await groupsByUser(db, await listMemberships(db, { userIds }))
  for (const id of userIds) {
    const user = await findUser(db, { id })
    facts.push(user === null ? { kind: 'gone', of: 'user', key: id } : userFact(user, groups.get(id)))
  }
  for (const hash of subjects('session')) {
    facts.push(await changedSession(db, hash))
  }
  for (const hash of subjects('token')) {
    const [token] = await listTokens(db, { hash })
    const passes = (await passesOf(db, [hash])).get(hash)
    facts.push(token === undefined ? { kind: 'gone', of: 'token', key: hash } : tokenFact(token, passes))
  }
  if (workspaceIds.size === 0) return facts
  const hosts = await listHosts(db, hostIdsOf(rows))
  const given = await around(db, hosts, machineId, isRecapped ? undefined : changed)
  for (const id of workspaceIds) {
    const row = rowOf.get(id)
    facts.push(row === undefined ? { kind: 'gone', of: 'route', key: id } : routeFact(row, given))
  }
  return facts
}
