/**
 * Deliveries that are due go in; each is claimed by one server, posted, and is delivered, waits for its next try, or is
 * dead. What a server had claimed when it ended is claimed anew: a receiver may be told twice, never not at all.
 */
import type { Deployment } from '../deployment.ts'
import { addressBarrier } from './hook-address.ts'
import { signedHeaders } from './hook-signature.ts'
import type { Claimed } from '../store/deliveries.ts'
import { claimDeliveries, dueHooks, freeAllClaims, freeClaims, settleDelivery } from '../store/deliveries.ts'
import { findHook } from '../store/hooks.ts'
import { listSubnets } from '../store/hosts.ts'
import { newId } from '../credentials/tokens.ts'
import type { Posted } from './hook-post.ts'
import { hookPost, POST_MS } from './hook-post.ts'
import { keepDeliveries } from './hook-keeping.ts'
import { hookKey } from './hooks.ts'

const [SECOND, MINUTE, HOUR] = [1000, 60_000, 3_600_000]
/** How long until the next try, after each that failed, in ms; after the last of them it is dead. */
export const BACK_OFF_MS = [
  10 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
] as const
/** A claim is its server's for so long, in ms: longer than any post takes. */
export const CLAIM_MS = 2 * POST_MS
const AT_ONCE = 4
const LOOK_MS = 1000

export interface HookSender {
  /** From now on, once a second. A server that has its database alone takes up what it was at when it ended. */
  start(): Promise<void>
  /** Sends all that is due now, and resolves when it is settled. */
  round(): Promise<void>
  /** Once a minute: gives up what is too much or too old. */
  sweep(): Promise<void>
  close(): Promise<void>
}

class Sender implements HookSender {
  readonly #deployment: Deployment
  readonly #leave = new AbortController()
  readonly #post: ReturnType<typeof hookPost>
  /** One for each hook that is being sent to: a slow receiver holds up nobody but itself. */
  readonly #lanes = new Map<string, Promise<void>>()
  #subnets: readonly string[] = []
  #timer: NodeJS.Timeout | undefined
  #isFailing = false
  #keptAtMs = -Infinity

  constructor(deployment: Deployment) {
    this.#deployment = deployment
    const { hookTargets = 'public' } = deployment.options
    this.#post = hookPost((address) => addressBarrier(address, hookTargets, this.#subnets))
  }

  async start(): Promise<void> {
    const { feed, options } = this.#deployment
    if (options.databaseUrl === null) await freeAllClaims(feed.db)
    this.#again()
  }

  #again(): void {
    if (this.#leave.signal.aborted) return
    this.#timer = setTimeout(() => {
      this.#look()
        .then(
          () => this.#note(null),
          (err: unknown) => this.#note(err),
        )
        .finally(() => this.#again())
    }, LOOK_MS)
    this.#timer.unref()
  }

  /** One line when it begins to fail. */
  #note(err: unknown): void {
    if (this.#leave.signal.aborted) return
    const isFailing = err !== null
    if (isFailing && !this.#isFailing) this.#deployment.log.error('webhooks cannot be sent', { err })
    this.#isFailing = isFailing
  }

  async round(): Promise<void> {
    await this.#look()
    await Promise.all(this.#lanes.values())
  }

  async #look(): Promise<void> {
    const { feed, now } = this.#deployment
    const due = await dueHooks(feed.db, now())
    if (due.length === 0 || this.#leave.signal.aborted) return
    this.#subnets = await listSubnets(feed.db)
    for (const hookId of due) {
      if (this.#lanes.has(hookId)) continue
      const lane = this.#send(hookId)
        .catch((err: unknown) => this.#note(err))
        .finally(() => this.#lanes.delete(hookId))
      this.#lanes.set(hookId, lane)
    }
  }

  async #send(hookId: string): Promise<void> {
    const { feed, now } = this.#deployment
    while (!this.#leave.signal.aborted) {
      const [nowMs, claim] = [now(), newId()]
      const times = { nowMs, untilMs: nowMs + CLAIM_MS }
      const claimed = await claimDeliveries(feed.db, hookId, claim, times, AT_ONCE)
      if (claimed.length === 0) return
      const ends = await Promise.allSettled(claimed.map((each) => this.#deliver(each)))
      // Nothing where each was settled; what could not be is free to be tried again.
      await freeClaims(feed.db, claim)
      for (const end of ends) if (end.status === 'rejected') throw end.reason
    }
  }

  async #deliver(claimed: Claimed): Promise<void> {
    const { feed, vault, now, log } = this.#deployment
    const hook = await findHook(feed.db, claimed.hookId)
    if (hook === null) return
    const message = { id: claimed.id, atMs: now(), body: claimed.body }
    const headers = {
      'content-type': 'application/json',
      'user-agent': `Postern/${this.#deployment.options.version}`,
      ...signedHeaders(hookKey(vault, hook), message),
    }
    const posted = await this.#post(hook.url, headers, claimed.body, this.#leave.signal)
    await this.#settle(claimed, posted)
    if (posted.error !== '')
      log.info('a webhook was not taken', { hookId: hook.id, deliveryId: claimed.id, error: posted.error })
  }

  async #settle(claimed: Claimed, { status, error, answer }: Posted): Promise<void> {
    const { feed, now } = this.#deployment
    const nowMs = now()
    const wait = BACK_OFF_MS[claimed.attempts]
    const state = error === '' ? 'delivered' : wait === undefined ? 'dead' : 'waiting'
    const nextAtMs = nowMs + (wait ?? 0)
    await settleDelivery(feed.db, claimed, { state, status, error, answer, nextAtMs, nowMs })
  }

  async sweep(): Promise<void> {
    const nowMs = this.#deployment.now()
    if (nowMs - this.#keptAtMs < MINUTE) return
    this.#keptAtMs = nowMs
    await keepDeliveries(this.#deployment)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#leave.abort()
    // What it was at goes back: another server, or this one later, tries it.
    await Promise.all(this.#lanes.values())
    await this.#post.close()
  }
}

export function hookSender(deployment: Deployment): HookSender {
  return new Sender(deployment)
}
