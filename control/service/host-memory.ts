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
  /** On which of those hosts a workspace was when its report was compared. */
  readonly #placeOf = new Map<string, string>()
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

  /**
   * Notes a report without news, which was compared with these workspaces; `since` is what `changes` was before. A
   * workspace that comes to a host later changes what is desired of that host.
   */
  noteQuiet(id: string, report: string, workspaceIds: readonly string[], since: number): void {
    if (since !== this.#changes) return
    this.#quiet.set(id, report)
    for (const workspaceId of workspaceIds) this.#placeOf.set(workspaceId, id)
  }

  /** Grows whenever something that is kept here may have become false. */
  get changes(): number {
    return this.#changes
  }

  /** Forgets what a batch has changed: of the hosts that it is about, not of all. */
  changed(batch: Batch): void {
    if (batch.missed) {
      this.#changes++
      for (const memory of [this.#byId, this.#quiet, this.#placeOf]) memory.clear()
    }
    for (const { kind, subject } of batch.changes) {
      if (kind === 'workspace') {
        this.#changes++
        this.#quiet.delete(this.#placeOf.get(subject) ?? '')
        this.#placeOf.delete(subject)
      } else if (kind === 'host' || kind === 'health' || kind === 'desired') {
        this.#changes++
        this.#quiet.delete(subject)
        this.#byId.delete(subject)
      }
    }
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
