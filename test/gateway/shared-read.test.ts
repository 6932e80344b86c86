/** Joined sockets read into one buffer for all: on every Node that is supported, and no byte is another's or lost. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import { type Duplex, PassThrough } from 'node:stream'
import { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { readShared } from '../../gateway/shared-read.ts'
import { splice } from '../../gateway/upgrade.ts'

async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A relay that joins each of its connections with one to `port`. */
const relay = (t: Test, port: number): Promise<number> =>
  listening(
    t,
    createServer({ allowHalfOpen: true }, (socket) =>
      splice(socket, connect({ port, host: '127.0.0.1', allowHalfOpen: true })),
    ),
  )

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

async function bytesOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

t.test('plain sockets of a server and of a client, none else', async (t) => {
  const server = createServer()
  const port = await listening(t, server)
  const accepted = once(server, 'connection')
  const client = connect(port, '127.0.0.1')
  const [socket] = (await accepted) as [Socket]
  t.teardown(() => client.destroy())
  const read: string[] = []
  const reader = function (this: Duplex, length: number, buffer: Buffer): boolean {
    read.push(buffer.toString('latin1', 0, length))
    return true
  }
  socket.unshift('early')
  t.notOk(readShared(socket, reader), 'what was read already would be lost')
  t.equal(String(socket.read()), 'early')
  t.ok(readShared(socket, reader), 'this Node has the place')
  t.ok(readShared(client, reader))
  socket.resume()
  client.resume()
  const ends = Promise.all([once(socket, 'close'), once(client, 'close')])
  client.write('to the server')
  socket.end('to the client')
  await ends
  t.same(read.sort(), ['to the client', 'to the server'])
  t.notOk(readShared(new PassThrough(), reader))
  t.notOk(readShared(new TLSSocket(new Socket()), reader))
  t.notOk(readShared(new Socket(), reader), 'not connected')
})

t.test('many pairs at once, each way its own bytes', async (t) => {
  const echo = await listening(
    t,
    createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket)),
  )
  const port = await relay(t, echo)
  const sent = Array.from({ length: 40 }, (_, i) => randomBytes(1000 + i * 50_000))
  const got = await Promise.all(
    sent.map(async (bytes) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      await once(socket, 'connect')
      for (let at = 0; at < bytes.length; at += 7919) socket.write(bytes.subarray(at, at + 7919))
      socket.end()
      return hash(await bytesOf(socket))
    }),
  )
  t.same(got, sent.map(hash))
})

t.test('what waits for a slow reader is not written over by what others read meanwhile', async (t) => {
  const all = randomBytes(8_000_000)
  const app = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end(all)
  })
  const port = await relay(t, await listening(t, app))
  const open = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'readable')
    return socket
  }
  const slow = await Promise.all(Array.from({ length: 5 }, open))
  for (let i = 0; i < 5; i++) t.equal(hash(await bytesOf(await open())), hash(all))
  for (const socket of slow) t.equal(hash(await bytesOf(socket)), hash(all))
})

t.test('a reader who stops stops the sender, and loses nothing', async (t) => {
  const all = randomBytes(30_000_000)
  let taken = 0
  const app = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end(all, () => (taken = all.length))
  })
  const port = await relay(t, await listening(t, app))
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'readable')
  const first = socket.read(100) as Buffer
  t.equal(taken, 0, 'not all of it is on its way')
  const rest = await bytesOf(socket)
  t.equal(hash(Buffer.concat([first, rest])), hash(all))
})

t.test('an end by force is the end of both', async (t) => {
  const server = createServer()
  const accepted = once(server, 'connection')
  const port = await relay(t, await listening(t, server))
  const socket = connect(port, '127.0.0.1')
  const [app] = (await accepted) as [Socket]
  const closed = once(app, 'close')
  app.on('error', () => undefined)
  app.write('x')
  await once(socket, 'data')
  socket.resetAndDestroy()
  app.resume()
  await closed
  t.ok(app.destroyed)
})
