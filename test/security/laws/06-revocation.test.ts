// Law 6: revocation reaches new requests within 1 s at every door, and ends what is open of that session or user only.
import t from 'tap'
import { rawClient, webSocketBytes } from '../../support/gateway-bytes.ts'
import { hashOf, userRow } from '../../support/gateway-control.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'

const HOST = 'shop.ws.localhost:8090'

t.test('what is taken away is gone at every door with the next request', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const cases: [string, number, (secrets: { parent: string; child: string; token: string }) => void][] = [
    ['the session', 401, ({ child }) => edge.control.gone('session', hashOf(child))],
    ['the parent session', 401, ({ parent }) => edge.control.gone('session', hashOf(parent))],
    ['the user', 401, () => edge.control.gone('user', 'alice')],
    ['the ownership', 404, () => edge.control.route({ ...route, ownerId: 'bob' })],
    ['the workspace', 401, () => edge.control.gone('route', route.workspaceId)],
  ]
  for (const [what, status, take] of cases)
    for (const door of doorsOf(edge)) {
      edge.control.user(userRow('alice'))
      edge.control.route(route)
      const parent = edge.control.session('alice')
      const child = edge.control.child(parent, route.workspaceId, 'shop')
      const token = edge.control.token('alice', ['connect'])
      const request = { host: HOST, headers: [`Cookie: postern_workspace=${child}`, originOf('shop')] }
      const before = await door.try(request)
      t.ok(before.status === 200 || before.status === 101, `${what}: open at ${door.name}`)
      take({ parent, child, token })
      t.equal((await door.try(request)).status, status, `${what}: shut at ${door.name}`)
      edge.control.gone('token', hashOf(token))
      t.equal(
        (await door.try({ host: HOST, headers: [`X-Postern-Token: ${token}`] })).status,
        401,
        `its token at ${door.name}`,
      )
    }
})

t.test('open sockets end with the right that opened them, and no others', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop', {}, 'members')
  const open = async (userId: string) => {
    const parent = edge.control.session(userId)
    const child = edge.control.child(parent, route.workspaceId, 'shop')
    const client = await rawClient(edge.port)
    client.send(
      webSocketBytes({ host: HOST, headers: [`Cookie: postern_workspace=${child}`, originOf('shop')] }),
    )
    await client.received(/101/)
    return { client, parent }
  }
  const [first, second, other] = [await open('alice'), await open('alice'), await open('bob')]
  await edge.control.signOut(hashOf(first.parent))
  await first.client.closed(1000)
  t.notOk(second.client.socket.destroyed, 'another session of the same user lives on')
  edge.control.route({ ...route, ports: [] })
  await other.client.closed(1000)
  t.notOk(second.client.socket.destroyed, 'the port is the owner’s alone now')
  edge.control.gone('user', 'alice')
  await second.client.closed(1000)
})

t.test('an open socket ends for each fact that it stands on', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  type Secrets = { readonly parent: string; readonly child: string; readonly token: string }
  const byCookie = ({ child }: Secrets) => [`Cookie: postern_workspace=${child}`, originOf('shop')]
  const byToken = ({ token }: Secrets) => [`X-Postern-Token: ${token}`]
  const cases: [string, (secrets: Secrets) => string[], (secrets: Secrets) => void][] = [
    ['its session', byCookie, ({ child }) => edge.control.gone('session', hashOf(child))],
    ['the parent session alone', byCookie, ({ parent }) => edge.control.gone('session', hashOf(parent))],
    ['its user', byCookie, () => edge.control.gone('user', 'alice')],
    ['its workspace', byCookie, () => edge.control.gone('route', route.workspaceId)],
    ['its token', byToken, ({ token }) => edge.control.gone('token', hashOf(token))],
    ['the incarnation', byToken, () => edge.control.route({ ...route, incarnation: 'another' })],
  ]
  for (const [what, headers, take] of cases) {
    edge.control.user(userRow('alice'))
    edge.control.route(route)
    const parent = edge.control.session('alice')
    const child = edge.control.child(parent, route.workspaceId, 'shop')
    const secrets = { parent, child, token: edge.control.token('alice', ['connect']) }
    const client = await rawClient(edge.port)
    client.send(webSocketBytes({ host: HOST, headers: headers(secrets) }))
    await client.received(/101/)
    take(secrets)
    await client.closed(1000)
    t.ok(client.socket.destroyed || client.socket.readableEnded, `without ${what} it is closed`)
  }
})
