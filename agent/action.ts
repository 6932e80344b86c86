/** What a plan asks for, one plugin call each, and how it is printed. No multi-step actions, hence no half-done ones. */
import type { WorkspaceId, WorkspaceSpec } from '@postern/plugin'

/**
 * Why an action is planned. `missing`: nothing is there; `stopped`: it is there, not running; `unfinished`: a start
 * was cut short; `exited`, `vanished`: it ended, or was removed, by itself; `generation-changed`: the spec is another;
 * `doubled`: two instances claim one workspace; `not-wanted`: its owner wants it so; `orphan`: control doesn't know it.
 */
export type Why =
  | 'missing'
  | 'stopped'
  | 'unfinished'
  | 'exited'
  | 'vanished'
  | 'generation-changed'
  | 'doubled'
  | 'not-wanted'
  | 'orphan'

/** What an action serves: failures count only for the goal that they happened for. */
export type Goal = `run@${number}` | 'stop' | 'keep' | 'delete' | 'orphan'

/** One call of a plugin's verb. */
export type Action =
  | { readonly do: 'start'; readonly goal: Goal; readonly spec: WorkspaceSpec; readonly why: Why }
  | {
      readonly do: 'stop'
      readonly goal: Goal
      readonly id: WorkspaceId
      readonly graceMs: number
      readonly why: Why
    }
  | {
      readonly do: 'remove'
      readonly goal: Goal
      readonly id: WorkspaceId
      readonly keepData: boolean
      readonly why: Why
    }

export type Verb = Action['do']

/** The workspace that an action is about. */
export function subject(action: Action): WorkspaceId {
  return action.do === 'start' ? action.spec.id : action.id
}

/** One line, such as `+ start ws-12 missing`: the log line, the dry run and the tests show the same. */
export function print(action: Action): string {
  const id = subject(action)
  switch (action.do) {
    case 'start':
      return `+ start ${id} generation ${action.spec.generation} ${action.why}`
    case 'stop':
      return `. stop ${id} ${action.why}`
    case 'remove':
      return `- remove ${id} ${action.keepData ? 'keeping its data' : 'with its data'} ${action.why}`
  }
}
