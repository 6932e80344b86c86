// That a session is in use is told to control from every door, once a minute, also while only a stream is open.
import t from 'tap'
import type { LiveStream } from '../../gateway/sockets.ts'
import { LiveSet } from '../../gateway/sockets.ts'
import { Table } from '../../gateway/facts/table.ts'
import { hashOf } from '../support/gateway-control.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'

t.test('each door tells of a session’s use, once a minute; a token’s and nobody’s is not told', async (t) => {
  let nowMs = Date.now()
  for (const { name } of doorsOf(await startEdge(t))) {
    const edge = await startEdge(t, { script: webAndSocket })
    edge.control.nowMs = () => nowMs
    const door = doorsOf(edge).find((each) => each.name === name)
    const route = edge.workspace('shop')
    const child = edge.control.child(edge.control.session('alice'), route.workspaceId, 'shop')
    const host = 'shop.ws.localhost:8090'
    const visit = (headers: readonly string[]) => door?.try({ host, headers: [...headers, originOf('shop')] })
    await visit([])
    await visit([`X-Postern-Token: ${edge.control.token('alice', ['connect'])}`])
    t.same(edge.control.used, [], name)
    for (let n = 0; n < 3; n++) await visit([`Cookie: postern_workspace=${child}`])
    t.same(edge.control.used, [hashOf(child)], `${name}: once`)
    nowMs += 61_000
    await visit([`Cookie: postern_workspace=${child}`])
    t.equal(edge.control.used.length, 2, `${name}: again a minute later`)
    edge.control.failure = new Error('away')
    nowMs += 61_000
    const answer = await visit([`Cookie: postern_workspace=${child}`])
    t.ok(answer?.status === 200 || answer?.status === 101, `${name}: nobody waits for it`)
    edge.control.failure = null
  }
})

t.test('open streams are in use', async (t) => {
  const live = new LiveSet(new Table(Date.now), Date.now)
  const stream = (kind: 'session' | 'token', hash: string, userId = 'alice'): LiveStream => ({
    credential: { kind, hash },
    place: { kind: 'dashboard' },
    workspaceId: '',
    incarnation: '',
    port: 0,
    userId,
    byOrigin: null,
    revoke: () => undefined,
  })
  const first = stream('session', 'one')
  live.addSocket(first)
  live.add(stream('session', 'two'))
  live.addSocket(stream('token', 'three'))
  live.addSocket(stream('session', 'guest', ''))
  t.same(
    [...live.sessions()].sort((a, b) => (a < b ? -1 : 1)),
    ['one', 'two'],
  )
  live.delete(first)
  t.same([...live.sessions()], ['two'])
})
