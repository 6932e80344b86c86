// Cases of bytes under way: at once or held back, slow readers, sides that leave, answers before the end of the question.
import type { Case, Stage } from './torture-case.ts'
import type { TortureClient } from './torture-client.ts'
import { ACCEPTS, accepting, asks, opened } from './torture-upgrades.ts'
import type { Arrived, Connection } from './torture-upstream.ts'
import { until } from './until.ts'

const HEAD = 'Host: {host}\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
/** More than the buffers of both connections hold, which the kernel lets grow to 36 MB. */
const BULK = Buffer.alloc(48 << 20, 'b')
const PIECE = 1 << 18
/** What a front holds is its own affair: behind one, only that all arrives. */
const bulkOf = ({ front }: Stage): Buffer => (front === 'bare' ? BULK : BULK.subarray(0, 16 << 20))

/** In pieces, so that what has left can be told from what waits. */
function writeBulk(socket: Connection['socket'], bulk: Buffer): void {
  for (let at = 0; at < bulk.length; at += PIECE) socket.write(bulk.subarray(at, at + PIECE))
}

const arrived = (stage: Stage): Promise<Arrived> =>
  until(() => stage.upstream.requests[0], { everyMs: 2, what: 'a request at the app' })

/** Waits until no more bytes leave a side that has much to send; without a front, some must still wait there. */
async function held(stage: Stage, socket: Connection['socket']): Promise<void> {
  let before = -1
  await until(
    () => {
      const isSame = socket.writableLength === before
      before = socket.writableLength
      return isSame
    },
    { everyMs: 150, what: 'a sender to stand still' },
  )
  stage.ok(before > 0 || stage.front !== 'bare', 'nothing is held back')
}

/** Counts what comes from now on instead of keeping it. */
function counted(socket: Connection['socket']): { bytes: number } {
  const count = { bytes: 0 }
  socket.removeAllListeners('data')
  socket.on('data', (text: string) => (count.bytes += text.length))
  return count
}

const atOnce: readonly Case[] = [
  {
    name: 'an event leaves at once',
    app: {
      onWhole: ({ connection }) =>
        void connection.socket.write(
          'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
        ),
    },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(`GET /a HTTP/1.1\r\n${HEAD}Accept: text/event-stream\r\n\r\n`))
      const { connection } = await arrived(stage)
      await until(() => client.answers.length === 1, { everyMs: 2, what: 'the head before any event' })
      for (const nth of [1, 2, 3]) {
        connection.socket.write(`9\r\ndata: ${nth}\n\n\r\n`)
        await until(() => client.answers[0]?.body.endsWith(`data: ${nth}\n\n`), {
          everyMs: 2,
          what: `event ${nth}`,
        })
      }
      connection.socket.write('0\r\n\r\n')
      await client.answered(1)
    },
  },
  {
    name: 'a head leaves before its body',
    app: {
      onWhole: ({ connection }) =>
        void connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'),
    },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(`GET /a HTTP/1.1\r\n${HEAD}\r\n`))
      const { connection } = await arrived(stage)
      await until(() => client.answers.length === 1, { everyMs: 2, what: 'the head' })
      connection.socket.write('ok')
      await client.answered(1)
      stage.same(client.answers[0]?.body, 'ok', 'body')
    },
  },
  {
    name: 'what is sent slowly arrives as it is sent',
    app: { onWhole: ({ connection }) => void connection.socket.write(OK) },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(`POST /a HTTP/1.1\r\n${HEAD}Content-Length: 6\r\n\r\n`))
      for (const sent of ['one', 'onetwo']) {
        client.send(sent.slice(-3))
        await until(() => stage.upstream.requests[0]?.body === sent, { everyMs: 2, what: sent })
      }
      await client.answered(1)
      stage.same(client.answers[0]?.body, 'ok', 'body')
    },
  },
]

