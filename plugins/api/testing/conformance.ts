/** The conformance kit: a factory comes in, one case a promise of the contract goes out. Framework neutral. */
import { boundSketches } from './cases-bounds.ts'
import { lifeSketches } from './cases-life.ts'
import type { Sketch } from './cases-life.ts'
import { reachSketches } from './cases-reach.ts'
import type { Case, ConformanceFactory } from './factory.ts'
import { openStage } from './stage.ts'

/** Every promise that a runtime plugin makes; cases are independent of each other and may run side by side. */
export function conformance(factory: ConformanceFactory): Case[] {
  return [...reachSketches, ...lifeSketches, ...boundSketches].map((sketch) => ({
    name: sketch.name,
    ...(sketch.needs === undefined ? {} : { needs: sketch.needs }),
    run: () => perform(factory, sketch),
  }))
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

/** Runs every case one after the other and writes a line for each; lines end in a newline. */
export async function runConformance(
  factory: ConformanceFactory,
  write: (text: string) => void,
): Promise<Summary> {
  const summary = { passed: 0, failed: 0, skipped: 0 }
  for (const { name, needs, run } of conformance(factory)) {
    if (needs !== undefined && !factory.plugin.capabilities[needs]) {
      summary.skipped++
      write(`skip  ${name} (needs ${needs}, which it does not declare)\n`)
      continue
    }
    try {
      await run()
      summary.passed++
      write(`ok    ${name}\n`)
    } catch (error) {
      summary.failed++
      const text = error instanceof Error ? error.message : String(error)
      write(`FAIL  ${name}\n      ${text.replaceAll('\n', '\n      ')}\n`)
    }
  }
  write(`${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped\n`)
  return summary
}
