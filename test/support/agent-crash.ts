/** The steps of a workspace's life as a small machine, and the crash points that each of them still has to meet. */
import type { DesiredEntry } from '../../control/wire/index.ts'
import { spec } from './agent-arbitraries.ts'
import type { Moment } from './agent-relay.ts'

export const workspaceId = 'crash0001'
/** Marks its home once, and ends at once when it is asked to. */
const program =
  'test -e ~/born || echo $RANDOM$RANDOM > ~/born; trap "exit 0" TERM; while :; do sleep 1 & wait; done'

/** Where a workspace stands between two steps. */
export type Stand = 'absent' | 'running' | 'stopped' | 'retained'

export interface Step {
  readonly name: string
  readonly from: Stand
  readonly to: Stand
  /** How much the generation grows. */
  readonly grows: 0 | 1
  /** The agent is started anew, and its first calls are part of the step. */
  readonly isFreshAgent: boolean
  /** False: it only leads on, and is never crashed into, being like one that is. */
  readonly isCrashed: boolean
  /** What becomes of the mark that says that an end was asked for. */
  readonly mark: 'made' | 'kept' | 'gone'
}

const step = (name: string, from: Stand, to: Stand, more: Partial<Step> = {}): Step => ({
  name,
  from,
  to,
  grows: 0,
  isFreshAgent: false,
  isCrashed: true,
  mark: 'gone',
  ...more,
})

/** Every step that a workspace takes. */
export const steps: readonly Step[] = [
  step('create', 'absent', 'running', { grows: 1 }),
  step('purge', 'retained', 'absent'),
  step('bring back', 'retained', 'running', { isCrashed: false }),
  step('start', 'stopped', 'running', { mark: 'kept' }),
  step('trash', 'running', 'retained'),
  step('stop', 'running', 'stopped', { mark: 'made' }),
  step('spec change', 'running', 'running', { grows: 1 }),
  step('agent anew', 'running', 'running', { isFreshAgent: true, mark: 'kept' }),
]

/** What control wants of a workspace that shall come to stand there. */
export function wanted(to: Stand, image: string, generation: number): DesiredEntry {
  const id = workspaceId
  if (to === 'stopped') return { want: 'stopped', id, graceMs: 5_000 }
  if (to === 'retained') return { want: 'removed', id, data: 'keep' }
  if (to === 'absent') return { want: 'removed', id, data: 'delete' }
  const command = ['sh', '-c', program]
  return {
    want: 'running',
    spec: { ...spec(id, generation), image, command, files: [{ path: 'a', content: 'b' }] },
  }
}

/** One call of one step at which the agent dies. */
export interface Point {
  readonly moment: Moment
  readonly at: number
}

/** Hands out the points of each step, one after the other, until a step had fewer calls than that. */
export class Points {
  readonly #next = new Map<string, number>()
  readonly #last = new Map<string, number>()
  readonly #moments: readonly Moment[] = ['before', 'after']

  /** The step's next point; null: it has met all. */
  take({ name, isCrashed }: Step): Point | null {
    if (!isCrashed) return null
    for (const moment of this.#moments) {
      const key = `${name} ${moment}`
      const at = (this.#next.get(key) ?? 0) + 1
      if (at > (this.#last.get(key) ?? Infinity)) continue
      this.#next.set(key, at)
      return { moment, at }
    }
    return null
  }

  /** The step ended without a kill: it has no such call. */
  missed({ name }: Step, { moment, at }: Point): void {
    const key = `${name} ${moment}`
    this.#last.set(key, Math.min(this.#last.get(key) ?? Infinity, at - 1))
  }

  isLeft({ name, isCrashed }: Step): boolean {
    if (!isCrashed) return false
    return this.#moments.some((moment) => {
      const key = `${name} ${moment}`
      return (this.#next.get(key) ?? 0) < (this.#last.get(key) ?? Infinity)
    })
  }

  /** Calls met, by step and moment. */
  met(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#last)
  }
}

/** The step to take from here: one that has points left, else one that leads to such; null: all are met. */
export function nextStep(stand: Stand, points: Points): Step | null {
  const here = steps.filter(({ from }) => from === stand)
  const direct = here.find((one) => points.isLeft(one))
  if (direct !== undefined) return direct
  const leadsOn = here.find(({ to, from }) => to !== from && leads(to, points, new Set([from])))
  return leadsOn ?? null
}

function leads(stand: Stand, points: Points, been: ReadonlySet<Stand>): boolean {
  if (been.has(stand)) return false
  const here = steps.filter(({ from }) => from === stand)
  if (here.some((one) => points.isLeft(one))) return true
  return here.some(({ to }) => leads(to, points, new Set([...been, stand])))
}
