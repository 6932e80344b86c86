/** What is open is kept as a set would keep it, and what has gone is garbage at once. */
import { equal, ok } from 'node:assert/strict'
import { getHeapSpaceStatistics } from 'node:v8'
import fc from 'fast-check'
import t from 'tap'
import { OpenSet } from '../../gateway/open-set.ts'
import { collectGarbage } from '../support/garbage.ts'

t.test('it holds what a Set holds, whatever comes and goes', async () => {
  const step = fc.record({ what: fc.constantFrom('add', 'delete', 'has', 'clear'), which: fc.nat(7) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const members = Array.from({ length: 8 }, (_, n) => ({ n }))
      const [set, model] = [new OpenSet<{ n: number }>(), new Set<{ n: number }>()]
      for (const { what, which } of steps) {
        const member = members[which]!
        if (what === 'delete') equal(set.delete(member), model.delete(member))
        if (what === 'add') {
          set.add(member)
          model.add(member)
        }
        if (what === 'clear') {
          set.clear()
          model.clear()
        }
        equal(set.has(member), model.has(member))
        equal(set.size, model.size)
      }
      equal([...set].length, model.size)
      ok([...set].every((member) => model.has(member)))
    }),
  )
})

t.test('all that stay are given while others are deleted', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.nat(9), { maxLength: 4 }), { minLength: 10, maxLength: 10 }),
      (deleted) => {
        const members = Array.from({ length: 10 }, (_, n) => ({ n }))
        const set = new OpenSet<{ n: number }>()
        for (const member of members) set.add(member)
        const given = new Set<{ n: number }>()
        for (const member of set) {
          given.add(member)
          for (const n of deleted[member.n]!) set.delete(members[n]!)
        }
        for (const member of set) ok(given.has(member))
      },
    ),
  )
})

/** So much of the old generation is taken, bytes. */
const oldBytes = (): number =>
  getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')!.space_used_size

t.test('what has gone does not grow old', async () => {
  const set = new OpenSet<object>()
  const open: object[] = []
  const comeAndGo = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const member = { filling: Array.from({ length: 40 }, () => i) }
      set.add(member)
      open.push(member)
      if (open.length > 64) set.delete(open.shift()!)
    }
  }
  comeAndGo(1000)
  // The collector has looked at the set, as it does sooner or later.
  collectGarbage()
  collectGarbage()
  const before = oldBytes()
  comeAndGo(100_000)
  const grownBytes = oldBytes() - before
  ok(grownBytes < 4_000_000, `${grownBytes} bytes of what has gone`)
})
