/** Numbers come in; the facts of a large deployment come out, and requests of people who may open what they ask for. */
import { createHash } from 'node:crypto'
import { type AccessGrant, type EdgeFact, portDefaults } from '../../control/wire/index.ts'

/** How large. */
export interface Size {
  readonly users: number
  readonly workspaces: number
  readonly grants: number
}
export const large: Size = { users: 10_000, workspaces: 50_000, grants: 200_000 }

const GROUPS = 200
const GROUPS_OF_EACH = 3
/** People and hosts that ask again and again; half of them by a grant, a third of those by a group's. */
const ASKED = 5000

const sha256 = (secret: string): string => createHash('sha256').update(secret).digest('hex')
const far = 4_000_000_000_000
const groupsOf = (user: number): number[] =>
  Array.from({ length: GROUPS_OF_EACH }, (_, i) => (user * 7 + i * 61) % GROUPS)
const groupOf = (group: number) => ({ id: `group-${group}`, name: `crew-${group}` })

/** The grants of one workspace: each fourth for a group, the others for single people. */
function grantsOf(workspace: number, { users, workspaces, grants }: Size): AccessGrant[] {
  return Array.from({ length: Math.round(grants / workspaces) }, (_, i) => {
    const isGroup = i % 4 === 3
    const subjectId = isGroup ? groupOf(workspace % GROUPS).id : `user-${(workspace * 31 + i * 977) % users}`
    const subjectKind = isGroup ? 'group' : 'user'
    return { subjectKind, subjectId, role: 'editor', ports: null, expiresAtMs: null } as const
  })
}

/** Somebody who may open a workspace: its owner, somebody by a grant, or somebody of a granted group. */
function visitorOf(workspace: number, size: Size): number {
  if (workspace % 2 === 0) return workspace % size.users
  const grants = grantsOf(workspace, size)
  const grant = grants[workspace % grants.length]
  if (grant?.subjectKind === 'user') return Number(grant.subjectId.slice('user-'.length))
  for (let user = 0; user < size.users; user++) if (groupsOf(user).includes(workspace % GROUPS)) return user
  return workspace % size.users
}

const secretOf = (kind: string, n: number): string => `crowd-${kind}-session-${n}-0123456789abcdef`
const askedOf = (n: number, { workspaces }: Size): number => Math.floor((n * workspaces) / ASKED) + (n % 2)

/** One request as often as it comes: its host and its cookie. */
export interface CrowdRequest {
  readonly host: string
  readonly cookie: string
}

export function crowdRequests(size: Size): CrowdRequest[] {
  return Array.from({ length: ASKED }, (_, n) => ({
    host: `space-${askedOf(n, size)}-p-3000.ws.localhost:8090`,
    cookie: `theme=dark; postern_workspace=${secretOf('workspace', n)}`,
  }))
}

/** All facts; every person is signed in. */
export function crowdFacts(size: Size): EdgeFact[] {
  const facts: EdgeFact[] = []
  for (let user = 0; user < size.users; user++) {
    const id = `user-${user}`
    const groups = groupsOf(user).map(groupOf)
    const row = { id, username: id, email: `${id}@example.test`, role: 'member', groups } as const
    const hash = sha256(secretOf('dashboard', user))
    facts.push({ kind: 'user', key: id, row })
    facts.push({ kind: 'session', key: hash, row: { hash, userId: id, expiresAtMs: far, workspace: null } })
  }
  for (let workspace = 0; workspace < size.workspaces; workspace++) {
    const workspaceId = `workspace-${workspace}`
    const row = {
      workspaceId,
      name: `space-${workspace}-p`,
      ownerId: `user-${workspace % size.users}`,
      ownerGroupId: null,
      grants: grantsOf(workspace, size),
      aliases: [],
      phase: 'running',
      reason: '',
      incarnation: `${workspaceId}.1`,
      reach: { kind: 'address', host: `10.${workspace >> 16}.${(workspace >> 8) & 255}.${workspace & 255}` },
      defaultPort: 3000,
      ports: [{ ...portDefaults, port: 3000 }],
      paths: [],
    } as const
    facts.push({ kind: 'route', key: workspaceId, row })
  }
  for (let n = 0; n < ASKED; n++) {
    const at = askedOf(n, size)
    const user = visitorOf(at, size)
    const hash = sha256(secretOf('workspace', n))
    const workspace = {
      parentHash: sha256(secretOf('dashboard', user)),
      workspaceId: `workspace-${at}`,
      label: `space-${at}-p-3000`,
    }
    facts.push({
      kind: 'session',
      key: hash,
      row: { hash, userId: `user-${user}`, expiresAtMs: far, workspace },
    })
  }
  return facts
}
