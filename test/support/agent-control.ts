/** Control as an agent meets it, in memory: a desired set that tests change, reports that they read, and times away. */
import type {
  AgentControl,
  Desired,
  DesiredEntry,
  Register,
  Registered,
  Report,
  Status,
} from '../../control/wire/index.ts'

export interface FakeControl extends AgentControl {
  /** Puts a new set at the next revision; polls that wait are answered at once. */
  want(...workspaces: DesiredEntry[]): void
  /** While set, every call rejects with it; polls that wait are cut off. */
  away(err: Error | null): void
  /** Of the last `want`. */
  revision(): number
  readonly reports: readonly Report[]
  readonly registered: readonly Register[]
  /** Of the last report. */
  status(id: string): Status | undefined
}

/** Answers register with fixed ids; nothing is desired (and nothing answered) until the first `want`. */
export function fakeControl(answer: Partial<Registered> = {}): FakeControl {
  let current: Desired | null = null
  let absent: Error | null = null
  let revision = 0
  let epoch = 0
  const waiting = new Set<() => void>()
  const reports: Report[] = []
  const registered: Register[] = []
  const wake = (): void => waiting.forEach((go) => go())
  const present = (): void => {
    if (absent !== null) throw absent
  }
  return {
    reports,
    registered,
    revision: () => revision,
    status: (id) => reports.at(-1)?.workspaces.find((each) => each.id === id),
    want(...workspaces) {
      current = { revision: ++revision, workspaces }
      wake()
    },
    away(err) {
      absent = err
      wake()
    },
    async register(body, { signal }) {
      signal.throwIfAborted()
      present()
      registered.push(body)
      epoch += 1
      return { deploymentId: 'deployment1', hostId: 'host0001', heartbeatMs: 15_000, epoch, ...answer }
    },
    async desired(since, { signal }) {
      for (;;) {
        signal.throwIfAborted()
        present()
        if (current !== null && current.revision > since) return current
        await new Promise<void>((resolve) => {
          const go = (): void => {
            waiting.delete(go)
            signal.removeEventListener('abort', go)
            resolve()
          }
          waiting.add(go)
          signal.addEventListener('abort', go, { once: true })
        })
      }
    },
    async report(body, { signal }) {
      signal.throwIfAborted()
      present()
      reports.push(body)
    },
  }
}
