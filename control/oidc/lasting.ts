/** Sessions that began at providers last here: what a provider's tokens say of their end, their refresh, their end. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { endSessions, IDLE_MS, SESSION_MAX_MS } from '../service/sessions.ts'
import type { ProviderSession } from '../store/provider-sessions.ts'
import {
  claimRefresh,
  dueProviderSessions,
  insertProviderSession,
  updateProviderSession,
} from '../store/provider-sessions.ts'
import type { Session } from '../store/sessions.ts'
import { extendSession, findSession, listSessions } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import type { ApiError } from '../wire/index.ts'
import type { SecretPlace } from '../credentials/secrets.ts'
import { personOf } from './claims.ts'
import type { Answer, ProviderClient } from './client.ts'
import { failureOf, isGone } from './failure.ts'
import { follow } from './people.ts'
import type { OidcProvider } from './settings.ts'

/** A refresh begins so long before the end at the latest, in ms. */
const LEAD_MS = 5 * 60_000
/** A refresh is one server's for so long, in ms: longer than its questions may take. */
const CLAIM_MS = 30_000
const RETRY_MIN_MS = 5000
const PARALLEL = 16

export interface Way {
  readonly provider: OidcProvider
  readonly client: ProviderClient
}

const refreshPlace = (hash: string): SecretPlace => ({ workspaceId: '', name: `refresh token ${hash}` })
const idPlace = (hash: string): SecretPlace => ({ workspaceId: '', name: `id token ${hash}` })

/** When the provider is asked anew: a third of the time before the end, five minutes at most. */
export const refreshAt = (nowMs: number, untilMs: number): number =>
  Math.max(nowMs + 1000, Math.floor(untilMs - Math.min((untilMs - nowMs) / 3, LEAD_MS)))

/** When a session ends that began at `beganMs`: as the operator set it, else with what the provider said. */
export const endOf = (provider: OidcProvider, answer: Answer, beganMs: number): number =>
  Math.min(
    provider.sessionMs === null ? answer.untilMs : beganMs + provider.sessionMs,
    beganMs + SESSION_MAX_MS,
  )

/** Keeps what the provider gave beside a session that has just begun. */
export async function keepAnswer(
  { vault }: Deployment,
  w: Writer,
  sessionHash: string,
  {
    provider,
    answer,
    subject,
    nowMs,
  }: { provider: OidcProvider; answer: Answer; subject: string; nowMs: number },
): Promise<void> {
  const { refreshToken, idToken, untilMs } = answer
  await insertProviderSession(w.db, {
    sessionHash,
    provider: provider.id,
    subject,
    idToken: idToken === null ? '' : vault.seal(idPlace(sessionHash), idToken),
    refreshToken: refreshToken === null ? null : vault.seal(refreshPlace(sessionHash), refreshToken),
    refreshAtMs: refreshToken === null ? null : refreshAt(nowMs, untilMs),
    fixedEnd: provider.sessionMs !== null,
  })
}

/** The ID token that was kept; null: none, or sealed by another key. */
export function idTokenOf({ vault }: Deployment, held: ProviderSession): string | null {
  try {
    return held.idToken === '' ? null : vault.open(idPlace(held.sessionHash), held.idToken)
  } catch {
    return null
  }
}

export interface Lasting {
  /** Begins the refreshes that are due; they go on by themselves. */
  sweep(): Promise<void>
  /** Waits for those under way. */
  close(): Promise<void>
}

class Refreshes implements Lasting {
  readonly #deployment: Deployment
  readonly #ways: ReadonlyMap<string, Way>
  readonly #running = new Set<Promise<void>>()

  constructor(deployment: Deployment, ways: ReadonlyMap<string, Way>) {
    this.#deployment = deployment
    this.#ways = ways
  }

