// A gateway that ends: what is under way is answered, what is idle may still ask once, sockets get time and then a FIN.
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { ACCEPTED, ask, OK, rawClient, requestBytes, webSocketBytes } from '../support/gateway-bytes.ts'
import { startEdge } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

const keepAlive = ['Connection: keep-alive']
const DRAIN_MS = 4000

t.test(
  'requests in flight are answered, idle connections are heard once more, new ones refused',
  async (t) => {
    let answer = (): void => undefined
    const edge = await startEdge(t, {
      script: ({ head, socket }) => {
        if (!head.includes('/slow')) return void socket.write(OK)
        answer = () => void socket.write(OK)
      },
    })
    edge.workspace('shop', {}, 'public')
    const at = { host: 'shop.ws.localhost', headers: keepAlive }
    const [busy, idle] = [await rawClient(edge.port), await rawClient(edge.port)]
    idle.send(requestBytes(at))
    await idle.received(/ok$/)
    t.notMatch(idle.text(), /connection: close/i)
    busy.send(requestBytes({ ...at, path: '/slow' }))
    await until(() => edge.upstream.requests.length === 2)
    const closed = edge.gateway.close(DRAIN_MS)
    const refused = connect({ port: edge.port, host: '127.0.0.1' })
    const [err] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
    t.equal(err.code, 'ECONNREFUSED')
    t.equal((await ask(edge.authzPort, { host: 'x', path: '/readyz' })).status, 503, 'not ready, and says so')
    t.equal((await ask(edge.authzPort, { host: 'x', path: '/healthz' })).status, 200)
    idle.send(requestBytes(at))
    await idle.received(/ok[^]*connection: close[^]*ok$/i)
    await idle.closed()
    answer()
    await busy.received(/200 OK[^]*connection: close[^]*ok$/i)
    await busy.closed()
    await closed
  },
)

t.test('a WebSocket gets time, then a FIN on both sides and no reset', async (t) => {
  let said = ''
  let appEnded = false
  const edge = await startEdge(t, {
    script: ({ socket }) => {
      socket.write(ACCEPTED)
      socket.on('data', (chunk) => {
        said += String(chunk)
        socket.write('pong')
      })
      socket.on('end', () => (appEnded = true))
    },
  })
  edge.workspace('shop', {}, 'public')
  const client = await rawClient(edge.port)
  const errors: string[] = []
  client.socket.on('error', (err: NodeJS.ErrnoException) => void errors.push(err.code ?? ''))
  client.send(
    webSocketBytes({ host: 'shop.ws.localhost', headers: ['Origin: http://shop.ws.localhost:8090'] }),
  )
  await client.received(/101 Switching/)
  const closed = edge.gateway.close(DRAIN_MS)
  const beganMs = performance.now()
  client.send('still here')
  await client.received(/pong/)
  await once(client.socket, 'end')
  const ms = performance.now() - beganMs
  t.ok(ms > DRAIN_MS / 2 - 200, `it had ${Math.round(ms)} ms`)
  await client.closed()
  await closed
  t.same(errors, [])
  t.match(said, /still here/)
  await until(() => appEnded, { what: 'the app to hear of it' })
})
