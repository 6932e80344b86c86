/** One action carried out: outcomes as data, deadlines, abort; and the ways to dial an instance. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { RuntimeError, type Instance, type Runtime, type WorkspaceSpec } from '@postern/plugin'
import type { Action } from '../../agent/action.ts'
import { connectTo } from '../../agent/connect.ts'
import { execute } from '../../agent/execute/index.ts'
import type { Outcome } from '../../agent/failures.ts'
import { instance } from '../support/agent-arbitraries.ts'
import { keepingLog, type Told } from '../support/agent-start.ts'
import { testClock } from '../support/clock.ts'

const id = 'ws000012'
const remove: Action = { do: 'remove', goal: 'keep', id, keepData: true, why: 'not-wanted' }
const lawful = (spec: WorkspaceSpec): Promise<WorkspaceSpec> => Promise.resolve(spec)
const bare: Runtime = {
  health: async () => ({ status: 'healthy', message: '' }),
  list: async () => [],
  start: async (spec) => instance(spec.id),
  stop: async () => undefined,
  remove: async () => undefined,
  close: async () => undefined,
}

t.test(
  'errors become outcomes; one without a code is a fault of the plugin, and logged as such',
  async (t) => {
    const told: Told[] = []
    const run = (fails: unknown): Promise<Outcome> =>
      execute(remove, {
        lawful,
        runtime: { ...bare, remove: () => Promise.reject(fails) },
        clock: testClock(),
        log: keepingLog(told),
        signal: new AbortController().signal,
        onProgress: () => undefined,
      })
    const full = new RuntimeError('ERR_NO_CAPACITY', 'the disk is full', { fix: 'free some' })
    t.same(await run(full), {
      ok: false,
      cancelled: false,
      code: 'ERR_NO_CAPACITY',
      message: 'the disk is full (free some)',
    })
    t.equal(told.length, 0)
    t.match(await run(new TypeError('x is not a function')), {
      code: 'ERR_INTERNAL',
      message: 'x is not a function',
    })
    t.match(told, [{ level: 'error' }])
  },
)

t.test(
  'a verb that never answers is aborted at its deadline, and left behind if it ignores that',
  async (t) => {
    for (const heeds of [true, false]) {
      const clock = testClock()
      let aborted: unknown
      const runtime: Runtime = {
        ...bare,
        remove: (_id, { signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              aborted = signal.reason
              if (heeds) reject(signal.reason)
            })
          }),
      }
      const { signal } = new AbortController()
      const outcome = execute(remove, {
        runtime,
        lawful,
        clock,
        log: keepingLog(),
        signal,
        onProgress: () => undefined,
      })
      await clock.advance(119_000)
      t.equal(aborted, undefined)
      await clock.advance(1_000)
      t.match(aborted, { code: 'ERR_TIMEOUT' })
      await clock.advance(5_000)
      t.match(await outcome, { ok: false, cancelled: false, code: 'ERR_TIMEOUT' })
      t.equal(clock.nextMs(), null, 'no timer is left')
    }
  },
)

t.test('an action that is given up is cancelled, before and in the middle', async (t) => {
  const hang: Runtime = {
    ...bare,
    remove: (_id, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  }
  for (const when of ['before', 'during']) {
    const stop = new AbortController()
    const clock = testClock()
    if (when === 'before') stop.abort(new Error('enough'))
    const call = {
      runtime: hang,
      lawful,
      clock,
      log: keepingLog(),
      signal: stop.signal,
      onProgress: () => undefined,
    }
    const outcome = execute(remove, call)
    await clock.rest()
    stop.abort(new Error('enough'))
    t.same(await outcome, { ok: false, cancelled: true })
  }
})

t.test('an instance is dialled by its reach where the runtime has no way of its own', async (t) => {
  const server = createServer((socket) => socket.end('hello'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const { signal } = new AbortController()
  const dial = (reach: Instance['reach'], to: number, incarnation = `${id}-1`): Promise<string> =>
    connectTo(bare, [instance(id, { reach })], { workspaceId: id, incarnation }, to, { signal }).then(text)
  const host = '127.0.0.1'
  t.equal(await dial({ kind: 'address', host }, port), 'hello')
  t.equal(await dial({ kind: 'ports', host, ports: { 3000: port } }, 3000), 'hello')
  await t.rejects(dial({ kind: 'ports', host, ports: { 3000: port } }, 3001), { code: 'ERR_NOT_FOUND' })
  await t.rejects(dial({ kind: 'address', host }, 1), { code: 'ERR_NOT_FOUND' })
  await t.rejects(dial({ kind: 'none' }, port), { code: 'not_reachable_directly' })
  await t.rejects(dial({ kind: 'address', host }, port, 'another'), { code: 'ERR_NOT_FOUND' })
  const reason = new Error('enough')
  const target = { workspaceId: id, incarnation: `${id}-1` }
  const reach = { kind: 'address', host } as const
  const late = connectTo(bare, [instance(id, { reach })], target, port, { signal: AbortSignal.abort(reason) })
  t.equal(await late.catch((err: unknown) => err), reason)
})
