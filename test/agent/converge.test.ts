/** Faults come in a random, finite order; the whole agent on a fake runtime comes to rest in the desired state. */
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { Fault } from '@postern/plugin/testing'
import type { DesiredEntry } from '../../control/wire/index.ts'
import { spec } from '../support/agent-arbitraries.ts'
import { startStage, type Stage } from '../support/agent-start.ts'

const codes = ['ERR_UNAVAILABLE', 'ERR_TIMEOUT', 'ERR_INTERNAL', 'ERR_NO_CAPACITY', 'ERR_CONFLICT'] as const
const faults: fc.Arbitrary<Fault> = fc
  .record({
    verb: fc.constantFrom('list' as const, 'start' as const, 'stop' as const, 'remove' as const),
    kind: fc.constantFrom('fail' as const, 'reply-lost' as const, 'late' as const, 'hang' as const),
    code: fc.constantFrom(...codes),
    ms: fc.integer({ min: 1, max: 120_000 }),
    times: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ verb, kind, code, ms, times }): Fault => {
    if (kind === 'late') return { verb, kind, ms, times }
    return kind === 'hang' ? { verb, kind, times } : { verb, kind, code, times }
  })

const entries = (['alpha001', 'beta0002', 'gamma003'] as const).map((id) =>
  fc.oneof(
    fc.integer({ min: 1, max: 3 }).map((n): DesiredEntry => ({ want: 'running', spec: spec(id, n) })),
    fc.constant<DesiredEntry>({ want: 'stopped', id, graceMs: 1_000 }),
    fc
      .constantFrom('keep' as const, 'delete' as const)
      .map((data): DesiredEntry => ({ want: 'removed', id, data })),
  ),
)

/** What is not yet as wanted, or told otherwise than it is. */
function amiss(stage: Stage, wants: readonly DesiredEntry[]): string[] {
  const made = new Map(stage.world.instances().map((each) => [each.workspaceId, each]))
  return wants.flatMap((entry) => {
    const id = entry.want === 'running' ? entry.spec.id : entry.id
    const one = made.get(id)
    const state = one?.state ?? 'absent'
    const isReached =
      entry.want === 'running'
        ? state === 'running' && one?.generation === entry.spec.generation
        : entry.want === 'stopped'
          ? state !== 'running'
          : state === 'absent' || (entry.data === 'keep' && state === 'retained')
    const told = stage.control.status(id)?.state
    return isReached && told === state ? [] : [`${id}: ${entry.want}, is ${state}, told ${told}`]
  })
}

t.test('under any finite sequence of faults the world converges', async (t) => {
  const directory = t.testdir()
  const sets = fc.array(fc.tuple(...entries), { minLength: 1, maxLength: 4 })
  const gaps = fc.array(fc.integer({ min: 0, max: 40_000 }), { minLength: 4, maxLength: 4 })
  let runs = 0
  await fc.assert(
    fc.asyncProperty(sets, fc.array(faults, { maxLength: 6 }), gaps, async (wants, some, pauses) => {
      const stage = await startStage({ stateDirectory: join(directory, `run-${runs++}`) })
      try {
        stage.world.inject(...some)
        for (const [at, want] of wants.entries()) {
          stage.control.want(...want)
          await stage.clock.advance(pauses[at] ?? 0)
          if (at % 2 === 1) stage.world.end('alpha001', 1)
        }
        const last = wants.at(-1) ?? []
        // A start that hangs waits for its deadline of 30 min, three times at worst.
        for (let minute = 0; minute < 240 && amiss(stage, last).length > 0; minute += 1) {
          await stage.clock.advance(60_000)
        }
        const left = amiss(stage, last)
        if (left.length > 0) throw new Error(`not converged: ${left.join('; ')}`)
      } finally {
        await stage.agent.close()
      }
    }),
    { numRuns: 25, seed: 5 },
  )
  t.pass(`${runs} runs`)
})
