// Law 8: raw header arrays, what Node lets in refused, a pool for one incarnation and port, and no request with a body twice.
import t from 'tap'
import { ask, exchange, OK, rawClient } from '../../support/gateway-bytes.ts'
import { originOf, startEdge } from '../../support/gateway-edge.ts'
import { until } from '../../support/until.ts'

t.test('two workspaces at one address share no connection, nor do two incarnations', async (t) => {
  const edge = await startEdge(t)
  const first = edge.workspace('first')
  const second = edge.workspace('second')
  const get = (label: string, cookie: string) =>
    ask(edge.port, { host: `${label}.ws.localhost`, headers: [`Cookie: ${cookie}`] })
  const [asFirst, asSecond] = [edge.cookie('alice', first), edge.cookie('alice', second)]
  await get('first', asFirst)
  await get('first', asFirst)
  t.equal(edge.upstream.connections(), 1, 'the same workspace’s connection is kept')
  await get('second', asSecond)
  t.equal(edge.upstream.connections(), 2, 'another workspace has one of its own, at the same address')
  edge.control.route({ ...first, incarnation: 'first-2' })
  await get('first', asFirst)
  t.equal(edge.upstream.connections(), 3)
  edge.control.route({ ...first, incarnation: 'first-2', ownerId: 'bob' })
  await until(() => edge.upstream.open() === 1, { what: 'the connections of a former owner to end' })
})

t.test('an app that poisons its connection harms nobody else', async (t) => {
  const edge = await startEdge(t, {
    script: ({ socket }) => void socket.write(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`),
  })
  const route = edge.workspace('shop')
  const headers = [`Cookie: ${edge.cookie('alice', route)}`]
  for (let i = 0; i < 10; i++)
    t.equal((await ask(edge.port, { host: 'shop.ws.localhost', headers })).body, 'ok')
})

t.test('no request with a body is sent twice, whenever the app dies', async (t) => {
  for (const isEarly of [true, false]) {
    let nth = 0
    const edge = await startEdge(t, {
      script: ({ socket, body }) => {
        nth++
        if (nth === 1) return void socket.write(OK)
        if (isEarly) return void socket.resetAndDestroy()
        const wait = setInterval(() => {
          if (body() === '') return
          clearInterval(wait)
          socket.resetAndDestroy()
        }, 2)
      },
    })
    const route = edge.workspace('shop')
    const headers = [`Cookie: ${edge.cookie('alice', route)}`, originOf('shop')]
    await ask(edge.port, { host: 'shop.ws.localhost', headers })
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const before = edge.upstream.requests.length
      const answer = await ask(edge.port, { host: 'shop.ws.localhost', method, headers, body: 'pay' })
      t.equal(answer.status, 502, `${method} ${isEarly ? 'early' : 'late'}`)
      t.equal(edge.upstream.requests.length, before + 1, `${method}: once`)
    }
  }
})

t.test('framing that readers disagree on never reaches an app', async (t) => {
  const edge = await startEdge(t)
  edge.workspace('shop', {}, 'public')
  const codings = [
    'gzip, chunked',
    'chunked, chunked',
    'chunked, identity',
    ' xchunked',
    'chunked;q=1',
    '"chunked"',
    'chunked\r\nTransfer-Encoding: chunked',
    'identity',
  ]
  for (const coding of codings) {
    const answer = await exchange(
      edge.port,
      `POST / HTTP/1.1\r\nHost: shop.ws.localhost\r\nTransfer-Encoding: ${coding}\r\nConnection: close\r\n\r\n0\r\n\r\n`,
    )
    t.ok([400, 501].includes(answer.status), `${coding}: ${answer.status}`)
  }
  const lengths = ['1, 1', '+1', '-1', '1 1', '0x1', '1\r\nContent-Length: 1', '1\r\ncontent-length: 2', '']
  for (const length of lengths) {
    const answer = await exchange(
      edge.port,
      `POST / HTTP/1.1\r\nHost: shop.ws.localhost\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\nx`,
    )
    t.equal(answer.status, 400, JSON.stringify(length))
  }
  const odd = [
    'Content_Length: 5',
    'Transfer.Encoding: chunked',
    'Content-Length : 5',
    ' Host: x',
    'X: a\nY: b',
  ]
  for (const line of odd) {
    const answer = await exchange(
      edge.port,
      `GET / HTTP/1.1\r\nHost: shop.ws.localhost\r\n${line}\r\nConnection: close\r\n\r\n`,
    )
    if (answer.status === 200) t.notMatch(edge.upstream.requests.at(-1)?.head, /_Length|\.Encoding/i, line)
    else t.equal(answer.status, 400, line)
  }
  const before = edge.upstream.requests.length
  const client = await rawClient(edge.port)
  client.send('GET / HTTP/2.0\r\nHost: shop.ws.localhost\r\n\r\n')
  await client.received(/^HTTP\/1\.1 (505|400)/)
  client.socket.destroy()
  t.equal(edge.upstream.requests.length, before)
})
