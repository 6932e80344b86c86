/**
 * Who watches the audit comes in; whenever its newest rows are others than they were, that is told to each of them. While
 * nobody watches, nothing is read; while somebody does, one query a second serves all, whichever server wrote the rows.
 */
import type { Logger } from '@postern/plugin'
import { newestAudit } from '../store/audit.ts'
import type { Db } from '../store/open.ts'

/** Between two looks, in ms. */
const LOOK_MS = 1000

export class AuditTail<Watcher> {
  readonly #db: Db
  readonly #log: Logger
  readonly #tell: (watcher: Watcher) => void
  /** With what each was told of last; '': nothing yet. */
  readonly #watchers = new Map<Watcher, string>()
  #timer: NodeJS.Timeout | undefined
  #looking = false

  constructor(db: Db, log: Logger, tell: (watcher: Watcher) => void) {
    this.#db = db
    this.#log = log
    this.#tell = tell
  }

  /** Told once at the next look, and then of each change, until `leave`. */
  watch(watcher: Watcher): void {
    if (!this.#watchers.has(watcher)) this.#watchers.set(watcher, '')
    this.#plan()
  }

  /** One who doesn't watch may leave, too. */
  leave(watcher: Watcher): void {
    this.#watchers.delete(watcher)
  }

  close(): void {
    this.#watchers.clear()
    clearTimeout(this.#timer)
  }

  #plan(): void {
    if (this.#watchers.size === 0 || this.#looking || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.#look()
    }, LOOK_MS)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    this.#looking = true
    try {
      const mark = this.#watchers.size === 0 ? '' : await newestAudit(this.#db)
      for (const [watcher, told] of this.#watchers) {
        if (told === mark) continue
        this.#watchers.set(watcher, mark)
        this.#tell(watcher)
      }
    } catch (err) {
      this.#log.warn('the newest rows of the audit could not be read for who watches it', { err })
    } finally {
      this.#looking = false
      this.#plan()
    }
  }
}
