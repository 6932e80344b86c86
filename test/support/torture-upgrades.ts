// Cases of upgrades (RFC 9110 §7.8, RFC 6455 §4): the two that are joined, the one that is refused, the one that is no WebSocket.
import type { Case, Stage, Told } from './torture-case.ts'
import type { TortureClient } from './torture-client.ts'
import { valuesOf } from './torture-messages.ts'
import type { Connection, Script } from './torture-upstream.ts'
import { until } from './until.ts'

const HEAD = 'Host: {host}\r\n'
const KEY = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n'
/** The head of a WebSocket's request. */
export const asks = (more = '', path = '/ws'): string =>
  `GET ${path} HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n${KEY}${more}\r\n`
export const ACCEPTS =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n'

/** More than lies in the buffers on the way. */
const MUCH = Buffer.alloc((24 << 20) + 5000, 'z')

/** Takes one piece in a turn, so that its buffers are always full. */
function readSlowly({ socket }: TortureClient): void {
  socket.on('data', () => {
    socket.pause()
    setImmediate(() => socket.resume())
  })
  socket.resume()
}

/** Says yes, and what it says beside it at once. */
export const accepting = (early = '', fields = ''): Script => ({
  onHead: ({ connection, line }) => {
    if (line.startsWith('GET /ws')) connection.socket.write(`${ACCEPTS}${fields}\r\n${early}`, 'latin1')
  },
  onWhole: ({ connection }) => void connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
  // So that the app's half stays open after the visitor's end.
  onConnection: ({ socket }) => void socket.resume(),
})

/** Opens one; both ends of it. */
export async function opened(stage: Stage, early = ''): Promise<{ client: TortureClient; app: Connection }> {
  const client = await stage.client()
  client.send(stage.fill(asks()) + early)
  await client.answered(1)
  stage.same(
    client.answers.map(({ line }) => line.slice(9, 12)),
    ['101'],
    'the app said yes',
  )
  const app = stage.upstream.requests.find(({ path }) => path === '/ws')?.connection
  if (app === undefined) throw new Error('nothing came to the app')
  return { client, app }
}

const joined: readonly Case[] = [
  {
    name: 'what is said early arrives first, both ways, byte for byte',
    app: accepting(
      `early from the app\x00\xff${'a'.repeat(70_000)}`,
      'Sec-WebSocket-Protocol: b\r\nX-App: 1\r\nx-app: 2\r\nContent-Length: 5\r\nKeep-Alive: x\r\n',
    ),
    async play(stage) {
      const { client, app } = await opened(stage, `early from the visitor\x00\xff${'v'.repeat(70_000)}`)
      await until(() => client.reader.tunnel.length === 70_020 && app.reader.tunnel.length === 70_024, {
        what: 'early bytes',
      })
      stage.ok(client.reader.tunnel.startsWith('early from the app\x00\xffaaa'), 'what the visitor got')
      stage.ok(app.reader.tunnel.startsWith('early from the visitor\x00\xffvvv'), 'what the app got')
      const [answer] = client.answers
      const [request] = stage.upstream.requests
      if (answer === undefined || request === undefined) return
      stage.same(
        [valuesOf(answer, 'connection'), valuesOf(answer, 'upgrade').map((name) => name.toLowerCase())]
          .flat()
          .map((text) => text.toLowerCase()),
        ['upgrade', 'websocket'],
        'the answer’s upgrade',
      )
      stage.same(
        [valuesOf(request, 'upgrade').length, valuesOf(request, 'connection').length],
        [1, 1],
        'the request’s upgrade',
      )
      stage.same(valuesOf(request, 'sec-websocket-key'), ['dGhlIHNhbXBsZSBub25jZQ=='], 'the key')
      stage.same(
        [
          valuesOf(answer, 'x-app'),
          valuesOf(answer, 'sec-websocket-protocol'),
          valuesOf(answer, 'content-length'),
          valuesOf(answer, 'keep-alive'),
        ],
        [['1', '2'], ['b'], [], []],
        'fields of the answer',
      )
      app.socket.write('later', 'latin1')
      client.send('later')
      await until(() => client.reader.tunnel.endsWith('later') && app.reader.tunnel.endsWith('later'), {
        what: 'later bytes',
      })
    },
  },
  {
    name: 'half-close: the visitor says its last, the app much more',
    app: accepting(),
    async play(stage) {
      const { client, app } = await opened(stage)
      client.socket.pause()
      client.socket.end('bye')
      await until(() => app.ended && app.reader.tunnel === 'bye', { what: 'the visitor’s end at the app' })
      app.socket.end(MUCH)
      readSlowly(client)
      await client.over()
      stage.same(client.reader.tunnel.length, MUCH.length, 'bytes after the visitor’s end')
      stage.same(client.broken, false, 'the visitor’s connection broke')
      await until(() => app.closed, { what: 'the end of the app’s connection' })
    },
  },
  {
    name: 'half-close: the app says its last, the visitor more',
    app: accepting(),
    async play(stage) {
      const { client, app } = await opened(stage)
      client.socket.removeAllListeners('end')
      const ended = new Promise((resolve) => client.socket.once('end', resolve))
      app.socket.end('bye')
      await ended
      stage.same(client.reader.tunnel, 'bye', 'what the app said')
      client.socket.end(MUCH)
      await until(() => app.reader.tunnel.length === MUCH.length && app.closed, {
        what: 'what the visitor said after',
      })
    },
  },
  ...(['end', 'destroy', 'resetAndDestroy'] as const).flatMap((how): Case[] => [
    {
      name: `a visitor who leaves (${how}) frees the app`,
      app: accepting(),
      async play(stage) {
        const { client, app } = await opened(stage)
        client.socket[how]()
        await until(() => app.ended || app.closed, { what: 'the app to be told' })
        app.socket.end()
        await until(() => app.closed, { what: 'the end of the app’s connection' })
      },
    },
    {
      name: `an app that leaves (${how}) frees the visitor`,
      app: accepting(),
      async play(stage) {
        const { client, app } = await opened(stage)
        app.socket[how]()
        await client.over()
      },
    },
  ]),
]

