// Cases of framing (RFC 9112 §6 and §7): what is refused at the door, and what goes through as the one request that it is.
import type { Case, Told } from './torture-case.ts'

/** A request that is refused by whoever sees it first; the app sees nothing of it. */
const refused = (name: string, send: string, more: Partial<Told> = {}): Told => ({
  name,
  send,
  refusal: true,
  statuses: [400],
  lines: [],
  ...more,
})
const HEAD = 'Host: {host}\r\n'
const INNER = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'

/** A chunked body of one chunk. */
const chunked = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

const refusedFramings: readonly Case[] = [
  refused(
    'length and chunked',
    `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ),
  refused(
    'chunked and length',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
  ),
  refused('two lengths', `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc`),
  refused(
    'the same length twice',
    `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 2\r\ncontent-length: 2\r\n\r\nab`,
  ),
  refused('a list of lengths', `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 2, 2\r\n\r\nab`),
  refused('a length with a sign', `POST /a HTTP/1.1\r\n${HEAD}Content-Length: +2\r\n\r\nab`),
  refused('a negative length', `POST /a HTTP/1.1\r\n${HEAD}Content-Length: -2\r\n\r\nab`),
  refused('a hexadecimal length', `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 0x2\r\n\r\nab`),
  refused('an empty length', `POST /a HTTP/1.1\r\n${HEAD}Content-Length: \r\n\r\nab`),
  refused(
    'a length beyond all numbers',
    `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 99999999999999999999999\r\n\r\nab`,
  ),
  refused('coding identity', `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: identity\r\n\r\nab`, {
    statuses: [501],
  }),
  refused('coding xchunked', `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, {
    statuses: [501],
  }),
  refused('chunked twice', `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`),
  refused(
    'two coding fields',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`,
  ),
  refused(
    'a coding before chunked',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    { statuses: [501] },
  ),
  refused(
    'a coding after chunked',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
  ),
  refused(
    'a comma before chunked',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n`,
    { statuses: [501] },
  ),
  refused('chunked in quotes', `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`, {
    statuses: [501],
  }),
  refused(
    'chunked and a vertical tab',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
  ),
  refused(
    'chunked and a no-break space',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n`,
  ),
  refused('chunked on HTTP/1.0', `POST /a HTTP/1.0\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
  refused(
    'a space before the colon',
    `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
  ),
  refused('a space in a field name', `GET /a HTTP/1.1\r\n${HEAD}X A: 1\r\n\r\n`),
  refused('a folded field', `GET /a HTTP/1.1\r\n${HEAD}X-A: 1\r\n  2\r\n\r\n`),
  refused('a fold as the first field', `GET /a HTTP/1.1\r\n X-A: 1\r\n${HEAD}\r\n`),
  refused('a lone line feed in the head', `GET /a HTTP/1.1\r\n${HEAD}X-A: 1\nX-B: 2\r\n\r\n`),
  refused('a lone carriage return in a value', `GET /a HTTP/1.1\r\n${HEAD}X-A: 1\rX-B: 2\r\n\r\n`),
  refused('a NUL in a value', `GET /a HTTP/1.1\r\n${HEAD}X-A: 1\x002\r\n\r\n`),
  refused('a NUL in a name', `GET /a HTTP/1.1\r\n${HEAD}X\x00A: 1\r\n\r\n`),
  refused('a field without a colon', `GET /a HTTP/1.1\r\n${HEAD}X-A\r\n\r\n`),
  refused('no Host', 'GET /a HTTP/1.1\r\nX-A: 1\r\n\r\n'),
  refused('an empty field name', `GET /a HTTP/1.1\r\n${HEAD}: 1\r\n\r\n`),
]

const refusedChunks: readonly Case[] = [
  ['a chunk size with 0x', '0x2\r\nab\r\n0\r\n\r\n'],
  ['a negative chunk size', '-2\r\nab\r\n0\r\n\r\n'],
  ['a chunk size with a plus', '+2\r\nab\r\n0\r\n\r\n'],
  ['a chunk size that is none', 'zz\r\nab\r\n0\r\n\r\n'],
  ['a chunk size beyond all numbers', 'fffffffffffffffff2\r\nab\r\n0\r\n\r\n'],
  ['an empty chunk size', '\r\nab\r\n0\r\n\r\n'],
  ['a chunk longer than its size', '2\r\nabc\r\n0\r\n\r\n'],
  ['a chunk ended by a line feed alone', '2\r\nab\n0\r\n\r\n'],
  ['a chunk size ended by a line feed alone', '2\nab\r\n0\r\n\r\n'],
  ['a chunk size ended by a carriage return alone', '2\rab\r\n0\r\n\r\n'],
].map(([name = '', body = '']): Case => ({
  name,
  app: {
    onWhole: ({ connection }) =>
      void connection.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
  },
  async play(stage) {
    const client = await stage.client()
    client.send(stage.fill(`POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n${body}${INNER}`))
    await client.answered(1)
    await stage.honest()
    const statuses = client.answers.map(({ line }) => Number(line.slice(9, 12)))
    const lines = stage.upstream.requests.map(({ line, whole }) => `${line.split(' ')[1]} ${whole}`)
    // Where the head was sent on before the body came, the app sees a request that never ends; a front may read more
    // kindly, and then sends on what is beyond doubt.
    const isTaken = stage.front !== 'bare' && statuses[0] === 200
    stage.ok(isTaken || statuses.every((status) => status >= 400), `refused: ${statuses.join()}`)
    const seen = isTaken
      ? ['/a true,/honest true']
      : ['/honest true', '/a false,/honest true', '/honest true,/a false']
    stage.ok(seen.includes(lines.join()), `at the app: ${lines.join()}`)
  },
}))

const passed: readonly Case[] = [
  {
    name: 'a body of known length',
    send: `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nhello`,
    statuses: [200],
    lines: ['POST /a'],
    requestBody: 'hello',
    requestFraming: 'length',
    kept: true,
  },
  {
    name: 'a body of length nought',
    send: `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 0\r\n\r\n`,
    statuses: [200],
    lines: ['POST /a'],
    requestHas: ['Content-Length: 0'],
    kept: true,
  },
  {
    name: 'a length with noughts before it',
    send: `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 0005\r\n\r\nhello`,
    statuses: [200],
    lines: ['POST /a'],
    requestBody: 'hello',
    kept: true,
  },
  {
    name: 'a POST without any body',
    send: `POST /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['POST /a'],
    requestBody: '',
    kept: true,
  },
  ...['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'GET', 'HEAD'].map((method): Case => ({
    name: `a chunked ${method} with a request inside is one request`,
    send: `${method} /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n${chunked(INNER)}`,
    isHead: method === 'HEAD',
    says:
      method === 'HEAD'
        ? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'
        : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    statuses: [200],
    lines: [`${method} /a`],
    requestBody: INNER,
  })),
  ...['POST', 'DELETE', 'OPTIONS', 'GET'].map((method): Case => ({
    name: `a ${method} of known length with a request inside is one request`,
    send: `${method} /a HTTP/1.1\r\n${HEAD}Content-Length: ${INNER.length}\r\n\r\n${INNER}`,
    statuses: [200],
    lines: [`${method} /a`],
    requestBody: INNER,
  })),
  {
    name: 'chunks in pieces, coding in capitals',
    send: [
      `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: CHUNKED\r\n\r\n`,
      '3\r\nhe',
      'l\r\n2',
      '\r\nlo\r\n',
      '0\r\n',
      '\r\n',
    ],
    statuses: [200],
    lines: ['POST /a'],
    requestBody: 'hello',
    requestFraming: 'chunked',
    kept: true,
  },
  {
    name: 'chunk extensions stay behind',
    send: `POST /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n`,
    statuses: [200],
    lines: ['POST /a'],
    requestBody: 'hello',
    kept: true,
  },
  {
    name: 'request trailers are dropped with their Trailer field',
    send: `POST /a HTTP/1.1\r\n${HEAD}Trailer: X-Sum, Cookie\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('hi').slice(0, -2)}X-Sum: 7\r\nCookie: a=1\r\nX-Postern-User: root\r\n\r\n`,
    statuses: [200],
    lines: ['POST /a'],
    requestBody: 'hi',
    requestLacks: /^trailer:|x-sum|root/i,
    kept: true,
  },
  {
    name: 'pipelined requests, each answered in turn',
    send: `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n${HEAD}\r\nPOST /c HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /d HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`,
    statuses: [200, 200, 200, 200],
    lines: ['POST /a', 'GET /b', 'POST /c', 'GET /d'],
    kept: false,
  },
  {
    name: 'line ends before the request line',
    send: `\r\nGET /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['GET /a'],
    kept: true,
  },
  {
    name: 'HTTP/1.0 gets its answer and the end',
    send: 'GET /a HTTP/1.0\r\nHost: {host}\r\n\r\n',
    says: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    statuses: [200],
    lines: ['GET /a'],
    answerFraming: 'close',
    body: 'hello',
    kept: false,
  },
]

export const framingCases: readonly Case[] = [...refusedFramings, ...refusedChunks, ...passed]
