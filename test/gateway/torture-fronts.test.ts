// The torture table put through real fronts that pass everything on: what a visitor of an install with one gets.
import t from 'tap'
import { missingFront } from '../support/fronts-start.ts'
import { deviations } from '../support/torture-deviations.ts'
import { assertAll, world } from '../support/torture-run.ts'
import { tables } from '../support/torture-tables.ts'

const all = tables.flatMap(([, table]) => table)

t.test('each case has a name of its own, and each deviation a case', (t) => {
  const names = new Set<string>()
  for (const { name } of all) t.notOk(names.has(name) || !names.add(name), name)
  for (const [front, those] of Object.entries(deviations))
    for (const name of Object.keys(those)) t.ok(names.has(name), `${front}: ${name}`)
  t.end()
})

for (const front of ['nginx', 'caddy', 'haproxy'] as const)
  t.test(`behind ${front}`, { skip: missingFront(front) ?? false }, async (t) => {
    const here = await world(t, front)
    for (const engine of ['undici', 'compat'] as const) await assertAll(t, here, engine, all)
  })
