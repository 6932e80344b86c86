// Cases of an app's answers (RFC 9110 §15, RFC 9112 §6): statuses, bodies and their absence, 1xx, trailers.
import { BROKEN, HEAD, LENIENT, thenLeaves, told } from './torture-answer-said.ts'
import type { Case } from './torture-case.ts'

const bodiless: readonly Case[] = [
  told('HEAD keeps the length of what it doesn’t send', 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n', {
    send: `HEAD /a HTTP/1.1\r\n${HEAD}\r\n`,
    lines: ['HEAD /a'],
    isHead: true,
    answerHas: ['Content-Length: 99'],
  }),
  told('HEAD of a chunked answer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n', {
    send: `HEAD /a HTTP/1.1\r\n${HEAD}\r\n`,
    lines: ['HEAD /a'],
    isHead: true,
    answerHas: ['X-A: 1'],
  }),
  told('204', 'HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n', {
    statuses: [204],
    answerHas: ['X-A: 1'],
    kept: true,
  }),
  told('204 with a length of nought', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', {
    statuses: [204],
    answerLacks: /^(content-length|transfer-encoding):/i,
    kept: true,
  }),
  told('204 with a body is no answer', 'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok', {
    ...BROKEN,
    on: { compat: { statuses: [204], body: '', answerLacks: /^content-length/i, why: LENIENT } },
  }),
  told('304 keeps its validators', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nVary: a\r\n\r\n', {
    statuses: [304],
    answerHas: ['ETag: "x"', 'Vary: a'],
    kept: true,
  }),
  told('304 may say a length', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 5\r\n\r\n', {
    statuses: [304],
    answerHas: ['ETag: "x"'],
    kept: true,
  }),
  told('an answer of length nought', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', {
    body: '',
    answerHas: ['Content-Length: 0'],
    kept: true,
  }),
]

const statuses: readonly Case[] = [
  ...['299 Odd', '418 I’m', '599 Last', '401 Unauthorized', '421 Misdirected Request', '503 Later'].map(
    (line): Case =>
      told(`status ${line}`, `HTTP/1.1 ${line.replace('’', "'")}\r\nContent-Length: 2\r\n\r\nok`, {
        statuses: [Number(line.slice(0, 3))],
        body: 'ok',
        kept: true,
      }),
  ),
  told('a status line without a reason', 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok', {
    body: 'ok',
    kept: true,
  }),
  told('a control byte in the reason', 'HTTP/1.1 200 O\x1bK\r\nContent-Length: 2\r\n\r\nok', { body: 'ok' }),
]

const bodies: readonly Case[] = [
  told(
    'chunks with extensions',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
    {
      body: 'hello',
      answerFraming: 'chunked',
      kept: true,
    },
  ),
  told('a known length stays known', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', {
    body: 'hello',
    answerFraming: 'length',
    kept: true,
  }),
  told('a body that ends with the connection', '', {
    ...thenLeaves('HTTP/1.1 200 OK\r\n\r\nhello', 'fin'),
    body: 'hello',
    answerFraming: 'chunked',
    kept: true,
  }),
  told('an app of HTTP/1.0', '', {
    ...thenLeaves('HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nhello', 'fin'),
    body: 'hello',
    answerHas: ['X-A: 1'],
    kept: true,
  }),
  told(
    'an app of HTTP/1.0 that keeps its connection',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok',
    { body: 'ok', kept: true },
  ),
  told('a length and the end at once', '', {
    ...thenLeaves('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'fin'),
    body: 'hello',
    kept: true,
  }),
]

