/**
 * Pure. A workspace's owners and grants, and a person, come in; what they may do with it comes out. The one place that
 * says so: gateways ask it for ports, control for commands, lists and live messages. Without a library, for browsers too.
 */
import type { Visibility } from './ports.ts'

export const grantRoles = ['viewer', 'editor', 'manager'] as const
export type GrantRole = (typeof grantRoles)[number]
/** What a person is to a workspace; each may all that those before it may. */
export const accessRoles = [...grantRoles, 'owner'] as const
export type AccessRole = (typeof accessRoles)[number]

/** Whom grants are for. */
export const subjectKinds = ['user', 'group'] as const
export type SubjectKind = (typeof subjectKinds)[number]
/** What grants are on. */
export const objectKinds = ['workspace', 'template', 'image', 'host'] as const
export type ObjectKind = (typeof objectKinds)[number]
/** What a host may be used for by who holds a grant on it. */
export const hostCapabilities = ['create', 'gpu', 'bind-mounts', 'host-network'] as const
export type HostCapability = (typeof hostCapabilities)[number]

/** What can be kept for the holders of grants. */
export const restrictedKinds = ['template', 'image', 'host'] as const
export type RestrictedKind = (typeof restrictedKinds)[number]

/** A grant on a workspace, as far as it decides. */
export interface AccessGrant {
  readonly subjectKind: 'user' | 'group'
  readonly subjectId: string
  readonly role: GrantRole
  /** It opens these ports only; null: all that its role opens. */
  readonly ports: readonly number[] | null
  /** It is worth nothing from then on, ms; null: it stays. */
  readonly expiresAtMs: number | null
}

/** Whose a workspace is. `ownerId` answers for a group's workspace, and owns it only while in that group. */
export interface Accessible {
  readonly ownerId: string
  readonly ownerGroupId: string | null
  readonly grants: readonly AccessGrant[]
}

/** Who asks. */
export interface Accessing {
  readonly id: string
  readonly role: string
  readonly groups: readonly { readonly id: string }[]
}

/** 1 for a viewer to 4 for an owner; 0: nothing. */
const rankOf = (role: AccessRole | null): number => (role === null ? 0 : accessRoles.indexOf(role) + 1)

/** True when what a person is to a workspace is at least `level`. */
export const reaches = (role: AccessRole | null, level: AccessRole): boolean => rankOf(role) >= rankOf(level)

function isIn(person: Accessing, groupId: string): boolean {
  for (const group of person.groups) if (group.id === groupId) return true
  return false
}

/** True for the owner, and for all members of a group that owns it. An auditor owns nothing while being one. */
export function isOwnerOf(it: Accessible, person: Accessing): boolean {
  if (person.role === 'auditor') return false
  return it.ownerGroupId === null ? person.id === it.ownerId : isIn(person, it.ownerGroupId)
}

/**
 * May this person open it by path mode, where all workspaces are one origin, so that pages of each can read the others?
 * Only who owns it alone: what a group or a grant opens is opened on a host of its own.
 */
export function opensByPath(it: Accessible, person: Accessing): boolean {
  return it.ownerGroupId === null && isOwnerOf(it, person)
}

/** True while a grant counts for this person. */
export function counts(grant: AccessGrant, person: Accessing, nowMs: number): boolean {
  if (grant.expiresAtMs !== null && grant.expiresAtMs <= nowMs) return false
  return grant.subjectKind === 'user' ? grant.subjectId === person.id : isIn(person, grant.subjectId)
}

/** The most that a person is to a workspace at `nowMs`; null: it isn't there for them. An auditor is a viewer at most. */
export function roleOn(it: Accessible, person: Accessing, nowMs: number): AccessRole | null {
  if (isOwnerOf(it, person)) return 'owner'
  let best: AccessRole | null = null
  for (const grant of it.grants)
    if (counts(grant, person, nowMs) && !reaches(best, grant.role)) best = grant.role
  return best !== null && person.role === 'auditor' ? 'viewer' : best
}

/**
 * May this person open a port of that visibility? `public`: anybody; `members`: who is signed in; otherwise owners,
 * editors and managers, and on `shared` and `link` also viewers; a grant that names ports opens no other. An auditor
 * opens what is public and nothing else. `person` is null for somebody who isn't signed in, `port` for none.
 */
export function opensPort(
  it: Accessible,
  person: Accessing | null,
  port: number | null,
  visibility: Visibility,
  nowMs: number,
): boolean {
  if (visibility === 'public') return true
  if (person === null || person.role === 'auditor') return false
  if (visibility === 'members' || isOwnerOf(it, person)) return true
  const isShown = visibility === 'shared' || visibility === 'link'
  for (const grant of it.grants) {
    if (grant.role === 'viewer' && !isShown) continue
    if (grant.ports !== null && (port === null || !grant.ports.includes(port))) continue
    if (counts(grant, person, nowMs)) return true
  }
  return false
}

/** True when a grant on it has ended by `nowMs`: what stands on it is to be asked again. */
export function hasEnded(it: Accessible, nowMs: number): boolean {
  for (const { expiresAtMs } of it.grants) if (expiresAtMs !== null && expiresAtMs <= nowMs) return true
  return false
}