const slow: readonly Case[] = [
  {
    name: 'a visitor who doesn’t read slows its app down, and nobody else',
    app: {},
    async play(stage) {
      const bulk = bulkOf(stage)
      const client = await stage.client()
      client.send(stage.fill(`GET /a HTTP/1.1\r\n${HEAD}\r\n`))
      const { connection } = await arrived(stage)
      connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bulk.length}\r\n\r\nb`)
      client.socket.pause()
      writeBulk(connection.socket, bulk.subarray(1))
      await held(stage, connection.socket)
      await stage.honest()
      client.socket.resume()
      await client.answered(1)
      stage.same(client.answers[0]?.bodyBytes, bulk.length, 'what arrives in the end')
    },
  },
  {
    name: 'an app that doesn’t read slows its visitor down, and nobody else',
    app: { onHead: ({ connection, path }) => void (path === '/a' && connection.socket.pause()) },
    async play(stage) {
      const bulk = bulkOf(stage)
      const client = await stage.client()
      client.send(stage.fill(`POST /a HTTP/1.1\r\n${HEAD}Content-Length: ${bulk.length + 1}\r\n\r\nb`))
      // The engine sends a head together with the first byte of its body.
      const request = await arrived(stage)
      writeBulk(client.socket, bulk)
      await held(stage, client.socket)
      await stage.honest()
      const { socket } = request.connection
      const before = request.bodyBytes
      const count = counted(socket)
      socket.resume()
      await until(() => before + count.bytes === bulk.length + 1, { timeoutMs: 20_000, what: 'all of it' })
      socket.write(OK)
      await client.answered(1)
    },
  },
  ...(['visitor', 'app'] as const).map((slowOne): Case => ({
    name: `a WebSocket whose ${slowOne} doesn’t read`,
    app: accepting(),
    async play(stage) {
      const { client, app } = await opened(stage)
      const [reader, writer] =
        slowOne === 'visitor' ? [client.socket, app.socket] : [app.socket, client.socket]
      reader.pause()
      const bulk = bulkOf(stage)
      writeBulk(writer, bulk)
      await held(stage, writer)
      const count = counted(reader)
      reader.resume()
      await until(() => count.bytes === bulk.length, { timeoutMs: 20_000, what: 'all of it' })
    },
  })),
]

/** A visitor who leaves at some point: the app's connection ends. */
const visitorLeaves = (
  name: string,
  begin: (stage: Stage, client: TortureClient) => Promise<void>,
  app: Case['app'] = {},
): Case[] =>
  (['destroy', 'resetAndDestroy'] as const).map((how) => ({
    name: `a visitor who leaves ${name} (${how}) frees the app`,
    app,
    async play(stage: Stage) {
      const client = await stage.client()
      await begin(stage, client)
      const { connection } = await arrived(stage)
      client.socket[how]()
      await until(() => connection.ended || connection.closed, { what: 'the end at the app' })
      await stage.honest()
    },
  }))
const leaves: readonly Case[] = [
  ...visitorLeaves('while it waits', async (stage, client) => {
    client.send(stage.fill(`GET /a HTTP/1.1\r\n${HEAD}\r\n`))
    await arrived(stage)
  }),
  ...visitorLeaves('before its upgrade is answered', async (stage, client) => {
    client.send(stage.fill(asks()))
    await arrived(stage)
  }),
  ...visitorLeaves('while it sends', async (stage, client) => {
    client.send(stage.fill(`POST /a HTTP/1.1\r\n${HEAD}Content-Length: 100000\r\n\r\nsome`))
    await arrived(stage)
  }),
  ...visitorLeaves(
    'while it reads',
    async (stage, client) => {
      client.send(stage.fill(`GET /a HTTP/1.1\r\n${HEAD}\r\n`))
      await until(() => (client.answers[0]?.bodyBytes ?? 0) > 0, { everyMs: 2 })
    },
    {
      onWhole: ({ connection }) =>
        void connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${'p'.repeat(9000)}`),
    },
  ),
  {
    name: 'a visitor’s end before its answer is its leaving',
    app: {},
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(`GET /a HTTP/1.1\r\n${HEAD}\r\n`))
      const { connection } = await arrived(stage)
      client.socket.end()
      await until(() => connection.ended || connection.closed, { what: 'the end at the app' })
      await stage.honest()
    },
  },
  ...(['end', 'resetAndDestroy'] as const).map((how): Case => ({
    name: `an app that leaves while it is sent to (${how})`,
    app: { onHead: ({ connection, path }) => void (path === '/a' && connection.socket[how]()) },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(`POST /a HTTP/1.1\r\n${HEAD}Content-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`))
      await client.answered(1)
      stage.same(
        client.answers.map(({ line }) => line.slice(9, 12)),
        ['502'],
        'the answer',
      )
      await stage.honest()
    },
  })),
]

const early: readonly Case[] = ([1000, 3_000_000] as const).map((sent): Case => ({
  name: `an answer before the end of the question, ${sent} bytes of which are sent`,
  app: {
    onHead: ({ connection, path }) => {
      if (path !== '/a') return
      connection.socket.pause()
      connection.socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge')
    },
  },
  async play(stage) {
    const client = await stage.client()
    client.send(stage.fill(`POST /a HTTP/1.1\r\n${HEAD}Content-Length: 10000000\r\n\r\n`) + 'x'.repeat(sent))
    await client.answered(1)
    stage.same(
      client.answers.map(({ line, body }) => [line.slice(9, 12), body]),
      [['413', 'large']],
      'the answer',
    )
    const { connection } = await arrived(stage)
    connection.socket.resume()
    await until(() => connection.ended || connection.closed, { what: 'the end at the app' })
    await stage.honest()
  },
}))

const addresses: readonly Case[] = [
  {
    name: 'an app on IPv6',
    upstreamHost: '::1',
    send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['GET /a'],
    kept: true,
  },
  {
    name: 'a WebSocket of an app on IPv6',
    upstreamHost: '::1',
    app: {
      onHead: ({ connection, path }) =>
        void (path === '/ws' && connection.socket.write(`${ACCEPTS}\r\nhello`)),
    },
    async play(stage) {
      const { client } = await opened(stage)
      await until(() => client.reader.tunnel === 'hello', { everyMs: 2 })
    },
  },
]

export const streamCases: readonly Case[] = [...atOnce, ...slow, ...leaves, ...early, ...addresses]
