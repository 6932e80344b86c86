/** The conformance kit: a factory comes in, one case a promise of the contract goes out. Framework neutral. */
import { beyondSketches } from './cases-beyond.ts'
import { boundSketches } from './cases-bounds.ts'
import { diskSketches } from './cases-disk.ts'
import { lifeSketches } from './cases-life.ts'
import type { Sketch } from './cases-life.ts'
import { reachSketches } from './cases-reach.ts'
import type { Case, ConformanceFactory } from './factory.ts'
import { openStage } from './stage.ts'

/** Every promise that a runtime plugin makes; cases are independent of each other and may run side by side. */
export function conformance(factory: ConformanceFactory): Case[] {
  return [...reachSketches, ...lifeSketches, ...boundSketches, ...beyondSketches, ...diskSketches].map(
    (sketch) => ({
      name: sketch.name,
      ...(sketch.needs === undefined ? {} : { needs: sketch.needs }),
      run: () => perform(factory, sketch),
    }),
  )
}

async function perform(factory: ConformanceFactory, sketch: Sketch): Promise<void> {
  const stage = await openStage(factory)
  let failure: { error: unknown } | undefined
  try {
    await sketch.body(stage)
  } catch (error) {
    failure = { error }
  }
  try {
    await stage.end()
  } catch (error) {
    failure ??= { error }
  }
  if (failure !== undefined) throw failure.error
}

/** What came of a run of the kit. */
export interface Summary {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** Cases at work at once: each has a deployment of its own, and most of one is waiting. */
const ABREAST = 4

/**
 * Runs every case, a few side by side, and writes a line for each in their order; lines end in a newline.
 * @throws what the factory's `ready` rejects with
 */
export async function runConformance(
  factory: ConformanceFactory,
  write: (text: string) => void,
): Promise<Summary> {
  await factory.ready?.()
  const cases = conformance(factory)
  const outcomes: Promise<string>[] = []
  const summary = { passed: 0, failed: 0, skipped: 0 }
  const tell = async (one: Case, before: Promise<unknown> | undefined): Promise<string> => {
    await before
    return outcomeOf(factory, one, summary)
  }
  for (const [index, one] of cases.entries()) outcomes.push(tell(one, outcomes[index - ABREAST]))
  for (const outcome of outcomes) write(await outcome)
  write(`${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped\n`)
  return summary
}

async function outcomeOf(
  factory: ConformanceFactory,
  { name, needs, run }: Case,
  summary: { passed: number; failed: number; skipped: number },
): Promise<string> {
  if (needs !== undefined && !factory.plugin.capabilities[needs]) {
    summary.skipped++
    return `skip  ${name} (needs ${needs}, which it does not declare)\n`
  }
  try {
    await run()
    summary.passed++
    return `ok    ${name}\n`
  } catch (error) {
    summary.failed++
    const text = error instanceof Error ? error.message : String(error)
    return `FAIL  ${name}\n      ${text.replaceAll('\n', '\n      ')}\n`
  }
}
