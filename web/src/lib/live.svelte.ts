/** What is so right now: the event stream in, one snapshot out. Connects again by itself and says since when it is stale. */
import { paths } from '../../../control/wire/paths.ts'
import type { StreamMessage, Watch } from '../../../control/wire/events.ts'
import type { WorkspaceView } from '../../../control/wire/workspace.ts'
import { clock } from './clock.svelte.ts'
import { api, session } from './session.svelte.ts'
import { applied, nothingYet, parseMessage, reconnectMs, withWorkspace, type Snapshot } from './stream.ts'

/** Messages within this time are drawn at once: thousands of rows arrive as single messages. */
const GATHER_MS = 16

const stillOpen = (requests: Snapshot['requests'], nowMs: number) =>
  [...requests.values()]
    .filter(({ expiresAtMs }) => expiresAtMs > nowMs)
    .sort((a, b) => a.createdAtMs - b.createdAtMs)

class Live {
  snapshot: Snapshot = $state.raw(nothingYet)
  /** `first` until everything has come once. */
  state: 'first' | 'live' | 'stale' = $state('first')
  /** When what is shown was last known to be so. */
  staleSinceMs = $state(0)
  nextTryAtMs = $state(0)
  /** True once a connection has failed before the first data came. */
  failed = $state(false)

  readonly workspaces: readonly WorkspaceView[] = $derived(
    [...this.snapshot.workspaces.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  )
  readonly present: readonly WorkspaceView[] = $derived(
    this.workspaces.filter((w) => w.phase !== 'trashed' && w.want !== 'removed'),
  )
  readonly trash: readonly WorkspaceView[] = $derived(
    this.workspaces.filter((w) => w.phase === 'trashed' || w.want === 'removed'),
  )
  /** Requests for access that wait for this person, oldest first. */
  readonly requests = $derived(stillOpen(this.snapshot.requests, clock.nowMs))
  readonly myRequests = $derived(stillOpen(this.snapshot.myRequests, clock.nowMs))
  readonly hosts = $derived([...this.snapshot.hosts.values()].sort((a, b) => (a.name < b.name ? -1 : 1)))

  #socket: WebSocket | null = null
  #tries = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #waiting: StreamMessage[] = []
  #gather: ReturnType<typeof setTimeout> | undefined
  /** What the whole state is built on while it comes anew; null while changes go straight in. */
  #anew: Snapshot | null = null
  #stopped = true
  /** How many parts of the page want to be told of the audit. */
  #watching = 0

  start(): void {
    this.#stopped = false
    addEventListener('online', this.retry)
    document.addEventListener('visibilitychange', this.#seen)
    this.#connect()
  }

  stop(): void {
    this.#stopped = true
    removeEventListener('online', this.retry)
    document.removeEventListener('visibilitychange', this.#seen)
    clearTimeout(this.#timer)
    this.#socket?.close()
  }

  /** Tries at once instead of at `nextTryAtMs`. */
  retry = (): void => {
    if (this.#stopped || this.#socket !== null) return
    clearTimeout(this.#timer)
    this.#connect()
  }

  /** Takes what a call answered, without waiting for the stream to say it too. */
  take(workspace: WorkspaceView | undefined): void {
    if (workspace !== undefined) this.snapshot = withWorkspace(this.snapshot, workspace)
  }

  /** Counts `snapshot.auditTold` up while the audit has news, until the function that it gives is called. */
  watchAudit = (): (() => void) => {
    this.#watching++
    this.#wish()
    return () => {
      this.#watching--
      this.#wish()
    }
  }

  #wish(): void {
    const wish: Watch = { watch: this.#watching > 0 ? ['audit'] : [] }
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(wish))
  }

  /** The workspace of a name or an id. */
  named(name: string): WorkspaceView | undefined {
    return this.workspaces.find((w) => w.name === name) ?? this.snapshot.workspaces.get(name)
  }

  #seen = (): void => {
    if (document.visibilityState === 'visible') this.retry()
  }

  #connect(): void {
    const url = new URL(paths.events, location.href)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    url.searchParams.set('since', String(this.snapshot.revision))
    // Administrators and auditors look at everybody's workspaces; the list keeps their own apart.
    if (session.readsAll) url.searchParams.set('owner', 'all')
    this.#anew = this.snapshot.revision === 0 ? nothingYet : null
    const socket = new WebSocket(url)
    this.#socket = socket
    socket.onopen = () => {
      if (this.#watching > 0) this.#wish()
    }
    socket.onmessage = (event) => this.#take(event.data)
    socket.onclose = () => this.#lost()
  }

  #take(data: unknown): void {
    const message = parseMessage(data)
    if (message === null) return
    if (message.type === 'resync') {
      this.snapshot = { ...this.snapshot, revision: 0 }
      this.#waiting = []
      this.#socket?.close()
      return
    }
    this.#waiting.push(message)
    if (message.type === 'live') this.#flush()
    else this.#gather ??= setTimeout(() => this.#flush(), GATHER_MS)
  }

  #flush(): void {
    clearTimeout(this.#gather)
    this.#gather = undefined
    const messages = this.#waiting
    this.#waiting = []
    const isLive = messages.some((m) => m.type === 'live')
    const next = applied(this.#anew ?? this.snapshot, messages)
    if (this.#anew !== null && !isLive) {
      this.#anew = next
      return
    }
    this.#anew = null
    this.snapshot = next
    if (!isLive) return
    this.state = 'live'
    this.failed = false
    this.#tries = 0
  }

  #lost(): void {
    this.#socket = null
    this.#waiting = []
    if (this.#stopped) return
    if (this.state === 'live') {
      this.state = 'stale'
      this.staleSinceMs = Date.now()
    }
    if (this.state === 'first') this.failed = true
    const waitMs = reconnectMs(this.#tries++, Math.random())
    this.nextTryAtMs = Date.now() + waitMs
    this.#timer = setTimeout(() => this.#connect(), waitMs)
    // A refused upgrade doesn't tell a browser why: a call does, and leads to the sign-in when that is the reason.
    api.me().catch(() => undefined)
  }
}

/** The live state of the page. */
export const live = new Live()
