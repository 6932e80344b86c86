/**
 * Hosts that call again and again come in; what is stored of them is read once, and again when the feed says that it
 * changed. When they were heard is kept here and written down in batches, as each write waits for the disk.
 */
import type { Batch } from '../feed/feed.ts'
import type { Host } from '../store/hosts.ts'
import { findHost, touchHosts } from '../store/hosts.ts'
import type { Db } from '../store/open.ts'

/** Hosts that are written down by one statement. */
const TOGETHER = 200

/** What one server knows of the hosts that it hears. */
export class HostMemory {
  readonly #db: Db
  readonly #byId = new Map<string, Host>()
  readonly #idOf = new Map<string, string>()
  readonly #heardAtMs = new Map<string, number>()
  /** Reports that brought no news, as text. */
  readonly #quiet = new Map<string, string>()
  #changes = 0

  constructor(db: Db) {
    this.#db = db
  }

  /** The host with that id, or null. */
  async byId(id: string): Promise<Host | null> {
    return this.#byId.get(id) ?? this.#read({ id })
  }

  /** The host whose credential has that hash, or null. */
  async byCredential(credentialHash: string): Promise<Host | null> {
    const id = this.#idOf.get(credentialHash)
    return (id === undefined ? undefined : this.#byId.get(id)) ?? this.#read({ credentialHash })
  }

  /** Notes that a host was heard. */
  heard(id: string, nowMs: number): void {
    this.#heardAtMs.set(id, nowMs)
  }

  /** True when this very report brought no news, and nothing that it was compared with has changed since. */
  isQuiet(id: string, report: string): boolean {
    return this.#quiet.get(id) === report
  }

  /** Notes a report without news; `since` is what `changes` was before it was compared. */
  noteQuiet(id: string, report: string, since: number): void {
    if (since === this.#changes) this.#quiet.set(id, report)
  }

  /** Grows whenever something that is kept here may have become false. */
  get changes(): number {
    return this.#changes
  }

  /** Forgets what a batch has changed. */
  changed(batch: Batch): void {
    const subjects = batch.changes.filter(({ kind }) => kind === 'host' || kind === 'desired')
    const isOfThese = batch.missed || subjects.length > 0
    if (!isOfThese && !batch.changes.some(({ kind }) => kind === 'workspace')) return
    this.#changes++
    this.#quiet.clear()
    if (batch.missed) this.#byId.clear()
    else for (const { subject } of subjects) this.#byId.delete(subject)
  }

  /** Writes down who was heard since the last time, in one transaction. */
  async flush(): Promise<void> {
    if (this.#heardAtMs.size === 0) return
    const heard = [...this.#heardAtMs].sort(([, a], [, b]) => a - b)
    this.#heardAtMs.clear()
    await this.#db.transaction(async (tx) => {
      for (let from = 0; from < heard.length; from += TOGETHER) {
        const some = heard.slice(from, from + TOGETHER)
        // The earliest of them: nobody is said to have been heard later than they were.
        const [, atMs] = some[0] as (typeof some)[number]
        const ids = some.map(([id]) => id)
        await touchHosts(tx, ids, atMs)
      }
    })
  }

  async #read(choice: { id: string } | { credentialHash: string }): Promise<Host | null> {
    const since = this.#changes
    const host = await findHost(this.#db, choice)
    // What changed while it was read may be missing from it.
    if (host === null || since !== this.#changes) return host
    this.#byId.set(host.id, host)
    if (host.credentialHash !== null) this.#idOf.set(host.credentialHash, host.id)
    return host
  }
}