const informational: readonly Case[] = [
  told(
    'hints pass',
    'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\nX-Secret: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    {
      statuses: [103, 200],
      body: 'ok',
      kept: true,
    },
  ),
  told(
    'hints pass twice',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'.repeat(2)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`,
    {
      statuses: [103, 103, 200],
      body: 'ok',
      kept: true,
    },
  ),
  told(
    'hints are not for HTTP/1.0',
    'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    {
      send: `GET /a HTTP/1.0\r\n${HEAD}\r\n`,
      body: 'ok',
      kept: false,
    },
  ),
  told(
    'a hint that is no link',
    'HTTP/1.1 103 Early Hints\r\nLink: nonsense\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    { body: 'ok', kept: true },
  ),
  told(
    '102 is between the app and the edge',
    'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    { body: 'ok', kept: true },
  ),
  told(
    '100 that nobody waits for',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    {
      ...BROKEN,
      on: { compat: { statuses: [200], body: 'ok', why: LENIENT } },
    },
  ),
  told(
    'Expect is answered by the edge, once the app is to have the body',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    {
      send: [`POST /a HTTP/1.1\r\n${HEAD}Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n`, 'hello'],
      statuses: [100, 200],
      lines: ['POST /a'],
      requestBody: 'hello',
      requestLacks: /^expect/i,
      kept: true,
    },
  ),
  told('Expect of HTTP/1.0 is nothing', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', {
    send: `POST /a HTTP/1.0\r\n${HEAD}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`,
    lines: ['POST /a'],
    requestBody: 'hello',
    kept: false,
  }),
  told('another expectation', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', {
    send: `POST /a HTTP/1.1\r\n${HEAD}Expect: tea\r\nContent-Length: 5\r\n\r\nhello`,
    refusal: true,
    statuses: [417],
    lines: [],
  }),
  told('who may not send is told before the body', '', {
    send: `POST /a HTTP/1.1\r\nHost: no-such-thing.ws.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
    refusal: true,
    statuses: [401],
    lines: [],
    kept: false,
  }),
]

const CHUNKS =
  'HTTP/1.1 200 OK\r\nTrailer: X-Sum, Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n'
const trailers: readonly Case[] = [
  told('trailers pass to who takes them', `${CHUNKS}X-Sum: 7\r\ngrpc-status: 0\r\n\r\n`, {
    send: `GET /a HTTP/1.1\r\n${HEAD}TE: trailers\r\nConnection: TE\r\n\r\n`,
    requestHas: ['TE: trailers'],
    body: 'ok',
    trailers: ['X-Sum: 7', 'grpc-status: 0'],
    answerHas: ['Trailer: X-Sum, Set-Cookie'],
    kept: true,
  }),
  told(
    'trailers that may not be any stay behind',
    `${CHUNKS}Content-Type: x\r\nSet-Cookie: a=1\r\nX-Postern-User: root\r\nLocation: /x\r\nX-Accel-Redirect: /x\r\nX-Sum: 7\r\n\r\n`,
    {
      send: `GET /a HTTP/1.1\r\n${HEAD}TE: trailers\r\n\r\n`,
      body: 'ok',
      trailers: ['X-Sum: 7'],
      kept: true,
    },
  ),
  told('trailers stay behind where nobody takes them', `${CHUNKS}X-Sum: 7\r\n\r\n`, {
    body: 'ok',
    trailers: [],
    answerLacks: /^trailer:|x-sum/i,
    kept: true,
  }),
  told('trailers are not for HTTP/1.0', `${CHUNKS}X-Sum: 7\r\n\r\n`, {
    send: `GET /a HTTP/1.0\r\n${HEAD}TE: trailers\r\n\r\n`,
    body: 'ok',
    answerLacks: /^trailer:/i,
    kept: false,
  }),
  told(
    'Trailer on an answer of known length',
    'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 2\r\n\r\nok',
    {
      send: `GET /a HTTP/1.1\r\n${HEAD}TE: trailers\r\n\r\n`,
      body: 'ok',
      answerLacks: /^trailer:/i,
      kept: true,
    },
  ),
  told(
    'Trailer on an answer to HEAD',
    'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n',
    {
      send: `HEAD /a HTTP/1.1\r\n${HEAD}TE: trailers\r\n\r\n`,
      lines: ['HEAD /a'],
      isHead: true,
    },
  ),
]

export const answerCases: readonly Case[] = [
  ...bodiless,
  ...statuses,
  ...bodies,
  ...informational,
  ...trailers,
]
