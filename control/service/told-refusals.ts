/**
 * Tries of people who proved nothing come in, and how they were refused: sign-ins, links, passwords; rows of the audit
 * come out. One row a minute for each kind of refusal, thing and network, with its count, so that guessing fills no disk.
 */
import type { Deployment } from '../deployment.ts'
import type { AuditEntry } from '../store/audit.ts'
import type { User } from '../store/users.ts'
import { ApiError, networkOf } from '../wire/index.ts'
import type { ApiCode, Origin } from '../wire/index.ts'

const NOBODY = { kind: 'anonymous', id: '', name: '' } as const

/** What was tried; `object` only where it is known: what was guessed at is nobody's to read. */
export type Tried = Pick<AuditEntry, 'action' | 'object' | 'workspace' | 'details'> &
  Partial<Pick<AuditEntry, 'actor'>>

/** A try that was refused. */
export async function tellTried(
  { audit }: Pick<Deployment, 'audit'>,
  tried: Tried,
  outcome: ApiCode,
  origin: Origin | null,
  windowMs?: number,
): Promise<void> {
  const key = `${tried.action} ${outcome} ${tried.object?.id ?? ''} ${networkOf(origin?.ip ?? '')}`
  await audit.count(key, { actor: NOBODY, ...tried, outcome, origin }, windowMs)
}

/** Programs that are refused try again by themselves, for days: their refusals are one row in so long, in ms. */
export const PROGRAM_MS = 3_600_000

/** Acts, and tells the refusal where it is refused, once in `windowMs` (a minute). @throws what the act throws */
export async function orTold<T>(
  deployment: Pick<Deployment, 'audit'>,
  tried: Tried,
  origin: Origin,
  act: () => Promise<T>,
  windowMs?: number,
): Promise<T> {
  try {
    return await act()
  } catch (err) {
    if (err instanceof ApiError) await tellTried(deployment, tried, err.code, origin, windowMs)
    throw err
  }
}

/** A sign-in. What was typed as a name that nobody has isn't kept: people type their password there. */
export async function tellRefused(
  deployment: Pick<Deployment, 'audit'>,
  outcome: ApiCode,
  user: Pick<User, 'id' | 'username'> | null,
  origin: Origin,
): Promise<void> {
  const object = { kind: 'user', id: user?.id ?? '', name: user?.username ?? '' }
  await tellTried(deployment, { action: 'session.begin', object }, outcome, origin)
}
