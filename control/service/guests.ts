/** Visitors without an account come in; their sessions begin, slide and end here, each told to the feed. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { Guest, GuestChoice } from '../store/guests.ts'
import { findGuest, insertGuest, listGuests } from '../store/guests.ts'
import type { Link } from '../store/links.ts'
import { reusedAtMs } from '../store/names.ts'
import { deleteByHash, slideEnd } from '../store/sliding.ts'
import { deleteStrayPasses } from '../store/workspace-passwords.ts'
import { hashToken, newToken } from '../credentials/tokens.ts'
import { ApiError, nameOfLabel } from '../wire/index.ts'
import type { NewSession, Origin } from '../wire/index.ts'
import { SESSION_MAX_MS } from './sessions.ts'

/** A guest's session ends after so long; without use, where it slides; in ms. */
export const GUEST_MS = 86_400_000
/** Use is written down at most so often, in ms. */
const SLIDE_MS = 5 * 60_000
/** Sessions of one visitor: more hosts than a workspace's pages call. */
const HOSTS_MAX = 16

async function sessionOf(w: Writer, { endsAtMs, label }: Guest, token: string): Promise<NewSession> {
  const since = await reusedAtMs(w.db, nameOfLabel(label))
  return { token, expiresAtMs: endsAtMs, ...(since === null ? {} : { reusedAtMs: since }) }
}

/** Begins a guest's first session. By a link that ends it lasts to that end, a day at most; otherwise use moves its end. */
export async function beginGuest(
  w: Writer,
  place: { readonly workspaceId: string; readonly label: string },
  link: Link | null,
  origin: Origin,
  now: number,
): Promise<NewSession> {
  const slides = link === null || link.expiresAtMs === null
  const token = newToken('')
  const hash = hashToken(token)
  const expiresAtMs = Math.min(now + GUEST_MS, link?.expiresAtMs ?? Infinity)
  const guest: Guest = {
    ...place,
    hash,
    rootHash: hash,
    linkId: link?.id ?? null,
    slides,
    createdAtMs: now,
    lastUsedAtMs: now,
    expiresAtMs,
    endsAtMs: slides ? now + SESSION_MAX_MS : expiresAtMs,
    ip: origin.ip,
    userAgent: origin.userAgent,
  }
  await insertGuest(w.db, guest)
  await w.changed('session', hash)
  return sessionOf(w, guest, token)
}

/** The same visitor on another host of the workspace; ends with the first. @throws ApiError forbidden */
export async function joinGuest(
  w: Writer,
  given: { readonly sessionHash: string; readonly label: string },
  origin: Origin,
  now: number,
): Promise<NewSession> {
  const guest = await findGuest(w.db, given.sessionHash)
  if (guest === null || guest.expiresAtMs <= now) throw new ApiError('forbidden')
  const others = await listGuests(w.db, { rootHash: guest.rootHash })
  const before = others.filter(({ label, hash }) => label === given.label && hash !== guest.rootHash)
  await endGuests(w, before)
  if (others.length - before.length >= HOSTS_MAX) throw new ApiError('forbidden')
  const token = newToken('')
  const hash = hashToken(token)
  const { ip, userAgent } = origin
  await insertGuest(w.db, {
    ...guest,
    hash,
    label: given.label,
    createdAtMs: now,
    lastUsedAtMs: now,
    ip,
    userAgent,
  })
  await w.changed('session', hash)
  return sessionOf(w, { ...guest, label: given.label }, token)
}

/** Ends sessions, and with a visitor's first all that hang on it. */
export async function endGuests(w: Writer, guests: readonly Guest[]): Promise<void> {
  const all = new Map(guests.map((guest) => [guest.hash, guest]))
  for (const { hash, rootHash } of guests)
    if (hash === rootHash)
      for (const child of await listGuests(w.db, { rootHash })) all.set(child.hash, child)
  await deleteByHash(w.db, 'guests', [...all.keys()])
  for (const hash of all.keys()) await w.changed('session', hash)
}

/** Ends all sessions of a choice. */
export async function endGuestsOf(w: Writer, choice: GuestChoice): Promise<void> {
  await endGuests(w, await listGuests(w.db, choice))
}

/** Ends what has expired, and forgets passes that nobody holds any more. */
export async function sweepGuests({ feed, now }: Deployment): Promise<void> {
  const expired = { expiredAtMs: now() }
  if ((await listGuests(feed.db, expired)).length > 0) await feed.write((w) => endGuestsOf(w, expired))
  await deleteStrayPasses(feed.db)
}

/** A guest's session is in use: its end moves, and with it that of the visitor's other sessions. */
export async function guestUsed({ feed, now }: Deployment, hash: string): Promise<void> {
  const isDue = (guest: Guest | null): guest is Guest =>
    guest !== null && guest.slides && now() - guest.lastUsedAtMs >= SLIDE_MS
  if (!isDue(await findGuest(feed.db, hash))) return
  await feed.write(async (w) => {
    const guest = await findGuest(w.db, hash)
    if (!isDue(guest)) return
    for (const each of await listGuests(w.db, { rootHash: guest.rootHash })) {
      const expiresAtMs = Math.min(now() + GUEST_MS, each.endsAtMs)
      await slideEnd(w.db, 'guests', each.hash, { lastUsedAtMs: now(), expiresAtMs })
      await w.changed('session', each.hash)
    }
  })
}
