// Law 2: one decision for HTTP, Upgrade and forward auth; every case of the matrix goes through every door.
import t from 'tap'
import type { EdgeRoute } from '../../../control/wire/index.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'

type Who = 'nobody' | 'alice' | 'bob' | 'root'
type Verdict = 'yes' | 401 | 404 | 503
const everybody: readonly Who[] = ['nobody', 'alice', 'bob', 'root']

/** What each visibility gives to: nobody, its owner, another member, an administrator. */
const running: Readonly<Record<string, readonly Verdict[]>> = {
  owner: [401, 'yes', 404, 404],
  shared: [401, 'yes', 404, 404],
  link: [401, 'yes', 404, 404],
  members: [401, 'yes', 'yes', 'yes'],
  public: ['yes', 'yes', 'yes', 'yes'],
}

t.test('who may open what is the same at every door', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const doors = doorsOf(edge)
  const judge = async (route: EdgeRoute, label: string, who: Who, expected: Verdict, what: string) => {
    const token = who === 'nobody' ? [] : [`X-Postern-Token: ${edge.control.token(who, ['connect'])}`]
    const cookie = who === 'nobody' ? [] : [`Cookie: ${edge.cookie(who, route, label)}`]
    for (const door of doors)
      for (const credential of who === 'nobody' ? [[]] : [cookie, token]) {
        const host = `${label}.ws.localhost:8090`
        const { status } = await door.try({ host, headers: [...credential, originOf(label)] })
        const yes = door.name === 'upgrade' ? 101 : 200
        t.equal(status, expected === 'yes' ? yes : expected, `${what} for ${who} at ${door.name}`)
      }
  }
  for (const [visibility, verdicts] of Object.entries(running)) {
    const route = edge.workspace(`ws-${visibility}`, {}, visibility as 'owner')
    for (const [i, who] of everybody.entries())
      await judge(route, route.name, who, verdicts[i] ?? 404, visibility)
  }
  const open = edge.workspace('undeclared', { ports: [] })
  const label = `undeclared-${edge.upstream.port}`
  for (const [i, who] of everybody.entries())
    await judge(
      open,
      label,
      who,
      (['yes', 401, 404] as const)[who === 'alice' ? 0 : i === 0 ? 1 : 2],
      'an undeclared port',
    )
  const stopped = edge.workspace('stopped', { phase: 'stopped' })
  for (const [i, who] of everybody.entries())
    await judge(
      stopped,
      'stopped',
      who,
      ([503, 401, 404] as const)[who === 'alice' ? 0 : i === 0 ? 1 : 2],
      'a stopped workspace',
    )
  const trashed = edge.workspace('trashed', { phase: 'trashed' }, 'public')
  for (const [i, who] of everybody.entries())
    await judge(
      trashed,
      'trashed',
      who,
      ([503, 401, 404] as const)[who === 'alice' ? 0 : i === 0 ? 1 : 2],
      'the trash',
    )
})

t.test('what is not there is as what is not yours, at every door', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop')
  const token = `X-Postern-Token: ${edge.control.token('bob', ['admin'])}`
  for (const door of doorsOf(edge)) {
    const without = (text: string) =>
      text
        .replace(/"requestId":"\w+"/, '')
        .replace(/Content-Length: \d+/i, '')
        .replace(/Date: .*/, '')
    const theirs = await door.try({ host: 'shop.ws.localhost', headers: [token] })
    const absent = await door.try({ host: 'nix.ws.localhost', headers: [token] })
    t.equal(theirs.status, 404, door.name)
    t.equal(without(theirs.head), without(absent.head), door.name)
    t.equal(without(theirs.body), without(absent.body), door.name)
    const signedOut = await door.try({ host: 'nix.ws.localhost' })
    t.equal(signedOut.status, 401, `${door.name}: signed out, it is the sign-in`)
  }
})

t.test('the host is the same in every spelling, and nothing else is a host', async (t) => {
  const edge = await startEdge(t)
  const route = edge.workspace('shop')
  const headers = [`X-Postern-Token: ${edge.control.token('alice', ['connect'])}`]
  const [http, , authz] = doorsOf(edge)
  for (const door of [http, authz])
    for (const host of [
      'shop.ws.localhost',
      'SHOP.ws.LOCALHOST',
      'shop.ws.localhost.',
      'shop.ws.localhost:8090',
    ])
      t.equal((await door?.try({ host, headers }))?.status, 200, `${door?.name} ${host}`)
  for (const door of doorsOf(edge))
    for (const host of [
      'shop.ws.localhost.evil',
      'evilshop.ws.localhost@x',
      'shop..ws.localhost',
      'a.shop.ws.localhost',
      'shopxws.localhost',
      'shop-0.ws.localhost',
      'shop-65536.ws.localhost',
      'shop-evil.com.ws.localhost',
      'ws.localhost',
      '127.0.0.1',
      'xn--shop.ws.localhost',
    ]) {
      const { status } = await door.try({ host, headers })
      t.ok(status >= 400, `${door.name} ${host}: ${status}`)
    }
  t.equal(route.ownerId, 'alice')
})
