// What a gateway tells control afterwards: who came to whose workspace, and who was refused; counted, bounded, off the path.
import t from 'tap'
import { Activity } from '../../gateway/usage/activity.ts'
import { type EdgeNote, type Identity, NOTES_MAX } from '../../control/wire/index.ts'
import { FakeControl, routeRow, userRow } from '../support/gateway-control.ts'
import { doorsOf, memoryLog, originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'

const HOST = 'shop.ws.localhost:8090'
const seen = (notes: readonly EdgeNote[]): string[] =>
  notes.map(({ kind, userId, workspaceId, count }) => `${kind} ${userId} ${workspaceId} ${count}`).sort()

t.test(
  'through every door: another’s first visit of an hour, never one’s own; refusals counted',
  async (t) => {
    const edge = await startEdge(t, { script: webAndSocket })
    const route = edge.workspace('shop', {}, 'members')
    const secret = edge.workspace('safe')
    const bobs = edge.cookie('bob', route)
    const alices = edge.cookie('alice', route)
    const doors = doorsOf(edge)
    for (const door of doors)
      for (let i = 0; i < 3; i++) {
        const visit = (cookie: string) => ({ host: HOST, headers: [`Cookie: ${cookie}`, originOf('shop')] })
        t.equal((await door.try(visit(bobs))).status < 300, true, `bob at ${door.name}`)
        t.equal((await door.try(visit(alices))).status < 300, true, `alice at ${door.name}`)
        await door.try({ host: 'safe.ws.localhost:8090', headers: [`Cookie: ${edge.cookie('bob', secret)}`] })
        await door.try({ host: 'nowhere.ws.localhost:8090', headers: [] })
      }
    await edge.gateway.close(0)
    const times = 3 * doors.length
    t.same(
      seen(edge.control.notes),
      [
        `connected bob ${route.workspaceId} 1`,
        `not-found bob ${secret.workspaceId} ${times}`,
        `sign-in   ${times}`,
      ].sort(),
    )
    const [visit] = edge.control.notes.filter(({ kind }) => kind === 'connected')
    t.match(visit, { port: edge.upstream.port, origin: { ip: '127.0.0.1' } })
    t.match(visit?.sessionHash, /^[0-9a-f]{64}$/)
    t.notMatch(JSON.stringify(edge.control.notes), new RegExp(bobs.split('=')[1] ?? '-'), 'no secret')
  },
)

const bob: Identity = { kind: 'session', user: userRow('bob'), sessionHash: 'b' }
const origin = { ip: '192.0.2.1', userAgent: '', requestId: 'r' }

t.test('a new hour is news; floods stay within bounds and are counted', async (t) => {
  const control = new FakeControl()
  let nowMs = 1e12
  const activity = new Activity(control, memoryLog(), () => nowMs)
  const route = routeRow('shop')
  t.equal(activity.isNews(bob, route, nowMs), true)
  t.equal(activity.isNews(bob, route, (nowMs += 3_599_999)), false)
  t.equal(activity.isNews(bob, route, (nowMs += 1)), true)
  for (let i = 0; i < 10_000; i++) activity.denied('not-found', `u${i}`, 'w', () => origin)
  for (let i = 0; i < 50_000; i++)
    if (activity.isNews({ kind: 'session', user: userRow('bob'), sessionHash: `s${i}` }, route, nowMs))
      activity.visited(bob, route, 80, origin)
  await activity.flush()
  t.ok(control.notes.length <= NOTES_MAX, 'a batch is no larger than control takes')
  t.equal(
    control.notes.reduce((sum, { kind, count }) => sum + (kind === 'not-found' ? count : 0), 0),
    10_000,
    'each is counted',
  )
  await activity.close()
})

t.test('what control can’t take is told when it can', async (t) => {
  const control = new FakeControl()
  const log = memoryLog()
  const activity = new Activity(control, log, Date.now)
  control.failure = new Error('away')
  activity.denied('origin', 'bob', 'w', () => origin)
  activity.visited(bob, routeRow('shop'), 80, origin)
  await activity.flush()
  activity.denied('origin', 'bob', 'w', () => origin)
  await activity.flush()
  t.equal(log.lines.length, 1, 'one line when it begins')
  control.failure = null
  await activity.close()
  t.same(seen(control.notes), ['connected bob id0000shop 1', 'origin bob w 2'])
})
