// What control says over its link, put to a gateway's end of it: a revision that goes back, words that are none, a set asked for anew.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { followControl } from '../../gateway/replica/link.ts'
import { memoryLog } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

interface Asking {
  readonly epoch: string | null
  readonly since: string | null
}

const reset = (epoch: string, revision: number) => ({ type: 'reset', epoch, revision, facts: [] })
const apply = (revision: number) => ({ type: 'apply', revision, facts: [] })

t.test('nothing of a link that contradicts itself is taken, and the whole set is asked for', async (t) => {
  const asked: Asking[] = []
  const taken: string[] = []
  // For each connection in turn, what control says on it.
  const says: readonly (readonly unknown[])[] = [
    [reset('a', 5), apply(6), apply(4), apply(7)],
    [reset('a', 8), { type: 'apply', revision: 9 }, apply(10)],
    [reset('a', 9), 'no JSON', apply(11)],
    [reset('b', 1), apply(2)],
  ]
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  server.on('connection', (ws, req) => {
    const { searchParams } = new URL(req.url ?? '/', 'http://x')
    const said = says[asked.length] ?? []
    asked.push({ epoch: searchParams.get('epoch'), since: searchParams.get('since') })
    for (const what of said) ws.send(typeof what === 'string' ? what : JSON.stringify(what))
  })
  const log = memoryLog()
  const link = followControl({
    serverUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: () => 'token',
    onRefused: () => t.fail('refused'),
    onRevoked: () => t.fail('revoked'),
    sink: {
      reset: (epoch, revision) => void taken.push(`${epoch} ${revision}`),
      apply: (revision) => void taken.push(String(revision)),
      heard: () => undefined,
    },
    log,
    random: () => 1,
  })
  await until(() => taken.at(-1) === '2', { what: 'the last word', timeoutMs: 20_000 })
  t.same(taken, ['a 5', '6', 'a 8', 'a 9', 'b 1', '2'])
  t.same(
    asked,
    Array.from({ length: 4 }, () => ({ epoch: null, since: null })),
  )
  // A link that only broke goes on where it was.
  for (const ws of server.clients) ws.terminate()
  await until(() => asked.length === 5)
  t.same(asked[4], { epoch: 'b', since: '2' })
  link.close()
  server.close()
})
