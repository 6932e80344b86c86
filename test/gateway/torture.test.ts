// The torture table put to the edge itself: bytes at the app and at the visitor, for each engine.
import t from 'tap'
import { tables } from '../support/torture-tables.ts'
import { assertAll, world } from '../support/torture-run.ts'

const only = process.argv[2]
for (const [name, table] of tables.filter(([name]) => only === undefined || name === only))
  t.test(`${name}, bare`, async (t) => {
    const here = await world(t, 'bare')
    for (const engine of ['undici', 'compat'] as const) await assertAll(t, here, engine, table)
  })
