/** What is at work: actions in, their outcomes out, one at a time for each workspace. */
import type { Logger, Progress, Runtime, WorkspaceId, WorkspaceSpec } from '@postern/plugin'
import { print, subject, type Action } from './action.ts'
import { execute } from './execute/index.ts'
import type { Outcome } from './failures.ts'
import type { Work } from './report.ts'
import type { Clock } from './seams.ts'

export interface JobsParts {
  readonly runtime: Runtime
  readonly lawful: (spec: WorkspaceSpec) => Promise<WorkspaceSpec>
  readonly clock: Clock
  readonly log: Logger
  /** Called once for each action, when nothing of it is at work any more. */
  readonly onEnd: (action: Action, outcome: Outcome) => void
  /** `isNewStep`: worth telling at once. */
  readonly onProgress: (isNewStep: boolean) => void
}

export interface Jobs {
  /** The workspace must have no action in flight: the plan sees to it. */
  launch(action: Action): void
  has(id: WorkspaceId): boolean
  actions(): ReadonlyMap<WorkspaceId, Action>
  work(): ReadonlyMap<WorkspaceId, Work>
  /** Gives the action up; its outcome is `cancelled`. */
  cancel(id: WorkspaceId, why: Error): void
  /** Gives all up; resolves when the last has settled. */
  close(why: Error): Promise<void>
}

interface Job {
  readonly action: Action
  readonly abort: AbortController
  readonly done: Promise<void>
  progress: Progress | null
}

/** Nothing is at work at first. */
export function createJobs(parts: JobsParts): Jobs {
  const { runtime, lawful, clock, log } = parts
  const jobs = new Map<WorkspaceId, Job>()
  const each = <T>(of: (job: Job) => T): Map<WorkspaceId, T> =>
    new Map([...jobs].map(([id, job]) => [id, of(job)]))

  return {
    launch(action) {
      const id = subject(action)
      const abort = new AbortController()
      log.info('acting', { workspaceId: id, action: print(action) })
      const onProgress = (progress: Progress): void => {
        const job = jobs.get(id)
        if (job?.action !== action) return
        const isNewStep = job.progress?.step !== progress.step
        job.progress = progress
        parts.onProgress(isNewStep)
      }
      const outcome = execute(action, { runtime, lawful, clock, log, signal: abort.signal, onProgress })
      const done = outcome.then((result) => {
        jobs.delete(id)
        parts.onEnd(action, result)
      })
      jobs.set(id, { action, abort, done, progress: null })
    },
    has: (id) => jobs.has(id),
    actions: () => each((job) => job.action),
    work: () => each((job) => ({ verb: job.action.do, progress: job.progress, hasFailed: false })),
    cancel: (id, why) => jobs.get(id)?.abort.abort(why),
    async close(why) {
      for (const job of jobs.values()) job.abort.abort(why)
      await Promise.all([...jobs.values()].map((job) => job.done))
    },
  }
}
