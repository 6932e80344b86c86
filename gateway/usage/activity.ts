// Decisions come in; control is told in batches of visits to others' workspaces and of refusals. No request waits for it.
import type { Logger } from '@postern/plugin'
import type { DenialReason, EdgeControl, EdgeNote, EdgeRoute, Identity } from '../../control/wire/index.ts'
import { isOwnerOf, NOTES_MAX, userOf } from '../../control/wire/index.ts'

/** A session that comes to a workspace again within so long is not told of again, in ms. */
const AGAIN_MS = 3_600_000
const FLUSH_MS = 5000
/** Sessions and workspaces that are remembered; beyond it some are told of twice, and control counts them as one. */
const PAIRS_MAX = 20_000
/** Kinds of refusal by person and workspace in one batch; the rest are counted without saying whose. */
const DENIALS_MAX = NOTES_MAX / 2

type Where = EdgeNote['origin']

const nobody = { userId: '', linkId: '', sessionHash: '', tokenId: '' } as const

function whoOf(identity: Identity): Pick<EdgeNote, 'userId' | 'linkId' | 'sessionHash' | 'tokenId'> {
  switch (identity.kind) {
    case 'session':
      return { ...nobody, userId: identity.user.id, sessionHash: identity.sessionHash }
    case 'token':
      return { ...nobody, userId: identity.user.id, tokenId: identity.tokenId }
    case 'link':
      return { ...nobody, linkId: identity.linkId ?? '', sessionHash: identity.sessionHash }
    case 'anonymous':
      return nobody
  }
}

/** What one visitor is known by from request to request. */
function holderOf(identity: Identity): string {
  if (identity.kind === 'anonymous') return ''
  return identity.kind === 'token' ? identity.tokenId : identity.sessionHash
}

/** What a gateway has to tell; what a crash takes with it is lost. */
export class Activity {
  readonly #control: EdgeControl
  readonly #log: Logger
  readonly #now: () => number
  /** Workspace → visitor → until when they are not told of again. */
  readonly #seen = new Map<string, Map<string, number>>()
  #pairs = 0
  #denials = new Map<string, EdgeNote>()
  #visits: EdgeNote[] = []
  #sending: Promise<void> | null = null
  #isFailing = false
  readonly #timer: NodeJS.Timeout

  constructor(control: EdgeControl, log: Logger, now: () => number) {
    this.#control = control
    this.#log = log
    this.#now = now
    this.#timer = setInterval(() => void this.flush(), FLUSH_MS)
    this.#timer.unref()
  }

  /** True when this visit to another's workspace is to be told of: the first of a session within an hour. */
  isNews(identity: Identity, route: EdgeRoute, nowMs: number): boolean {
    const user = userOf(identity)
    if (user !== null && (user.id === route.ownerId || isOwnerOf(route, user))) return false
    let visitors = this.#seen.get(route.workspaceId)
    const holder = holderOf(identity)
    if (visitors !== undefined && (visitors.get(holder) ?? 0) > nowMs) return false
    if (this.#pairs >= PAIRS_MAX) {
      this.#seen.clear()
      this.#pairs = 0
      visitors = undefined
    }
    if (visitors === undefined) this.#seen.set(route.workspaceId, (visitors = new Map<string, number>()))
    visitors.set(holder, nowMs + AGAIN_MS)
    this.#pairs++
    return true
  }

  visited(identity: Identity, route: EdgeRoute, port: number, origin: Where): void {
    if (this.#visits.length >= PAIRS_MAX) return
    const { workspaceId } = route
    const atMs = this.#now()
    this.#visits.push({ kind: 'connected', atMs, count: 1, ...whoOf(identity), workspaceId, port, origin })
  }

  /** Counts a refusal; `origin` is asked for the first of its kind only. */
  denied(kind: DenialReason, userId: string, workspaceId: string, origin: () => Where): void {
    const key = `${kind} ${userId} ${workspaceId}`
    const known = this.#denials.get(key)
    if (known !== undefined) {
      known.count++
      return
    }
    const isRoom = this.#denials.size < DENIALS_MAX
    const rest = `${kind} rest`
    const shared = isRoom ? undefined : this.#denials.get(rest)
    if (shared !== undefined) {
      shared.count++
      return
    }
    const whose = isRoom ? { userId, workspaceId } : { userId: '', workspaceId: '' }
    const base = { kind, atMs: this.#now(), count: 1, ...nobody, ...whose, port: null }
    this.#denials.set(isRoom ? key : rest, { ...base, origin: origin() })
  }

  /** Tells what there is; what control can't take now is told later, or by and by given up for newer. */
  flush(): Promise<void> {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = null
    })
    return this.#sending
  }

  async #send(): Promise<void> {
    const denials = [...this.#denials.values()]
    if (denials.length + this.#visits.length === 0) return
    const visits = this.#visits.splice(0, NOTES_MAX - denials.length)
    this.#denials = new Map()
    try {
      await this.#control.note([...denials, ...visits])
      this.#isFailing = false
    } catch (err) {
      if (!this.#isFailing) this.#log.warn('visits and refusals could not be told', { err })
      this.#isFailing = true
      this.#visits = [...visits, ...this.#visits].slice(-PAIRS_MAX)
      for (const note of denials) this.#again(note)
    }
  }

  #again(note: EdgeNote): void {
    const key = `${note.kind} ${note.userId} ${note.workspaceId}`
    const newer = this.#denials.get(key)
    if (newer !== undefined) newer.count += note.count
    else if (this.#denials.size < DENIALS_MAX) this.#denials.set(key, note)
  }

  /** Tells the last of it. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
    await this.flush()
  }
}
