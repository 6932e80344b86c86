/** What is remembered between rounds: looks that are too old are not believed, and first sights of orphans are kept. */
import t from 'tap'
import type { Action } from '../../agent/action.ts'
import { createMemory } from '../../agent/memory.ts'
import { defaultLimits } from '../../agent/plan.ts'
import type { Desired } from '../../control/wire/index.ts'
import { instance, nowMs, spec } from '../support/agent-arbitraries.ts'

const id = 'ws000012'
const desired: Desired = { revision: 1, workspaces: [{ want: 'running', spec: spec(id, 1) }] }
const start: Action = { do: 'start', goal: 'run@1', spec: spec(id, 1) as never, why: 'missing' }
const none = new Set<string>()

t.test('a look that began before an action ended is not believed about its workspace', async (t) => {
  const memory = createMemory(() => nowMs, defaultLimits)
  memory.looked([], memory.lookBegins(), desired, none)
  const early = memory.lookBegins()
  memory.ended(start, { ok: true, instance: instance(id) })
  const other = instance('beta0002')
  memory.looked([other], early, desired, none)
  t.same(memory.observed, [other, instance(id)], 'of others it is believed')
  t.equal(memory.failures.get(id)?.count, 0, 'nothing vanished')
  memory.looked([other], memory.lookBegins(), desired, none)
  t.same(memory.instances(id), [])
  t.match(memory.failures.get(id), { code: 'vanished', count: 1 })
})

t.test('what an action at work changes is not inferred from', async (t) => {
  const memory = createMemory(() => nowMs, defaultLimits)
  memory.looked([instance(id)], memory.lookBegins(), desired, none)
  memory.looked([], memory.lookBegins(), desired, new Set([id]))
  t.same(memory.instances(id), [instance(id)])
  t.equal(memory.failures.get(id), undefined)
})

t.test('a start that was given up leaves its workspace unseen until the next look', async (t) => {
  const memory = createMemory(() => nowMs, defaultLimits)
  memory.looked([], memory.lookBegins(), desired, none)
  memory.ended(start, { ok: false, cancelled: true })
  t.match(memory.unseen.get(id), { verb: 'start', hasFailed: false })
  memory.looked([instance(id, { state: 'starting' })], memory.lookBegins(), desired, none)
  t.equal(memory.unseen.size, 0)
  t.equal(memory.failures.get(id), undefined, 'it is no failure')
})

t.test('an orphan counts from its first sight, and anew when control knew it in between', async (t) => {
  let now = nowMs
  const memory = createMemory(() => now, defaultLimits)
  const empty: Desired = { revision: 2, workspaces: [] }
  const look = (set: Desired | 'unknown'): void =>
    memory.looked([instance(id)], memory.lookBegins(), set, none)
  look('unknown')
  t.equal(memory.orphans.size, 0, 'unknown is not empty')
  look(empty)
  now += 60_000
  look(empty)
  t.equal(memory.orphans.get(id), nowMs)
  memory.looked('unknown', memory.lookBegins(), empty, none)
  t.equal(memory.observed, 'unknown')
  t.equal(memory.orphans.get(id), nowMs)
  memory.wanted(desired)
  memory.wanted(empty)
  t.equal(memory.orphans.size, 0, 'the runtime is unread: nothing is inferred')
  look(empty)
  t.equal(memory.orphans.get(id), now)
})