const refused = (name: string, says: string, more: Partial<Told>): Case => ({
  name: `refused: ${name}`,
  app: { onHead: ({ connection }) => void connection.socket.write(says, 'latin1') },
  send: asks(),
  statuses: [403],
  lines: ['GET /ws'],
  ...more,
})
const refusals: readonly Case[] = [
  refused(
    'with a body of known length',
    'HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 4\r\n\r\nwhy?',
    { body: 'why?', answerHas: ['X-Why: no'] },
  ),
  refused(
    'with a body in chunks',
    'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n2\r\ny?\r\n0\r\n\r\n',
    { body: 'why?' },
  ),
  refused(
    'without a body',
    'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13, 8\r\nContent-Length: 0\r\n\r\n',
    { statuses: [426], answerHas: ['Sec-WebSocket-Version: 13, 8'] },
  ),
  refused('by a redirect', 'HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n', {
    statuses: [302],
    answerHas: ['Location: /elsewhere'],
  }),
  refused('by a 200', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', { statuses: [200], body: 'ok' }),
  refused('half said', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 400\r\n\r\nwhy?', {
    cut: true,
    app: {
      onHead: ({ connection }) =>
        void connection.socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 400\r\n\r\nwhy?'),
    },
  }),
  refused('not HTTP', 'hello\r\n\r\n', { statuses: [502], body: /upstream_bad_answer/ }),
  refused(
    'switched to something else',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n',
    { statuses: [502], body: /upstream_bad_answer/ },
  ),
  refused('switched to nothing', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', {
    statuses: [502],
    body: /upstream_bad_answer/,
  }),
  refused('the app leaves', '', {
    statuses: [502],
    body: /upstream_/,
    app: { onHead: ({ connection }) => void connection.socket.resetAndDestroy() },
  }),
]

const denied = (name: string, send: string, status: number): Case => ({
  name: `denied: ${name}`,
  send,
  refusal: true,
  statuses: [status],
  lines: [],
})
const denials: readonly Case[] = [
  denied('two Hosts', asks('Host: evil.example\r\n'), 400),
  denied('a fragment', asks('', '/ws#x'), 400),
  denied('a loop', asks('Via: 1.1 postern, 1.1 postern, 1.1 postern, 1.1 postern\r\n'), 508),
  denied('3000 fields', asks('a: 1\r\n'.repeat(3000)), 431),
  denied('a foreign host', asks().replace('{host}', 'evil.example'), 421),
  denied('a host that is not there', asks().replace('{host}', 'no-such-thing.ws.localhost'), 401),
]

/** An upgrade that the edge takes for a plain request. */
const plain = (name: string, send: string, line: string, more: Partial<Told> = {}): Case => ({
  name: `plain: ${name}`,
  send,
  statuses: [200],
  lines: [line],
  requestLacks: /^upgrade|http2-settings|h2c/i,
  kept: true,
  ...more,
})
const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'
const reinjected: readonly Case[] = [
  plain('h2c', `GET /a HTTP/1.1\r\n${HEAD}${H2C}X-Aa: 1\r\nx-aa: 2\r\n\r\n`, 'GET /a', {
    requestHas: ['X-Aa: 1', 'x-aa: 2'],
  }),
  plain('h2c with a body', `POST /a HTTP/1.1\r\n${HEAD}${H2C}Content-Length: 5\r\n\r\nhello`, 'POST /a', {
    requestBody: 'hello',
  }),
  plain(
    'h2c with chunks',
    `POST /a HTTP/1.1\r\n${HEAD}${H2C}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    'POST /a',
    { requestBody: 'hello' },
  ),
  plain(
    'something else',
    `GET /a HTTP/1.1\r\n${HEAD}Connection: upgrade, keep-alive\r\nUpgrade: foo/1\r\n\r\n`,
    'GET /a',
  ),
  plain(
    'a list',
    `GET /a HTTP/1.1\r\n${HEAD}Connection: upgrade\r\nUpgrade: websocket, h2c\r\n${KEY}\r\n`,
    'GET /a',
  ),
  plain('a WebSocket by POST', asks('Content-Length: 2\r\n').replace('GET', 'POST') + 'hi', 'POST /ws', {
    requestBody: 'hi',
  }),
  plain('a WebSocket with a body', `${asks('Content-Length: 2\r\n')}hi`, 'GET /ws', { requestBody: 'hi' }),
  plain('a WebSocket of HTTP/1.0', asks().replace('HTTP/1.1', 'HTTP/1.0'), 'GET /ws', { kept: false }),
  plain(
    'Upgrade without Connection',
    `GET /ws HTTP/1.1\r\n${HEAD}Upgrade: websocket\r\n${KEY}\r\n`,
    'GET /ws',
  ),
  plain(
    'more requests behind it',
    `GET /a HTTP/1.1\r\n${HEAD}${H2C}\r\nGET /b HTTP/1.1\r\n${HEAD}\r\n`,
    'GET /a',
    { statuses: [200, 200], lines: ['GET /a', 'GET /b'] },
  ),
]

export const upgradeCases: readonly Case[] = [...joined, ...refusals, ...denials, ...reinjected]
