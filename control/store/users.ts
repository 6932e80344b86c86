/** People at rest: row ⇄ object. */
import { roles } from '../wire/index.ts'
import type { Role } from '../wire/index.ts'
import type { Db } from './open.ts'

export interface User {
  readonly id: string
  readonly username: string
  readonly email: string | null
  readonly role: Role
  readonly disabled: boolean
  readonly passwordHash: string
  readonly createdAtMs: number
}

interface Row {
  id: string
  username: string
  email: string | null
  role: string
  disabled: number
  password_hash: string
  created_at_ms: number
}

const fromRow = (row: Row): User => ({
  id: row.id,
  username: row.username,
  email: row.email,
  role: roles.find((role) => role === row.role) ?? 'member',
  disabled: row.disabled !== 0,
  passwordHash: row.password_hash,
  createdAtMs: row.created_at_ms,
})

/** Fails on a username that is there already. */
export async function insertUser(db: Db, user: User): Promise<void> {
  await db<Row>('users').insert({
    id: user.id,
    username: user.username,
    email: user.email,
    role: user.role,
    disabled: user.disabled ? 1 : 0,
    password_hash: user.passwordHash,
    created_at_ms: user.createdAtMs,
  })
}

export async function findUser(db: Db, by: { id: string } | { username: string }): Promise<User | null> {
  const row = await db<Row>('users').where(by).first()
  return row === undefined ? null : fromRow(row)
}

/** In the order of their names, after `after`. */
export async function listUsers(
  db: Db,
  page: { after?: string | undefined; limit?: number } = {},
): Promise<User[]> {
  const query = db<Row>('users').orderBy('username')
  if (page.after !== undefined) query.where('username', '>', page.after)
  if (page.limit !== undefined) query.limit(page.limit)
  return (await query).map(fromRow)
}

/** Whoever has this address, in small letters. */
export async function listUsersByEmail(db: Db, email: string): Promise<User[]> {
  return (await db<Row>('users').whereRaw('LOWER(email) = ?', [email])).map(fromRow)
}

export async function countUsers(db: Db): Promise<number> {
  const row = await db('users').count({ n: '*' }).first()
  return Number(row?.['n'] ?? 0)
}

/** Administrators who can sign in. */
export async function countAdministrators(db: Db): Promise<number> {
  const row = await db('users').where({ role: 'administrator', disabled: 0 }).count({ n: '*' }).first()
  return Number(row?.['n'] ?? 0)
}

export async function updateUser(
  db: Db,
  id: string,
  change: {
    readonly role?: Role | undefined
    readonly disabled?: boolean | undefined
    readonly passwordHash?: string | undefined
    readonly email?: string | null | undefined
  },
): Promise<void> {
  const row: Partial<Row> = {}
  if (change.role !== undefined) row.role = change.role
  if (change.disabled !== undefined) row.disabled = change.disabled ? 1 : 0
  if (change.passwordHash !== undefined) row.password_hash = change.passwordHash
  if (change.email !== undefined) row.email = change.email
  if (Object.keys(row).length > 0) await db<Row>('users').where({ id }).update(row)
}

export async function deleteUser(db: Db, id: string): Promise<void> {
  await db<Row>('users').where({ id }).delete()
}
