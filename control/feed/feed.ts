/**
 * Commits go in, consumers are woken in revision order. A consumer is told which subjects changed and reads their
 * rows again: levels, never deltas. A write resolves after every consumer has acted on it.
 */
import type { Logger } from '@postern/plugin'
import type { Change, ChangeKind } from '../store/changes.ts'
import { appendChange, changesAfter, lockFeed, readRevisions } from '../store/changes.ts'
import type { Database, Db } from '../store/open.ts'

/** What changed up to `revision`; `missed` when older changes were pruned: look at everything anew. */
export interface Batch {
  readonly revision: number
  readonly changes: readonly Change[]
  readonly missed: boolean
}

export type Consumer = (batch: Batch) => Promise<void> | void

/** One transaction: reads and writes through `db`, and says what it changed. */
export interface Writer {
  readonly db: Db
  /** Gives the revision of this change. */
  changed(kind: ChangeKind, subject: string, audience?: string | null): Promise<number>
}

export interface Feed {
  readonly db: Db
  /** All or nothing, one at a time in the deployment; resolves after all consumers know. */
  write<T>(work: (writer: Writer) => Promise<T>): Promise<T>
  /** Runs `start` between two batches, and gives every later batch to the consumer; returns the unsubscribe. */
  subscribe(start: (revision: number) => Promise<void>, consumer: Consumer): Promise<() => void>
  /** Looks for changes of other processes. */
  pump(): Promise<void>
  close(): Promise<void>
}

/** How often the changes of other servers on the same PostgreSQL are looked for, in ms. */
export const POLL_MS = 250
const RETRY_MS = 500

class ChangeFeed implements Feed {
  readonly #database: Database
  readonly #log: Logger
  readonly #consumers = new Set<Consumer>()
  #cursor: number
  #tail: Promise<void> = Promise.resolve()
  #waiting: Promise<void> | null = null
  #timer: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #closed = false
  #failing = false

  constructor(database: Database, cursor: number, log: Logger) {
    this.#database = database
    this.#cursor = cursor
    this.#log = log
    if (database.dialect === 'postgres') this.#poll()
  }

  get db(): Db {
    return this.#database.db
  }

  #poll(): void {
    this.#timer = setTimeout(() => {
      this.pump()
        .then(
          () => this.#note(null),
          (err: unknown) => this.#note(err),
        )
        .finally(() => {
          if (!this.#closed) this.#poll()
        })
    }, POLL_MS)
    this.#timer.unref()
  }

  /** One line when it begins to fail, one when it works again. */
  #note(err: unknown): void {
    const isFailing = err !== null
    if (isFailing === this.#failing) return
    this.#failing = isFailing
    if (isFailing) this.#log.error('changes cannot be read', { err })
    else this.#log.info('changes are read again')
  }

  async write<T>(work: (writer: Writer) => Promise<T>): Promise<T> {
    const result = await this.db.transaction(async (tx) => {
      await lockFeed(tx)
      return work({
        db: tx,
        changed: (kind, subject, audience = null) => appendChange(tx, kind, subject, audience),
      })
    })
    await this.pump()
    return result
  }

  /** Joins a run that hasn't begun, so that a burst of commits costs few runs. */
  pump(): Promise<void> {
    this.#waiting ??= this.#enqueue(() => {
      this.#waiting = null
      return this.#deliver()
    })
    return this.#waiting
  }

  #enqueue(run: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(run)
    // The next run must not inherit this one's failure; who waits for `done` is told.
    this.#tail = done.catch(() => this.#tryAgain())
    return done
  }

  /** Without another commit nobody would look again, and consumers must not stay behind. */
  #tryAgain(): void {
    if (this.#closed || this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.pump().then(
        () => this.#note(null),
        (err: unknown) => this.#note(err),
      )
    }, RETRY_MS)
    this.#retry.unref()
  }

  async #deliver(): Promise<void> {
    const { newest, pruned } = await readRevisions(this.db)
    if (newest === this.#cursor) return
    const missed = this.#cursor < pruned || newest < this.#cursor
    const changes = missed ? [] : await changesAfter(this.db, this.#cursor)
    const revision = missed ? newest : (changes.at(-1)?.revision ?? this.#cursor)
    // One object for all: who reads the rows behind it can do so once for many.
    const batch: Batch = { revision, changes, missed }
    for (const consumer of this.#consumers) await consumer(batch)
    this.#cursor = revision
  }

  async subscribe(start: (revision: number) => Promise<void>, consumer: Consumer): Promise<() => void> {
    await this.#enqueue(async () => {
      await this.#deliver()
      await start(this.#cursor)
      this.#consumers.add(consumer)
    })
    return () => {
      this.#consumers.delete(consumer)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    clearTimeout(this.#retry)
    await this.#tail
    this.#consumers.clear()
  }
}

/** Starts at the newest revision; consumers that come later begin with what is there then. */
export async function openFeed(database: Database, log: Logger): Promise<Feed> {
  const { newest } = await readRevisions(database.db)
  return new ChangeFeed(database, newest, log)
}
