/**
 * An allowing answer comes in with what it was decided on; as long as nothing of that has changed, the next question of
 * the same visitor to the same host gets it again. A page asks for its hundred files in one second.
 */
import { type EdgeRoute, paths } from '../../control/wire/index.ts'
import { deniesNothing } from '../decide/decide.ts'
import type { GatheredFacts } from '../facts/facts.ts'
import type { TableView } from '../facts/table.ts'
import { Recent } from '../headers/recent.ts'
import type { Scan } from '../headers/scan.ts'
import { credentialEndsAtMs } from '../identity/identity.ts'
import type { Asked } from './families.ts'

/**
 * So long, ms: well within the times after which a use is told of and an assertion is made anew. Each its own, so that
 * all who came in one moment, as after a restart, are not decided on anew in one moment again and again.
 */
const KEPT_MS = { least: 5000, most: 10_000 }
const KEPT_CHARS = 16 * 1024 * 1024
/** A longer cookie is read each time. */
const COOKIE_MAX = 4096

interface Answered {
  readonly authority: string
  /** The table's count of changes when it was decided: any change at all ends it. */
  readonly changes: number
  readonly fromMs: number
  readonly untilMs: number
  readonly head: string
}

/**
 * A question on which nothing has a part but host, cookie, table and clock (and the path, where a host is composed): a
 * read, with no other proof of anybody, that no other origin had a hand in. Pure.
 */
export function isPlain({ method, target, upgrade }: Asked, scan: Scan): scan is Scan & { cookie: string } {
  return (
    (method === 'GET' || method === 'HEAD') &&
    !upgrade &&
    !target.startsWith(paths.edgePrefix) &&
    scan.cookie !== null &&
    scan.cookie.length <= COOKIE_MAX &&
    scan.authorization === null &&
    scan.tokenCount === 0 &&
    scan.protocols === null &&
    deniesNothing(scan, '')
  )
}

/** When (ms) an answer to those facts may be another one by the clock alone. */
function endsAtMs(table: TableView, facts: GatheredFacts, route: EdgeRoute): number {
  const keptMs = KEPT_MS.least + Math.random() * (KEPT_MS.most - KEPT_MS.least)
  let atMs = Math.min(facts.nowMs + keptMs, credentialEndsAtMs(table, facts.credential))
  for (const { expiresAtMs } of route.grants)
    if (expiresAtMs !== null && expiresAtMs > facts.nowMs) atMs = Math.min(atMs, expiresAtMs)
  return atMs
}

/** The last allowing answers of one door, one for each Cookie header. */
export class RepeatedAnswers {
  readonly #answered = new Recent<Answered>(KEPT_CHARS, (cookie, { head }) => cookie.length + head.length)

  /** The head of the answer to a plain question; null: it is to be decided. */
  headFor(authority: string, cookie: string, changes: number, nowMs: number): string | null {
    const held = this.#answered.get(cookie)
    return held !== undefined &&
      held.changes === changes &&
      held.authority === authority &&
      held.fromMs <= nowMs &&
      nowMs < held.untilMs
      ? held.head
      : null
  }

  /** Keeps what a plain question of somebody who is signed in was answered. */
  keep(
    authority: string,
    cookie: string,
    table: TableView & { readonly changes: number },
    decided: { readonly facts: GatheredFacts; readonly route: EdgeRoute; readonly head: string },
  ): void {
    const { facts, route } = decided
    if (facts.identity.kind !== 'session' || route.paths.length > 0) return
    this.#answered.set(cookie, {
      authority,
      changes: table.changes,
      fromMs: facts.nowMs,
      untilMs: endsAtMs(table, facts, route),
      // In one piece: it is copied for each answer.
      head: Buffer.from(decided.head, 'latin1').toString('latin1'),
    })
  }
}
