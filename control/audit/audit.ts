/**
 * Acts come in; rows of the audit come out. What a person does by the API is written before it is done and completed
 * after: no change without a row. What can come in floods is counted in the row of its first.
 */
import type { Logger } from '@postern/plugin'
import type { Db } from '../store/open.ts'
import type { AuditEntry } from '../store/audit.ts'
import { deleteAudit, insertAudit, raiseAudit } from '../store/audit.ts'
import { ApiError } from '../wire/index.ts'
import { completeAudit, writeAudit } from './audit-rows.ts'

export type { AuditActor, AuditEntry } from '../store/audit.ts'

/** An act whose row is written and whose end is not known yet. */
export interface Begun {
  /** Never rejects: what is done is done; a row that can't be completed is logged, and reads `unknown` later. */
  end(entry: AuditEntry): Promise<void>
}

export interface Audit {
  /**
   * Writes a row, in the transaction of `db` where one is given: then both are there or neither. Inside a transaction it
   * must be given: SQLite has one connection, and another would be waited for.
   */
  record(entry: AuditEntry, db?: Db): Promise<void>
  /** Writes a row before the act. @throws ApiError unavailable: then the act must not be done. */
  begin(entry: AuditEntry): Promise<Begun>
  /** Begins, acts, and ends with the outcome. @throws what the act throws; ApiError unavailable */
  doing<T>(entry: AuditEntry, act: () => Promise<T>): Promise<T>
  /**
   * For what anybody can cause without end: the first of a `key` in `windowMs` is a row, and the rest raise its count.
   * Never rejects; what could not be written is logged.
   */
  count(key: string, entry: AuditEntry, windowMs?: number, times?: number): Promise<void>
  /** Writes down what was counted since; a crash loses at most what was counted since the last time. */
  flush(): Promise<void>
}

const MINUTE = 60_000
/** Counted keys that get rows of their own within a minute; the rest share one row for each action and outcome. */
export const COUNTED_ROWS_PER_MINUTE = 120

interface Counted {
  readonly row: Promise<number>
  readonly untilMs: number
  more: number
}

class AuditLog implements Audit {
  readonly #db: Db
  readonly #log: Logger
  readonly #now: () => number
  readonly #counted = new Map<string, Counted>()
  #fresh = { minute: 0, rows: 0 }

  constructor(db: Db, log: Logger, now: () => number) {
    this.#db = db
    this.#log = log
    this.#now = now
  }

  async record(entry: AuditEntry, db: Db = this.#db): Promise<void> {
    await writeAudit(db, entry, this.#now())
  }

  async begin(entry: AuditEntry): Promise<Begun> {
    const { id } = await insertAudit(this.#db, { ...entry, outcome: 'begun' }, this.#now()).catch(
      (err: unknown) => {
        throw new ApiError('unavailable', 'What is done here is written down first, and that fails.', {
          cause: err,
        })
      },
    )
    return {
      end: (end) =>
        this.#ended(id, end).catch((err: unknown) =>
          this.#log.error('the end of an act could not be written to the audit', {
            err,
            auditId: id,
            action: end.action,
            outcome: end.outcome ?? 'ok',
          }),
        ),
    }
  }

  async doing<T>(entry: AuditEntry, act: () => Promise<T>): Promise<T> {
    const begun = await this.begin(entry)
    const result = await act().catch(async (err: unknown) => {
      await begun.end({ ...entry, outcome: err instanceof ApiError ? err.code : 'internal' })
      throw err
    })
    await begun.end(entry)
    return result
  }

  /** What was refused has changed nothing: the same person's same refusals are one row a minute. */
  async #ended(id: number, entry: AuditEntry): Promise<void> {
    const { outcome = 'ok', actor, action } = entry
    if (outcome === 'ok') return completeAudit(this.#db, id, entry)
    const key = `refused ${outcome} ${action} ${actor.id}`
    if (this.#raise(key)) return deleteAudit(this.#db, id)
    await completeAudit(this.#db, id, entry)
    this.#keep(key, Promise.resolve(id), MINUTE)
  }

  async count(key: string, entry: AuditEntry, windowMs = MINUTE, times = 1): Promise<void> {
    if (this.#raise(key, times)) return
    const isRoom = this.#hasRoom()
    const shared = `shared ${entry.action} ${entry.outcome ?? 'ok'}`
    if (!isRoom && this.#raise(shared, times)) return
    const told: AuditEntry = isRoom
      ? entry
      : {
          action: entry.action,
          actor: { kind: 'system', id: '', name: '' },
          ...(entry.outcome === undefined ? {} : { outcome: entry.outcome }),
          details: { shared: true },
        }
    const row = writeAudit(this.#db, told, this.#now())
    this.#keep(isRoom ? key : shared, row, isRoom ? windowMs : MINUTE, times - 1)
    await row.catch((err: unknown) => {
      this.#counted.delete(isRoom ? key : shared)
      this.#log.error('a refusal could not be written to the audit', { err, action: entry.action })
    })
  }

  #hasRoom(): boolean {
    const minute = Math.floor(this.#now() / MINUTE)
    if (this.#fresh.minute !== minute) this.#fresh = { minute, rows: 0 }
    return this.#fresh.rows++ < COUNTED_ROWS_PER_MINUTE
  }

  #raise(key: string, times = 1): boolean {
    const held = this.#counted.get(key)
    if (held === undefined || held.untilMs <= this.#now()) return false
    held.more += times
    return true
  }

  #keep(key: string, row: Promise<number>, windowMs: number, more = 0): void {
    const before = this.#counted.get(key)
    // Its window is over, but not all of it is written.
    if (before !== undefined && before.more > 0) this.#counted.set(`${key} until ${before.untilMs}`, before)
    this.#counted.set(key, { row, untilMs: this.#now() + windowMs, more })
  }

  async flush(): Promise<void> {
    const now = this.#now()
    for (const [key, counted] of this.#counted) {
      const { more } = counted
      if (more > 0) {
        await raiseAudit(this.#db, await counted.row, more)
        counted.more -= more
      }
      if (counted.untilMs <= now && counted.more === 0) this.#counted.delete(key)
    }
  }
}

/** The audit of one deployment, by one of its servers. */
export function auditLog(db: Db, log: Logger, now: () => number): Audit {
  return new AuditLog(db, log, now)
}
