/** A whole agent on a fake runtime, a fake control and a clock that tests turn. */
import type { Logger } from '@postern/plugin'
import { fakeRuntime, type FakeOptions, type FakeRuntime } from '@postern/plugin/testing'
import { startAgent } from '../../agent/index.ts'
import type { PlanLimits } from '../../agent/plan.ts'
import type { Agent, AgentOptions } from '../../agent/seams.ts'
import { fakeControl, type FakeControl } from './agent-control.ts'
import { testClock, type TestClock } from './clock.ts'

/** What a logger was told, as `level message` and its fields. */
export interface Told {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A logger that keeps what it is told. */
export function keepingLog(told: Told[] = []): Logger {
  const at =
    (level: Told['level']) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      told.push({ level, message, fields })
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => keepingLog(told),
  }
}

export interface Stage {
  readonly agent: Agent
  readonly clock: TestClock
  readonly control: FakeControl
  readonly world: FakeRuntime
  readonly told: Told[]
  /** What the agent did so far, as printed. */
  did(): string[]
}

export interface StageOptions {
  readonly stateDirectory: string
  readonly world?: FakeRuntime
  readonly control?: FakeControl
  readonly clock?: TestClock
  readonly fake?: FakeOptions
  readonly limits?: Partial<PlanLimits>
  readonly over?: Partial<AgentOptions>
}

/** Starts an agent; the caller closes it. */
export async function startStage(options: StageOptions): Promise<Stage> {
  const clock = options.clock ?? testClock()
  const control = options.control ?? fakeControl()
  const world = options.world ?? fakeRuntime({ sleep: clock.sleep, ...options.fake })
  const told: Told[] = []
  const agent = await startAgent({
    control,
    clock,
    plugin: world.plugin,
    pluginConfig: {},
    stateDirectory: options.stateDirectory,
    name: 'host',
    machineId: 'machine',
    version: '0.0.0',
    log: keepingLog(told),
    random: () => 0,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...options.over,
  })
  await clock.rest()
  const did = (): string[] =>
    told.filter((each) => each.message === 'acting').map((each) => String(each.fields['action']))
  return { agent, clock, control, world, told, did }
}
