/** Pure. Claims that were verified come in; whom they name, and whether the operator lets them in, comes out. */
import { emailSchema, usernameSchema } from '../wire/index.ts'
import type { Role } from '../wire/index.ts'
import type { OidcProvider } from './settings.ts'

export type Claims = Readonly<Record<string, unknown>>

/** Whom a provider's answer names. */
export interface Person {
  readonly issuer: string
  readonly subject: string
  /** Lower case; null unless the provider says that it is verified. */
  readonly email: string | null
  /** What a user name is made of. */
  readonly wish: string
  /** Values of the groups claim. */
  readonly values: readonly string[]
}

const record = (value: unknown): Claims | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : null

/** A claim by its own name, else along its dots (`realm_access.roles`). */
export function claimAt(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  let at: unknown = claims
  for (const part of name.split('.')) {
    const inside = record(at)
    if (inside === null || !Object.hasOwn(inside, part)) return undefined
    at = inside[part]
  }
  return at
}

/** A text, or those of a list; anything else is none. */
function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}

/**
 * The address, where `email_verified` is exactly true. One `@` only: `a@evil.com@corp.com` would end in an allowed
 * domain (GHSA-c5c4-8r6x-56w3).
 */
function verifiedEmail(claims: Claims): string | null {
  const { email, email_verified: verified } = claims
  if (verified !== true || typeof email !== 'string' || email.split('@').length !== 2) return null
  const parsed = emailSchema.safeParse(email)
  return parsed.success ? parsed.data.toLowerCase() : null
}

function wishOf({ preferred_username: preferred, email, name }: Claims): string {
  const [first] = [preferred, email, name].filter((each) => typeof each === 'string' && each !== '')
  const plain = String(first ?? '')
    .split('@')[0]
    ?.normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .slice(0, 32)
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
  return usernameSchema.safeParse(plain).success ? (plain ?? '') : 'user'
}

/** Reads claims that carry `iss` and `sub`, as every verified ID token does. */
export function personOf(claims: Claims, { groupsClaim }: Pick<OidcProvider, 'groupsClaim'>): Person {
  return {
    issuer: String(claims['iss']),
    subject: String(claims['sub']),
    email: verifiedEmail(claims),
    wish: wishOf(claims),
    values: groupsClaim === null ? [] : texts(claimAt(claims, groupsClaim)),
  }
}

const ranks = ['administrator', 'auditor', 'member'] as const satisfies readonly Role[]

/** The strongest role that a value gives, `member` where none does; null: roles aren't the provider's to say. */
export function roleOf({ values }: Person, { roles }: Pick<OidcProvider, 'roles'>): Role | null {
  if (roles === null) return null
  const given = values.filter((value) => Object.hasOwn(roles, value)).map((value) => roles[value])
  return ranks.find((role) => given.includes(role)) ?? 'member'
}

/** Names of the groups here that a person is in, sorted, each once. */
export function groupsOf({ values }: Person, { groups }: Pick<OidcProvider, 'groups'>): string[] {
  const names = values.filter((value) => Object.hasOwn(groups, value)).map((value) => groups[value] ?? '')
  return [...new Set(names)].sort()
}

/** True where the operator lets somebody in who was never here; by invitation, whoever was invited. */
export function mayEnter(person: Person, { allow }: Pick<OidcProvider, 'allow'>): boolean {
  const domain = person.email?.split('@')[1]
  if (domain !== undefined && allow.domains.includes(domain)) return true
  return person.values.some((value) => allow.groups.includes(value))
}

/** The wish, or the first of `wish-2`, `wish-3` … that nobody has. */
export async function freeUsername(
  wish: string,
  isTaken: (username: string) => Promise<boolean>,
): Promise<string> {
  for (let n = 1; ; n++) {
    const username = n === 1 ? wish : `${wish}-${n}`
    if (!(await isTaken(username))) return username
  }
}
