// Cases of answers that are no HTTP, or that break off (RFC 9112 §8): 502 before the head, a visible cut after it.
import { BROKEN, GET, LENIENT, thenLeaves, told } from './torture-answer-said.ts'
import type { Case, Told } from './torture-case.ts'
import { until } from './until.ts'

const broken: readonly Case[] = [
  told(
    'a length and a coding',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    {
      ...BROKEN,
      on: { compat: { statuses: [200], body: 'ok', why: LENIENT } },
    },
  ),
  told(
    'two lengths in an answer',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\nok',
    BROKEN,
  ),
  told('a list of lengths in an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 1\r\n\r\nok', BROKEN),
  told('a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok', BROKEN),
  told(
    'a coding before chunked in an answer',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    BROKEN,
  ),
  told('an unknown coding in an answer', '', {
    ...thenLeaves('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok', 'fin'),
    ...BROKEN,
  }),
  told(
    'chunked twice in an answer',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    BROKEN,
  ),
  told('a folded field in an answer', 'HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok', {
    ...BROKEN,
    on: { compat: { statuses: [200], body: 'ok', why: LENIENT } },
  }),
  told('line feeds alone', 'HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nok', {
    ...BROKEN,
    on: { compat: { statuses: [200], body: 'ok', answerHas: ['X-A: 1'], why: LENIENT } },
  }),
  told(
    'a space before a colon in an answer',
    'HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok',
    BROKEN,
  ),
  told('no HTTP at all', 'hello there\r\n\r\n', BROKEN),
  told('a status of two digits', 'HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok', BROKEN),
  told('a status of four digits', 'HTTP/1.1 2000 High\r\nContent-Length: 2\r\n\r\nok', BROKEN),
  told('another version', 'HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok', {
    ...BROKEN,
    on: { compat: { statuses: [200], body: 'ok', why: LENIENT } },
  }),
  told(
    '101 that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    BROKEN,
  ),
  told('the end instead of an answer', '', { ...thenLeaves('', 'fin'), ...BROKEN, body: /upstream_/ }),
  told('a reset instead of an answer', '', { ...thenLeaves('', 'reset'), ...BROKEN, body: /upstream_/ }),
  told('half a head', '', { ...thenLeaves('HTTP/1.1 200 OK\r\nContent-', 'fin'), ...BROKEN }),
]

const cut = (name: string, says: string, how: 'fin' | 'reset', more: Partial<Told> = {}): Case =>
  told(`cut: ${name}, ${how}`, '', { ...thenLeaves(says, how), cut: true, ...more })
const LONG = 'l'.repeat(3000)
const cuts: readonly Case[] = (['fin', 'reset'] as const).flatMap((how) => [
  cut('a known length', `HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n${LONG}`, how),
  cut(
    'a known length on a connection that ends',
    `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9000\r\n\r\n${LONG}`,
    how,
  ),
  cut('chunks', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n${LONG}\r\n`, how),
  cut(
    'chunks on a connection that ends',
    `HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n${LONG}\r\n`,
    how,
  ),
  cut('within a chunk', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n${LONG}`, how),
  cut(
    'before the end of trailers',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n${LONG}\r\n0\r\nX-A: 1\r\n`,
    how,
  ),
])
const cutByReset: readonly Case[] = [
  {
    name: 'a body that ends with the connection is not whole when that is reset',
    app: { onWhole: ({ connection }) => void connection.socket.write(`HTTP/1.1 200 OK\r\n\r\n${LONG}`) },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(GET))
      // A reset that comes together with the last bytes reads as an end: Node can't tell.
      await until(() => (client.answers[0]?.bodyBytes ?? 0) === LONG.length, { everyMs: 2 })
      stage.upstream.connections[0]?.socket.resetAndDestroy()
      await client.over()
      stage.same(client.answers[0]?.whole, false, 'the answer is whole')
    },
  },
  {
    name: 'a chunk size in an answer that is none',
    app: {
      onWhole: ({ connection }) =>
        void connection.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n'),
    },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(GET))
      await until(() => client.answers[0]?.body === 'ok', { everyMs: 2 })
      stage.upstream.connections[0]?.socket.write('zz\r\n')
      await client.over()
      stage.same(client.answers[0]?.whole, false, 'the answer is whole')
    },
  },
]

export const brokenCases: readonly Case[] = [...broken, ...cuts, ...cutByReset]