  async sweep(): Promise<void> {
    const { feed, now, log } = this.#deployment
    const free = PARALLEL - this.#running.size
    if (free <= 0 || this.#ways.size === 0) return
    for (const held of await dueProviderSessions(feed.db, now(), free)) {
      if (!(await claimRefresh(feed.db, held, now() + CLAIM_MS))) continue
      const run = this.#refresh(held).catch((err: unknown) =>
        log.error('a session could not be refreshed', { err, provider: held.provider }),
      )
      this.#running.add(run)
      void run.finally(() => this.#running.delete(run))
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #refresh(held: ProviderSession): Promise<void> {
    const way = this.#ways.get(held.provider)
    const token = this.#refreshToken(held)
    // A provider that the operator took away, or a key that is gone: nobody can say any more that it still holds.
    if (way === undefined || token === null) return this.#end(held, 'its provider cannot be asked any more')
    try {
      const answer = await way.client.refresh(token, held.subject)
      await this.#keep(way.provider, held, answer)
    } catch (err) {
      if (isGone(err)) return this.#end(held, 'its provider refused to go on')
      const failure = failureOf(err)
      if (failure.code === 'provider_answer')
        return this.#end(held, 'its provider’s answer was not right', err)
      await this.#later(held, failure)
    }
  }

  #refreshToken(held: ProviderSession): string | null {
    if (held.refreshToken === null) return null
    try {
      return this.#deployment.vault.open(refreshPlace(held.sessionHash), held.refreshToken)
    } catch {
      // Sealed by a key that was lost since.
      return null
    }
  }

  /** A provider that is away ends nothing: the session goes on to its end, and the question is asked again until then. */
  async #later(held: ProviderSession, failure: ApiError): Promise<void> {
    const { feed, now, log } = this.#deployment
    const session = await findSession(feed.db, held.sessionHash)
    if (session === null) return
    const wait = Math.floor(Math.min(CLAIM_MS, Math.max(RETRY_MIN_MS, (session.endsAtMs - now()) / 4)))
    await updateProviderSession(feed.db, held.sessionHash, { ...held, refreshAtMs: now() + wait })
    log.warn('a provider could not be asked about a session', {
      provider: held.provider,
      code: failure.code,
      err: failure.cause,
    })
  }

  async #end(held: ProviderSession, why: string, err?: unknown): Promise<void> {
    const { feed, log } = this.#deployment
    await feed.write(async (w) => endSessions(w, await listSessions(w.db, { hash: held.sessionHash })))
    log.info(`a session ended: ${why}`, { provider: held.provider, ...(err === undefined ? {} : { err }) })
  }

  async #keep(provider: OidcProvider, held: ProviderSession, answer: Answer): Promise<void> {
    const { feed, vault, now } = this.#deployment
    const hash = held.sessionHash
    await feed.write(async (w) => {
      const session = await findSession(w.db, hash)
      if (session === null) return
      await updateProviderSession(w.db, hash, {
        idToken: answer.idToken === null ? held.idToken : vault.seal(idPlace(hash), answer.idToken),
        // Without a new one the old one stays (RFC 6749 §6).
        refreshToken:
          answer.refreshToken === null
            ? held.refreshToken
            : vault.seal(refreshPlace(hash), answer.refreshToken),
        refreshAtMs: refreshAt(now(), answer.untilMs),
      })
      if (!held.fixedEnd) await extend(w, session, endOf(provider, answer, session.createdAtMs))
      const user = await findUser(w.db, { id: session.userId })
      // Unknown is not empty: what the answer doesn't say stays as it is.
      if (user !== null && answer.claims !== null)
        await follow(
          this.#deployment,
          w,
          { provider, person: personOf(answer.claims, provider), nowMs: now() },
          user,
        )
    })
  }
}

/** Moves the end of a session and of its children. */
async function extend(w: Writer, session: Session, endsAtMs: number): Promise<void> {
  if (session.endsAtMs === endsAtMs) return
  for (const each of [session, ...(await listSessions(w.db, { parentHash: session.hash }))]) {
    const expiresAtMs = Math.min(session.lastUsedAtMs + IDLE_MS, endsAtMs)
    await extendSession(w.db, each.hash, { expiresAtMs, endsAtMs })
    await w.changed('session', each.hash, each.userId)
  }
}

export function refreshes(deployment: Deployment, ways: ReadonlyMap<string, Way>): Lasting {
  return new Refreshes(deployment, ways)
}
