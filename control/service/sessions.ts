/** Sessions begin, slide and end here; each end is told to the feed, so that gateways close what hangs on it. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { deleteAccountLinks } from '../store/account-links.ts'
import type { Session } from '../store/sessions.ts'
import { deleteCodes, findSession, insertSession, listSessions } from '../store/sessions.ts'
import { deleteByHash, slideEnd } from '../store/sliding.ts'
import { deleteTokens, listTokens, markTokenUsed } from '../store/tokens.ts'
import type { NewSession, Origin } from '../wire/index.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { tellBegun } from './told-sessions.ts'

const DAY = 86_400_000
/** A session ends after so long without use, in ms. */
export const IDLE_MS = 14 * DAY
/** A session ends after so long whatever happens, in ms. */
export const SESSION_MAX_MS = 90 * DAY
/** Invitations that are over stay in the list for so long, in ms. */
const LINKS_KEPT_MS = 30 * DAY
/** Use is written down at most so often, in ms; gateways tell of it each minute. */
const SLIDE_MS = 4 * 60_000

/**
 * Begins a dashboard session, signed in by `via`, which ends at `endsAtMs` whatever happens; the cookie may live as long
 * as the session ever can.
 */
export async function beginSession(
  w: Writer,
  userId: string,
  origin: Origin,
  now: number,
  via: string,
  endsAtMs = now + SESSION_MAX_MS,
): Promise<NewSession> {
  const token = newToken('')
  const session: Session = {
    hash: hashToken(token),
    id: newId(),
    userId,
    workspace: null,
    createdAtMs: now,
    lastUsedAtMs: now,
    expiresAtMs: Math.min(now + IDLE_MS, endsAtMs),
    endsAtMs,
    ip: origin.ip,
    userAgent: origin.userAgent,
    via,
  }
  await insertSession(w.db, session)
  await tellBegun(w.db, session, origin)
  await w.changed('session', session.hash, userId)
  return { token, expiresAtMs: session.endsAtMs }
}

/** Begins a session on one workspace host; it ends with its parent at the latest. */
export async function beginChild(
  w: Writer,
  parent: Session,
  place: { readonly workspaceId: string; readonly label: string },
  now: number,
): Promise<NewSession> {
  const token = newToken('')
  const hash = hashToken(token)
  await insertSession(w.db, {
    ...parent,
    hash,
    id: newId(),
    workspace: { parentHash: parent.hash, ...place },
    createdAtMs: now,
    lastUsedAtMs: now,
  })
  await w.changed('session', hash, parent.userId)
  // A refresh at a provider may move the end of both, and no cookie.
  return { token, expiresAtMs: parent.createdAtMs + SESSION_MAX_MS }
}

/** Ends sessions with all their children. */
export async function endSessions(w: Writer, sessions: readonly Session[]): Promise<void> {
  const all = new Map(sessions.map((session) => [session.hash, session]))
  for (const session of sessions)
    for (const child of await listSessions(w.db, { parentHash: session.hash })) all.set(child.hash, child)
  await deleteByHash(w.db, 'sessions', [...all.keys()])
  for (const session of all.values()) await w.changed('session', session.hash, session.userId)
}

/** Ends all that a user is signed in by, tokens included where `tokens` says so; `but` one session. */
export async function endAllOf(
  w: Writer,
  userId: string,
  options: { readonly tokens: boolean; readonly but?: string | null },
): Promise<void> {
  const sessions = await listSessions(w.db, { userId })
  const but = options.but ?? null
  await endSessions(
    w,
    sessions.filter(({ hash, workspace }) => but === null || (hash !== but && workspace?.parentHash !== but)),
  )
  if (!options.tokens) return
  const tokens = await listTokens(w.db, { userId })
  await deleteTokens(
    w.db,
    tokens.map(({ hash }) => hash),
  )
  for (const token of tokens) await w.changed('token', token.hash, userId)
}

export interface SessionKeeper {
  /** Notes that a dashboard session, or a child of one, was used. */
  used(hash: string): Promise<void>
  /** Notes that a token was used. */
  tokenUsed(id: string): void
  /** Writes down the uses of tokens, ends what has expired. */
  sweep(): Promise<void>
}

/** Slides sessions that are in use, each at most every five minutes, their children with them. */
export function keepSessions(deployment: Deployment): SessionKeeper {
  const noted = new Map<string, number>()
  const tokenUses = new Map<string, number>()
  return {
    tokenUsed(id) {
      tokenUses.set(id, deployment.now())
    },
    async sweep() {
      const { db } = deployment.feed
      const now = deployment.now()
      const uses = [...tokenUses]
      tokenUses.clear()
      for (const [id, atMs] of uses) await markTokenUsed(db, id, atMs)
      await deleteCodes(db, now)
      await deleteAccountLinks(db, now, LINKS_KEPT_MS)
      const expired = { expiredAtMs: now }
      if ((await listSessions(db, expired)).length + (await listTokens(db, expired)).length === 0) return
      await deployment.feed.write(async (w) => {
        await endSessions(w, await listSessions(w.db, expired))
        const tokens = await listTokens(w.db, expired)
        await deleteTokens(
          w.db,
          tokens.map(({ hash }) => hash),
        )
        for (const { hash, userId } of tokens) await w.changed('token', hash, userId)
      })
    },
    async used(hash) {
      const now = deployment.now()
      if (now - (noted.get(hash) ?? 0) < SLIDE_MS) return
      if (noted.size > 10_000) noted.clear()
      noted.set(hash, now)
      const known = await findSession(deployment.feed.db, hash)
      if (known === null || now - known.lastUsedAtMs < SLIDE_MS) return
      if (known.workspace !== null) return this.used(known.workspace.parentHash)
      await deployment.feed.write(async (w) => {
        const session = await findSession(w.db, hash)
        if (session === null) return
        const children = await listSessions(w.db, { parentHash: hash })
        for (const each of [session, ...children]) {
          const expiresAtMs = Math.min(now + IDLE_MS, each.endsAtMs)
          await slideEnd(w.db, 'sessions', each.hash, { lastUsedAtMs: now, expiresAtMs })
          await w.changed('session', each.hash, each.userId)
        }
      })
    },
  }
}
