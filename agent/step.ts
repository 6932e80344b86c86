/** The next step of one workspace, whatever the time: what is wanted and what is there in, one action or null out. Pure. */
import type { Instance, WorkspaceSpec } from '@postern/plugin'
import type { DesiredEntry } from '../control/wire/index.ts'
import type { Action, Goal, Why } from './action.ts'
import type { Failure } from './failures.ts'

type RunEntry = Extract<DesiredEntry, { want: 'running' }>

/** What an entry of the desired set aims at; undefined, that control doesn't know the workspace, aims at `orphan`. */
export function goalOf(entry: DesiredEntry | undefined): Goal {
  if (entry === undefined) return 'orphan'
  switch (entry.want) {
    case 'running':
      return `run@${entry.spec.generation}`
    case 'stopped':
      return 'stop'
    case 'removed':
      return entry.data === 'delete' ? 'delete' : 'keep'
  }
}

/** The workspace that an entry is about. */
export function entryId(entry: DesiredEntry): string {
  return entry.want === 'running' ? entry.spec.id : entry.id
}

/** True while a program may be at work in it. */
export function isLive(instance: Instance): boolean {
  return instance.state === 'running' || instance.state === 'starting'
}

/**
 * The one action that brings `there` nearer to `entry`, or null when nothing is left to do. `failure` only tells
 * what was done for the same goal before. A replacement emerges over rounds: stop, remove, start.
 */
export function nextStep(
  id: string,
  entry: DesiredEntry | undefined,
  there: readonly Instance[],
  failure: Failure | undefined,
  stopGraceMs: number,
): Action | null {
  const goal = goalOf(entry)
  const known = failure?.goal === goal ? failure : undefined
  const made = there.filter((instance) => instance.state !== 'retained')
  const end = (why: Why): Action => endStep(id, goal, made, known, stopGraceMs, why)
  if (entry === undefined) return made.length === 0 ? null : end('orphan')
  switch (entry.want) {
    case 'running':
      return runStep(entry, goal, made, known, end)
    case 'stopped': {
      if (!made.some(isLive)) return null
      return endStep(id, goal, made, known, entry.graceMs, 'not-wanted')
    }
    case 'removed': {
      if (entry.data === 'keep') return made.length === 0 ? null : end('not-wanted')
      if (there.length === 0) return null
      return { do: 'remove', goal, id, keepData: false, why: 'not-wanted' }
    }
  }
}

function runStep(
  entry: RunEntry,
  goal: Goal,
  made: readonly Instance[],
  known: Failure | undefined,
  end: (why: Why) => Action,
): Action | null {
  const start = (why: Why): Action => ({ do: 'start', goal, spec: specOf(entry), why })
  const [one, another] = made
  if (one === undefined) return start(known?.code === 'vanished' ? 'vanished' : 'missing')
  if (another !== undefined) return end('doubled')
  if (one.generation !== entry.spec.generation) return end('generation-changed')
  if (one.state === 'running') return null
  if (one.state === 'starting') return start(known?.code === 'vanished' ? 'vanished' : 'unfinished')
  return start(known?.code === 'exited' ? 'exited' : 'stopped')
}

/** Stop first, so that the program can save its work, then remove; what never came up may ignore a stop: removed then. */
function endStep(
  id: string,
  goal: Goal,
  made: readonly Instance[],
  known: Failure | undefined,
  graceMs: number,
  why: Why,
): Action {
  const runs = made.some((instance) => instance.state === 'running')
  const comesUp = made.some((instance) => instance.state === 'starting')
  if (runs || (comesUp && known?.did !== 'stop')) return { do: 'stop', goal, id, graceMs, why }
  return { do: 'remove', goal, id, keepData: true, why }
}

/** The wire's spec without the fields that are absent, as plugins take it. */
function specOf(entry: RunEntry): WorkspaceSpec {
  const present = Object.entries(entry.spec).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present) as unknown as WorkspaceSpec
}
